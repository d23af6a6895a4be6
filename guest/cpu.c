/* SPDX-License-Identifier: ISC */
/*
 * The per-CPU data of the first CPU, complete at link time so that everything works from the first
 * instruction of C.
 */
#include <machine/mmu.h>
#include "guest/thread.h"

#define SHARE ((struct bed_cpushare *)(BED_DIRECT_BASE + BED_SHARE_PA))

extern struct cpu_info cpu0; /* entry.asm points GS at it */

struct cpu_info cpu0 = {
	.ci_self = &cpu0,
	.ci_curthread = &thread_pool[0],
	.ci_count = &SHARE->count,
	.ci_share = SHARE,
};

_Static_assert(offsetof(struct cpu_info, ci_self) == 0, "curcpu() reads it");
