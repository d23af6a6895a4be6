/* SPDX-License-Identifier: ISC */
/*
 * Waiting for lists of pages on the twin.
 */
#include "tests/twin/request.h"

#include <machine/thread.h>

static void
boot_small(void)
{
	twin_boot(8 * MIB, 16 * MIB, PAGES);
}

struct list_job {
	struct request q;
	struct pglist l;
	int error;
};

static void
list_thread(void *arg)
{
	struct list_job *job = arg;

	job->error = request_try(&job->q, &job->l);
}

BED_TEST(page_wait, waits_for_enough)
{
	struct list_job job = { .q = { .pages = 20, .high = ANY, .flags = UVM_PLA_WAITOK } };
	struct vm_page *pg;
	struct thread *td;
	unsigned got;

	boot_small();
	pg = uvm_pmr_getrun(256, &got, 0);
	while (uvm_pmr_getrun(99, &got, UVM_PGA_USERESERVE) != NULL)
		continue;
	cr_assert_not(twin_call(list_thread, &job, &td));
	cr_assert_eq(td->td_wchan, (const volatile void *)&uvmexp.free);
	/* BSD's rule: more than reserve_pagedaemon + n must be free. */
	for (unsigned i = 0; i < 20; i++) {
		uvm_pmr_putrun(&pg[i], 1);
		twin_run();
		cr_assert_eq(td->td_state, THREAD_SLEEPING, "%u pages", i + 1);
	}
	uvm_pmr_putrun(&pg[20], 1);
	twin_run();
	cr_assert_eq(td->td_state, THREAD_FREE);
	cr_assert_eq(job.error, 0);
	request_check(&job.q, &job.l, 0);
	check_free("after the wait", 0, true);
}

BED_TEST(page_wait, waits_for_the_right_pages)
{
	struct list_job job = { .q = { .pages = 2,
				    .low = 7 * MIB,
				    .high = ANY,
				    .nsegs = 1,
				    .flags = UVM_PLA_WAITOK } };
	struct vm_page *top, *low;
	struct thread *td;
	unsigned got;

	boot_small();
	top = uvm_pmr_getrun(256, &got, 0);
	low = uvm_pmr_getrun(8, &got, 0);
	cr_assert_not(twin_call(list_thread, &job, &td), "plenty free, nothing of it in range");
	uvm_pmr_putrun(low, 8);
	twin_run();
	cr_assert_eq(td->td_state, THREAD_SLEEPING);
	cr_assert_eq(uvmexp.pagewaits, 1, "not even woken");
	uvm_pmr_putrun(top + 3, 1);
	twin_run();
	cr_assert_eq(td->td_state, THREAD_SLEEPING, "in range, not enough");
	uvm_pmr_putrun(top + 4, 1);
	twin_run();
	cr_assert_eq(td->td_state, THREAD_FREE);
	cr_assert_eq(job.error, 0);
	cr_assert_eq(job.l.first, top + 3);
	cr_assert_null(uvm_pmr.allocs);
}

BED_TEST(page_wait, failok_gives_up_with_the_page_daemon)
{
	struct list_job job = { .q = { .pages = 2,
				    .low = 7 * MIB,
				    .high = ANY,
				    .flags = UVM_PLA_WAITOK | UVM_PLA_FAILOK } };
	unsigned got;

	boot_small();
	uvm_pmr_getrun(256, &got, 0);
	cr_assert(twin_call(list_thread, &job, NULL));
	cr_assert_eq(job.error, ENOMEM);
	cr_assert_null(uvm_pmr.allocs);

	/* Shortage of everything, too. */
	while (uvm_pmr_getrun(99, &got, UVM_PGA_USERESERVE) != NULL)
		continue;
	job.q.low = 0;
	cr_assert(twin_call(list_thread, &job, NULL));
	cr_assert_eq(job.error, ENOMEM);
}

BED_TEST(page_wait, larger_than_memory_does_not_wait)
{
	struct list_job job = { .q = { .pages = 4096, .high = ANY, .flags = UVM_PLA_WAITOK } };

	boot_small();
	cr_assert(twin_call(list_thread, &job, NULL));
	cr_assert_eq(job.error, ENOMEM);
	job.q.pages = uvmexp.npages - 4;
	cr_assert(twin_call(list_thread, &job, NULL));
	cr_assert_eq(job.error, ENOMEM);
	job.q.pages = uvmexp.npages - 5;
	cr_assert(twin_call(list_thread, &job, NULL));
	cr_assert_eq(job.error, 0);
	request_check(&job.q, &job.l, 0);
}
