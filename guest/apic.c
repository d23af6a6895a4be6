/* SPDX-License-Identifier: ISC */
/*
 * The local APIC: see apic.h.
 */
#include "guest/apic.h"

#define MSR_ID  0x802u
#define MSR_EOI 0x80bu
#define MSR_SVR 0x80fu
#define MSR_ICR 0x830u

#define SVR_ENABLE  0x100u
#define ICR_LOGICAL 0x800u /* to a mask: in x2APIC mode CPU n < 16 is bit n of cluster 0 */

static inline void
wrmsr(uint32_t msr, uint32_t low, uint32_t high)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"(low), "d"(high) : "memory");
}

void
apic_enable(void)
{
	wrmsr(MSR_SVR, SVR_ENABLE | VECTOR_SPURIOUS, 0);
}

void
apic_eoi(void)
{
	wrmsr(MSR_EOI, 0, 0);
}

/* WRMSR to an x2APIC register orders nothing by itself. */
void
apic_send(uint32_t targets, enum vector vector)
{
	__asm__ volatile("mfence" ::: "memory");
	wrmsr(MSR_ICR, ICR_LOGICAL | vector, targets);
}

uint32_t
apic_id(void)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(MSR_ID));
	return low;
}
