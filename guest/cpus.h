/* SPDX-License-Identifier: ISC */
/*
 * Several CPUs: how the others begin, and what one does that has nothing to run.
 */
#ifndef GUEST_CPUS_H
#define GUEST_CPUS_H

#include <machine/param.h>

/* By the first CPU, once: all that the others need to begin; the VMM starts them after BED_EXIT_READY. */
void cpu_make_others(unsigned ncpu, paddr_t areas);
/* Interrupts on: the last step of a CPU's start where there is more than one. */
void cpu_begin(void);
/*
 * Sleep until there is something to run or the host has rung; may return without either. The last CPU to
 * fall idle leaves with BED_EXIT_IDLE. By a worker, with interrupts on and no lock held.
 */
void cpu_idle(void);

#endif
