/* SPDX-License-Identifier: ISC */
/*
 * What a sequence of calls did, in one number that is the same on every engine: results, the mappings that
 * changed with their frames in order of first appearance, and the counted work. Where two engines differ
 * in it for the same calls in the same machine (memory, kernel_map, flush threshold), one of them is wrong.
 */
#ifndef VMM_CHECK_HASH_H
#define VMM_CHECK_HASH_H

#include "vmm/bed/call.h"
#include "vmm/view/diff.h"

struct call_hash {
	uint64_t value;
	uint32_t *number; /* of a frame, from 1; 0: not seen yet */
	uint64_t nframes;
	uint32_t seen;
};

/* False: out of memory. */
bool call_hash_init(struct call_hash *, const struct bed *);
void call_hash_free(struct call_hash *);

/* A call came back, done or asleep; later, one that was asleep is done. */
void call_hash_result(
    struct call_hash *, const struct bed *, enum bed_call_id, const struct bed_result *);
/* What all that ran since the last time has changed, and the counters now. */
void call_hash_changes(struct call_hash *, const struct snap_diff *,
    const struct bed_counters *before, const struct bed_counters *after);

#endif
