/* SPDX-License-Identifier: ISC */
/*
 * Rules about what the guest counts: table pages, leaves, map entries, pages for its own use.
 */
#include "vmm/audit/input.h"

bool
audit_l1_counts(struct audit_input *in)
{
	if (in->l1 == NULL)
		return audit_finding(in, "pm_l1 is at %p", (void *)in->pmap->pm_l1);
	for (size_t i = 0; i < in->table.n; i++) {
		const struct audit_table *t = &in->table.at[i];
		uint64_t slot = (t->va.v - BED_KVA_BASE) / PMAP_L1_SPAN;

		if (!t->kernel_map || t->level != 1 || slot >= in->nl1)
			continue;
		if (in->l1[slot].pl_frame != t->gpa.v >> BED_PAGE_SHIFT ||
		    in->l1[slot].pl_used != t->present)
			return audit_finding_at(in, t->va.v,
			    "the table for %#lx is at %#lx with %u leaves; pm_l1 says %#lx with %u",
			    t->va.v, t->gpa.v, t->present,
			    (uint64_t)in->l1[slot].pl_frame << BED_PAGE_SHIFT,
			    in->l1[slot].pl_used);
	}
	return true;
}

bool
audit_table_count(struct audit_input *in)
{
	const struct bed_bootinfo *boot = in->src->boot;
	uint64_t ours = 0, taken = (in->pmap->pm_pool - boot->ptpool_start) >> BED_PAGE_SHIFT;

	if (in->pmap->pm_pool < boot->ptpool_next || in->pmap->pm_pool > boot->ptpool_end ||
	    in->pmap->pm_poolend != boot->ptpool_end)
		return audit_finding(in, "the pool's rest is %#lx..%#lx, it ends at %#lx",
		    in->pmap->pm_pool, in->pmap->pm_poolend, boot->ptpool_end);
	for (size_t i = 0; i < in->table.n; i++)
		ours += in->table.at[i].kernel_map;
	if (ours != in->pmap->pm_ptps)
		return audit_finding(
		    in, "%lu tables for kernel_map, pm_ptps says %lu", ours, in->pmap->pm_ptps);
	/* A table reached twice, or an entry that is wrong, is another rule's. */
	if (in->snap->nfault == 0 && in->snap->ntable != taken)
		return audit_finding(in, "%lu pages of the pool were taken, %zu are tables", taken,
		    in->snap->ntable);
	return true;
}

bool
audit_growth(struct audit_input *in)
{
	uint64_t n = (in->pmap->pm_end - BED_KVA_BASE) / PMAP_L1_SPAN;

	if (in->pmap->pm_limit != in->kva_end || in->pmap->pm_end < BED_KVA_BASE ||
	    in->pmap->pm_end % PMAP_L1_SPAN != 0 || n > in->nl1 ||
	    in->maxkaddr > in->pmap->pm_end || in->maxkaddr < BED_KVA_BASE)
		return audit_finding(in, "tables to %#lx (pm_end %#lx) of %#lx", in->maxkaddr,
		    in->pmap->pm_end, in->pmap->pm_limit);
	for (uint64_t i = 0; i < n && in->l1 != NULL; i++) {
		if (in->l1[i].pl_frame == 0)
			return audit_finding(in, "%#lx is below pm_end %#lx and has no table",
			    BED_KVA_BASE + i * PMAP_L1_SPAN, in->pmap->pm_end);
	}
	for (size_t i = 0; i < in->span.n && in->spans_good; i++) {
		if (in->span.at[i].end > in->maxkaddr)
			return audit_finding_at(in, in->span.at[i].start,
			    "entry %#lx..%#lx is above uvm_maxkaddr %#lx", in->span.at[i].start,
			    in->span.at[i].end, in->maxkaddr);
	}
	return true;
}

bool
audit_leaf_counts(struct audit_input *in)
{
	uint64_t leaves = 0, wired = 0;

	for (size_t i = 0; i < in->table.n; i++) {
		const struct audit_table *t = &in->table.at[i];

		if (t->kernel_map && t->level == 1) {
			leaves += t->present;
			wired += t->wired;
		}
	}
	if (leaves != in->pmap->pm_resident || wired != in->pmap->pm_wired)
		return audit_finding(in,
		    "%lu leaves, %lu wired; pm_resident says %lu, pm_wired %lu", leaves, wired,
		    in->pmap->pm_resident, in->pmap->pm_wired);
	return true;
}

/* Counts the entry, and its page if no other entry has counted it. */
static bool
count_entry(struct audit_input *in, uint64_t va, uint64_t *statics, uint64_t *pages)
{
	const struct vm_map_entry *e = AUDIT_AT(in, struct vm_map_entry, va);
	uint64_t frame, pa;
	const struct vm_page *pg;

	if (e == NULL || !bed_pointer_pa(&in->src->pointers, va, &pa))
		return audit_finding(in, "a map entry is at %#lx", va);
	if (e->flags & UVM_MAP_STATIC) {
		++*statics;
		return (pa >= in->sym->data_start - BED_IMAGE_BASE &&
			   pa < in->sym->image_end - BED_IMAGE_BASE) ||
		       audit_finding(in, "entry %#lx is marked static", va);
	}
	frame = pa >> BED_PAGE_SHIFT;
	pg = audit_page(in, frame);
	if (pg == NULL || audit_page_free(pg) || pg->uobject != NULL)
		return audit_finding(in, "entry %#lx lies in no page of entries", va);
	*pages += audit_mark(in, frame);
	return true;
}

/* A spare entry is on a ring if the entry that ends where it ends is itself. */
static bool
spare_is_linked(const struct audit_input *in, uint64_t va)
{
	const struct vm_map_entry *e = AUDIT_AT(in, struct vm_map_entry, va);
	size_t low = 0, high = in->span.n;

	while (e != NULL && low < high) {
		size_t mid = low + (high - low) / 2;

		if (in->span.at[mid].end < e->end)
			low = mid + 1;
		else
			high = mid;
	}
	for (; e != NULL && low < in->span.n && in->span.at[low].end == e->end; low++) {
		if (in->span.at[low].e == e)
			return true;
	}
	return false;
}

bool
audit_entry_pool(struct audit_input *in)
{
	uint64_t statics = 0, pages = 0, kernpages;

	for (size_t i = 0; i < in->map.n; i++) {
		if (audit_is_torn(&in->map.at[i].stock))
			return audit_finding(in, "%s", in->map.at[i].stock.text);
	}
	if (!in->spans_good)
		return true;
	in->gen++;
	for (size_t i = 0; i < in->entry.n; i++) {
		if (!count_entry(in, in->entry.at[i].va, &statics, &pages))
			return false;
	}
	for (size_t i = 0; i < in->stock.n; i++) {
		if (!count_entry(in, in->stock.at[i], &statics, &pages))
			return false;
		if (spare_is_linked(in, in->stock.at[i]))
			return audit_finding(
			    in, "entry %#lx is in stock and on a ring", in->stock.at[i]);
	}
	if (statics != in->exp->kmapent)
		return audit_finding(in, "%lu static entries in maps, uvmexp.kmapent says %lu",
		    statics, in->exp->kmapent);
	if (audit_is_torn(&in->object))
		return true;
	kernpages =
	    pages + in->obj_nodes +
	    ((in->obj->uo_ndir * sizeof(struct uvm_objdir) + BED_PAGE_MASK) >> BED_PAGE_SHIFT);
	for (size_t i = 0; i < in->map.n; i++)
		kernpages += in->map.at[i].m->addr.nnodes / 4 + !in->map.at[i].m->own_storage;
	/* The pool keeps a page of entries that are all free. */
	if (in->exp->kernpages < kernpages || in->exp->kernpages > kernpages + 2)
		return audit_finding(in,
		    "%lu pages hold nodes, entries and maps, "
		    "uvmexp.kernpages says %lu",
		    kernpages, in->exp->kernpages);
	return true;
}
