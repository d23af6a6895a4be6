/* SPDX-License-Identifier: ISC */
/*
 * The frame rule: between two snapshots exactly what is stated happened, and nothing else moved.
 *
 *	struct pt_delta d[] = {
 *		{ .kind = PT_ADDED, .map = { .va = a, .npages = 3, .perm = PT_RW, .frames = PT_DISTINCT } },
 *		{ .kind = PT_TABLES, .gained = PT_AT_MOST(2), .lost = PT_EXACTLY(0) },
 *	};
 *	ok = snapshot_delta(&before, &after, d, 2, report, sizeof(report));
 *
 * With n == 0 the statement is that no mapping changed.
 */
#ifndef VMM_VIEW_DELTA_H
#define VMM_VIEW_DELTA_H

#include "vmm/view/diff.h"
#include "vmm/view/expect.h"

enum pt_delta_kind {
	PT_ADDED = 1, /* every page of .map was absent and is present; .map says how it is */
	PT_REMOVED,   /* every page of .map was present and is absent; .map says how it was */
	PT_CHANGED,   /* every page of .map was and is present, and differs; .map says how it is */
	PT_TABLES     /* table pages; without such a row they may come and go */
};

struct pt_count {
	bool given;
	uint64_t min, max;
};

#define PT_EXACTLY(n)         ((struct pt_count){ true, (n), (n) })
#define PT_AT_MOST(n)         ((struct pt_count){ true, 0, (n) })
#define PT_BETWEEN(low, high) ((struct pt_count){ true, (low), (high) })

struct pt_delta {
	enum pt_delta_kind kind;
	struct pt_expect
	    map;       /* all but PT_TABLES; .zero cannot be checked here; .same is looked up in
	                               * the same snapshot */
	unsigned what; /* PT_CHANGED: exactly these SNAP_FRAME .. SNAP_AD; 0: any */
	struct pt_count gained, lost; /* PT_TABLES */
};

/*
 * True if the two snapshots (same options, both complete) differ in exactly what the n rows state. Rows may
 * be in any order and may not overlap. Otherwise report says what moved unstated, what was stated and did
 * not happen, and what is not as stated: PT_REPORT_MAX lines, and how many were left out.
 */
bool snapshot_delta(const struct snapshot *before, const struct snapshot *after,
    const struct pt_delta *stated, size_t n, char *report, size_t size);

/* The same; *first becomes the address of the first complaint that has one, *found says whether. */
bool snapshot_delta_at(const struct snapshot *before, const struct snapshot *after,
    const struct pt_delta *stated, size_t n, char *report, size_t size, bool *found, gva_t *first);

/* What the rows say about one page that they and `before` leave like this; .state is PT_ABSENT or PT_PRESENT. */
struct pt_expect snapshot_expected(
    const struct snapshot *before, const struct pt_delta *stated, size_t n, gva_t va);

#endif
