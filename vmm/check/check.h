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
 *   - the invariants of page tables, maps, pages, counters and threads hold (vmm/audit/).
 *
 * The first disagreement ends the call with BED_E_FINDING and a report.
 */
#ifndef VMM_CHECK_CHECK_H
#define VMM_CHECK_CHECK_H

#include "vmm/audit/audit.h"
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

/*
 * bed_call_try() with everything checked. `what` is the operation for reports, or NULL. A call that falls
 * asleep leaves `result` BLOCKED; when a later call lets it finish, its effect is checked with that
 * call's and `result` becomes DONE: it must live until then, or until check_free().
 */
bool check_call(struct check *, const char *what, enum bed_call_id, const uint64_t *args,
    unsigned nargs, struct bed_result *, struct bed_err *);

/* The mappings as of the last call. */
const struct snapshot *check_snapshot(const struct check *);
struct check_totals check_totals(const struct check *);
/* Of all calls so far; the same on every engine (hash.h). */
uint64_t check_hash(const struct check *);

/*
 * The pieces, for tests and for other drivers.
 *
 * Add to `effect` what a call that gave `result` must have done to the mappings of `before`; false when
 * out of memory. The caller starts with CALL_EFFECT_NONE and frees .row. checkable is false after calls
 * about which nothing exact can be said (programs, for one).
 */
struct call_effect {
	struct pt_delta *row;
	size_t n, room;
	bool checkable;
	bool may_widen;      /* leaves may have gained the right to write */
	uint64_t set, clear; /* leaf stores it takes */
};
#define CALL_EFFECT_NONE ((struct call_effect){ .checkable = true })
bool call_effect(struct call_effect *, struct bed *, const struct snapshot *before,
    enum bed_call_id, const uint64_t *args, const struct bed_result *);

/* Append one row; false when out of memory. */
bool call_effect_add(struct call_effect *, const struct pt_delta *);

/* The invariants: false with the first that does not hold. check_audit() works with an audit of the caller. */
bool check_audit(struct audit *, const struct bed *, const struct snapshot *, struct bed_err *err);
bool check_invariants(const struct bed *, const struct snapshot *, struct bed_err *);

#endif
