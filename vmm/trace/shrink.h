/* SPDX-License-Identifier: ISC */
/*
 * Making a failing trace as small as it gets: parts of it are left out, sizes become a page, flags become
 * none, and what still fails in the same way is kept. Expects nothing of the trace but that it fails.
 */
#ifndef VMM_TRACE_SHRINK_H
#define VMM_TRACE_SHRINK_H

#include "vmm/trace/trace.h"

/* Does this trace fail in the way that is wanted? */
typedef bool shrink_fails_fn(void *arg, const struct trace *);

struct shrink_totals {
	unsigned tried, taken; /* traces run, and of these those that still failed */
	unsigned from, to;     /* operations */
};

/*
 * Shrinks *t in place; it must fail to begin with. most: traces to try at most, 0: no limit. False: out of memory,
 * *t is then as good as it had become.
 */
bool trace_shrink(
    struct trace *t, shrink_fails_fn *, void *arg, unsigned most, struct shrink_totals *);

/* Calls and expectations of a trace. */
unsigned trace_operations(const struct trace *);

/* An independent copy; false: out of memory. */
bool trace_copy(struct trace *to, const struct trace *from);

#endif
