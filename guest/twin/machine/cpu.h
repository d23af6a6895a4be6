/* SPDX-License-Identifier: ISC */
/*
 * Per-CPU data of the twin: the guest's, but for where the CPU finds it.
 */
#ifndef TWIN_MACHINE_CPU_H
#define TWIN_MACHINE_CPU_H

#define curcpu   guest_curcpu /* the %gs ones, unused here */
#define curcount guest_curcount
#define curself  guest_curself
#include "../../machine/cpu.h"
#undef curcpu
#undef curcount
#undef curself

extern __thread struct cpu_info *twin_cpu;

static inline struct cpu_info *
curcpu(void)
{
	return twin_cpu;
}

static inline struct bed_counters *
curcount(void)
{
	return twin_cpu->ci_count;
}

static inline struct thread *
curself(void)
{
	return curcpu()->ci_curthread;
}

#endif
