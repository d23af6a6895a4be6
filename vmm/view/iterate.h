/* SPDX-License-Identifier: ISC */
/*
 * Everything a view maps, depth first, in ascending order of address. A table reached from two places
 * is visited twice: every alias is reported, nothing is skipped because it was seen before. Work is
 * bounded by a number of visits, so that garbage and hostile tables end too.
 *
 * A table page is read once per visit, entry by entry (relaxed 8-byte loads), and all that is reported
 * about the visit comes from that copy. Memory that changes meanwhile gives a picture that is torn
 * between tables but never within one.
 */
#ifndef VMM_VIEW_ITERATE_H
#define VMM_VIEW_ITERATE_H

#include "vmm/view/pte.h"
#include "vmm/view/walk.h"

struct iter_table {
	gpa_t gpa;
	gva_t va;              /* of entry 0 */
	int level;             /* 4..1 */
	unsigned first, last;  /* entries inside the wanted range, inclusive */
	unsigned rights;       /* what the levels above let through */
	const uint64_t *entry; /* the copy, and a zero behind it; valid during the callback */
	uint64_t used;         /* bit i: any of entries 8i .. 8i+7 is not zero */
	const struct pte_rules *rules;
};

struct iter_leaf {
	gva_t va; /* start of the page, even where the wanted range starts inside it */
	gpa_t entry;
	uint64_t raw;
	gpa_t pa;
	struct view_attr attr;
};

struct iter_fault {
	gva_t va; /* first address that the entry would translate */
	enum walk_stop why;
	int level;   /* of the entry; 5: the root itself */
	gpa_t entry; /* where the bad entry lies; for the root: the root */
	uint64_t raw;
};

/* Callbacks, each may be NULL; one that returns false ends the iteration. */
struct iter_ops {
	bool (*table)(void *arg, const struct iter_table *); /* before what is below it */
	bool (*leaf)(void *arg, const struct iter_leaf *);
	bool (*fault)(void *arg, const struct iter_fault *);
	/* If set, gets each level-1 table whole, in place of a leaf or fault call per entry. */
	bool (*page_table)(void *arg, const struct iter_table *);
};

struct iter_opts {
	gva_t first, last; /* inclusive; both 0: everything. A non-canonical bound moves inwards. */
	uint64_t max_visits; /* table visits; 0: iter_default_visits() */
	bool through_loops;  /* enter a table below itself, as a processor would */
};

struct iter_result {
	uint64_t visits; /* tables read */
	bool capped;     /* max_visits was reached: what was reported is not everything */
	bool ended;      /* a callback returned false */
};

/* Opts may be NULL: everything, default cap, loops reported and not entered. */
struct iter_result view_iterate(
    const struct view *, const struct iter_opts *opts, const struct iter_ops *ops, void *arg);

/* Entries of the copy with P set, of all 512. */
unsigned iter_present(const struct iter_table *);

/* Four visits for each page of the view's memory: a sound tree needs one at most. */
uint64_t iter_default_visits(const struct view *);

#endif
