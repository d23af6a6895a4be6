/* SPDX-License-Identifier: ISC */
/*
 * Rights and wiring of ranges that are in a map.
 *
 * Each operation looks at its whole range first and changes nothing if any of it is against the rules.
 */
#include <machine/planted.h>

#include "pmap.h"
#include "uvm_fault.h"
#include "uvm_km_pages.h"
#include "uvm_map_impl.h"

/* The first entry that ends above va, or the header. */
static struct vm_map_entry *
first_above(struct vm_map *map, vaddr_t va)
{
	struct vm_map_entry *e;

	return uvm_map_lookup_entry(map, va, &e) ? e : e->next;
}

static bool
sane_range(const struct vm_map *map, vaddr_t start, vaddr_t end)
{
	return start <= end && ((start | end) & PAGE_MASK) == 0 && start >= map->min_offset &&
	       end <= map->max_offset;
}

static int
check_protect(const struct vm_map *map, const struct vm_map_entry *e, vaddr_t end, vm_prot_t prot)
{
	for (; e != &map->header && e->start < end; e = e->next) {
		if (UVM_ET_ISSUBMAP(e))
			return EINVAL;
		if ((unsigned)prot & ~(unsigned)e->max_protection)
			return EACCES;
	}
	return 0;
}

int
uvm_map_protect(struct vm_map *map, vaddr_t start, vaddr_t end, vm_prot_t prot, boolean_t set_max)
{
	struct vm_map_entry *e;
	int error;

	prot &= PROT_MASK;
	if ((prot & (PROT_WRITE | PROT_EXEC)) == (PROT_WRITE | PROT_EXEC) && !set_max)
		panic("uvm_map_protect: write and execute together in map %s", map->name);
	if (!sane_range(map, start, end))
		return EINVAL;
	error = uvm_map_lock_stocked(map, UVM_MAP_STOCK_CLIP, 0);
	if (error != 0)
		return error;
	e = first_above(map, start);
	error = check_protect(map, e, end, prot);
	for (; error == 0 && e != &map->header && e->start < end; e = e->next) {
		unsigned old = e->protection, new = (unsigned)prot;

		if (set_max)
			new &= old;
		if (new == old && (!set_max || (unsigned)prot == e->max_protection))
			continue;
		e = uvm_map_clip_start(map, e, start);
		e = uvm_map_clip_end(map, e, end);
		if (set_max)
			e->max_protection = prot & PROT_MASK;
		e->protection = new &PROT_MASK;
		if (PLANTED(PAGES_LOST_ON_PROTECT) && new == PROT_NONE)
			uvm_km_pgremove(e->object.uvm_obj, e->start, e->end);
		/* More rights come with the next fault. */
		if (old & ~new)
			pmap_protect(map->pmap, e->start, e->end, (vm_prot_t) new);
	}
	pmap_update(map->pmap);
	uvm_map_unlock_stocked(map);
	return error;
}

/* EFAULT: it begins with a hole; EINVAL: a hole or submap in it, or (wired) something not wired. */
static int
check_pageable(
    const struct vm_map *map, const struct vm_map_entry *e, vaddr_t start, vaddr_t end, bool wired)
{
	vaddr_t va = start;

	if (e == &map->header || e->start > start)
		return EFAULT;
	for (; va < end; va = e->end, e = e->next) {
		if (e == &map->header || e->start > va || UVM_ET_ISSUBMAP(e) || UVM_ET_ISHOLE(e) ||
		    (wired && e->wired_count == 0))
			return EINVAL;
	}
	return 0;
}

static void
unwire_entries(struct vm_map *map, struct vm_map_entry *e, vaddr_t end)
{
	for (; e != &map->header && e->start < end; e = e->next) {
		if (--e->wired_count == 0)
			uvm_fault_unwire_locked(map, e->start, e->end);
	}
}

/*
 * Fault in what was not wired before: entries of [start, end) with a count of 1. Map busy, unlocked: its
 * entries stay as they are. On failure *failed is the entry that could not be wired.
 */
static int
wire_entries(struct vm_map *map, struct vm_map_entry *e, vaddr_t end, struct vm_map_entry **failed)
{
	for (; e != &map->header && e->start < end; e = e->next) {
		int error;

		if (e->wired_count != 1 || e->protection == PROT_NONE)
			continue;
		error = uvm_fault_wire(map, e->start, e->end, e->protection);
		if (error != 0) {
			*failed = e;
			return error;
		}
	}
	return 0;
}

/* Take back the counts of [first, end), and the pages of those entries before `failed` that had none. */
static void
undo_wiring(
    struct vm_map *map, struct vm_map_entry *first, vaddr_t end, const struct vm_map_entry *failed)
{
	bool faulted = true;

	vm_map_lock(map);
	for (struct vm_map_entry *e = first; e != &map->header && e->start < end; e = e->next) {
		if (e == failed)
			faulted = false;
		if (PLANTED(WIRE_NOT_UNDONE))
			faulted = !faulted;
		if (--e->wired_count == 0 && faulted && e->protection != PROT_NONE)
			uvm_fault_unwire_locked(map, e->start, e->end);
	}
	vm_map_unlock(map);
}

static int
wire_locked(struct vm_map *map, struct vm_map_entry *first, vaddr_t end)
{
	struct vm_map_entry *e, *failed = NULL;
	int error;

	for (e = first; e != &map->header && e->start < end; e = e->next)
		e->wired_count++;
	vm_map_busy(map);
	error = wire_entries(map, first, end, &failed);
	if (error != 0)
		undo_wiring(map, first, end, failed);
	vm_map_unbusy(map);
	return error;
}

int
uvm_map_pageable(struct vm_map *map, vaddr_t start, vaddr_t end, boolean_t pageable)
{
	struct vm_map_entry *e, *last;
	int error;

	if (!sane_range(map, start, end) || (map->flags & VM_MAP_PAGEABLE) == 0 ||
	    (map->flags & VM_MAP_INTRSAFE) != 0)
		return EINVAL;
	if (start == end)
		return 0;
	error = uvm_map_lock_stocked(map, UVM_MAP_STOCK_CLIP, 0);
	if (error != 0)
		return error;
	e = first_above(map, start);
	error = check_pageable(map, e, start, end, pageable);
	if (error != 0) {
		uvm_map_unlock_stocked(map);
		return error;
	}
	e = uvm_map_clip_start(map, e, start);
	uvm_map_lookup_entry(map, end - PAGE_SIZE, &last);
	last = uvm_map_clip_end(map, last, end);
	if (last->start <= start)
		e = last;
	if (!pageable)
		return wire_locked(map, e, end);
	unwire_entries(map, e, end);
	uvm_map_unlock_stocked(map);
	return 0;
}

boolean_t
uvm_map_checkprot(struct vm_map *map, vaddr_t start, vaddr_t end, vm_prot_t prot)
{
	struct vm_map_entry *e;
	vaddr_t va = start;

	if (start < map->min_offset || end > map->max_offset || start > end)
		return FALSE;
	vm_map_lock_read(map);
	for (e = first_above(map, start); va < end; va = e->end, e = e->next) {
		if (e == &map->header || e->start > va ||
		    ((unsigned)prot & ~(unsigned)e->protection) != 0)
			break;
	}
	vm_map_unlock_read(map);
	return va >= end;
}

boolean_t
uvm_kernacc(vaddr_t addr, vsize_t len, vm_prot_t rw)
{
	if (addr + len < addr || round_page(addr + len) < addr)
		return FALSE;
	return uvm_map_checkprot(kernel_map, trunc_page(addr), round_page(addr + len), rw);
}
