/* SPDX-License-Identifier: ISC */
/*
 * Walks, snapshots and diffs as JSON, for pictures and for other programs. Addresses and raw entries are
 * strings in hex ("0xffff800000001000"), because JSON numbers lose bits above 2^53. Each top object has
 * "schema": a name and a version, which changes when a field changes its meaning or goes away.
 */
#ifndef VMM_VIEW_JSON_H
#define VMM_VIEW_JSON_H

#include <jansson.h>

#include "vmm/view/diff.h"
#include "vmm/view/snapshot.h"

/* A new reference, NULL when out of memory. */
json_t *view_walk_json(const struct walk *);
json_t *view_snapshot_json(const struct snapshot *);
json_t *view_diff_json(const struct snap_diff *);

#endif
