/* SPDX-License-Identifier: ISC */
/*
 * All mappings of a view, or of a range of it, at one moment: a sorted array of coalesced runs, the table
 * pages, and the entries that are wrong. It is a copy and stays as it is when memory changes. Take it
 * while no vCPU can store to the tables.
 *
 * A leaf continues a run when address, frame and all attributes do: page size, effective rights, memory
 * type, G, software bits. The accessed and dirty bits do not count, unless asked for.
 */
#ifndef VMM_VIEW_SNAPSHOT_H
#define VMM_VIEW_SNAPSHOT_H

#include "vmm/error.h"
#include "vmm/view/iterate.h"

struct view_run {
	gva_t va;
	uint64_t npages; /* of 4 KiB, whatever the size of the leaves */
	gpa_t pa;
	struct view_attr attr; /* VIEW_A and VIEW_D clear unless the snapshot was taken with them */
};

struct snap_table {
	gpa_t gpa;
	gva_t va; /* first address it translates */
	int level;
	unsigned present; /* entries with P, of all 512 */
};

struct snap_opts {
	struct iter_opts iter; /* range, cap, loops */
	bool with_ad;          /* accessed and dirty bits are part of a run's identity */
};

struct snapshot {
	struct snap_opts opts;
	struct view_run *run;     /* ascending, disjoint */
	struct snap_table *table; /* in the order visited: ascending va, upper level first */
	struct iter_fault *fault; /* ascending va */
	size_t nrun, ntable, nfault;
	size_t run_room, table_room, fault_room; /* allocated */
	gpa_t root;
	bool capped; /* the iterator's cap was hit: this is not everything */
};

/* Take a snapshot into *snap: zeroed before its first use, later used again with the memory it has.
 * Opts may be NULL. A leaf that reaches out of the range is cut to it. False: out of memory. */
bool snapshot_take(
    struct snapshot *snap, const struct view *, const struct snap_opts *opts, struct bed_err *err);
void snapshot_free(struct snapshot *);

/* The run that maps va, or NULL. */
const struct view_run *snapshot_lookup(const struct snapshot *, gva_t va);

/* Bytes a run covers, its last address, and what an address inside it translates to. */
static inline uint64_t
view_run_bytes(const struct view_run *run)
{
	return run->npages << BED_PAGE_SHIFT;
}

static inline gva_t
view_run_last(const struct view_run *run)
{
	return GVA(run->va.v + view_run_bytes(run) - 1);
}

static inline gpa_t
view_run_pa(const struct view_run *run, gva_t va)
{
	return GPA(run->pa.v + (va.v - run->va.v));
}

/* Pages of 4 KiB mapped, over all runs. */
uint64_t snapshot_pages(const struct snapshot *);

/* Table pages that were reached more than once. *n of them in an array sorted by gpa, level and va, which
 * the caller frees; NULL with *n == 0 when there is none, NULL with *n == SIZE_MAX: out of memory. */
struct snap_table *snapshot_aliases(const struct snapshot *, size_t *n);

#endif
