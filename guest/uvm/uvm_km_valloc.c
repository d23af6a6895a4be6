/* SPDX-License-Identifier: ISC */
/*
 * Kernel addresses without memory: uvm_km_valloc() and its relatives, and submaps.
 */
#include <machine/planted.h>
#include <machine/thread.h>

#include "pmap.h"
#include "uvm_map_impl.h"
#include "uvm_object.h"

#define PROT_RW (PROT_READ | PROT_WRITE)

vaddr_t
uvm_km_valloc_align(struct vm_map *map, vsize_t size, vsize_t align, int flags)
{
	vaddr_t va = map->min_offset;

	if (round_page(size) < size || (map->flags & VM_MAP_INTRSAFE) != 0)
		return 0;
	if (uvm_map(map, &va, round_page(size), &uvm_kernel_object, UVM_UNKNOWN_OFFSET, align,
		UVM_MAPFLAG(PROT_RW, PROT_RW, MAP_INHERIT_NONE, MADV_RANDOM,
		    (unsigned)flags & UVM_FLAG_TRYLOCK)) != 0)
		return 0;
	return va;
}

vaddr_t
uvm_km_valloc(struct vm_map *map, vsize_t size)
{
	return uvm_km_valloc_align(map, size, 0, 0);
}

vaddr_t
uvm_km_valloc_try(struct vm_map *map, vsize_t size)
{
	return uvm_km_valloc_align(map, size, 0, UVM_FLAG_TRYLOCK);
}

/*
 * prefer is a cache colour where caches are indexed by virtual address; here they are not.
 *
 * A wakeup counts under the map lock, and the count is compared under it before the thread goes to
 * sleep: no wakeup between the failed search and the sleep is lost. Who waits holds a reference: a submap
 * is not taken away from under a sleeper.
 */
vaddr_t
uvm_km_valloc_prefer_wait(struct vm_map *map, vsize_t size, voff_t prefer __unused_arg)
{
	vsize_t guard = map->flags & VM_MAP_GUARDPAGES ? PAGE_SIZE : 0;
	vsize_t room = map->max_offset - map->min_offset - guard;
	bool held = false;

	if (size == 0 || round_page(size) < size || round_page(size) > room ||
	    (map->flags & VM_MAP_INTRSAFE) != 0)
		return 0;
	for (;;) {
		uint64_t wakeups = __atomic_load_n(&map->wakeups, __ATOMIC_ACQUIRE);
		vaddr_t va = uvm_km_valloc(map, size);
		bool asleep;

		if (va != 0 || PLANTED(WAIT_RETURNS)) {
			if (held)
				uvm_map_deallocate(map);
			return va;
		}
		if (!held)
			uvm_map_reference(map);
		held = true;
		stop_point(STOP_VALLOC_WAIT);
		vm_map_lock(map);
		asleep = map->wakeups == wakeups || PLANTED(WAKEUP_LOST);
		if (asleep)
			sleep_setup(map, "vallocwait");
		vm_map_unlock(map);
		if (asleep)
			sleep_finish(INFSLP, true);
	}
}

vaddr_t
uvm_km_valloc_wait(struct vm_map *map, vsize_t size)
{
	return uvm_km_valloc_prefer_wait(map, size, UVM_UNKNOWN_OFFSET);
}

struct vm_map *
uvm_km_suballoc(struct vm_map *parent, vaddr_t *min, vaddr_t *max, vsize_t size, int flags,
    boolean_t fixed, struct vm_map *submap)
{
	bool own = submap != NULL;
	vaddr_t va = *min;

	if (round_page(size) < size || (parent->flags & VM_MAP_INTRSAFE) != 0)
		return NULL;
	size = round_page(size);
	if (size == 0)
		return NULL;
	/* Storage first: what fails after uvm_map() would leave its page tables. */
	if (!own)
		submap = uvm_map_create(parent->pmap, 0, size, flags, "submap");
	if (submap == NULL)
		return NULL;
	if (uvm_map(parent, &va, size, NULL, UVM_UNKNOWN_OFFSET, 0,
		UVM_MAPFLAG(PROT_RW, PROT_RW, MAP_INHERIT_NONE, MADV_RANDOM,
		    UVM_FLAG_NOMERGE | (fixed ? UVM_FLAG_FIXED : 0))) != 0) {
		if (!own)
			uvm_map_deallocate(submap);
		return NULL;
	}
	if (own)
		uvm_map_setup(
		    submap, parent->pmap, va, va + size, flags, UVM_ADDR_FIRSTFIT, "submap");
	else
		uvm_map_move(submap, va, va + size);
	if (uvm_map_submap(parent, va, va + size, submap) != 0)
		panic("uvm_km_suballoc: the range is not there any more");
	__atomic_fetch_add(&parent->pmap->pm_refs, 1, __ATOMIC_RELAXED);
	*min = va;
	*max = va + size;
	return submap;
}

int
uvm_km_subfree(struct vm_map *parent, struct vm_map *submap)
{
	struct pmap *pmap = submap->pmap;
	int error = uvm_map_unsubmap(parent, submap);

	if (error != 0)
		return error;
	uvm_map_deallocate(submap);
	__atomic_fetch_sub(&pmap->pm_refs, 1, __ATOMIC_RELAXED);
	return 0;
}
