/* SPDX-License-Identifier: ISC */
/*
 * Page faults of the kernel (uvm_fault.h).
 *
 * One attempt holds the read lock of the map that has the entry from the lookup until the page is mapped:
 * uvm_unmap() and uvm_map_protect(), who write-lock, come before or after but never in between. Nothing
 * in an attempt sleeps. Where it would have to, for a page or for another thread's busy one, it lets go
 * of everything, sleeps, and the next attempt begins with the lookup: what was true of the map before
 * the sleep is never relied on, so there is no timestamp to compare.
 *
 * The page is busy from uao_get() until it is mapped. Wire counts and the wired bit of the mapping change
 * only while the page is busy, or under the object's lock while it is not: so the bit is always what the
 * count says.
 */
#include "uvm_fault.h"

#include <machine/assert.h>
#include <machine/planted.h>
#include <machine/thread.h>

#include "pmap.h"
#include "uvm_km_pages.h"
#include "uvm_map.h"
#include "uvm_object.h"
#include "uvm_pmemrange.h"

#define FAULT_AGAIN (-1) /* an attempt had to sleep */

/* Unlock the map; the lookup holds a reference of each submap it is in. */
static inline void
leave_map(const struct vm_map *top, struct vm_map *map)
{
	vm_map_unlock_read(map);
	if (unlikely(map != top))
		uvm_map_deallocate(map);
}

/*
 * The map and the entry va lies in, the map read-locked; NULL: nothing is there. Only one map is locked at
 * a time; a submap cannot go away between the two, for it is referenced.
 */
static struct vm_map *
enter_map(struct vm_map *top, vaddr_t va, struct vm_map_entry **entry)
{
	struct vm_map *map = top, *submap;

	for (;;) {
		vm_map_lock_read(map);
		if (unlikely(!uvm_map_lookup_entry(map, va, entry))) {
			leave_map(top, map);
			return NULL;
		}
		if (likely(!UVM_ET_ISSUBMAP(*entry)))
			return map;
		submap = (*entry)->object.sub_map;
		uvm_map_reference(submap);
		leave_map(top, map);
		map = submap;
	}
}

static inline int
check_entry(const struct vm_map *map, const struct vm_map_entry *e, vaddr_t va, vm_prot_t access)
{
	if (unlikely((map->flags & VM_MAP_PAGEABLE) == 0))
		panic("uvm_fault: fault on non-pageable map %s, 0x%llx", map->name,
		    (unsigned long long)va);
	if (unlikely(e->protection == PROT_NONE || (access & ~e->protection) != 0))
		return EACCES;
	if (unlikely((e->etype & (UVM_ET_OBJ | UVM_ET_HOLE | UVM_ET_NOFAULT)) != UVM_ET_OBJ))
		return EFAULT;
	return 0;
}

/* Map the page, busy on entry, and wire it if asked to. A page made for this fault does not outlive it. */
static int
map_page(struct vm_map *map, vaddr_t va, struct vm_page *pg, vm_fault_t type, vm_prot_t prot,
    vm_prot_t access)
{
	bool wire = type == VM_FAULT_WIRE, wired = wire || pg->wire_count != 0;

	if (PLANTED(FAULT_MAPS_WRITABLE))
		prot = PROT_READ | PROT_WRITE;
	if (unlikely(pmap_enter(map->pmap, va, VM_PAGE_TO_PHYS(pg), prot,
			 access | PMAP_CANFAIL | (wired ? PMAP_WIRED : 0)) != 0)) {
		if (pg->pg_flags & PG_FAKE)
			uvm_pagefree(pg);
		else
			uvm_page_unbusy(pg);
		return ENOMEM;
	}
	if (wire)
		uvm_pagewire(pg);
	uvm_page_unbusy(pg);
	return 0;
}

/* 0, an error, or FAULT_AGAIN. */
static __always_inline int
attempt(struct vm_map *top, vaddr_t va, vm_fault_t type, vm_prot_t access)
{
	struct vm_map_entry *e;
	struct uvm_object *obj;
	struct vm_map *map = enter_map(top, va, &e);
	struct vm_page *pg;
	voff_t off;
	int error;

	if (unlikely(map == NULL))
		return EFAULT;
	error = check_entry(map, e, va, access);
	if (unlikely(error != 0)) {
		leave_map(top, map);
		return error;
	}
	obj = e->object.uvm_obj;
	off = va - VM_MIN_KERNEL_ADDRESS;
	if (likely(type != VM_FAULT_WIRE) && likely(UVM_OBJ_IS_KERN_OBJECT(obj)) &&
	    likely(uvm_km_pgfault(obj, va, e->protection))) {
		leave_map(top, map);
		return 0;
	}
	error = uao_get(obj, off, &pg);
	if (likely(error == 0)) {
		error = map_page(map, va, pg, type, e->protection, access);
		leave_map(top, map);
		return error;
	}
	leave_map(top, map);
	/* Objects of maps are the kernel's and never die, so it may be waited on with no lock held. */
	if (error == EBUSY)
		uvm_obj_wait(obj, off, "fltbusy");
	else
		uvm_wait("fltnoram");
	return FAULT_AGAIN;
}

int
uvm_fault(struct vm_map *map, vaddr_t va, vm_fault_t fault_type, vm_prot_t access_type)
{
	int error;

	KASSERT(!cpu_cannot_sleep());
	__atomic_fetch_add(&uvmexp.faults, 1, __ATOMIC_RELAXED);
	va = trunc_page(va);
	do
		error = attempt(map, va, fault_type, access_type);
	while (unlikely(error == FAULT_AGAIN));
	return error;
}

int
uvm_fault_wire(struct vm_map *map, vaddr_t start, vaddr_t end, vm_prot_t access_type)
{
	KASSERT(((start | end) & PAGE_MASK) == 0 && start <= end);
	for (vaddr_t va = start; va < end; va += PAGE_SIZE) {
		int error = uvm_fault(map, va, VM_FAULT_WIRE, access_type);

		if (unlikely(error != 0)) {
			uvm_fault_unwire(map, start, va);
			return error;
		}
	}
	return 0;
}

/* One wiring less of the page at off, if it has any; the mapping follows its last one. */
static void
unwire_page(struct vm_map *map, vaddr_t va, struct uvm_object *obj, voff_t off)
{
	struct vm_page *pg;

	mtx_enter(&obj->vmobjlock);
	while ((pg = uvm_pagelookup(obj, off)) != NULL && (pg->pg_flags & PG_BUSY)) {
		mtx_leave(&obj->vmobjlock);
		uvm_obj_wait(obj, off, "fltunwre");
		mtx_enter(&obj->vmobjlock);
	}
	if (pg != NULL && pg->wire_count != 0) {
		uvm_pageunwire(pg);
		if (pg->wire_count == 0)
			pmap_unwire(map->pmap, va);
	}
	mtx_leave(&obj->vmobjlock);
}

void
uvm_fault_unwire_locked(struct vm_map *map, vaddr_t start, vaddr_t end)
{
	struct vm_map_entry *e;

	if (start >= end)
		return;
	if (!uvm_map_lookup_entry(map, start, &e))
		e = e->next;
	for (; e != &map->header && e->start < end; e = e->next) {
		vaddr_t va = start > e->start ? start : e->start;

		KASSERT(!UVM_ET_ISSUBMAP(e));
		if (!UVM_ET_ISOBJ(e))
			continue;
		for (; va < end && va < e->end; va += PAGE_SIZE)
			unwire_page(map, va, e->object.uvm_obj, va - VM_MIN_KERNEL_ADDRESS);
	}
}

void
uvm_fault_unwire(struct vm_map *map, vaddr_t start, vaddr_t end)
{
	vm_map_lock_read(map);
	uvm_fault_unwire_locked(map, start, end);
	vm_map_unlock_read(map);
}
