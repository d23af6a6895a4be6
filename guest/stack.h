/* SPDX-License-Identifier: ISC */
/*
 * Kernel stacks: in .bss, each above a page that stack_guard() unmaps, so that an overflow is a double
 * fault and not a corruption.
 */
#ifndef GUEST_STACK_H
#define GUEST_STACK_H

#include <machine/context.h>

/* The stacks of the first CPU and of its interrupts; the lowest page of each is its guard. */
#define STACK_STRIDE (PAGE_SIZE + THREAD_STACK_SIZE)
#define IST_STACKS   3 /* double fault, NMI, machine check: guest/vector.inc */
#define IST_STRIDE   (2 * PAGE_SIZE)

struct cpu_area;

/* Unmap the guard pages. Once, at boot, before anything has been mapped or unmapped. */
void stack_guard(void);
/* The same for the stacks of another CPU, which has not run yet; the caller flushes. */
void stack_guard_area(struct cpu_area *);

/* Is va in the guard page of the stack that begins at stack_low? */
static inline bool
stack_is_guard(vaddr_t stack_low, vaddr_t va)
{
	return va < stack_low && va >= stack_low - PAGE_SIZE;
}

#endif
