/* SPDX-License-Identifier: ISC */
/*
 * Per-CPU data. In the guest GS points at it; the twin keeps one per host thread.
 */
#ifndef MACHINE_CPU_H
#define MACHINE_CPU_H

#include <machine/param.h>
#include "shared/share.h"

struct thread;

/* Threads that wait for a CPU, first come first served; `end` is where the next one is linked. */
struct run_queue {
	struct thread *first, **end;
};

struct cpu_info {
	struct cpu_info *ci_self;      /* offset 0: what %gs:0 reads */
	struct thread *ci_curthread;   /* offset 8 */
	struct bed_counters *ci_count; /* offset 16 */
	struct bed_cpushare *ci_share; /* offset 24 */
	uint32_t ci_id;
	int ci_mutex_level; /* mutexes held: while above 0, interrupt work that takes locks waits */
	int ci_idepth;      /* interrupt nesting */
	bool ci_idle; /* has nothing to run; who gives it something clears this and interrupts it */
	struct run_queue ci_run;  /* of several CPUs: guarded by the scheduler's lock */
	uint32_t ci_pings;        /* interrupts of calls ipi_ping taken; only this CPU writes it */
	struct thread *ci_parked; /* workers nobody needs now, most recently used first */
};

/* CPUs of this machine, and each by its id. */
extern uint32_t ncpus;
extern struct cpu_info *cpu_table[BED_CPU_MAX];

static inline struct cpu_info *
curcpu(void)
{
	struct cpu_info *ci;

	/* Not volatile: within a function the CPU does not change unless the thread sleeps. */
	__asm__("movq %%gs:0, %0" : "=r"(ci));
	return ci;
}

/* curcpu()->ci_count, without the step in between. */
static inline struct bed_counters *
curcount(void)
{
	struct bed_counters *count;

	__asm__("movq %%gs:16, %0" : "=r"(count));
	return count;
}

/* curcpu()->ci_curthread in the same way. */
static inline struct thread *
curself(void)
{
	struct thread *td;

	__asm__("movq %%gs:8, %0" : "=r"(td));
	return td;
}
_Static_assert(offsetof(struct cpu_info, ci_curthread) == 8, "what curself() reads");
_Static_assert(offsetof(struct cpu_info, ci_count) == 16, "what curcount() reads");

/*
 * One instruction: an interrupt on the same CPU comes before or after it, and who reads the word at the same
 * time gets the old value or the new one. No two CPUs may add at once.
 */
static inline void
count_add(uint64_t *counter, uint64_t n)
{
	__asm__("addq %1, %0" : "+m"(*counter) : "er"(n) : "cc");
}

#endif
