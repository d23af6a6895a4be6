/* SPDX-License-Identifier: ISC */
/*
 * Rules about maps, and about maps against page tables and kernel_object.
 */
#include "shared/calls.h"
#include "vmm/audit/input.h"

static bool
bad_piece(struct audit_input *in, const struct audit_piece *p, const char *what)
{
	char rights[5];

	view_rights_text(p->attr.rights, rights);
	if (p->span == NULL)
		return audit_finding_at(
		    in, p->va, "%#lx +%lu %s (%s)", p->va, p->npages, what, rights);
	return audit_finding_at(in, p->va,
	    "%#lx +%lu %s (%s); entry %#lx..%#lx of map %s, protection %u of %u, wired %u", p->va,
	    p->npages, what, rights, p->span->e->start, p->span->e->end, p->span->map->name,
	    p->span->e->protection, p->span->e->max_protection, p->span->e->wired_count);
}

/* The span that holds a page of kernel_map; *at only moves upwards. NULL: none. */
static const struct audit_span *
span_of(const struct audit_input *in, uint64_t va, size_t *at)
{
	while (*at < in->span.n && in->span.at[*at].end <= va)
		++*at;
	return *at < in->span.n && va >= in->span.at[*at].start ? &in->span.at[*at] : NULL;
}

/* A leaf says itself that it cannot be executed, though the tables above say it, too. */
static bool
leaves_deny(struct audit_input *in, const struct audit_table *t)
{
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		uint64_t va = t->va.v + i * BED_PAGE_SIZE;
		size_t at = 0;
		const struct audit_span *s;

		if ((t->entry[i] & (PTE_P | PTE_NX)) != PTE_P)
			continue;
		s = span_of(in, va, &at);
		if (s != NULL && !(s->e->protection & PROT_EXEC))
			return audit_finding(in,
			    "%#lx: its leaf %#lx lacks NX; entry %#lx..%#lx of map %s, protection %u",
			    va, t->entry[i], s->start, s->end, s->map->name, s->e->protection);
	}
	return true;
}

bool
audit_entry_rights(struct audit_input *in)
{
	for (size_t i = 0; i < in->span.n; i++) {
		const struct vm_map_entry *e = in->span.at[i].e;

		if ((e->protection & (PROT_WRITE | PROT_EXEC)) == (PROT_WRITE | PROT_EXEC) ||
		    (e->protection & ~e->max_protection) != 0)
			return audit_finding_at(in, e->start,
			    "entry %#lx..%#lx: protection %u of %u", e->start, e->end,
			    e->protection, e->max_protection);
	}
	for (size_t i = 0; i < in->piece.n; i++) {
		const struct audit_piece *p = &in->piece.at[i];
		unsigned rights = p->attr.rights;

		if (p->where != AUDIT_USED)
			continue;
		if (((rights & VIEW_W) && !(p->span->e->protection & PROT_WRITE)) ||
		    ((rights & VIEW_X) && !(p->span->e->protection & PROT_EXEC)) ||
		    p->span->e->protection == PROT_NONE)
			return bad_piece(in, p, "allows more than its entry");
	}
	for (size_t i = 0; i < in->table.n; i++) {
		const struct audit_table *t = &in->table.at[i];

		if (t->kernel_map && t->level == 1 && t->present != 0 && !(t->all & PTE_NX) &&
		    !leaves_deny(in, t))
			return false;
	}
	return true;
}

bool
audit_guards(struct audit_input *in)
{
	for (size_t i = 0; i < in->piece.n; i++) {
		if (in->piece.at[i].where == AUDIT_GUARD)
			return bad_piece(in, &in->piece.at[i], "is mapped in a guard");
	}
	return true;
}

bool
audit_in_an_entry(struct audit_input *in)
{
	for (size_t i = 0; i < in->piece.n && in->spans_good; i++) {
		if (in->piece.at[i].where == AUDIT_NOWHERE)
			return bad_piece(in, &in->piece.at[i], "is mapped and in no entry");
	}
	return true;
}

bool
audit_wired_entries(struct audit_input *in)
{
	size_t at = 0;

	for (size_t i = 0; i < in->piece.n; i++) {
		const struct audit_piece *p = &in->piece.at[i];

		if (p->where == AUDIT_USED && UVM_ET_ISHOLE(p->span->e))
			return bad_piece(in, p, "is mapped in a reserved hole");
	}
	for (size_t i = 0; i < in->objpage.n && in->spans_good; i++) {
		const struct audit_objpage *o = &in->objpage.at[i];
		const struct audit_span *s = span_of(in, BED_KVA_BASE + o->offset, &at);

		if (o->pg != NULL && o->pg->wire_count != 0 && s != NULL && s->e->wired_count == 0)
			return audit_finding_at(in, BED_KVA_BASE + o->offset,
			    "page %#lx of entry %#lx..%#lx has wire count %u, the entry is not wired",
			    BED_KVA_BASE + o->offset, s->e->start, s->e->end, o->pg->wire_count);
	}
	at = 0;
	for (size_t i = 0; i < in->piece.n; i++) {
		const struct audit_piece *p = &in->piece.at[i];

		/* Where wiring took a leaf, it is marked. */
		for (uint64_t k = 0; k < p->npages && !(p->attr.soft & VIEW_SOFT_W); k++) {
			const struct vm_page *pg = audit_page(in, (p->pa >> BED_PAGE_SHIFT) + k);

			if (pg != NULL && pg->wire_count != 0 &&
			    pg->offset == p->va + k * BED_PAGE_SIZE - BED_KVA_BASE)
				return bad_piece(
				    in, p, "maps a wired page with a leaf that is not");
		}
	}
	return true;
}

static bool
ring_tiles(struct audit_input *in, const struct audit_map *map)
{
	const struct vm_map *m = map->m;
	uint64_t at = VMMAP_FREE_END(&m->header);

	if (m->header.start != m->min_offset || m->header.end != m->min_offset ||
	    m->min_offset >= m->max_offset || m->min_offset < BED_KVA_BASE ||
	    m->max_offset > in->kva_end || ((m->min_offset | m->max_offset) & BED_PAGE_MASK))
		return audit_finding(in, "map %s: %#lx..%#lx, its header is %#lx..%#lx", map->name,
		    m->min_offset, m->max_offset, m->header.start, m->header.end);
	for (unsigned k = 0; k < map->n; k++) {
		const struct vm_map_entry *e = in->entry.at[map->first + k].e;

		if (e->start != at || e->end <= e->start || e->end > m->max_offset ||
		    ((e->start | e->end | e->guard | e->fspace) & BED_PAGE_MASK) != 0)
			return audit_finding_at(in, e->start,
			    "map %s: entry %#lx is %#lx..%#lx, guard %#x, hole %#lx; before it all "
			    "ends at %#lx",
			    map->name, in->entry.at[map->first + k].va, e->start, e->end, e->guard,
			    e->fspace, at);
		at = VMMAP_FREE_END(e);
	}
	if (at != m->max_offset)
		return audit_finding(in, "map %s: the last hole ends at %#lx, not %#lx", map->name,
		    at, m->max_offset);
	return true;
}

bool
audit_ring(struct audit_input *in)
{
	if (in->map.n == 0)
		return audit_finding(in, "%s", in->maps.text);
	for (size_t i = 0; i < in->map.n; i++) {
		if (audit_is_torn(&in->map.at[i].ring))
			return audit_finding(in, "%s", in->map.at[i].ring.text);
		if (!ring_tiles(in, &in->map.at[i]))
			return false;
	}
	return true;
}

bool
audit_sums(struct audit_input *in)
{
	for (size_t i = 0; i < in->map.n; i++) {
		const struct audit_map *map = &in->map.at[i];
		uint64_t size = 0;

		if (audit_is_torn(&map->ring))
			continue;
		for (unsigned k = 0; k < map->n; k++) {
			const struct vm_map_entry *e = in->entry.at[map->first + k].e;

			size += UVM_ET_ISHOLE(e) ? 0 : e->end - e->start;
		}
		if (size != map->m->size || map->n != map->m->nentries)
			return audit_finding(in,
			    "map %s: %#lx bytes in %u entries, it says %#lx in %u", map->name, size,
			    map->n, map->m->size, map->m->nentries);
	}
	return true;
}

bool
audit_object(struct audit_input *in)
{
	if (audit_is_torn(&in->object))
		return audit_finding(in, "%s", in->object.text);
	if (in->objpage.n != in->obj->uo_npages)
		return audit_finding(in, "%zu pages in nodes, uo_npages says %lu", in->objpage.n,
		    in->obj->uo_npages);
	for (size_t i = 0; i < in->objpage.n && !audit_is_torn(&in->segs); i++) {
		const struct audit_objpage *o = &in->objpage.at[i];

		if (o->pg == NULL || (uint64_t)o->pg->uobject != in->sym->uvm_kernel_object ||
		    o->pg->offset != o->offset)
			return audit_finding(in, "at offset %#lx is page %#lx, which is %s",
			    o->offset, o->pg_va, o->pg == NULL ? "none" : "not of this place");
	}
	return true;
}

bool
audit_object_in_entries(struct audit_input *in)
{
	size_t at = 0, k = 0;

	for (size_t i = 0; i < in->objpage.n && in->spans_good; i++) {
		uint64_t va = BED_KVA_BASE + in->objpage.at[i].offset;
		const struct audit_span *s = span_of(in, va, &at);

		if (s == NULL || !UVM_ET_ISOBJ(s->e))
			return audit_finding_at(in, va,
			    "kernel_object has a page at %#lx, which no entry with an object covers",
			    va);
	}
	/* The leaves of such entries map the object's pages, each at its place. */
	for (size_t i = 0; i < in->piece.n; i++) {
		const struct audit_piece *p = &in->piece.at[i];

		if (p->where != AUDIT_USED || !UVM_ET_ISOBJ(p->span->e) ||
		    audit_is_torn(&in->object))
			continue;
		for (uint64_t n = 0; n < p->npages; n++) {
			uint64_t va = p->va + n * BED_PAGE_SIZE;
			uint64_t frame = (p->pa >> BED_PAGE_SHIFT) + n;

			while (k < in->objpage.n && BED_KVA_BASE + in->objpage.at[k].offset < va)
				k++;
			if (k == in->objpage.n || BED_KVA_BASE + in->objpage.at[k].offset != va ||
			    in->objpage.at[k].pg_va != audit_page_va(in, frame))
				return audit_finding_at(in, va,
				    "%#lx maps frame %#lx, kernel_object has another page there, or "
				    "none",
				    va, frame << BED_PAGE_SHIFT);
		}
	}
	return true;
}

static bool
entry_is_sound(struct audit_input *in, const struct audit_map *map, const struct vm_map_entry *e)
{
	bool obj = UVM_ET_ISOBJ(e);

	if (obj ? (uint64_t)e->object.uvm_obj != in->sym->uvm_kernel_object
		: !UVM_ET_ISSUBMAP(e) && e->object.uvm_obj != NULL)
		return audit_finding(in, "map %s: entry %#lx..%#lx: kind %#x, object %p", map->name,
		    e->start, e->end, e->etype, (void *)e->object.uvm_obj);
	if (obj && (UVM_ET_ISSUBMAP(e) || UVM_ET_ISHOLE(e) || (map->m->flags & VM_MAP_INTRSAFE)))
		return audit_finding(in, "map %s: entry %#lx..%#lx of kind %#x has an object",
		    map->name, e->start, e->end, e->etype);
	return true;
}

static bool
submap_fits(struct audit_input *in, const struct audit_map *map)
{
	const struct vm_map_entry *e = map->parent;

	if ((uint64_t)map->m->pmap != in->sym->kernel_pmap_store)
		return audit_finding(in, "map %s: its pmap is %p", map->name, (void *)map->m->pmap);
	if (e == NULL)
		return true;
	if (e->start != map->m->min_offset || e->end != map->m->max_offset)
		return audit_finding(in, "map %s is %#lx..%#lx, its entry %#lx..%#lx", map->name,
		    map->m->min_offset, map->m->max_offset, e->start, e->end);
	if (map->m->ref_count < 2 || map->m->ref_count > 2 + THREAD_MAX)
		return audit_finding(in, "map %s has %d references", map->name, map->m->ref_count);
	return true;
}

bool
audit_submaps(struct audit_input *in)
{
	const uint64_t *handle = audit_ptr(in, in->sym->bed_map, BED_MAPS_MAX * 8, 8);

	if (audit_is_torn(&in->maps))
		return audit_finding(in, "%s", in->maps.text);
	for (size_t i = 0; i < in->map.n; i++) {
		const struct audit_map *map = &in->map.at[i];

		if (!submap_fits(in, map))
			return false;
		for (unsigned k = 0; k < map->n; k++) {
			if (!entry_is_sound(in, map, in->entry.at[map->first + k].e))
				return false;
		}
	}
	for (unsigned h = 0; handle != NULL && h < BED_MAPS_MAX && in->spans_good; h++) {
		size_t i = 0;

		while (i < in->map.n && in->map.at[i].va != handle[h])
			i++;
		if (handle[h] != 0 && i == in->map.n)
			return audit_finding(
			    in, "handle %u is the map at %#lx, which is in no entry", h, handle[h]);
	}
	return true;
}
