/* SPDX-License-Identifier: ISC */
/*
 * Interrupts on and off. With one CPU they are never on. With several, threads run with interrupts on, in
 * mutexes too: the handlers take no lock, switch no thread and store nothing that the interrupted code
 * also stores, but for counters, which change by one instruction, and event records (guest/event.c).
 */
#ifndef GUEST_INTR_H
#define GUEST_INTR_H

#include <stdint.h>

#define RFLAGS_IF 0x200u

#ifdef BED_TWIN /* no interrupts there */
#define intr_enable()       ((void)0)
#define intr_disable()      ((void)0)
#define intr_save()         UINT64_C(0)
#define intr_restore(flags) ((void)(flags))
#else

static inline void
intr_enable(void)
{
	__asm__ volatile("sti" ::: "memory");
}

static inline void
intr_disable(void)
{
	__asm__ volatile("cli" ::: "memory");
}

/* Off; intr_restore() takes what it returned. */
static inline uint64_t
intr_save(void)
{
	uint64_t flags;

	__asm__ volatile("pushfq\n\tpopq %0\n\tcli" : "=r"(flags)::"memory");
	return flags;
}

static inline void
intr_restore(uint64_t flags)
{
	if (flags & RFLAGS_IF)
		intr_enable();
}

/* On, and sleep until an interrupt comes; one that was pending before ends it at once. */
static inline void
intr_wait(void)
{
	__asm__ volatile("sti\n\thlt\n\tcli" ::: "memory");
}
#endif

#endif
