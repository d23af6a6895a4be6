/* SPDX-License-Identifier: ISC */
/*
 * The machine's part of <machine/ipi.h>: interrupts between CPUs, and what a CPU does while it waits.
 */
#include <machine/event.h>
#include <machine/ipi.h>
#include "guest/apic.h"
#include "guest/exit.h"

/*
 * After so many turns the host's CPU is given away: whoever is waited for may need it. Some 10 us where
 * the CPU runs the guest, a few exits' worth where it is interpreted.
 */
#define SPIN_TURNS 64

void interrupt(const struct bed_frame *); /* called by vector.asm only */

void
ipi_shootdown(cpumask_t targets)
{
	apic_send(targets, VECTOR_SHOOTDOWN);
}

void
ipi_wakeup(unsigned cpu)
{
	COUNT(wakeup, 1);
	apic_send(CPU_MASK(cpu), VECTOR_WAKEUP);
}

void
spin_wait(unsigned *turns)
{
	shootdown_serve();
	__builtin_ia32_pause();
	COUNT(spin, 1);
	if (++*turns % SPIN_TURNS == 0) {
		COUNT(yield, 1);
		bed_exit(BED_EXIT_YIELD);
	}
}

/*
 * A CPU that idles is off: a request that reaches it late has been withdrawn or served. It stores nothing
 * then, for the host may be looking.
 */
void
interrupt(const struct bed_frame *f)
{
	struct cpu_info *ci = curcpu();

	if (f->trapno == VECTOR_SPURIOUS)
		return;
	apic_eoi();
	if (f->trapno == VECTOR_PING)
		__atomic_store_n(&ci->ci_pings, ci->ci_pings + 1, __ATOMIC_RELEASE);
	if (f->trapno == VECTOR_SHOOTDOWN && !ci->ci_idle) {
		ci->ci_idepth++;
		shootdown_serve();
		ci->ci_idepth--;
	}
}
