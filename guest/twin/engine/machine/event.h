/* SPDX-License-Identifier: ISC */
/*
 * Counted work and event records of the twin as a machine: the guest's own, and in both flavours a note
 * of which pages have been handed out, because those are the ones whose contents may have changed.
 */
#ifndef TWIN_MACHINE_EVENT_H
#define TWIN_MACHINE_EVENT_H

#include <machine/cpu.h>
#include "guest/twin/engine.h"
#include "shared/events.h"
#include "shared/share.h"

extern struct twin_taken *twin_marks;

/* Frames [pa, pa + n pages) are somebody's from now on. */
static inline void
twin_taken(uint64_t pa, uint64_t n)
{
	struct twin_taken *t = twin_marks;

	for (uint64_t f = pa >> BED_PAGE_SHIFT; n-- > 0; f++) {
		if ((t->seen[f / 64] >> f % 64 & 1) == 0) {
			t->seen[f / 64] |= UINT64_C(1) << f % 64;
			t->frame[t->n++] = (uint32_t)f;
		}
	}
}

/* A store through an address of kernel_map or the direct map reached pa. */
#define TWIN_WROTE(pa) twin_taken(pa, 1)

#define EVENT_TAKES(type)  EVENT_TAKES_(BED_EV_##type)
#define EVENT_TAKES_(type) ((type) == BED_EV_PAGE_ALLOC || (type) == BED_EV_PTP_ALLOC)

/* pa and n of a PAGE_ALLOC, pa of a PTP_ALLOC. */
#define EVENT_NOTE(type, a0, a1)                                                          \
	(EVENT_TAKES(type) ? twin_taken((uint64_t)(a0),                                   \
				 BED_EV_##type == BED_EV_PAGE_ALLOC ? (uint64_t)(a1) : 1) \
			   : (void)0)

#define COUNT(counter, n) ((void)(curcount()->counter += (n)))

#ifdef BED_CHECKED_BUILD
uint64_t event_ticket(void);
void event_record(enum bed_event_type, uint64_t a0, uint64_t a1, uint64_t a2);
#define EVENT(type, a0, a1, a2)    \
	(EVENT_NOTE(type, a0, a1), \
	    event_record(BED_EV_##type, (uint64_t)(a0), (uint64_t)(a1), (uint64_t)(a2)))
/* Not for events that take frames. */
#define EVENT_OF(type, a0, a1, a2) \
	event_record((type), (uint64_t)(a0), (uint64_t)(a1), (uint64_t)(a2))
#else
#define event_ticket()             UINT64_C(0)
#define EVENT(type, a0, a1, a2)    EVENT_NOTE(type, a0, a1)
#define EVENT_OF(type, a0, a1, a2) ((void)0)
#endif

#endif
