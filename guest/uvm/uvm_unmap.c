/* SPDX-License-Identifier: ISC */
/*
 * Giving ranges of a map back: uvm_unmap().
 *
 * The order, which everybody relies on: page-table entries cleared and every CPU's translation gone, then
 * pages free, then addresses free. The holes around a range that is being removed are out of the index
 * until its entries are gone, so nothing is handed out early.
 */
#include <machine/event.h>
#include <machine/planted.h>
#include <machine/thread.h>

#include "pmap.h"
#include "uvm_fault.h"
#include "uvm_km.h"
#include "uvm_km_pages.h"
#include "uvm_map_impl.h"
#include "uvm_object.h"
#include "uvm_pmemrange.h"

struct uvm_misuse uvm_misuse;
#ifdef BED_CHECKED_BUILD
bool uvm_misuse_panic = true;
#else
bool uvm_misuse_panic = false;
#endif

void
uvm_map_misuse(
    uint64_t *counter, const char *what, const struct vm_map *map, vaddr_t start, vaddr_t end)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
	if (uvm_misuse_panic)
		panic("uvm_unmap: %s: map %s, 0x%llx to 0x%llx", what, map->name,
		    (unsigned long long)start, (unsigned long long)end);
}

/* Mappings and pages of [start, end), a part of e; by the kind of e. */
static inline void
kill_pages(struct vm_map *map, struct vm_map_entry *e, vaddr_t start, vaddr_t end)
{
	if (unlikely(UVM_ET_ISHOLE(e)))
		return;
	if (unlikely((map->flags & VM_MAP_INTRSAFE) != 0)) {
		uvm_km_pgremove_intrsafe(start, end);
		return;
	}
	if (unlikely(e->wired_count != 0))
		uvm_fault_unwire_locked(map, start, end);
	if (likely(UVM_ET_ISOBJ(e)))
		uvm_km_pgremove(e->object.uvm_obj, start, end);
	else if (!PLANTED(PTE_LEFT))
		pmap_remove(map->pmap, start, end);
}

/*
 * The same for a range of several entries, e the first of them: their mappings go together, so that all
 * CPUs are asked once.
 */
static __noinline void
kill_entries(struct vm_map *map, struct vm_map_entry *e, vaddr_t start, vaddr_t end)
{
	struct vm_map_entry *first = e;

	if ((map->flags & VM_MAP_INTRSAFE) != 0) {
		uvm_km_pgremove_intrsafe(start, end);
	} else {
		for (; e != &map->header && e->start < end; e = e->next) {
			if (e->wired_count != 0)
				uvm_fault_unwire_locked(map, start > e->start ? start : e->start,
				    end < e->end ? end : e->end);
		}
		if (!PLANTED(PTE_LEFT) || UVM_ET_ISOBJ(first))
			pmap_remove(map->pmap, start, end);
	}
	for (e = first; e != &map->header && e->start < end; e = e->next) {
		vaddr_t from = start > e->start ? start : e->start,
			to = end < e->end ? end : e->end;

		if (UVM_ET_ISOBJ(e))
			uvm_obj_remove_range(e->object.uvm_obj, from - VM_MIN_KERNEL_ADDRESS,
			    to - VM_MIN_KERNEL_ADDRESS);
		if (!UVM_ET_ISHOLE(e))
			map->size -= to - from;
	}
}

/* The first entry that ends above va, or the header. */
static inline struct vm_map_entry *
first_above(struct vm_map *map, vaddr_t va)
{
	struct vm_map_entry *e = uvm_addr_above(&map->addr, va);

	return va < e->end || e == &map->header ? e : e->next;
}

static inline bool
has_submap(const struct vm_map *map, const struct vm_map_entry *e, vaddr_t end)
{
	for (; e != &map->header && e->start < end; e = e->next) {
		if (UVM_ET_ISSUBMAP(e))
			return true;
	}
	return false;
}

/* An entry of which nothing is left; its mappings and pages are gone. */
static __always_inline void
bury(struct vm_map *map, struct vm_map_entry *e)
{
	uvm_addr_hole_remove(&map->addr, e);
	uvm_addr_leave(&map->addr, e, VMMAP_FREE_START(e));
	unlink_entry(map, e, e->next);
	stock_give(map, e);
}

/*
 * [start, end) lies inside e, at neither edge: the left part becomes an entry of its own. It is returned:
 * the hole after it is not in the index yet. leaf: that of start.
 */
static __always_inline struct vm_map_entry *
cut_middle(struct vm_map *map, struct vm_map_entry *e, vaddr_t start, vaddr_t end,
    struct uvm_addr_node *leaf)
{
	struct vm_map_entry *left = stock_take(map);

	left->start = e->start;
	left->end = start;
	left->guard = 0;
	left->fspace = end - start;
	left->object = e->object;
	left->attr = e->attr;
	link_after(map, e->prev, left);
	e->start = end;
	uvm_addr_enter_in(leaf, left, page_number(&map->addr, start));
	return left;
}

/*
 * The general case, when the pages are gone: e is the first entry touched. What it loses at its end, then
 * the entries that go altogether, then what the last one loses at its start; the hole belongs to the entry
 * before.
 */
static void
cut_entries(struct vm_map *map, struct vm_map_entry *e, vaddr_t start, vaddr_t end)
{
	struct uvm_addr *ua = &map->addr;
	struct vm_map_entry *prev = e->prev, *next;

	if (e->start < start) {
		prev = e;
		e = e->next;
	}
	uvm_addr_hole_remove(ua, prev);
	if (prev->end > start) {
		uvm_addr_leave(ua, prev, VMMAP_FREE_START(prev));
		prev->end = start;
		prev->guard = 0;
		uvm_addr_enter(ua, prev, start);
	}
	for (; e != &map->header && e->end <= end; e = next) {
		next = e->next;
		bury(map, e);
	}
	if (e != &map->header && e->start < end) {
		e->start = end;
	}
	prev->fspace = space_end(map, e) - VMMAP_FREE_START(prev);
	uvm_addr_hole_insert(ua, prev);
}

/*
 * The same for what lies in one entry, in a map without guards. First: [start, end) is all of e, or its
 * beginning, and goes to the hole before it.
 */
static __always_inline void
cut_front(struct vm_map *map, struct vm_map_entry *e, vaddr_t end)
{
	struct uvm_addr *ua = &map->addr;
	struct vm_map_entry *prev = e->prev;
	vsize_t hole = prev->fspace + end - e->start;

	if (e->end != end) {
		e->start = end;
		ua->cut = e;
	} else {
		if (e != ua->top && e->fspace != 0 && !uvm_addr_quick_out(ua, e, e->fspace))
			uvm_addr_sort_out(ua, e);
		hole += e->fspace;
		uvm_addr_leave(ua, e, end);
		unlink_entry(map, e, e->next);
		stock_give(map, e);
		if (e == ua->top) {
			if (prev->fspace != 0 && !uvm_addr_quick_out(ua, prev, prev->fspace))
				uvm_addr_sort_out(ua, prev);
			prev->fspace = hole;
			ua->top = prev;
			return;
		}
	}
	uvm_addr_hole_resize(ua, prev, false, prev->end, hole);
}

/* What is left of e ends at start. */
static __always_inline void
cut_tail(struct vm_map *map, struct vm_map_entry *e, vaddr_t start)
{
	vsize_t hole = e->fspace + e->end - start;

	if (e != map->addr.top) {
		uvm_addr_hole_resize(&map->addr, e, true, start, hole);
	} else {
		uvm_addr_move(&map->addr, e, start);
		e->fspace = hole;
	}
}

/* Backed by an object, not wired, not a submap, nor anything else: all of etype and wired_count. */
static inline bool
is_plain(const struct vm_map_entry *e)
{
	return likely(e->attr >> 16 == UVM_ET_OBJ);
}

bool
uvm_map_has_submap(struct vm_map *map, vaddr_t start, vaddr_t end)
{
	return has_submap(map, first_above(map, start), end);
}

int
uvm_unmap_remove(struct vm_map *map, vaddr_t start, vaddr_t end)
{
	struct vm_map_entry *e = first_above(map, start);

	if (e == &map->header || e->start >= end)
		return ENOENT;
	if (has_submap(map, e, end))
		return EINVAL;
	kill_entries(map, e, start, end);
	EVENT(VA_FREE, map, start, end);
	if (e->start < start && e->end > end) {
		e = cut_middle(
		    map, e, start, end, trie_leaf(&map->addr, page_number(&map->addr, start)));
		uvm_addr_sort_in(&map->addr, e);
	} else {
		cut_entries(map, e, start, end);
	}
	return 0;
}

/*
 * There is no memory for what the removal may need. So that it cannot fail, the pages of the range go
 * first, which leaves its entries as a range never touched; then wait for memory. Whoever may sleep sleeps,
 * whatever the map; only who may not has nothing left to do.
 */
static void
wait_for_stock(struct vm_map *map, vaddr_t start, vaddr_t end)
{
	struct vm_map_entry *e, *first;

	vm_map_lock(map);
	first = first_above(map, start);
	if (!has_submap(map, first, end)) {
		for (e = first; e != &map->header && e->start < end; e = e->next)
			kill_pages(map, e, e->start > start ? e->start : start,
			    e->end < end ? e->end : end);
	}
	vm_map_unlock(map);
	if (uvm_pages_free() > uvmexp.reserve_pagedaemon)
		return;
	if (cpu_cannot_sleep() || thread_is_pagedaemon(curthread))
		panic("uvm_unmap: no memory to split an entry of map %s", map->name);
	uvm_wait("uvmunmap");
}

/* Everything but the plain case: several entries, something is to be said, somebody to be woken, or the stock is low. */
static __noinline void
unmap_specially(struct vm_map *map, vaddr_t start, vaddr_t end, bool wake)
{
	bool empty = start >= end;
	int error = 0;

	if (start < map->min_offset)
		start = map->min_offset;
	if (end > map->max_offset)
		end = map->max_offset;
	if (start >= end) {
		error = empty ? 0 : ENOENT;
		if (!wake)
			goto out;
	}
	while (uvm_map_lock_stocked(map, UVM_MAP_STOCK_UNMAP, 0) != 0)
		wait_for_stock(map, start, end);
	if (start < end)
		error = uvm_unmap_remove(map, start, end);
	if (wake) {
		__atomic_store_n(&map->wakeups, map->wakeups + 1, __ATOMIC_RELEASE);
		if (!PLANTED(FREE_WAKEUP_SILENT))
			wakeup(map);
	}
	uvm_map_unlock_stocked(map);
out:
	if (error == ENOENT)
		uvm_map_misuse(&uvm_misuse.free_unmapped, "nothing there", map, start, end);
	else if (error == EINVAL)
		uvm_map_misuse(&uvm_misuse.free_submap, "submap in range", map, start, end);
}

void
uvm_unmap_wakeup(struct vm_map *map, vaddr_t start, vaddr_t end)
{
	unmap_specially(map, start, end, true);
}

/* No page of kernel_object and no mapping in the 2 MiB that the range lies in. */
static inline bool
is_untouched(vaddr_t start, vaddr_t end)
{
	voff_t off = start - VM_MIN_KERNEL_ADDRESS;

	return (pmap_l1_used(pmap_l1(start)) |
		   uvm_obj_used(uvm_obj_dir(&uvm_kernel_object, off))) == 0 &&
	       (start ^ (end - 1)) < PMAP_L1_SPAN;
}

static __always_inline void
count_off(struct vm_map *map, vsize_t size)
{
	if (!PLANTED(MAP_SIZE_OFF))
		map->size -= size;
}

/* The short way goes on, locked: with a hole that has to be sorted in, big or small, ... */
static __noinline void
finish_big(struct vm_map *map, struct vm_map_entry *e)
{
	uvm_addr_sort_in(&map->addr, e);
	uvm_map_unlock_short(map);
}

static __noinline void
finish_hole(struct vm_map *map, struct vm_map_entry *e)
{
	uint64_t pages = e->fspace >> PAGE_SHIFT;

	if (unlikely(pages >= UVM_ADDR_BIG)) {
		finish_big(map, e);
		return;
	}
	uvm_addr_small_in(&map->addr, e, e->end, pages);
	uvm_map_unlock_short(map);
}

/* ... with a range whichever, ... */
static __noinline void
finish_cut(struct vm_map *map, vaddr_t start, vaddr_t end, struct vm_map_entry *e)
{
	struct uvm_addr *ua = &map->addr;

	count_off(map, end - start);
	if (e->start == start)
		cut_front(map, e, end);
	else if (e->end == end)
		cut_tail(map, e, start);
	else
		uvm_addr_sort_in(
		    ua, cut_middle(map, e, start, end, trie_leaf(ua, page_number(ua, start))));
	uvm_map_unlock_pageable(map);
}

/* ... with the end of the last entry, or all of it, which joins the last hole, ... */
static __noinline void
finish_last(struct vm_map *map, vaddr_t start, struct vm_map_entry *e)
{
	struct uvm_addr *ua = &map->addr;
	struct vm_map_entry *prev = e->prev;
	vsize_t size = e->end - start;

	if (e->start != start) {
		if (!uvm_addr_is_near(e, start)) {
			finish_cut(map, start, e->end, e);
			return;
		}
		uvm_addr_move_near(e, start);
	} else {
		if (prev->fspace != 0) {
			finish_cut(map, start, e->end, e);
			return;
		}
		prev->fspace = e->fspace;
		uvm_addr_leave(ua, e, e->end);
		unlink_entry(map, e, e->next);
		stock_give(map, e);
		e = ua->top = prev;
	}
	e->fspace += size;
	count_off(map, size);
	uvm_map_unlock_pageable(map);
}

/* ... with the middle of an entry, near the last leaf, ... */
static __noinline void
finish_middle(struct vm_map *map, vaddr_t start, vaddr_t end, struct vm_map_entry *e)
{
	vsize_t size = end - start;

	count_off(map, size);
	e = cut_middle(map, e, start, end, map->addr.near_leaf);
	if (uvm_addr_quick_in(&map->addr, e, start, size))
		uvm_map_unlock_short(map);
	else
		finish_hole(map, e);
}

static __always_inline void
finish(struct vm_map *map, vaddr_t start, vaddr_t end, struct vm_map_entry *e)
{
	if (e == map->addr.top && e->end == end)
		finish_last(map, start, e);
	else if (e->start != start && e->end != end &&
		 trie_is_near(&map->addr, page_number(&map->addr, start)))
		finish_middle(map, start, end, e);
	else
		finish_cut(map, start, end, e);
}

/* ... with pages in the range. */
static __noinline void
finish_pages(struct vm_map *map, vaddr_t start, vaddr_t end, struct vm_map_entry *e)
{
	uvm_km_pgremove(&uvm_kernel_object, start, end);
	EVENT(VA_FREE, map, start, end);
	finish(map, start, end, e);
}

/* It is not the short way after all. */
static __noinline void
start_again(struct vm_map *map, vaddr_t start, vaddr_t end)
{
	vm_map_unlock(map);
	unmap_specially(map, start, end, false);
}

static inline bool
contains(const struct vm_map_entry *e, vaddr_t start, vaddr_t end)
{
	return start >= e->start && end <= e->end;
}

/* It lies in e, if it lies in any. */
static __always_inline void
unmap_in(struct vm_map *map, vaddr_t start, vaddr_t end, struct vm_map_entry *e)
{
	if (unlikely(start >= end) || !is_plain(e) || !uvm_map_is_ready(map) ||
	    unlikely(map->nstock < UVM_MAP_STOCK_UNMAP)) {
		start_again(map, start, end);
		return;
	}
	/* Whoever unmaps owns the range, so what is not there cannot come while this looks. */
	if (is_untouched(start, end)) {
		EVENT(VA_FREE, map, start, end);
		finish(map, start, end, e);
	} else {
		finish_pages(map, start, end, e);
	}
}

static __noinline void
search(struct vm_map *map, vaddr_t start, vaddr_t end)
{
	struct vm_map_entry *e = trie_find(&map->addr, page_number(&map->addr, start));

	if (likely(contains(e, start, end)))
		unmap_in(map, start, end, e);
	else
		start_again(map, start, end);
}

/*
 * The short way is for a range that lies in one plain entry, in a map where nothing is special. Its steps are
 * functions that end in the next one and mostly call nothing, so that they save no registers.
 */
void
uvm_unmap(struct vm_map *map, vaddr_t start, vaddr_t end)
{
	struct vm_map_entry *e;

	if (unlikely(map->plain_span == 0) || !uvm_map_lock_short(map)) {
		unmap_specially(map, start, end, false);
		return;
	}
	e = map->addr.hint;
	if (!contains(e, start, end))
		e = map->addr.cut;
	if (contains(e, start, end))
		unmap_in(map, start, end, e);
	else
		search(map, start, end);
}
