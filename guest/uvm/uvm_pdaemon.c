/* SPDX-License-Identifier: ISC */
/*
 * The page daemon. There is no swap and nothing to page out: when memory is short it asks those who hold
 * pages they could do without, and tells those whom that does not help.
 */
#include "pmap.h"

#include <machine/planted.h>
#include <machine/thread.h>

#include "uvm_pmemrange.h"
#include "uvm_pmr_priv.h"

static struct {
	uint64_t (*fn)(void *);
	void *arg;
} hooks[UVM_RECLAIM_MAX];
static unsigned nhooks;

static bool wanted; /* also the wait channel; guarded by fpageqlock */

void
uvm_reclaim_register(uint64_t (*hook)(void *), void *arg)
{
	if (nhooks == UVM_RECLAIM_MAX)
		panic("uvm_reclaim_register: more than %d hooks", UVM_RECLAIM_MAX);
	hooks[nhooks].fn = hook;
	hooks[nhooks].arg = arg;
	nhooks++;
}

void
uvm_pagedaemon_wake(void)
{
	bool was;

	mtx_enter(&uvm_pmr.fpageqlock);
	was = wanted;
	wanted = true;
	mtx_leave(&uvm_pmr.fpageqlock);
	if (!was)
		wakeup(&wanted);
}

/* fpageqlock held. Nothing more will come by itself: those who asked to be told may give up. */
static void
give_up(void)
{
	for (struct uvm_pmalloc *pm = uvm_pmr.allocs; pm != NULL; pm = pm->pm_next) {
		if (pm->pm_failok) {
			pm->pm_gaveup = true;
			wakeup(pm);
		}
	}
}

void
uvm_pageout(void *arg __unused_arg)
{
	thread_set_pagedaemon(curthread);
	for (;;) {
		uint64_t freed = 0;

		mtx_enter(&uvm_pmr.fpageqlock);
		while (!wanted) {
			sleep_setup(&wanted, "pgdaemon");
			mtx_leave(&uvm_pmr.fpageqlock);
			sleep_finish(INFSLP, true);
			mtx_enter(&uvm_pmr.fpageqlock);
		}
		wanted = PLANTED(DAEMON_SPINS);
		uvmexp.pdwoke++;
		mtx_leave(&uvm_pmr.fpageqlock);

		/* Hooks free pages through uvm_pmr_putrun(), which wakes the sleepers. */
		for (unsigned i = 0; i < nhooks; i++)
			freed += hooks[i].fn(hooks[i].arg);

		mtx_enter(&uvm_pmr.fpageqlock);
		uvmexp.pdfreed += freed;
		if (freed == 0)
			give_up();
		mtx_leave(&uvm_pmr.fpageqlock);
	}
}
