/* SPDX-License-Identifier: ISC */
/*
 * The machine's part of <machine/ipi.h>: interrupts between CPUs, by the local APIC in x2APIC mode, and
 * what a CPU does while it waits.
 */
#include <machine/ipi.h>

#define MSR_X2APIC_ICR   0x830u
#define ICR_LOGICAL      (1u << 11) /* to a mask: CPU n of cluster 0 is bit n */
#define VECTOR_SHOOTDOWN 0xf0u
#define VECTOR_WAKEUP    0xf1u

static void
interrupt(cpumask_t targets, uint32_t vector)
{
	/* The write orders nothing: stores that the targets are to find must be visible before. */
	__asm__ volatile(
	    "mfence\n\twrmsr" ::"c"(MSR_X2APIC_ICR), "a"(ICR_LOGICAL | vector), "d"(targets)
	    : "memory");
}

void
ipi_shootdown(cpumask_t targets)
{
	interrupt(targets, VECTOR_SHOOTDOWN);
}

void
ipi_wakeup(unsigned cpu)
{
	interrupt(CPU_MASK(cpu), VECTOR_WAKEUP);
}

void
spin_wait(unsigned *turns)
{
	++*turns;
	shootdown_serve();
	__builtin_ia32_pause();
}
