/* SPDX-License-Identifier: ISC */
/*
 * Runs of pages into their places of a node, and out of them; the object is locked. For uvm_object.c and
 * uvm_km_pages.c.
 */
#ifndef UVM_OBJ_IMPL_H
#define UVM_OBJ_IMPL_H

#include <machine/assert.h>
#include <machine/planted.h>

#include "uvm_object.h"
#include "uvm_page.h"

static __always_inline void
uvm_obj_table_page(struct uvm_object *obj, struct vm_page **slot, struct vm_page *pg, voff_t off)
{
	KASSERT(*slot == NULL && pg->uobject == NULL);
	*slot = pg;
	pg_flags_set(pg, PQ_INUSE | PG_TABLED);
	pg->uobject = obj;
	pg->offset = PLANTED(PAGE_OFFSET_OFF) ? off + PAGE_SIZE : off;
}

static __always_inline void
uvm_obj_table4(struct uvm_object *obj, struct vm_page **slot, struct vm_page *pg, voff_t off)
{
	uvm_obj_table_page(obj, &slot[0], &pg[0], off);
	uvm_obj_table_page(obj, &slot[1], &pg[1], off + PAGE_SIZE);
	uvm_obj_table_page(obj, &slot[2], &pg[2], off + 2 * PAGE_SIZE);
	uvm_obj_table_page(obj, &slot[3], &pg[3], off + 3 * PAGE_SIZE);
}

static __always_inline bool
uvm_obj_none4(struct vm_page *const *slot)
{
	return ((uintptr_t)slot[0] | (uintptr_t)slot[1] | (uintptr_t)slot[2] |
		   (uintptr_t)slot[3]) == 0;
}

/* pg is in this place and not held? */
static __always_inline bool
uvm_obj_free1(struct vm_page *const *slot, struct vm_page *pg)
{
	return *slot == pg && pg != NULL && (pg->pg_state & PG_STATE_HELD) == 0;
}

static __always_inline void
uvm_obj_untable1(struct vm_page **slot, struct vm_page *pg)
{
	*slot = NULL;
	pg->uobject = NULL;
}

/* Four contiguous pages from pg on in the places from *slot on, and none of them held? */
static __always_inline bool
uvm_obj_free4(struct vm_page *const *slot, struct vm_page *pg)
{
	return pg != NULL && slot[0] == &pg[0] && slot[1] == &pg[1] && slot[2] == &pg[2] &&
	       slot[3] == &pg[3] &&
	       ((pg[0].pg_state | pg[1].pg_state | pg[2].pg_state | pg[3].pg_state) &
		   PG_STATE_HELD) == 0;
}

static __always_inline void
uvm_obj_untable4(struct vm_page **slot, struct vm_page *pg)
{
	slot[0] = slot[1] = slot[2] = slot[3] = NULL;
	pg[0].uobject = pg[1].uobject = pg[2].uobject = pg[3].uobject = NULL;
}

/*
 * A page that is held: busy, then true; or only wired, which ends with its place in the object (only
 * pages of uvm_map_pageable() are).
 */
static inline bool
uvm_obj_is_held(struct vm_page *pg)
{
	if (pg->pg_flags & PG_BUSY)
		return true;
	pg->wire_count = 0;
	__atomic_fetch_sub(&uvmexp.wired, 1, __ATOMIC_RELAXED);
	return false;
}

/*
 * Take a run of contiguous pages in adjacent places, from *slot on and before `last`, out of the object.
 * Returns its length; 0: the page at *slot is busy. The flags are left to uvm_pmr_putrun().
 */
static __always_inline unsigned
uvm_obj_untable(struct vm_page **slot, struct vm_page *const *last)
{
	struct vm_page *const first = *slot, *pg = first;

	for (; last - slot >= 4 && uvm_obj_free4(slot, pg); slot += 4, pg += 4)
		uvm_obj_untable4(slot, pg);
	for (; slot != last && *slot == pg; slot++, pg++) {
		if (unlikely(pg->pg_state & PG_STATE_HELD) && uvm_obj_is_held(pg))
			break;
		*slot = NULL;
		pg->uobject = NULL;
	}
	return (unsigned)(pg - first);
}

#endif
