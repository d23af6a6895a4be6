/* SPDX-License-Identifier: ISC */
/*
 * Leaving to the VMM.
 */
#ifndef GUEST_EXIT_H
#define GUEST_EXIT_H

#include <machine/cpu.h>

#ifdef BED_TWIN
void bed_exit(enum bed_exit); /* guest/twin/engine/enter.c */
#else
/* One OUT to BED_PORT; returns when the host resumes the CPU. */
static inline void
bed_exit(enum bed_exit code)
{
	curcpu()->ci_share->exit = code;
	__asm__ volatile("outl %0, %1" ::"a"(code), "d"((uint16_t)BED_PORT) : "memory");
}
#endif

#endif
