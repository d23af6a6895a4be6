/* SPDX-License-Identifier: ISC */
/*
 * What the guest kernel needs for several CPUs, in a machine that has one.
 */
#include <machine/assert.h>

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
