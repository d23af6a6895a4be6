/* SPDX-License-Identifier: ISC */
/*
 * What changed between two snapshots: one linear merge. A change covers a stretch of addresses over which
 * the same things changed; stretches are as long as they can be. Changes of mappings come first, in
 * ascending order of address, then table pages, then bad entries.
 */
#ifndef VMM_VIEW_DIFF_H
#define VMM_VIEW_DIFF_H

#include "vmm/view/snapshot.h"

/* What a change consists of; of the first two, only one and alone; of the others any combination. */
#define SNAP_ADDED        0x001u
#define SNAP_REMOVED      0x002u
#define SNAP_FRAME        0x004u /* maps something else */
#define SNAP_RIGHTS       0x008u
#define SNAP_SIZE         0x010u /* page size: split or merged */
#define SNAP_MEMTYPE      0x020u
#define SNAP_GLOBAL       0x040u
#define SNAP_SOFT         0x080u /* software bits: wired, managed, ... */
#define SNAP_AD           0x100u /* accessed or dirty; only between snapshots taken with them */
#define SNAP_CHANGES      0x1fcu /* any of FRAME .. AD */
/* Not about mappings: */
#define SNAP_TABLE_GAINED 0x0200u
#define SNAP_TABLE_LOST   0x0400u
#define SNAP_FAULT_GAINED 0x0800u /* a bad entry has appeared, or is bad in another way */
#define SNAP_FAULT_LOST   0x1000u
#define SNAP_MAPPINGS     (SNAP_ADDED | SNAP_REMOVED | SNAP_CHANGES)

struct snap_change {
	unsigned what;
	gva_t va;
	uint64_t npages;         /* mappings only */
	struct view_run before;  /* cut to va, npages; for SNAP_ADDED all zero */
	struct view_run after;   /* likewise; for SNAP_REMOVED all zero */
	struct snap_table table; /* SNAP_TABLE_.. */
	struct iter_fault fault; /* SNAP_FAULT_.. */
};

struct snap_diff {
	struct snap_change *change;
	size_t n, room;
};

/* *diff is zeroed before its first use; a later call uses its memory again. False, with a reason: the
 * two were taken with different options, one of them is incomplete (capped), or no memory. */
bool snapshot_diff(const struct snapshot *before, const struct snapshot *after,
    struct snap_diff *diff, struct bed_err *err);
void snap_diff_free(struct snap_diff *);

/* One line, without a newline: "+ ffff800000001000 +3 rw-- 4k pa=0x800000 wired". First character: + added,
 * - removed, ~ changed, T table, ! bad entry. */
void snap_change_text(struct text *, const struct snap_change *);

/* A run in the same words, as all reports show it. */
void view_run_text(struct text *, const struct view_run *);

#endif
