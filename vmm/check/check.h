/* SPDX-License-Identifier: ISC */
/*
 * Calls with every check on. check_call() runs one call of shared/calls.def in a bed and compares what
 * happened with what the call promises:
 *
 *   - the mappings that changed are exactly those the call must change, with the rights, frames and
 *     software bits it must give them, and nothing else moved (effect.c);
 *   - the guest did the counted work that takes and no more: one store a page set or cleared, at most
 *     one invalidation a page cleared, one exit;
 *   - KVM translates what changed as the tables say;
 *   - the invariants of the whole address space hold (invariant.c).
 *
 * The first disagreement ends the call with BED_E_FINDING and a report.
 */
#ifndef VMM_CHECK_CHECK_H
#define VMM_CHECK_CHECK_H

#include "vmm/bed/call.h"
#include "vmm/view/delta.h"
#include "vmm/view/snapshot.h"

struct check;

/* What has been looked at so far. */
struct check_totals {
	uint64_t calls;
	uint64_t pages;        /* mapped pages compared, snapshot against snapshot */
	uint64_t changed;      /* pages mapped, unmapped or changed, each as stated */
	uint64_t translations; /* addresses put to KVM */
	uint64_t ns;           /* host time for all of it */
};

/* The bed must outlive the check. */
struct check *check_new(struct bed *, struct bed_err *);
void check_free(struct check *); /* NULL is fine */

/* bed_call_try() with everything checked. `what` is the operation for reports, or NULL. */
bool check_call(struct check *, const char *what, enum bed_call_id, const uint64_t *args,
    unsigned nargs, struct bed_result *, struct bed_err *);

/* The mappings as of the last call. */
const struct snapshot *check_snapshot(const struct check *);
struct check_totals check_totals(const struct check *);

/*
 * The pieces, for tests and for other drivers.
 *
 * Rows of what a call that gave `result` must have done to the mappings of `before`; an array the caller
 * frees. *n is SIZE_MAX when out of memory. checkable is false for calls about which nothing can be
 * said (programs, deaths).
 */
struct call_effect {
	struct pt_delta *row;
	size_t n;
	bool checkable;
	uint64_t set, clear, change; /* leaf stores it takes; change: at most */
};
bool call_effect(struct call_effect *, const struct bed *, const struct snapshot *before,
    enum bed_call_id, const uint64_t *args, const struct bed_result *);

/* The invariants: false with the first that does not hold. */
bool check_invariants(const struct bed *, const struct snapshot *, struct bed_err *);

#endif
