/* SPDX-License-Identifier: ISC */
/*
 * What changed between two snapshots: see diff.h.
 */
#include "vmm/view/diff.h"

#include <inttypes.h>
#include <stdlib.h>

static struct snap_change *
push(struct snap_diff *diff)
{
	if (diff->n == diff->room) {
		size_t room = diff->room == 0 ? 64 : 2 * diff->room;
		struct snap_change *bigger = reallocarray(diff->change, room, sizeof(*bigger));

		if (bigger == NULL)
			return NULL;
		diff->change = bigger;
		diff->room = room;
	}
	diff->change[diff->n] = (struct snap_change){ 0 };
	return &diff->change[diff->n++];
}

static unsigned
what_changed(const struct view_run *a, const struct view_run *b)
{
	const unsigned ad = VIEW_A | VIEW_D;
	unsigned what = 0;

	what |= a->pa.v != b->pa.v ? SNAP_FRAME : 0;
	what |= a->attr.rights != b->attr.rights ? SNAP_RIGHTS : 0;
	what |= a->attr.level != b->attr.level ? SNAP_SIZE : 0;
	what |= a->attr.memtype != b->attr.memtype ? SNAP_MEMTYPE : 0;
	what |= ((a->attr.flags ^ b->attr.flags) & VIEW_G) != 0 ? SNAP_GLOBAL : 0;
	what |= a->attr.soft != b->attr.soft ? SNAP_SOFT : 0;
	what |= ((a->attr.flags ^ b->attr.flags) & ad) != 0 ? SNAP_AD : 0;
	return what;
}

/* Does `next` follow `run` as a continuation of the same run? Two runs of nothing do. */
static bool
follows(const struct view_run *run, const struct view_run *next)
{
	if (run->npages == 0 || next->npages == 0)
		return run->npages == next->npages;
	return next->va.v == run->va.v + view_run_bytes(run) &&
	       next->pa.v == run->pa.v + view_run_bytes(run) &&
	       view_attr_equal(run->attr, next->attr);
}

/* Add a piece of mapping change, or make the last one longer. */
static bool
add_piece(struct snap_diff *diff, unsigned what, const struct view_run *a, const struct view_run *b)
{
	gva_t va = a->npages != 0 ? a->va : b->va;
	uint64_t npages = a->npages != 0 ? a->npages : b->npages;
	struct snap_change *last = diff->n > 0 ? &diff->change[diff->n - 1] : NULL;

	if (last != NULL && last->what == what &&
	    last->va.v + (last->npages << BED_PAGE_SHIFT) == va.v && follows(&last->before, a) &&
	    follows(&last->after, b)) {
		last->npages += npages;
		last->before.npages += a->npages;
		last->after.npages += b->npages;
		return true;
	}
	last = push(diff);
	if (last == NULL)
		return false;
	last->what = what;
	last->va = va;
	last->npages = npages;
	last->before = *a;
	last->after = *b;
	return true;
}

/* Take the first n pages off a run. */
static struct view_run
take(struct view_run *run, uint64_t n)
{
	struct view_run head = *run;

	head.npages = n;
	run->va.v += n << BED_PAGE_SHIFT;
	run->pa.v += n << BED_PAGE_SHIFT;
	run->npages -= n;
	return head;
}

/* Hands out the runs of a snapshot; .run.npages == 0 at the end. */
struct cursor {
	const struct view_run *next, *end;
	struct view_run run;
};

static struct cursor
cursor_at_start(const struct snapshot *snap)
{
	/* An empty snapshot has no array, and nothing may be added to a null pointer, not even 0. */
	if (snap->nrun == 0)
		return (struct cursor){ 0 };
	return (struct cursor){ .next = snap->run, .end = snap->run + snap->nrun };
}

static void
refill(struct cursor *c)
{
	if (c->run.npages == 0 && c->next < c->end)
		c->run = *c->next++;
}

static bool
diff_runs(const struct snapshot *before, const struct snapshot *after, struct snap_diff *diff)
{
	static const struct view_run none;
	struct cursor a = cursor_at_start(before), b = cursor_at_start(after);

	for (;;) {
		uint64_t n;
		struct view_run ra, rb;
		unsigned what;
		bool ok = true;

		refill(&a);
		refill(&b);
		if (a.run.npages == 0 && b.run.npages == 0)
			return true;
		if (b.run.npages == 0 || (a.run.npages != 0 && a.run.va.v < b.run.va.v)) {
			n = a.run.npages;
			if (b.run.npages != 0 && (b.run.va.v - a.run.va.v) >> BED_PAGE_SHIFT < n)
				n = (b.run.va.v - a.run.va.v) >> BED_PAGE_SHIFT;
			ra = take(&a.run, n);
			ok = add_piece(diff, SNAP_REMOVED, &ra, &none);
		} else if (a.run.npages == 0 || b.run.va.v < a.run.va.v) {
			n = b.run.npages;
			if (a.run.npages != 0 && (a.run.va.v - b.run.va.v) >> BED_PAGE_SHIFT < n)
				n = (a.run.va.v - b.run.va.v) >> BED_PAGE_SHIFT;
			rb = take(&b.run, n);
			ok = add_piece(diff, SNAP_ADDED, &none, &rb);
		} else {
			n = a.run.npages < b.run.npages ? a.run.npages : b.run.npages;
			ra = take(&a.run, n);
			rb = take(&b.run, n);
			what = what_changed(&ra, &rb);
			ok = what == 0 || add_piece(diff, what, &ra, &rb);
		}
		if (!ok)
			return false;
	}
}

/* Order in which the iterator visits tables; the gpa makes it total for aliases of one place. */
static int
table_order(const struct snap_table *a, const struct snap_table *b)
{
	if (a->va.v != b->va.v)
		return a->va.v < b->va.v ? -1 : 1;
	if (a->level != b->level)
		return a->level > b->level ? -1 : 1;
	return (a->gpa.v > b->gpa.v) - (a->gpa.v < b->gpa.v);
}

static bool
diff_tables(const struct snapshot *before, const struct snapshot *after, struct snap_diff *diff)
{
	size_t i = 0, j = 0;

	while (i < before->ntable || j < after->ntable) {
		int order = i == before->ntable  ? 1
		            : j == after->ntable ? -1
		                                 : table_order(&before->table[i], &after->table[j]);
		struct snap_change *change;

		if (order == 0) {
			i++;
			j++;
			continue;
		}
		change = push(diff);
		if (change == NULL)
			return false;
		change->what = order < 0 ? SNAP_TABLE_LOST : SNAP_TABLE_GAINED;
		change->table = order < 0 ? before->table[i++] : after->table[j++];
		change->va = change->table.va;
	}
	return true;
}

static int
fault_order(const struct iter_fault *a, const struct iter_fault *b)
{
	if (a->va.v != b->va.v)
		return a->va.v < b->va.v ? -1 : 1;
	if (a->level != b->level)
		return a->level > b->level ? -1 : 1;
	if (a->why != b->why)
		return a->why < b->why ? -1 : 1;
	return (a->raw > b->raw) - (a->raw < b->raw);
}

static bool
diff_faults(const struct snapshot *before, const struct snapshot *after, struct snap_diff *diff)
{
	size_t i = 0, j = 0;

	while (i < before->nfault || j < after->nfault) {
		int order = i == before->nfault  ? 1
		            : j == after->nfault ? -1
		                                 : fault_order(&before->fault[i], &after->fault[j]);
		struct snap_change *change;

		if (order == 0) {
			i++;
			j++;
			continue;
		}
		change = push(diff);
		if (change == NULL)
			return false;
		change->what = order < 0 ? SNAP_FAULT_LOST : SNAP_FAULT_GAINED;
		change->fault = order < 0 ? before->fault[i++] : after->fault[j++];
		change->va = change->fault.va;
	}
	return true;
}

bool
snapshot_diff(const struct snapshot *before, const struct snapshot *after, struct snap_diff *diff,
    struct bed_err *err)
{
	const struct snap_opts *a = &before->opts, *b = &after->opts;

	diff->n = 0;
	if (a->iter.first.v != b->iter.first.v || a->iter.last.v != b->iter.last.v ||
	    a->iter.through_loops != b->iter.through_loops || a->with_ad != b->with_ad)
		return bed_fail(err, BED_E_USAGE,
		    "two snapshots taken with different options (range, loops, A/D) cannot be compared");
	if (before->capped || after->capped)
		return bed_fail(err, BED_E_FINDING,
		    "the %s snapshot is incomplete: its walk was ended after %zu tables, so the page tables "
		    "are damaged or the cap is too low",
		    before->capped ? "first" : "second",
		    before->capped ? before->ntable : after->ntable);
	if (!diff_runs(before, after, diff) || !diff_tables(before, after, diff) ||
	    !diff_faults(before, after, diff))
		return bed_fail(err, BED_E_HOST, "no memory for a diff of %zu changes", diff->n);
	return true;
}

void
snap_diff_free(struct snap_diff *diff)
{
	free(diff->change);
	*diff = (struct snap_diff){ 0 };
}
