/* SPDX-License-Identifier: ISC */
/*
 * Per-CPU data of the twin as a machine: there is one CPU, so its place is known.
 */
#ifndef TWIN_MACHINE_CPU_H
#define TWIN_MACHINE_CPU_H

#define curcpu   guest_curcpu /* the %gs ones, unused here */
#define curcount guest_curcount
#define curself  guest_curself
#include "../../../machine/cpu.h"
#undef curcpu
#undef curcount
#undef curself

extern struct cpu_info cpu0;

static inline struct cpu_info *
curcpu(void)
{
	return &cpu0;
}

static inline struct bed_counters *
curcount(void)
{
	return cpu0.ci_count;
}

static inline struct thread *
curself(void)
{
	return curcpu()->ci_curthread;
}

#endif
