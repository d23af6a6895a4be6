/* SPDX-License-Identifier: ISC */
/*
 * The lock of a map, the busy state, and the stock: what an operation may need is in the map before it
 * begins.
 */
#include "uvm_map_impl.h"

#include <machine/thread.h>

#include "pmap.h"
#include "uvm_page.h"
#include "uvm_pmemrange.h"

/* Locked for writing; if somebody else is wiring, wait unlocked until that is over. */
void
vm_map_lock_busy(struct vm_map *map)
{
	while ((map->state & VM_MAP_BUSY) != 0 && map->busy != curthread) {
		map->state |= VM_MAP_WANTLOCK;
		sleep_setup(&map->state, "vmmapbsy");
		rw_exit(&map->lock);
		sleep_finish(INFSLP, true);
		rw_enter(&map->lock, RW_WRITE);
	}
}

bool
vm_map_lock_try(struct vm_map *map)
{
	if (map->flags & VM_MAP_INTRSAFE) {
		if (!mtx_enter_try(&map->mtx))
			return false;
	} else {
		if (rw_enter(&map->lock, RW_WRITE | RW_NOSLEEP) != 0)
			return false;
		if ((map->state & VM_MAP_BUSY) != 0 && map->busy != curthread) {
			rw_exit(&map->lock);
			return false;
		}
	}
	return true;
}

void
vm_map_lock_read(struct vm_map *map)
{
	if (map->flags & VM_MAP_INTRSAFE)
		mtx_enter(&map->mtx);
	else
		rw_enter(&map->lock, RW_READ);
}

void
vm_map_unlock_read(struct vm_map *map)
{
	vm_map_unlock(map);
}

void
vm_map_busy(struct vm_map *map)
{
	KASSERT((map->flags & VM_MAP_INTRSAFE) == 0 && (map->state & VM_MAP_BUSY) == 0);
	map->state |= VM_MAP_BUSY;
	map->addr.closed |= UVM_ADDR_BUSY;
	map->busy = curthread;
	rw_exit(&map->lock);
}

void
vm_map_unbusy(struct vm_map *map)
{
	bool wanted;

	rw_enter(&map->lock, RW_WRITE);
	wanted = (map->state & VM_MAP_WANTLOCK) != 0;
	map->state &= ~(VM_MAP_BUSY | VM_MAP_WANTLOCK);
	map->addr.closed &= ~(uint32_t)UVM_ADDR_BUSY;
	map->busy = NULL;
	rw_exit(&map->lock);
	if (wanted)
		wakeup(&map->state);
}

/* The map is locked but short of something: refill it, unlocked. As uvm_map_lock_stocked(). */
int
uvm_map_restock(struct vm_map *map, unsigned entries, unsigned flags)
{
	do {
		bool need_entries = map->nstock < entries;
		bool need_nodes = !uvm_addr_stocked_to_map(&map->addr);
		struct vm_map_entry *list = NULL, *last;
		struct vm_page *pg = NULL;
		unsigned taken = 0, got;

		vm_map_unlock(map);
		if (need_entries)
			taken = uvm_mapent_take(UVM_MAP_STOCK_BATCH, &list);
		if (need_nodes)
			pg = uvm_pmr_getrun(1, &got, UVM_PGA_USERESERVE);
		if ((flags & UVM_FLAG_TRYLOCK) == 0) {
			vm_map_lock(map);
		} else if (!vm_map_lock_try(map)) {
			uvm_mapent_give(list);
			if (pg != NULL)
				uvm_pmr_putrun(pg, 1);
			return EFAULT;
		}
		if (taken != 0) {
			for (last = list; last->next != NULL; last = last->next)
				;
			last->next = map->stock;
			map->stock = list;
			map->nstock += taken;
		}
		if (pg != NULL) {
			__atomic_fetch_add(&uvmexp.kernpages, 1, __ATOMIC_RELAXED);
			uvm_addr_feed(&map->addr, PMAP_DIRECT_MAP(VM_PAGE_TO_PHYS(pg)));
		}
		if ((need_entries && taken == 0) || (need_nodes && pg == NULL)) {
			if (stocked(map, entries))
				return 0;
			vm_map_unlock(map);
			return ENOMEM;
		}
	} while (!stocked(map, entries));
	return 0;
}

int
uvm_map_trim_stock(struct vm_map *map)
{
	struct vm_map_entry *list = NULL;

	while (map->nstock > UVM_MAP_STOCK_BATCH) {
		struct vm_map_entry *e = stock_take(map);

		e->next = list;
		list = e;
	}
	vm_map_unlock(map);
	uvm_mapent_give(list);
	return 0;
}
