/* SPDX-License-Identifier: ISC */
/*
 * See recorder.h: a ring of events, and a set-associative table of page-table entries.
 */
#include "vmm/finding/recorder.h"

#include <stdlib.h>

#include "shared/events.h"

#define SETS 16384 /* a power of two */
#define WAYS 4

/* The history of an entry. */
struct past {
	uint64_t gpa;
	unsigned n;                                   /* 0: not in use */
	struct recorder_write write[RECORDER_WRITES]; /* descending ticket */
};

struct recorder {
	struct bed *bed;
	bed_event_fn *next; /* who received events before */
	void *next_arg;
	uint32_t op;
	uint64_t seen;
	struct recorder_event *ring; /* RECORDER_EVENTS */
	struct past *past;           /* SETS * WAYS */
};

static struct past *
set_of(const struct recorder *r, uint64_t gpa)
{
	uint64_t h = (gpa >> 3) * UINT64_C(0x9e3779b97f4a7c15);

	return &r->past[(h >> 40 & (SETS - 1)) * WAYS];
}

/* The entry's place, or the one to give up: an unused one, else the one stored to longest ago. */
static struct past *
place_for(struct recorder *r, uint64_t gpa)
{
	struct past *set = set_of(r, gpa), *oldest = set;

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].n != 0 && set[i].gpa == gpa)
			return &set[i];
		if (set[i].n == 0 ||
		    (oldest->n != 0 && set[i].write[0].ticket < oldest->write[0].ticket))
			oldest = &set[i];
	}
	*oldest = (struct past){ .gpa = gpa };
	return oldest;
}

/* Of several CPUs records do not come in the order of their tickets. */
static void
remember(struct recorder *r, const struct bed_event *e)
{
	struct past *p = place_for(r, e->a[0]);
	unsigned at = 0;

	while (at < p->n && p->write[at].ticket > e->ticket + 1)
		at++;
	if (at == RECORDER_WRITES)
		return;
	if (p->n < RECORDER_WRITES)
		p->n++;
	for (unsigned i = p->n - 1; i > at; i--)
		p->write[i] = p->write[i - 1];
	p->write[at] = (struct recorder_write){ .ticket = e->ticket + 1,
		.pc = e->pc != 0 ? bed_event_pc(r->bed, e->pc) : 0,
		.old = e->a[1],
		.new = e->a[2],
		.op = r->op,
		.cpu = e->cpu };
}

static void
receive(void *arg, const struct bed_event *e, unsigned n)
{
	struct recorder *r = arg;

	for (unsigned i = 0; i < n; i++) {
		r->ring[r->seen++ % RECORDER_EVENTS] =
		    (struct recorder_event){ e[i], bed_event_pc(r->bed, e[i].pc), r->op };
		if (e[i].type == BED_EV_PTE_STORE)
			remember(r, &e[i]);
	}
	if (r->next != NULL)
		r->next(r->next_arg, e, n);
}

struct recorder *
recorder_attach(struct bed *bed, struct bed_err *err)
{
	struct recorder *r = calloc(1, sizeof(*r));

	if (r != NULL) {
		/* Pages of these that nothing is stored to cost nothing. */
		r->ring = calloc(RECORDER_EVENTS, sizeof(*r->ring));
		r->past = calloc(SETS * WAYS, sizeof(*r->past));
	}
	if (r == NULL || r->ring == NULL || r->past == NULL) {
		if (r != NULL) {
			free(r->ring);
			free(r->past);
		}
		free(r);
		bed_fail(err, BED_E_HOST, "out of memory for the last events");
		return NULL;
	}
	r->bed = bed;
	r->next = bed_config(bed)->on_events;
	r->next_arg = bed_config(bed)->on_events_arg;
	bed_on_events(bed, receive, r);
	return r;
}

void
recorder_detach(struct recorder *r)
{
	if (r == NULL)
		return;
	bed_on_events(r->bed, r->next, r->next_arg);
	free(r->ring);
	free(r->past);
	free(r);
}

void
recorder_operation(struct recorder *r, uint32_t op)
{
	r->op = op;
}

unsigned
recorder_writes(const struct recorder *r, gpa_t entry, struct recorder_write out[RECORDER_WRITES])
{
	const struct past *set = set_of(r, entry.v);

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].n == 0 || set[i].gpa != entry.v)
			continue;
		for (unsigned k = 0; k < set[i].n; k++)
			out[k] = set[i].write[k];
		return set[i].n;
	}
	return 0;
}

size_t
recorder_count(const struct recorder *r)
{
	return r->seen < RECORDER_EVENTS ? (size_t)r->seen : RECORDER_EVENTS;
}

const struct recorder_event *
recorder_event(const struct recorder *r, size_t i)
{
	return &r->ring[(r->seen - recorder_count(r) + i) % RECORDER_EVENTS];
}

uint64_t
recorder_seen(const struct recorder *r)
{
	return r->seen;
}
