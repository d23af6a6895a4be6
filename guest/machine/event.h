/* SPDX-License-Identifier: ISC */
/*
 * Counted work (every flavour) and event records (checked flavour). EVENT costs nothing in release.
 */
#ifndef MACHINE_EVENT_H
#define MACHINE_EVENT_H

#include <machine/cpu.h>
#include "shared/events.h"
#include "shared/share.h"

#define COUNT(counter, n) count_add(&curcount()->counter, (uint64_t)(n))

#ifdef BED_CHECKED_BUILD
uint64_t event_ticket(void);
void event_record(enum bed_event_type, uint64_t a0, uint64_t a1, uint64_t a2);
#define EVENT(type, a0, a1, a2) \
	event_record(BED_EV_##type, (uint64_t)(a0), (uint64_t)(a1), (uint64_t)(a2))
/* The same with a type that is a value. */
#define EVENT_OF(type, a0, a1, a2) \
	event_record((type), (uint64_t)(a0), (uint64_t)(a1), (uint64_t)(a2))
#else
#define event_ticket()             UINT64_C(0)
#define EVENT_OF(type, a0, a1, a2) ((void)0)
#define EVENT(type, a0, a1, a2)    ((void)0)
#endif

#endif
