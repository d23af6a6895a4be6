/* SPDX-License-Identifier: ISC */
/*
 * The loop that takes calls from the slots of this CPU (guest/worker.h, shared/share.h).
 */
#include <machine/assert.h>
#include <machine/ipi.h>
#include <machine/planted.h>
#include "guest/calls.h"
#include "guest/cpus.h"
#include "guest/exit.h"
#include "guest/worker.h"

/* Inline in both loops: it is most of what a call costs. */
static __always_inline void
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
	lock_none_held("a call returns");
	if (PLANTED(EXIT_LEFT_IN))
		bed_exit(BED_EXIT_NOP);
	__atomic_store_n(&slot->state, BED_SLOT_DONE, __ATOMIC_RELEASE);
}

/* Let the first runnable thread have the CPU; back when worker_get() has handed out this worker. */
static void
park(void)
{
	struct cpu_info *ci = curcpu();
	struct thread *self = ci->ci_curthread;

	self->td_state = THREAD_PARKED;
	self->td_next = ci->ci_parked;
	ci->ci_parked = self;
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
			if (rung <= BED_SLOTS && !PLANTED(DOORBELL_DROPPED))
				run_slot(&share->slot[rung - 1]);
		} else if (sched_runnable()) {
			park();
		} else {
			bed_exit(BED_EXIT_IDLE);
		}
	}
}

/* The calls that the host wants to run at the same time meet here. */
static void
barrier(void)
{
	uint32_t *left = &cpu_table[0]->ci_share->barrier;
	unsigned turns = 0;

	__atomic_sub_fetch(left, 1, __ATOMIC_ACQ_REL);
	while ((int32_t)__atomic_load_n(left, __ATOMIC_ACQUIRE) > 0)
		spin_wait(&turns);
}

/* The same where there are several CPUs. */
static void __noreturn
worker_loop_smp(void *arg __unused_arg)
{
	struct bed_cpushare *share = curcpu()->ci_share;

	for (;;) {
		uint32_t rung = share->doorbell, slot = rung & ~BED_BELL_BARRIER;

		if (rung != 0) {
			share->doorbell = 0;
			if (rung & BED_BELL_BARRIER)
				barrier();
			if (slot - 1 < BED_SLOTS)
				run_slot(&share->slot[slot - 1]);
		} else if (sched_runnable()) {
			park();
		} else {
			cpu_idle();
		}
	}
}

void
worker_start(void)
{
	while (sched_runnable())
		park();
	bed_exit(BED_EXIT_READY);
	if (ncpus == 1)
		worker_loop(NULL);
	worker_enter();
}

void
worker_enter(void)
{
	cpu_begin();
	worker_loop_smp(NULL);
}

struct thread *
worker_get(void)
{
	struct cpu_info *ci = curcpu();
	struct thread *td = ci->ci_parked;

	if (td != NULL) {
		ci->ci_parked = td->td_next;
		return td;
	}
	td = thread_new(ncpus == 1 ? worker_loop : worker_loop_smp, NULL, "worker");
	if (td == NULL)
		panic("all threads of CPU %u are in use", ci->ci_id);
	return td;
}

struct thread *
sched_idle(void)
{
	return worker_get();
}
