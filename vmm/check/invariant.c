/* SPDX-License-Identifier: ISC */
/*
 * What holds of the whole address space at every quiescent point, whatever was called before.
 */
#include <stdlib.h>

#include "shared/layout.h"
#include "shared/paging.h"
#include "vmm/check/check.h"

static bool
in_kernel_map(const struct view_run *run, const struct bed *bed)
{
	return run->va.v >= BED_KVA_BASE && run->va.v < BED_KVA_BASE + bed_config(bed)->kva_size;
}

static bool
broken(struct bed_err *err, const char *invariant, const struct view_run *run)
{
	char line[200];
	struct text t = text_on(line, sizeof(line));

	view_run_text(&t, run);
	return bed_fail(err, BED_E_FINDING, "invariant broken: %s\n  %s", invariant, line);
}

static bool
rights_hold(const struct view_run *run, struct bed_err *err)
{
	if ((run->attr.rights & VIEW_W) && (run->attr.rights & VIEW_X))
		return broken(err, "no page is writable and executable", run);
	if (run->attr.rights & VIEW_U)
		return broken(err, "no page is open to user mode", run);
	if (run->attr.memtype != 0)
		return broken(err, "all memory is write-back", run);
	return true;
}

static bool
frames_hold(const struct bed *bed, const struct view_run *run, struct bed_err *err)
{
	const struct bed_bootinfo *boot = bed_bootinfo(bed);
	uint64_t start = run->pa.v, end = start + view_run_bytes(run);

	for (unsigned i = 0; i < boot->nseg; i++) {
		if (start >= boot->seg[i].start && end <= boot->seg[i].end)
			return true;
	}
	return broken(err, "kernel_map maps only memory the allocator was given", run);
}

static int
by_frame(const void *a, const void *b)
{
	const struct view_run *x = *(const struct view_run *const *)a;
	const struct view_run *y = *(const struct view_run *const *)b;

	return (x->pa.v > y->pa.v) - (x->pa.v < y->pa.v);
}

static bool
frames_distinct(const struct bed *bed, const struct snapshot *snap, struct bed_err *err)
{
	const struct view_run **sorted = malloc((snap->nrun + 1) * sizeof(*sorted));
	size_t n = 0;
	bool ok = true;

	if (sorted == NULL)
		return bed_fail(err, BED_E_HOST, "out of memory for the list of frames");
	for (size_t i = 0; i < snap->nrun; i++) {
		if (in_kernel_map(&snap->run[i], bed))
			sorted[n++] = &snap->run[i];
	}
	qsort(sorted, n, sizeof(*sorted), by_frame);
	for (size_t i = 1; i < n && ok; i++) {
		if (sorted[i - 1]->pa.v + view_run_bytes(sorted[i - 1]) > sorted[i]->pa.v)
			ok = broken(err, "no frame is mapped twice in kernel_map", sorted[i]);
	}
	free(sorted);
	return ok;
}

bool
check_invariants(const struct bed *bed, const struct snapshot *snap, struct bed_err *err)
{
	if (snap->nfault != 0)
		return bed_fail(err, BED_E_FINDING,
		    "invariant broken: every present entry is well formed\n"
		    "  level %d entry at %#llx = %#llx (%s), translates from %#llx",
		    snap->fault[0].level, (unsigned long long)snap->fault[0].entry.v,
		    (unsigned long long)snap->fault[0].raw, walk_stop_name(snap->fault[0].why),
		    (unsigned long long)snap->fault[0].va.v);
	for (size_t i = 0; i < snap->nrun; i++) {
		if (!rights_hold(&snap->run[i], err))
			return false;
		if (in_kernel_map(&snap->run[i], bed) && !frames_hold(bed, &snap->run[i], err))
			return false;
	}
	return frames_distinct(bed, snap, err);
}
