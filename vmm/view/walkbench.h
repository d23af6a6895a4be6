/* SPDX-License-Identifier: ISC */
/*
 * How dear is looking? One snapshot of a synthetic tree of 4 KiB leaves, against the floor: a loop of
 * relaxed 8-byte loads over the same table pages. Needs no guest and no /dev/kvm.
 */
#ifndef VMM_VIEW_WALKBENCH_H
#define VMM_VIEW_WALKBENCH_H

#include <stddef.h>

#include "vmm/error.h"

struct walk_bench {
	unsigned leaves;    /* mapped in the tree */
	unsigned tables;    /* pages of it */
	size_t dense_runs;  /* runs found: contiguous frames */
	size_t random_runs; /* runs found: shuffled frames */
	double floor_ns;    /* loads over all table pages */
	double dense_ns;    /* snapshot, contiguous frames */
	double random_ns;   /* snapshot, shuffled frames */
};

/* Each number is the median of `rounds` measurements, taken in turn so that a change of clock speed hits
 * all three; the caches are warm and the snapshot's memory is in place. */
bool view_bench_walk(unsigned leaves, unsigned rounds, struct walk_bench *, struct bed_err *err);

#endif
