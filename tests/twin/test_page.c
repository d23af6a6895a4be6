/* SPDX-License-Identifier: ISC */
/*
 * Physical pages on the twin: boot, single pages, reserves, zeroes, waiting for pages.
 */
#include "tests/twin/check.h"

#include <machine/thread.h>
#include <string.h>

static uint64_t *
words(const struct vm_page *pg)
{
	return PMAP_DIRECT_MAP(VM_PAGE_TO_PHYS(pg));
}

static void
boot_small(void)
{
	twin_boot(8 * MIB, 16 * MIB, PAGES);
}

/* Take pages one by one until none comes; they are linked by pageq. */
static struct vm_page *
take_all(int flags, uint64_t *n)
{
	struct vm_page *list = NULL, *pg;

	for (*n = 0; (pg = uvm_pagealloc(NULL, 0, flags)) != NULL; ++*n) {
		pg->pageq = list;
		list = pg;
	}
	return list;
}

static void
free_all(struct vm_page *list)
{
	for (struct vm_page *next; list != NULL; list = next) {
		next = list->pageq;
		uvm_pagefree(list);
	}
}

/* property 76: pages */
BED_TEST(page, boot_leaves_pages_untouched)
{
	const struct vm_physseg *seg;
	uint64_t frames = 0, touched = 0;

	twin_boot(0, 0, PAGES);
	for (unsigned i = 0; i < vm_nphysseg; i++) {
		seg = &vm_physmem[i];
		frames += seg->end - seg->start;
		cr_assert(i == 0 || seg->end - seg->start <= seg[-1].end - seg[-1].start);
		for (const struct vm_page *pg = seg->pgs; pg < seg->lastpg; pg++) {
			static const struct vm_page zero;

			touched += memcmp(pg, &zero, sizeof(zero)) != 0;
		}
	}
	cr_assert_eq(uvmexp.npages, frames);
	cr_assert_eq(uvmexp.free, frames);
	cr_assert_eq(uvm_pmr.pages[UVM_PMR_MEMTYPE_ZERO], frames);
	cr_assert_leq(touched, 2 * vm_nphysseg, "first and last page of each run");
	check_free("boot", 0, true);
	cr_assert_eq(uvmexp.reserve_pagedaemon, 4);
	cr_assert_eq(uvmexp.reserve_kernel, 6);
	cr_assert_eq(uvmexp.freemin, frames / 30);
	cr_assert_eq(uvmexp.freetarg, frames / 30 * 4 / 3);
}

static void
check_address(paddr_t pa, bool managed)
{
	struct vm_page *pg = PHYS_TO_VM_PAGE(pa);

	cr_assert_eq(pg != NULL, managed, "0x%lx", pa);
	if (pg != NULL)
		cr_assert_eq(VM_PAGE_TO_PHYS(pg), trunc_page(pa));
}

BED_TEST(page, address_and_back)
{
	static const uint64_t ram[] = { 8 * MIB, 64 * MIB, 5 * GIB };

	for (unsigned i = 0; i < nitems(ram); i++) {
		twin_boot(ram[i], 0, PAGES);
		cr_assert_eq(vm_nphysseg, ram[i] > 3 * GIB ? 4 : 3);
		for (unsigned s = 0; s < vm_nphysseg; s++) {
			check_address(ptoa(vm_physmem[s].start), true);
			check_address(ptoa(vm_physmem[s].start) + 0xfff, true);
			check_address(ptoa(vm_physmem[s].end) - 1, true);
			check_address(ptoa((vm_physmem[s].start + vm_physmem[s].end) / 2), true);
		}
		check_address(0, false);
		check_address(twin_info.root, false);
		check_address(twin_info.image_start, false);
		check_address(twin_info.ptpool_end - 1, false);
		/* With much memory the array of pages lies there. */
		check_address(twin_info.ptpool_end, ram[i] <= 64 * MIB);
		check_address(twin_ram_end - 1, true);
		check_address(twin_ram_end, false);
		check_address(BED_HOLE_START, false);
		check_address(UINT64_MAX, false);
	}
}

BED_TEST(page, stolen_memory_is_not_managed)
{
	const struct vm_page *first;
	paddr_t lowest = UINT64_MAX;

	twin_boot(0, 0, PAGES);
	for (unsigned i = 0; i < vm_nphysseg; i++)
		lowest = vm_physmem[i].start < lowest ? vm_physmem[i].start : lowest;
	first = PHYS_TO_VM_PAGE(ptoa(lowest));
	cr_assert_null(PHYS_TO_VM_PAGE(ptoa(lowest - 1)));
	cr_assert_null(PHYS_TO_VM_PAGE(PMAP_DIRECT_UNMAP(first)));
	cr_assert_null(PHYS_TO_VM_PAGE(PMAP_DIRECT_UNMAP(pmap_kernel()->pm_l1)));
	cr_assert_gt(lowest, atop(twin_info.seg[0].start));
}

BED_TEST(page, physload_refuses)
{
	static const struct {
		paddr_t start, end, avail_start, avail_end;
	} bad[] = {
		{ 100, 100, 100, 100 }, { 100, 50, 100, 50 }, { 100, 200, 99, 200 },
		{ 100, 200, 100, 201 }, { 100, 200, 150, 140 },
		{ 0x41, 0x42, 0x41, 0x42 }, /* inside the first segment */
	};

	for (volatile unsigned i = 0; i < nitems(bad); i++) {
		const char *msg;

		twin_boot(0, 0, PAGES);
		cr_assert_not_null(TWIN_PANIC(uvm_page_physload(1, 2, 1, 2, 0)), "after init");
		twin_reset();
		uvm_page_physload(0x40, 0x48, 0x40, 0x48, 0);
		msg = TWIN_PANIC(uvm_page_physload(
		    bad[i].start, bad[i].end, bad[i].avail_start, bad[i].avail_end, 0));
		cr_assert_not_null(msg, "segment %u", i);
	}
}

BED_TEST(page, unavailable_and_device_memory)
{
	struct vm_page *pg;
	uint64_t n;

	twin_reset();
	uvm_page_physload(0x100, 0x200, 0x110, 0x1f0, 0);
	uvm_page_physload(0x300, 0x310, 0x300, 0x310, PHYSLOAD_DEVICE);
	uvm_page_init();
	cr_assert_eq(vm_physmem[0].start, 0x100, "memory was stolen from the available part");
	cr_assert_eq(uvmexp.npages, 0x1f0 - vm_physmem[0].avail_start);
	cr_assert_eq(count_inuse() + uvmexp.npages, 0x110);
	for (pg = take_all(UVM_PGA_USERESERVE, &n); pg != NULL; pg = pg->pageq) {
		paddr_t frame = atop(VM_PAGE_TO_PHYS(pg));

		cr_assert(frame >= vm_physmem[0].avail_start && frame < 0x1f0);
	}
	cr_assert_eq(n, uvmexp.npages - 4);
	check_address(ptoa(0x305), true);
}

BED_TEST(page, tiny_memory_still_has_thresholds)
{
	twin_reset();
	uvm_page_physload(0xb00, 0xb50, 0xb00, 0xb50, 0);
	uvm_page_init();
	cr_assert_eq(uvmexp.freemin, 7, "more than reserve_kernel");
	cr_assert_eq(uvmexp.freetarg, 9);
}

BED_TEST(page, state_of_a_page)
{
	struct vm_page *pg;

	boot_small();
	pg = uvm_pagealloc(NULL, 0, 0);
	cr_assert_eq(pg->pg_flags, PQ_INUSE | PG_BUSY | PG_FAKE | PG_CLEAN);
	cr_assert_null(pg->uobject);
	cr_assert_not(uvm_pmr_isfree(pg));
	cr_assert_eq(twin_count()->page_alloc, 1);
	uvm_page_unbusy(pg);
	cr_assert_eq(pg->pg_flags & (PG_BUSY | PG_FAKE), 0);
	uvm_pagewire(pg);
	uvm_pagewire(pg);
	cr_assert_eq(uvmexp.wired, 1);
	uvm_pageunwire(pg);
	cr_assert_eq(uvmexp.wired, 1);
	uvm_pageunwire(pg);
	cr_assert_eq(uvmexp.wired, 0);
	uvm_pagewire(pg);
	uvm_pagefree(pg);
	cr_assert_eq(uvmexp.wired, 0);
	cr_assert(uvm_pmr_isfree(pg));
	cr_assert_eq(twin_count()->page_free, 1);
	check_free("freed", 0, true);

	pg = uvm_pagealloc(NULL, 0, 0);
	pg->pg_flags |= PG_RELEASED;
	uvm_page_unbusy(pg);
	cr_assert(uvm_pmr_isfree(pg));
}

BED_TEST(page, misuse_panics)
{
	struct vm_page *pg;

	boot_small();
	pg = uvm_pagealloc(NULL, 0, 0);
	uvm_pagefree(pg);
	cr_assert_not_null(TWIN_PANIC(uvm_pagefree(pg)), "double free");
	boot_small();
	pg = uvm_pagealloc(NULL, 0, 0);
	cr_assert_not_null(TWIN_PANIC(uvm_pageunwire(pg)), "not wired");
	boot_small();
	pg = uvm_pagealloc(NULL, 0, 0);
	cr_assert_not_null(TWIN_PANIC(uvm_pmr_putrun(pg, 2)), "the second page is free");
}

/* property 54 76: pages */
BED_TEST(page, last_pages_are_reserved)
{
	struct vm_page *list, *rest, *next;
	uint64_t n, before;
	unsigned got;

	boot_small();
	before = uvmexp.free;
	list = take_all(0, &n);
	cr_assert_eq(uvmexp.free, 6);
	cr_assert_eq(n, before - 6);
	cr_assert_null(uvm_pmr_getrun(1, &got, 0));
	rest = take_all(UVM_PGA_USERESERVE, &n);
	cr_assert_eq(uvmexp.free, 4);
	cr_assert_eq(n, 2);
	check_free("exhausted", 0, true);
	/* A page on a stack of short runs is no exception. */
	next = list->pageq;
	uvm_pmr_putrun(list, 1);
	cr_assert_null(uvm_pmr_getrun(1, &got, 0));
	cr_assert_eq(uvm_pmr_getrun(1, &got, UVM_PGA_USERESERVE), list);
	list->pageq = next;
	free_all(rest);
	free_all(list);
	cr_assert_eq(uvmexp.free, before);
	check_free("all back", 0, true);

	/* A run is cut short by the reserve, not refused. */
	while (uvmexp.free > 20)
		cr_assert_not_null(uvm_pagealloc(NULL, 0, 0));
	cr_assert_not_null(uvm_pmr_getrun(100, &got, UVM_PGA_USERESERVE));
	cr_assert_eq(got, 16);
}

static void
as_pagedaemon(void *arg)
{
	uint64_t n;

	thread_set_pagedaemon(curthread);
	take_all(0, &n);
	*(uint64_t *)arg = n;
}

/* property 54: pages */
BED_TEST(page, page_daemon_may_use_all)
{
	uint64_t n;

	boot_small();
	take_all(UVM_PGA_USERESERVE, &n);
	cr_assert(twin_call(as_pagedaemon, &n, NULL));
	cr_assert_eq(n, 4);
	cr_assert_eq(uvmexp.free, 0);
	check_free("empty", 0, true);
}

BED_TEST(page, known_zero_is_not_zeroed)
{
	struct vm_page *pg;

	boot_small();
	pg = uvm_pagealloc(NULL, 0, UVM_PGA_ZERO);
	cr_assert_eq(twin_count()->page_zero, 0);
	for (unsigned i = 0; i < 512; i++)
		cr_assert_eq(words(pg)[i], 0);
	words(pg)[5] = 5;
	uvm_pagefree(pg);
	/* The freed page is dirty: who wants zero gets another one while there is one. */
	cr_assert_neq(uvm_pagealloc(NULL, 0, UVM_PGA_ZERO), pg);
	cr_assert_eq(twin_count()->page_zero, 0);
	cr_assert_eq(uvm_pagealloc(NULL, 0, 0), pg, "who does not gets the dirty one");
}

BED_TEST(page, dirty_is_zeroed_when_nothing_else_is_left)
{
	struct vm_page *list, *pg;
	uint64_t n, zeroed = 0;

	boot_small();
	list = take_all(0, &n);
	for (pg = list; pg != NULL; pg = pg->pageq)
		memset(words(pg), 0xa5, PAGE_SIZE);
	free_all(list);
	/* The six pages never taken are still known to be zero. */
	for (unsigned i = 0; i < 10; i++) {
		pg = uvm_pagealloc(NULL, 0, UVM_PGA_ZERO);
		for (unsigned w = 0; w < 512; w++)
			cr_assert_eq(words(pg)[w], 0);
		zeroed = twin_count()->page_zero;
		cr_assert_eq(zeroed, i < 6 ? 0 : i - 5);
	}
}

struct waiter {
	struct vm_page *got;
	uint64_t sleeps;
};

static void
wait_for_page(void *arg)
{
	struct waiter *w = arg;

	while ((w->got = uvm_pagealloc(NULL, 0, UVM_PGA_USERESERVE)) == NULL) {
		uint64_t before = uvmexp.pagewaits;

		uvm_wait("testwait");
		w->sleeps += uvmexp.pagewaits - before;
	}
}

BED_TEST(page, wait_and_wakeup)
{
	struct waiter a = { NULL, 0 }, b = { NULL, 0 };
	struct thread *ta, *tb;
	struct vm_page *list, *next;
	uint64_t n;

	boot_small();
	list = take_all(UVM_PGA_USERESERVE, &n);
	cr_assert_not(twin_call(wait_for_page, &a, &ta));
	cr_assert_not(twin_call(wait_for_page, &b, &tb));
	cr_assert_eq(ta->td_wchan, (const volatile void *)&uvmexp.free);
	cr_assert_str_eq(ta->td_wmesg, "testwait");
	/* One page: the first sleeper has it, the second sleeps again. */
	next = list->pageq;
	uvm_pagefree(list);
	twin_run();
	cr_assert_eq(ta->td_state, THREAD_FREE);
	cr_assert_eq(a.got, list);
	cr_assert_eq(tb->td_state, THREAD_SLEEPING);
	uvm_pagefree(next);
	twin_run();
	cr_assert_eq(tb->td_state, THREAD_FREE);
	cr_assert_eq(b.got, next);
	cr_assert_eq(uvm_pmr.waiters, 0);
	/* With a page there, it does not sleep. */
	uvm_pagefree(b.got);
	n = uvmexp.pagewaits;
	uvm_wait("testwait");
	cr_assert_eq(uvmexp.pagewaits, n);
}

static void
free_it(void *pg)
{
	uvm_pagefree(pg);
}

/* A page freed after the test and before the sleep wakes the sleeper. */
BED_TEST(page, wakeup_is_not_lost)
{
	struct waiter w = { NULL, 0 };
	struct vm_page *list;
	uint64_t n;

	boot_small();
	list = take_all(UVM_PGA_USERESERVE, &n);
	twin_stop_at(STOP_PAGE_WAIT, free_it, list);
	cr_assert(twin_call(wait_for_page, &w, NULL), "it sleeps for ever");
	cr_assert_eq(w.got, list);
	cr_assert_eq(w.sleeps, 1);
}

static struct vm_page *hoard;

static uint64_t
give_back(void *arg)
{
	struct vm_page *pg = hoard;

	++*(unsigned *)arg;
	hoard = NULL;
	if (pg == NULL)
		return 0;
	uvm_pagefree(pg);
	return 1;
}

BED_TEST(page, page_daemon_asks_for_pages)
{
	struct waiter w = { NULL, 0 };
	struct vm_page *list;
	unsigned asked = 0;
	uint64_t n;

	boot_small();
	uvm_reclaim_register(give_back, &asked);
	list = take_all(UVM_PGA_USERESERVE, &n);
	twin_run();
	cr_assert_eq(asked, 1, "woken once when free fell below freemin, and coalesced since");
	hoard = list;
	cr_assert(twin_call(wait_for_page, &w, NULL));
	cr_assert_eq(w.got, list);
	cr_assert_eq(asked, 2);
	cr_assert_eq(uvmexp.pdfreed, 1);
	/* Nothing to give: the sleeper stays asleep, and nobody runs in circles. */
	cr_assert_not(twin_call(wait_for_page, &w, NULL));
	cr_assert_leq(asked, 4);
}
