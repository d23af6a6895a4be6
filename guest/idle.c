/* SPDX-License-Identifier: ISC */
/*
 * Idling with several CPUs, so that exactly one of them leaves when nothing is left to do, and does so only
 * then.
 *
 * cpus_active counts the CPUs that are not idle. A CPU that becomes idle says so under the scheduler's
 * lock (ci_idle), when nothing is runnable there, and counts itself out. Who makes a thread of an idle CPU
 * runnable counts that CPU in again, under the same lock and before it can count itself out
 * (sched_wake_cpu()). So the count is at least one as long as any CPU runs or any wakeup is under way,
 * and the CPU that counts it down to zero knows that all is quiet. Counting out is its last store before
 * it halts: from BED_EXIT_IDLE until the host resumes the CPU that left, memory stands still.
 */
#include <machine/ipi.h>
#include "guest/cpus.h"
#include "guest/exit.h"
#include "guest/intr.h"
#include "guest/thread.h"

static struct bed_cpushare *
share0(void)
{
	return cpu_table[0]->ci_share;
}

/*
 * The host has resumed this CPU, which is idle as all others are. Wake those for which it has rung; be
 * active meanwhile, or the first of them could find everything quiet before the last is awake.
 */
static bool
answer_bells(struct cpu_info *ci)
{
	uint32_t bells = __atomic_exchange_n(&share0()->bells, 0, __ATOMIC_ACQUIRE);

	if (bells == 0)
		return false;
	sched_enter();
	sched_wake_cpu(ci);
	for (unsigned id = 0; id < ncpus; id++) {
		if (bells & CPU_MASK(id))
			sched_wake_cpu(cpu_table[id]);
	}
	sched_leave();
	return true;
}

static bool
has_work(const struct cpu_info *ci)
{
	return sched_runnable() || ci->ci_share->doorbell != 0;
}

void
cpu_idle(void)
{
	struct cpu_info *ci = curcpu();

	intr_disable();
	sched_enter();
	if (has_work(ci)) {
		sched_leave();
		intr_enable();
		return;
	}
	shootdown_cpu_off();
	__atomic_store_n(&ci->ci_idle, true, __ATOMIC_RELAXED);
	sched_leave();
	if (__atomic_sub_fetch(&cpus_active, 1, __ATOMIC_SEQ_CST) == 0) {
		do
			bed_exit(BED_EXIT_IDLE);
		while (!answer_bells(ci));
	}
	while (__atomic_load_n(&ci->ci_idle, __ATOMIC_ACQUIRE))
		intr_wait();
	shootdown_cpu_on();
	intr_enable();
}
