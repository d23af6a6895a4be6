/* SPDX-License-Identifier: ISC */
/*
 * The twin's part of <machine/ipi.h>. A CPU has no interrupts here: it looks for requests by itself, in
 * each busy wait and at each access to kernel_map (tlb.c).
 */
#include <machine/ipi.h>
#include <sched.h>

void
ipi_shootdown(cpumask_t targets __unused_arg)
{
}

void
ipi_wakeup(unsigned cpu __unused_arg)
{
}

void
spin_wait(unsigned *turns)
{
	++*turns;
	shootdown_serve();
	sched_yield();
}
