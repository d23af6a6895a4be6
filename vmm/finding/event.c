/* SPDX-License-Identifier: ISC */
/*
 * An event record in words: see recorder.h.
 */
#include <inttypes.h>

#include "shared/events.h"
#include "vmm/finding/recorder.h"

static const struct {
	const char *name, *arg[3];
} events[] = {
#define X(id, name, a0, a1, a2) [id] = { #name, { a0, a1, a2 } },
	BED_EVENT_TYPES(X)
#undef X
};

void
recorder_event_print(FILE *out, struct symbols *symbols, const struct recorder_event *r)
{
	const struct bed_event *e = &r->ev;

	fprintf(out, "%" PRIu64 " op %u cpu %u %-10s", e->ticket + 1, r->op, e->cpu,
	    events[e->type].name);
	for (unsigned k = 0; k < 3; k++)
		if (events[e->type].arg[k][0] != '\0')
			fprintf(out, " %s %#" PRIx64, events[e->type].arg[k], e->a[k]);
	fputs("  at ", out);
	symbols_print_return(symbols, out, r->pc);
	fputc('\n', out);
}
