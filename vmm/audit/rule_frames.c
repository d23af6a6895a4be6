/* SPDX-License-Identifier: ISC */
/*
 * Rules about physical pages: what kernel_map maps, what is free, what is in use.
 */
#include <string.h>

#include "vmm/audit/input.h"
#include "vmm/audit/resident.h"

static bool
in_segments(const struct bed_bootinfo *boot, uint64_t start, uint64_t end)
{
	for (unsigned i = 0; i < boot->nseg; i++) {
		if (start >= boot->seg[i].start && end <= boot->seg[i].end)
			return true;
	}
	return false;
}

bool
audit_managed_frames(struct audit_input *in)
{
	for (size_t i = 0; i < in->piece.n; i++) {
		const struct audit_piece *p = &in->piece.at[i];
		uint64_t end = p->pa + (p->npages << BED_PAGE_SHIFT);

		if (!in_segments(in->src->boot, p->pa, end))
			return audit_finding_at(in, p->va,
			    "%#lx +%lu maps %#lx, which is no memory the allocator was given",
			    p->va, p->npages, p->pa);
		for (uint64_t pa = p->pa; pa < end && !audit_is_torn(&in->segs);
		     pa += BED_PAGE_SIZE) {
			if (audit_page(in, pa >> BED_PAGE_SHIFT) == NULL)
				return audit_finding_at(in, p->va + (pa - p->pa),
				    "%#lx maps %#lx, which has no vm_page", p->va + (pa - p->pa),
				    pa);
		}
	}
	return true;
}

bool
audit_one_mapping(struct audit_input *in)
{
	in->gen++;
	for (size_t i = 0; i < in->piece.n; i++) {
		const struct audit_piece *p = &in->piece.at[i];

		for (uint64_t k = 0; k < p->npages; k++) {
			uint64_t frame = (p->pa >> BED_PAGE_SHIFT) + k;
			const struct vm_page *pg;

			if (frame >= in->nmark || audit_mark(in, frame))
				continue;
			pg = audit_page(in, frame);
			if (pg == NULL || (pg->pg_flags & PG_PMAPMULTI) == 0)
				return audit_finding_at(in, p->va + k * BED_PAGE_SIZE,
				    "%#lx maps frame %#lx, which is mapped twice in kernel_map",
				    p->va + k * BED_PAGE_SIZE, frame << BED_PAGE_SHIFT);
		}
	}
	return true;
}

bool
audit_free_unmapped(struct audit_input *in)
{
	for (size_t i = 0; i < in->piece.n; i++) {
		const struct audit_piece *p = &in->piece.at[i];

		for (uint64_t k = 0; k < p->npages; k++) {
			uint64_t frame = (p->pa >> BED_PAGE_SHIFT) + k;
			const struct vm_page *pg = audit_page(in, frame);

			if (pg != NULL && audit_page_free(pg))
				return audit_finding_at(in, p->va + k * BED_PAGE_SIZE,
				    "%#lx maps the free page %#lx", p->va + k * BED_PAGE_SIZE,
				    frame << BED_PAGE_SHIFT);
		}
	}
	return true;
}

static uint32_t
max_of(const struct audit_input *in, const struct vm_page *guest)
{
	const struct vm_page *pg = guest == NULL ? NULL : AUDIT_AT(in, struct vm_page, guest);

	return pg == NULL ? 0 : pg->pmr_max;
}

/* What the tree knows about one of its runs. */
static bool
tree_run_agrees(struct audit_input *in, const struct audit_run *r)
{
	const struct vm_page *last = audit_page(in, r->frame + r->n - 1), *pg = r->pg;
	const struct vm_page *parent =
	    pg->pmr_parent == NULL ? NULL : AUDIT_AT(in, struct vm_page, pg->pmr_parent);
	uint32_t max = pg->fpgsz, left = max_of(in, pg->pmr_left),
		 right = max_of(in, pg->pmr_right);

	max = left > max ? left : max;
	max = right > max ? right : max;
	if (last == NULL || last->fpgsz != r->n)
		return audit_finding_frame(in, r->frame << BED_PAGE_SHIFT,
		    "the run of %lu pages at %#lx: its last page says %u", r->n,
		    r->frame << BED_PAGE_SHIFT, last == NULL ? 0 : last->fpgsz);
	if (pg->pmr_max != max)
		return audit_finding_frame(in, r->frame << BED_PAGE_SHIFT,
		    "the run at %#lx: largest below it is %u, it says %u",
		    r->frame << BED_PAGE_SHIFT, max, pg->pmr_max);
	if (parent != NULL && parent->pmr_prio < pg->pmr_prio)
		return audit_finding_frame(in, r->frame << BED_PAGE_SHIFT,
		    "the run at %#lx has a higher priority than its parent",
		    r->frame << BED_PAGE_SHIFT);
	return true;
}

bool
audit_free_trees(struct audit_input *in)
{
	uint64_t sum[UVM_PMR_MEMTYPE_MAX] = { 0 };

	if (audit_is_torn(&in->segs))
		return true;
	if (audit_is_torn(&in->trees))
		return audit_finding(in, "%s", in->trees.text);
	for (size_t i = 0; i < in->run.n && !in->run.at[i].quick; i++) {
		const struct audit_run *r = &in->run.at[i];

		sum[r->kind] += r->n;
		if (i > 0 && r[-1].kind == r->kind && r[-1].frame + r[-1].n >= r->frame)
			return audit_finding(in,
			    "the run at %#lx comes after, or touches, that at %#lx",
			    r[-1].frame << BED_PAGE_SHIFT, r->frame << BED_PAGE_SHIFT);
		if (!tree_run_agrees(in, r))
			return false;
	}
	for (unsigned kind = 0; kind < UVM_PMR_MEMTYPE_MAX; kind++) {
		if (sum[kind] != in->pmr->pages[kind])
			return audit_finding(in,
			    "kind %u: %lu pages in the tree, uvm_pmr.pages says %lu", kind,
			    sum[kind], in->pmr->pages[kind]);
	}
	if (!audit_is_torn(&in->stacks) && sum[0] + sum[1] + in->quick_pages != in->exp->free)
		return audit_finding(in, "%lu pages in trees, %lu on stacks, uvmexp.free says %lu",
		    sum[0] + sum[1], in->quick_pages, in->exp->free);
	return true;
}

bool
audit_quick_stacks(struct audit_input *in)
{
	if (audit_is_torn(&in->segs))
		return true;
	if (audit_is_torn(&in->stacks))
		return audit_finding(in, "%s", in->stacks.text);
	if (in->quick_pages != in->pmr->nquick)
		return audit_finding(in, "%lu pages on the stacks, uvm_pmr.nquick says %lu",
		    in->quick_pages, in->pmr->nquick);
	if (in->quick_pages > UVM_PMR_QUICK_PAGES)
		return audit_finding(in, "%lu pages on the stacks, %u are allowed", in->quick_pages,
		    UVM_PMR_QUICK_PAGES);
	return true;
}

#define FREE_STATE (PQ_INUSE | PG_QUICK | PG_DIRTY | PG_TABLED)
#define EDGE       8192 /* of a longer free run only so many pages at each end are looked at */

/* Pages of a free run look like it. */
static bool
run_is_free(struct audit_input *in, const struct audit_run *r)
{
	uint32_t want = r->quick                           ? PG_QUICK | PG_DIRTY
	                : r->kind == UVM_PMR_MEMTYPE_DIRTY ? PG_DIRTY
	                                                   : 0;

	for (uint64_t k = 0; k < r->n; k++) {
		const struct vm_page *pg = r->pg + k;

		if (k == EDGE && r->n > 2 * EDGE) {
			k = r->n - EDGE - 1;
			continue;
		}
		if ((pg->pg_flags & FREE_STATE) != want || pg->uobject != NULL ||
		    pg->wire_count != 0)
			return audit_finding_frame(in, (r->frame + k) << BED_PAGE_SHIFT,
			    "page %#lx of a free run: flags %#x, object %p, wire count %u",
			    (r->frame + k) << BED_PAGE_SHIFT, pg->pg_flags, (void *)pg->uobject,
			    pg->wire_count);
	}
	return true;
}

/* Pages between free runs are in use, and by whom is consistent. */
static bool
gap_is_used(struct audit_input *in, uint64_t from, uint64_t to, uint64_t *tabled)
{
	const struct vm_page *pg = from < to ? audit_page(in, from) : NULL;

	for (uint64_t f = from; f < to && pg != NULL; f++, pg++) {
		bool is_tabled = (pg->pg_flags & PG_TABLED) != 0;

		if (audit_page_free(pg))
			return audit_finding_frame(in, f << BED_PAGE_SHIFT,
			    "page %#lx is marked free (%#x) and in no free run",
			    f << BED_PAGE_SHIFT, pg->pg_flags);
		if (is_tabled != (pg->uobject != NULL) || (!is_tabled && pg->wire_count != 0) ||
		    (is_tabled && (uint64_t)pg->uobject != in->sym->uvm_kernel_object))
			return audit_finding_frame(in, f << BED_PAGE_SHIFT,
			    "page %#lx: flags %#x, object %p, wire count %u", f << BED_PAGE_SHIFT,
			    pg->pg_flags, (void *)pg->uobject, pg->wire_count);
		*tabled += is_tabled;
	}
	return true;
}

static bool
segment_is_sound(struct audit_input *in, const struct vm_physseg *s, uint64_t *tabled)
{
	uint64_t at = s->start;

	if (!in_segments(in->src->boot, s->start << BED_PAGE_SHIFT, s->end << BED_PAGE_SHIFT))
		return audit_finding(in, "segment %#lx..%#lx is no memory the allocator was given",
		    s->start << BED_PAGE_SHIFT, s->end << BED_PAGE_SHIFT);
	for (size_t i = 0; i < in->by_frame.n; i++) {
		const struct audit_run *r = in->by_frame.at[i];

		if (r->frame < s->start || r->frame >= s->end)
			continue;
		if (r->frame < at || r->frame + r->n > s->avail_end || r->frame < s->avail_start)
			return audit_finding_frame(in, r->frame << BED_PAGE_SHIFT,
			    "the free run %#lx +%lu overlaps another or its "
			    "segment's end",
			    r->frame << BED_PAGE_SHIFT, r->n);
		if (!gap_is_used(in, at, r->frame, tabled) || !run_is_free(in, r))
			return false;
		at = r->frame + r->n;
	}
	return gap_is_used(in, at, s->end, tabled);
}

bool
audit_page_classes(struct audit_input *in)
{
	uint64_t avail = 0, tabled = 0;

	if (audit_is_torn(&in->segs))
		return audit_finding(in, "%s", in->segs.text);
	if (audit_is_torn(&in->trees) || audit_is_torn(&in->stacks))
		return true;
	for (unsigned i = 0; i < in->nseg; i++) {
		if (!segment_is_sound(in, &in->seg[i], &tabled))
			return false;
		avail += in->seg[i].avail_end - in->seg[i].avail_start;
	}
	if (avail != in->exp->npages)
		return audit_finding(
		    in, "segments have %lu pages, uvmexp.npages says %lu", avail, in->exp->npages);
	if (!audit_is_torn(&in->object) && tabled != in->objpage.n)
		return audit_finding(in, "%lu pages say they are in kernel_object, it has %zu",
		    tabled, in->objpage.n);
	return true;
}

bool
audit_wired_pages(struct audit_input *in)
{
	uint64_t wired = 0;

	for (size_t i = 0; i < in->objpage.n; i++)
		wired += in->objpage.at[i].pg != NULL && in->objpage.at[i].pg->wire_count != 0;
	if (!audit_is_torn(&in->object) && wired != in->exp->wired)
		return audit_finding(in, "%lu pages have a wire count, uvmexp.wired says %lu",
		    wired, in->exp->wired);
	return true;
}

static bool
free_page_holds(struct audit_input *in, const struct audit_run *r, uint64_t frame)
{
	const uint64_t *w = view_ptr(&in->src->view, GPA(frame << BED_PAGE_SHIFT), BED_PAGE_SIZE);
	const unsigned words = BED_PAGE_SIZE / 8;

	if (w == NULL)
		return true;
	if (r->kind == UVM_PMR_MEMTYPE_ZERO) {
		if (!audit_resident(w) || (w[0] == 0 && memcmp(w, w + 1, BED_PAGE_SIZE - 8) == 0))
			return true;
		return audit_finding_frame(in, frame << BED_PAGE_SHIFT,
		    "free page %#lx is taken for zero and is not", frame << BED_PAGE_SHIFT);
	}
	if (in->src->flavour != BED_CHECKED ||
	    (w[0] == UVM_POISON && w[words / 2] == UVM_POISON && w[words - 1] == UVM_POISON))
		return true;
	return audit_finding_frame(in, frame << BED_PAGE_SHIFT,
	    "free page %#lx was stored to: %#lx %#lx %#lx instead of poison",
	    frame << BED_PAGE_SHIFT, w[0], w[words / 2], w[words - 1]);
}

bool
audit_poison(struct audit_input *in)
{
	for (size_t i = 0; i < in->run.n; i++) {
		const struct audit_run *r = &in->run.at[i];

		for (uint64_t k = 0; k < r->n; k++) {
			if (!free_page_holds(in, r, r->frame + k))
				return false;
		}
	}
	return true;
}
