/* SPDX-License-Identifier: ISC */
/*
 * The loop that takes calls from the slots of this CPU (guest/worker.h, shared/share.h).
 */
#include <machine/assert.h>
#include "guest/calls.h"
#include "guest/exit.h"
#include "guest/worker.h"

static struct thread *parked; /* most recently used first: its stack is the warm one */

static void
run_slot(struct bed_slot *slot)
{
	const struct call *call = call_find(slot->call, slot->nargs);
	struct thread *self = curthread;

	if (unlikely(call == NULL || !call_maps_good(call, slot->arg))) {
		slot->state = BED_SLOT_REFUSED;
		return;
	}
	slot->state = BED_SLOT_RUNNING;
	self->td_slot = slot;
	slot->result = call_run(call, slot->call, slot->arg, &slot->result2);
	self->td_slot = NULL;
	__atomic_store_n(&slot->state, BED_SLOT_DONE, __ATOMIC_RELEASE);
}

/* Let the first runnable thread have the CPU; back when worker_get() has handed out this worker. */
static void
park(void)
{
	struct thread *self = curthread;

	self->td_state = THREAD_PARKED;
	self->td_next = parked;
	parked = self;
	sched_switch();
}

/* The doorbell first: a stopped thread that lets us go before it does so for the host's call. */
static void __noreturn
worker_loop(void *arg __unused_arg)
{
	struct bed_cpushare *share = curcpu()->ci_share;

	for (;;) {
		uint32_t rung = share->doorbell;

		if (rung != 0) {
			share->doorbell = 0;
			if (rung <= BED_SLOTS)
				run_slot(&share->slot[rung - 1]);
		} else if (sched_runnable()) {
			park();
		} else {
			bed_exit(BED_EXIT_IDLE);
		}
	}
}

void
worker_start(void)
{
	while (sched_runnable())
		park();
	bed_exit(BED_EXIT_READY);
	worker_loop(NULL);
}

struct thread *
worker_get(void)
{
	struct thread *td = parked;

	if (td != NULL) {
		parked = td->td_next;
		return td;
	}
	td = thread_new(worker_loop, NULL, "worker");
	if (td == NULL)
		panic("all %d threads are in use", THREAD_MAX);
	return td;
}

struct thread *
sched_idle(void)
{
	return worker_get();
}
