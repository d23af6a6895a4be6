/* SPDX-License-Identifier: ISC */
/*
 * Events of the twin: each CPU has a list of its own, which grows as needed.
 */
#include <machine/event.h>
#include <stdlib.h>
#include <string.h>

#include "guest/twin/priv.h"
#include "guest/twin/twin.h"

struct bed_event *twin_event;
uint64_t twin_nevent;
bool twin_events_wanted;

#ifdef BED_CHECKED_BUILD

static struct list {
	struct bed_event *at;
	uint64_t n, room;
} lists[BED_CPU_MAX];
static uint64_t tickets;

uint64_t
event_ticket(void)
{
	return __atomic_fetch_add(&tickets, 1, __ATOMIC_SEQ_CST);
}

static struct bed_event *
append(struct list *l, uint64_t n)
{
	struct bed_event *first;

	if (l->n + n > l->room) {
		l->room = 2 * (l->n + n) + 1024;
		l->at = realloc(l->at, l->room * sizeof(*l->at));
		if (l->at == NULL)
			twin_die("twin: no memory for events");
	}
	first = &l->at[l->n];
	l->n += n;
	return first;
}

void
event_record(enum bed_event_type type, uint64_t a0, uint64_t a1, uint64_t a2)
{
	unsigned cpu = curcpu()->ci_id;

	if (unlikely(ncpus > 1) && !twin_events_wanted)
		return;
	*append(&lists[cpu], 1) = (struct bed_event){
		.ticket = event_ticket(),
		.type = (uint16_t)type,
		.cpu = (uint16_t)cpu,
		.a = { a0, a1, a2 },
	};
	if (likely(ncpus == 1)) {
		twin_event = lists[0].at;
		twin_nevent = lists[0].n;
	}
}

void
twin_events_clear(void)
{
	for (unsigned cpu = 0; cpu < BED_CPU_MAX; cpu++)
		lists[cpu].n = 0;
	twin_nevent = 0;
}

static int
by_ticket(const void *a, const void *b)
{
	uint64_t x = ((const struct bed_event *)a)->ticket,
		 y = ((const struct bed_event *)b)->ticket;

	return (x > y) - (x < y);
}

/* All to the first CPU's list. */
void
twin_events_gather(void)
{
	for (unsigned cpu = 1; cpu < BED_CPU_MAX; cpu++) {
		struct list *l = &lists[cpu];

		if (l->n != 0)
			memcpy(append(&lists[0], l->n), l->at, l->n * sizeof(*l->at));
		l->n = 0;
	}
	if (lists[0].n > 1)
		qsort(lists[0].at, lists[0].n, sizeof(*lists[0].at), by_ticket);
	twin_event = lists[0].at;
	twin_nevent = lists[0].n;
}

#else

void
twin_events_clear(void)
{
}

void
twin_events_gather(void)
{
}

#endif
