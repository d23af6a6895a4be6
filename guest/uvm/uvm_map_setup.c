/* SPDX-License-Identifier: ISC */
/*
 * Making maps, putting one inside another, and taking them apart.
 */
#include <machine/planted.h>

#include "pmap.h"
#include "uvm_map_impl.h"
#include "uvm_page.h"
#include "uvm_pmemrange.h"

void
uvm_map_setup(struct vm_map *map, struct pmap *pmap, vaddr_t min, vaddr_t max, int flags,
    enum uvm_addr_fit fit, const char *name)
{
	struct vm_map_entry *header = &map->header;

	KASSERT(min < max && ((min | max) & PAGE_MASK) == 0);
	*map = (struct vm_map){
		.pmap = pmap,
		.min_offset = min,
		.max_offset = max,
		.name = name,
		.flags = flags,
		.ref_count = 1,
		.own_storage = 1,
	};
	rw_init_rank(&map->lock, name, RANK_MAP);
	mtx_init_rank(&map->mtx, IPL_VM, RANK_MAP_INTRSAFE);
	header->start = header->end = min;
	header->fspace = max - min;
	header->attr = UINT64_MAX; /* equal to no entry's */
	header->next = header->prev = header;
	uvm_addr_init(&map->addr, header, min, max, fit);
	map->kind_flags = UINT32_MAX; /* no request's */
	if (fit == UVM_ADDR_BESTFIT && (flags & (VM_MAP_INTRSAFE | VM_MAP_GUARDPAGES)) == 0)
		map->plain_span = max - min;
}

struct vm_map *
uvm_map_create(struct pmap *pmap, vaddr_t min, vaddr_t max, int flags, const char *name)
{
	struct vm_page *pg;
	struct vm_map *map;
	unsigned got;

	pg = uvm_pmr_getrun(1, &got, 0);
	if (pg == NULL)
		return NULL;
	__atomic_fetch_add(&uvmexp.kernpages, 1, __ATOMIC_RELAXED);
	map = PMAP_DIRECT_MAP(VM_PAGE_TO_PHYS(pg));
	uvm_map_setup(map, pmap, min, max, flags, UVM_ADDR_FIRSTFIT, name);
	map->own_storage = 0;
	return map;
}

void
uvm_map_move(struct vm_map *map, vaddr_t min, vaddr_t max)
{
	KASSERT(map->nentries == 0 && map->stock == NULL && map->addr.nnodes == 0);
	uvm_map_setup(
	    map, map->pmap, min, max, map->flags, (enum uvm_addr_fit)map->addr.fit, map->name);
	map->own_storage = 0;
}

static void
free_page_at(void *p)
{
	uvm_pmr_putrun(PHYS_TO_VM_PAGE(PMAP_DIRECT_UNMAP(p)), 1);
	__atomic_fetch_sub(&uvmexp.kernpages, 1, __ATOMIC_RELAXED);
}

void
uvm_map_reference(struct vm_map *map)
{
	__atomic_fetch_add(&map->ref_count, 1, __ATOMIC_RELAXED);
}

void
uvm_map_deallocate(struct vm_map *map)
{
	void *page;

	if (__atomic_sub_fetch(&map->ref_count, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	if (map->nentries != 0)
		uvm_unmap(map, map->min_offset, map->max_offset);
	uvm_mapent_give(map->stock);
	map->stock = NULL;
	map->nstock = 0;
	while ((page = uvm_addr_drain(&map->addr)) != NULL)
		free_page_at(page);
	if (!map->own_storage)
		free_page_at(map);
}

/* The entry that is exactly [start, end), or NULL. */
static struct vm_map_entry *
exact_entry(struct vm_map *map, vaddr_t start, vaddr_t end)
{
	struct vm_map_entry *e;

	if (!uvm_map_lookup_entry(map, start, &e) || e->start != start || e->end != end)
		return NULL;
	return e;
}

int
uvm_map_submap(struct vm_map *map, vaddr_t start, vaddr_t end, struct vm_map *submap)
{
	struct vm_map_entry *e;
	int error = EINVAL;

	if (submap->min_offset != start || submap->max_offset != end || submap->pmap != map->pmap)
		return EINVAL;
	vm_map_lock(map);
	e = exact_entry(map, start, end);
	if (e != NULL && !UVM_ET_ISOBJ(e) && !UVM_ET_ISSUBMAP(e) && e->wired_count == 0) {
		e->etype |= UVM_ET_SUBMAP;
		e->object.sub_map = submap;
		if (!PLANTED(SUBMAP_UNREFERENCED))
			uvm_map_reference(submap);
		error = 0;
	}
	vm_map_unlock(map);
	return error;
}

int
uvm_map_unsubmap(struct vm_map *map, struct vm_map *submap)
{
	struct vm_map_entry *e;
	int error;

	error = uvm_map_lock_stocked(map, UVM_MAP_STOCK_UNMAP, 0);
	if (error != 0)
		return error;
	e = exact_entry(map, submap->min_offset, submap->max_offset);
	if (e == NULL || !UVM_ET_ISSUBMAP(e) || e->object.sub_map != submap) {
		error = EINVAL;
	} else if (submap->nentries != 0 || submap->ref_count != 2) {
		error = EBUSY;
	} else {
		e->etype &= (uint16_t)~UVM_ET_SUBMAP;
		e->object.sub_map = NULL;
		uvm_unmap_remove(map, submap->min_offset, submap->max_offset);
	}
	uvm_map_unlock_stocked(map);
	if (error == 0)
		uvm_map_deallocate(submap);
	return error;
}

vsize_t
uvm_map_largest_hole(struct vm_map *map)
{
	vsize_t largest;

	vm_map_lock_read(map);
	largest = uvm_addr_largest(&map->addr);
	vm_map_unlock_read(map);
	return largest;
}
