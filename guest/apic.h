/* SPDX-License-Identifier: ISC */
/*
 * The local APIC in x2APIC mode, in which the VMM starts every CPU: registers are MSRs. Only what
 * interrupts between CPUs need.
 */
#ifndef GUEST_APIC_H
#define GUEST_APIC_H

#include <stdint.h>

/* Vectors above the exceptions (guest/vector.inc has stubs for them). */
enum vector {
	VECTOR_SHOOTDOWN = 32,
	VECTOR_WAKEUP = 33,
	VECTOR_PING = 34, /* answered by counting */
	VECTOR_SPURIOUS = 35,
	VECTOR_LIMIT = 36,
};

/* Let interrupts come to this CPU. */
void apic_enable(void);
/* From a handler: this interrupt is taken. */
void apic_eoi(void);
/* Bit n of targets: CPU n. Stores before the call are visible to the handlers. */
void apic_send(uint32_t targets, enum vector);
uint32_t apic_id(void);

#endif
