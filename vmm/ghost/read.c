/* SPDX-License-Identifier: ISC */
/*
 * The abstraction: maps, leaves, pages of the object, free pages, tables, counters, as the ghost knows them.
 */
#include "vmm/ghost/read.h"

#include <string.h>

#include "vmm/audit/input.h"

#define LOCK_FLAGS (VM_MAP_BUSY | VM_MAP_WANTLOCK)

_Static_assert(
    VIEW_R == GHOST_LEAF_R && VIEW_W == GHOST_LEAF_W && VIEW_X == GHOST_LEAF_X, "rights");
_Static_assert(VIEW_SOFT_W << 16 == GHOST_LEAF_WIRED && VIEW_SOFT_M << 16 == GHOST_LEAF_MANAGED,
    "software bits");

struct reader {
	const struct audit_input *in;
	struct ghost_state *s;
	const uint64_t *handle; /* the guest's map pointers, by handle */
	struct bed_err *err;
};

static unsigned
handle_of(const struct reader *r, uint64_t map)
{
	unsigned h = 0;

	while (h < BED_MAPS_MAX && r->handle[h] != map)
		h++;
	return h < BED_MAPS_MAX ? h : UINT8_MAX;
}

static struct ghost_what
what_of(const struct reader *r, const struct vm_map_entry *e)
{
	struct ghost_what w = { .kind = GHOST_BARE,
		.prot = e->protection,
		.maxprot = e->max_protection,
		.inherit = e->inheritance,
		.advice = e->advice,
		.nofault = (e->etype & UVM_ET_NOFAULT) != 0,
		.wired = e->wired_count };

	if (UVM_ET_ISSUBMAP(e)) {
		w.kind = GHOST_SUBMAP;
		w.submap = (uint8_t)handle_of(r, (uint64_t)e->object.sub_map);
	} else if (UVM_ET_ISHOLE(e)) {
		w.kind = GHOST_RESERVED;
	} else if (UVM_ET_ISOBJ(e)) {
		w.kind = GHOST_OBJECT;
	}
	return w;
}

static const struct audit_map *
map_at(const struct audit_input *in, uint64_t va)
{
	for (size_t i = 0; i < in->map.n; i++) {
		if (in->map.at[i].va == va)
			return &in->map.at[i];
	}
	return NULL;
}

static bool
read_map(struct reader *r, unsigned h, const struct audit_map *am)
{
	struct ghost_map *m = &r->s->map[h];
	uint64_t last;

	m->used = true;
	m->best_fit = am->m->addr.fit == UVM_ADDR_BESTFIT;
	m->min = last = am->m->min_offset;
	m->max = am->m->max_offset;
	m->flags = am->m->flags & ~LOCK_FLAGS;
	m->refs = am->m->ref_count;
	m->wakeups = am->m->wakeups;
	if (audit_is_torn(&am->ring))
		return bed_fail(r->err, BED_E_FINDING, "%s", am->ring.text);
	for (unsigned i = 0; i < am->n; i++) {
		const struct vm_map_entry *e = r->in->entry.at[am->first + i].e;

		if (e->start < last || e->end <= e->start || VMMAP_FREE_START(e) > m->max)
			return bed_fail(r->err, BED_E_FINDING,
			    "map %s: entry %#lx..%#lx is out of place", am->name, e->start, e->end);
		last = VMMAP_FREE_START(e);
		ghost_map_push(r->s, h,
		    (struct ghost_range){ .start = e->start,
			.end = e->end,
			.guard = e->guard,
			.what = what_of(r, e) });
	}
	return true;
}

static bool
read_maps(struct reader *r)
{
	for (unsigned h = 0; h < BED_MAPS_MAX; h++) {
		const struct audit_map *am;

		r->s->map[h].used = false;
		r->s->map[h].n = 0;
		if (r->handle[h] == 0)
			continue;
		am = map_at(r->in, r->handle[h]);
		if (am == NULL)
			return bed_fail(r->err, BED_E_FINDING,
			    "handle %u is a map at %#lx that no entry leads to", h, r->handle[h]);
		if (!read_map(r, h, am))
			return false;
	}
	return true;
}

static void
read_leaves(struct reader *r)
{
	for (size_t i = 0; i < r->in->snap->nrun; i++) {
		const struct view_run *v = &r->in->snap->run[i];

		runs_push(
		    &r->s->leaf, (struct ghost_run){ .at = v->va.v >> BED_PAGE_SHIFT,
				     .n = v->npages,
				     .to = v->pa.v >> BED_PAGE_SHIFT,
				     .attr = GHOST_LEAF(v->attr.rights, v->attr.level,
					 v->attr.memtype, v->attr.flags & VIEW_G, v->attr.soft) });
	}
}

static bool
read_pages(struct reader *r)
{
	const struct audit_input *in = r->in;
	uint64_t last = 0;

	if (audit_is_torn(&in->segs) || audit_is_torn(&in->trees) || audit_is_torn(&in->stacks) ||
	    audit_is_torn(&in->object))
		return bed_fail(r->err, BED_E_FINDING, "%s%s%s%s", in->segs.text, in->trees.text,
		    in->stacks.text, in->object.text);
	for (size_t i = 0; i < in->objpage.n; i++) {
		const struct audit_objpage *p = &in->objpage.at[i];
		uint64_t frame = audit_page_frame(in, p->pg_va);

		if (p->pg == NULL)
			return bed_fail(r->err, BED_E_FINDING,
			    "kernel_object's page at %#lx is no vm_page", p->offset);
		runs_push(&r->s->object,
		    (struct ghost_run){ .at = (BED_KVA_BASE + p->offset) >> BED_PAGE_SHIFT,
			.n = 1,
			.to = frame,
			.attr = p->pg->wire_count });
	}
	for (size_t i = 0; i < in->by_frame.n; i++) {
		const struct audit_run *run = in->by_frame.at[i];

		if (run->frame < last)
			return bed_fail(r->err, BED_E_FINDING, "page %#lx is in two free runs",
			    run->frame << BED_PAGE_SHIFT);
		runs_push(&r->s->free, run_of_frames(run->frame, run->n));
		last = run->frame + run->n;
	}
	return true;
}

static void
read_tables(struct reader *r)
{
	for (size_t i = 0; i < r->in->table.n; i++) {
		const struct audit_table *t = &r->in->table.at[i];
		unsigned shift = BED_PAGE_SHIFT + 9 * (unsigned)t->level;

		if (t->kernel_map && t->level <= GHOST_LEVELS)
			runs_push(&r->s->table[t->level - 1], run_of_frames(t->va.v >> shift, 1));
	}
}

static bool
read_counts(struct reader *r, struct ghost_world *w)
{
	const struct audit_input *in = r->in;
	const struct uvm_misuse *misuse = AUDIT_AT(in, struct uvm_misuse, in->sym->uvm_misuse);
	const bool *panics = AUDIT_AT(in, bool, in->sym->uvm_misuse_panic);
	struct ghost_state *s = r->s;

	if (misuse == NULL || panics == NULL)
		return bed_fail(r->err, BED_E_INPUT, "the guest's symbols lead nowhere");
	s->maxkaddr = in->maxkaddr;
	s->pm_end = in->pmap->pm_end;
	s->pool = (in->pmap->pm_poolend - in->pmap->pm_pool) >> BED_PAGE_SHIFT;
	s->npages = in->exp->npages;
	s->wired = in->exp->wired;
	s->faults = in->exp->faults;
	s->pm_refs = (uint64_t)in->pmap->pm_refs;
	s->free_unmapped = misuse->free_unmapped;
	s->free_submap = misuse->free_submap;
	s->free_wraps = misuse->free_wraps;
	s->kernpages = in->exp->kernpages;
	/* A promise made at boot: what the guest makes of it later is no excuse. */
	if (w->reserve == 0)
		w->reserve = in->exp->reserve_pagedaemon;
	w->misuse_panics = *panics;
	return true;
}

static void
read_world(const struct audit_input *in, struct ghost_world *w)
{
	const struct bed_bootinfo *boot = in->src->boot;

	w->kva_min = BED_KVA_BASE;
	w->kva_end = in->kva_end;
	w->direct_min = BED_DIRECT_BASE;
	w->direct_end = BED_DIRECT_BASE + boot->direct_end;
	w->dma_high = boot->dma_high;
	if (w->managed.n == 0) {
		for (unsigned i = 0; i < in->nseg; i++)
			runs_put(&w->managed,
			    run_of_frames(in->seg[i].start, in->seg[i].end - in->seg[i].start));
	}
}

bool
ghost_read(
    const struct audit_input *in, struct ghost_world *w, struct ghost_state *s, struct bed_err *err)
{
	struct reader r = { .in = in, .s = s, .err = err };

	runs_clear(&s->leaf);
	runs_clear(&s->object);
	runs_clear(&s->free);
	for (unsigned i = 0; i < GHOST_LEVELS; i++)
		runs_clear(&s->table[i]);
	r.handle = audit_ptr(in, in->sym->bed_map, BED_MAPS_MAX * sizeof(*r.handle), 8);
	if (r.handle == NULL)
		return bed_fail(err, BED_E_INPUT, "the guest's map handles lead nowhere");
	if (audit_is_torn(&in->maps))
		return bed_fail(err, BED_E_FINDING, "%s", in->maps.text);
	read_world(in, w);
	if (!read_maps(&r) || !read_pages(&r) || !read_counts(&r, w))
		return false;
	read_leaves(&r);
	read_tables(&r);
	return !ghost_state_lost(s) || bed_fail(err, BED_E_HOST, "out of memory for the ghost");
}
