/* SPDX-License-Identifier: ISC */
/*
 * What the guest kernel needs for several CPUs, in a machine that has one.
 */
#include <machine/assert.h>
#include <machine/ipi.h>

#include "guest/apic.h"
#include "guest/cpus.h"

void
cpu_make_others(unsigned n, paddr_t areas __unused_arg)
{
	panic("the twin has one CPU, not %u", n);
}

void
cpu_begin(void)
{
	panic("the twin's one CPU is not one of several");
}

void
cpu_idle(void)
{
	panic("the twin's one CPU idles by leaving");
}

void
apic_send(uint32_t targets, enum vector vector __unused_arg)
{
	panic("the twin has no CPUs 0x%x to interrupt", targets);
}

uint32_t
apic_id(void)
{
	return 0;
}

void
ipi_shootdown(cpumask_t targets)
{
	panic("the twin has no CPUs 0x%x to interrupt", targets);
}

void
ipi_wakeup(unsigned cpu)
{
	panic("the twin has no CPU %u to wake", cpu);
}

/* With one CPU nobody is waited for. */
void
spin_wait(unsigned *turns __unused_arg)
{
	panic("the twin's one CPU waits for another");
}
