/* SPDX-License-Identifier: ISC */
/*
 * Whole structures: every map in kernel_map, every leaf, every page of the object (prop.h).
 */
#include "tests/twin/prop.h"

#include <stdlib.h>
#include <string.h>

#include "guest/twin/priv.h"
#include "guest/uvm/uvm_map_impl.h"

static void
check_submap(const struct vm_map_entry *e, const char *when)
{
	const struct vm_map *sub = e->object.sub_map;

	cr_assert(sub->min_offset == e->start && sub->max_offset == e->end,
	    "%s: the entry 0x%lx..0x%lx is not %s's range", when, e->start, e->end, sub->name);
	cr_assert_eq(sub->pmap, pmap_kernel(), "%s: %s has another pmap", when, sub->name);
	cr_assert_geq(
	    sub->ref_count, 2, "%s: %s has %d references", when, sub->name, sub->ref_count);
}

/* The entry by itself, and that the index finds it from any of its addresses, and no other. */
static void
check_entry(struct vm_map *map, struct vm_map_entry *e, const char *when)
{
	struct vm_map_entry *found;

	cr_assert(
	    ((e->start | e->end | e->fspace | e->guard) & PAGE_MASK) == 0 && e->start < e->end,
	    "%s: %s: entry 0x%lx..0x%lx", when, map->name, e->start, e->end);
	cr_assert(uvm_map_lookup_entry(map, e->start, &found) && found == e,
	    "%s: %s: the index does not find 0x%lx", when, map->name, e->start);
	cr_assert(uvm_map_lookup_entry(map, e->end - 1, &found) && found == e,
	    "%s: %s: the index does not find 0x%lx", when, map->name, e->end - 1);
	if (VMMAP_FREE_END(e) > e->end)
		cr_assert(!uvm_map_lookup_entry(map, VMMAP_FREE_END(e) - 1, &found) && found == e,
		    "%s: %s: the index says something is behind 0x%lx", when, map->name, e->end);
	cr_assert_eq(e->protection & ~e->max_protection, 0, "%s: %s: rights of 0x%lx", when,
	    map->name, e->start);
	cr_assert(
	    e->end <= uvm_maxkaddr, "%s: %s: 0x%lx is beyond the tables", when, map->name, e->end);
}

void
prop_check_map(struct vm_map *map, const char *when)
{
	struct vm_map_entry *e = &map->header;
	vaddr_t at = map->min_offset;
	vsize_t used = 0, largest = 0;
	uint64_t n = 0;

	cr_assert(
	    e->start == at && e->end == at && e->guard == 0, "%s: %s: header", when, map->name);
	do {
		cr_assert_eq(
		    e->start, at, "%s: %s: 0x%lx follows 0x%lx", when, map->name, e->start, at);
		cr_assert_eq(e->next->prev, e, "%s: %s: the ring is broken at 0x%lx", when,
		    map->name, e->start);
		if (e != &map->header) {
			check_entry(map, e, when);
			used += UVM_ET_ISHOLE(e) ? 0 : e->end - e->start;
			n++;
		}
		largest = e->fspace > largest ? e->fspace : largest;
		at = VMMAP_FREE_END(e);
		e = e->next;
	} while (e != &map->header);
	cr_assert_eq(at, map->max_offset, "%s: %s ends at 0x%lx", when, map->name, at);
	cr_assert_eq(
	    n, map->nentries, "%s: %s: %lu entries, counted %u", when, map->name, n, map->nentries);
	cr_assert_eq(
	    used, map->size, "%s: %s: size 0x%lx, is 0x%lx", when, map->name, map->size, used);
	cr_assert_eq(uvm_map_largest_hole(map), largest, "%s: %s: largest hole", when, map->name);
	n = 0;
	for (e = map->stock; e != NULL; e = e->next)
		n++;
	cr_assert_eq(
	    n, map->nstock, "%s: %s: %lu in stock, counted %u", when, map->name, n, map->nstock);
	cr_assert(map->lock.rwl_owner == 0 && map->mtx.mtx_owner == NULL &&
		      (map->state & (VM_MAP_BUSY | VM_MAP_WANTLOCK)) == 0,
	    "%s: %s is still locked", when, map->name);
	for (e = map->header.next; e != &map->header; e = e->next) {
		if (!UVM_ET_ISSUBMAP(e))
			continue;
		check_submap(e, when);
		prop_check_map(e->object.sub_map, when);
	}
}

/* The map that va is in, and its entry; the entry is NULL if there is none. */
static struct vm_map *
owner_of(vaddr_t va, struct vm_map_entry **e)
{
	struct vm_map *map = kernel_map;

	while (uvm_map_lookup_entry(map, va, e)) {
		if (!UVM_ET_ISSUBMAP(*e))
			return map;
		map = (*e)->object.sub_map;
	}
	*e = NULL;
	return map;
}

static void
check_leaf(vaddr_t va, uint64_t leaf, const char *when)
{
	const uint64_t kind = PTE_P | PTE_G | PTE_NX | PTE_SW_M | PTE_SW_W | PTE_U | PTE_PAT |
	                      PTE_PCD | PTE_PWT | PTE_SW_3;
	struct vm_map_entry *e;
	const struct vm_map *map = owner_of(va, &e);
	const struct vm_page *pg = PHYS_TO_VM_PAGE(leaf & PTE_FRAME);
	uint64_t want = PTE_P | PTE_G | PTE_NX;

	cr_assert_not_null(e, "%s: 0x%lx is mapped, and nobody's", when, va);
	cr_assert_not_null(
	    pg, "%s: 0x%lx maps 0x%lx, which is not the allocator's", when, va, leaf & PTE_FRAME);
	cr_assert(pg->pg_flags & PQ_INUSE, "%s: 0x%lx maps a free page", when, va);
	if (UVM_ET_ISOBJ(e)) {
		want |= PTE_SW_M | (leaf & PTE_SW_W);
		cr_assert(pg->uobject == KO && pg->offset == va - VM_MIN_KERNEL_ADDRESS,
		    "%s: the page at 0x%lx is not the object's", when, va);
	} else {
		cr_assert_null(pg->uobject, "%s: the page at 0x%lx is an object's", when, va);
	}
	cr_assert_eq(leaf & kind, want, "%s: leaf 0x%lx of 0x%lx in %s", when, leaf, va, map->name);
	cr_assert(!(leaf & PTE_W) || (e->protection & PROT_WRITE),
	    "%s: 0x%lx may be written, its entry says no", when, va);
	cr_assert(pg->wire_count == 0 || (leaf & PTE_SW_W), "%s: wired page 0x%lx", when, va);
}

static void
check_leaves(const char *when)
{
	uint64_t frames = atop(twin_ram_end);
	uint8_t *seen = calloc(frames, 1);
	vaddr_t end = pmap_kernel()->pm_end;

	for (vaddr_t va = KVA; va < end; va += PAGE_SIZE) {
		uint64_t leaf, frame;

		if (pmap_kernel()->pm_l1[(va - KVA) / (2 * MIB)].pl_used == 0) {
			va += 2 * MIB - PAGE_SIZE;
			continue;
		}
		leaf = leaf_at(va);
		if (leaf == 0)
			continue;
		check_leaf(va, leaf, when);
		frame = (leaf & PTE_FRAME) >> 12;
		cr_assert_eq(seen[frame], 0, "%s: frame 0x%lx is mapped twice", when, frame);
		seen[frame] = 1;
	}
	free(seen);
}

/* The object has the pages that say so, and no page belongs to addresses that are nobody's. */
static void
check_object(const char *when)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < vm_nphysseg; i++) {
		for (const struct vm_page *pg = vm_physmem[i].pgs; pg < vm_physmem[i].lastpg;
		     pg++) {
			struct vm_map_entry *e;

			if (pg->uobject == NULL)
				continue;
			n++;
			cr_assert_eq(uvm_pagelookup(KO, pg->offset), pg, "%s: page of offset 0x%lx",
			    when, pg->offset);
			owner_of(KVA + pg->offset, &e);
			cr_assert(e != NULL && UVM_ET_ISOBJ(e),
			    "%s: the object has a page for 0x%lx, which is nobody's", when,
			    KVA + pg->offset);
		}
	}
	cr_assert_eq(
	    n, KO->uo_npages, "%s: %lu pages in the object, counted %lu", when, n, KO->uo_npages);
}

void
prop_check(const char *when)
{
	prop_check_map(kernel_map, when);
	check_leaves(when);
	check_object(when);
	check_pmap(when, 0);
	check_free(when, 0, false);
	cr_assert_eq(uvm_maxkaddr, pmap_kernel()->pm_end, "%s: uvm_maxkaddr and the tables", when);
}
