/* SPDX-License-Identifier: ISC */
/*
 * Taking ranges of a map: uvm_map(), the merging of entries it does, their lookup and splitting.
 */
#include "uvm_map_impl.h"

#include <machine/assert.h>
#include <machine/event.h>
#include <machine/planted.h>

#include "pmap.h"
#include "uvm_object.h"

vaddr_t uvm_maxkaddr = VM_MIN_KERNEL_ADDRESS;
static struct mutex growth_mtx =
    MUTEX_INITIALIZER_RANK(IPL_VM, RANK_GROWTH); /* guards uvm_maxkaddr */

/* Tables for everything below end; ENOMEM if there is no page for them. */
static int
map_grow(vaddr_t end)
{
	int error = 0;

	mtx_enter(&growth_mtx);
	if (end > uvm_maxkaddr) {
		vaddr_t grown = pmap_growkernel(end);

		if (grown == 0)
			error = ENOMEM;
		else if (!PLANTED(MAXKADDR_BEHIND))
			uvm_maxkaddr = grown;
	}
	mtx_leave(&growth_mtx);
	return error;
}

boolean_t
uvm_map_lookup_entry(struct vm_map *map, vaddr_t va, struct vm_map_entry **entry)
{
	struct vm_map_entry *e = &map->header;

	if (va >= map->min_offset && va < map->max_offset)
		e = uvm_addr_lookup(&map->addr, va);
	*entry = e;
	return va >= e->start && va < e->end;
}

/* The entry after whose hole [va, va + size) lies, or NULL: in use, or not in the map. */
static struct vm_map_entry *
fixed_space(struct vm_map *map, vaddr_t va, vsize_t size)
{
	struct vm_map_entry *e;

	if (va < map->min_offset || va >= map->max_offset || size > map->max_offset - va)
		return NULL;
	if (uvm_map_lookup_entry(map, va, &e) || va + size > space_end(map, e->next))
		return NULL;
	return e;
}

/*
 * What distinguishes entries, as struct vm_map_entry has it: protections and advice are as in the flag
 * word.
 */
static uint64_t
attr_of(const struct uvm_object *uobj, unsigned flags)
{
	uint64_t etype = (uobj != NULL ? UVM_ET_OBJ : 0) |
	                 (flags & UVM_FLAG_HOLE ? UVM_ET_HOLE : 0) |
	                 (flags & UVM_FLAG_NOFAULT ? UVM_ET_NOFAULT : 0) |
	                 (flags & UVM_FLAG_NOMERGE ? UVM_ET_NOMERGE : 0);

	return (flags & UVM_MAPFLAG(PROT_MASK, PROT_MASK, 3, 7, 0)) | etype << 16;
}

/*
 * Same kind, same rights, not wired, not a submap, not the header? Neighbours in the map are neighbours
 * in the object, too.
 */
static inline bool
joins(const struct vm_map_entry *e, const struct uvm_object *uobj, uint64_t attr)
{
	if (PLANTED(MERGE_OF_UNEQUALS) && e->start != e->end)
		return (e->attr | PROT_MASK) == (attr | PROT_MASK) && e->object.uvm_obj == uobj;
	return e->attr == attr && e->object.uvm_obj == uobj;
}

static __always_inline struct vm_map_entry *
make_entry(struct vm_map *map, struct vm_map_entry *prev, vaddr_t start, vaddr_t end,
    uint32_t guard, vsize_t fspace, struct uvm_object *uobj, uint64_t attr,
    struct uvm_addr_node *leaf)
{
	struct vm_map_entry *new = stock_take(map);

	new->start = start;
	new->end = end;
	new->guard = guard;
	new->fspace = fspace;
	new->object.uvm_obj = uobj;
	new->attr = attr;
	link_after(map, prev, new);
	uvm_addr_enter_in(leaf, new, page_number(&map->addr, end + guard));
	map->addr.hint = new;
	return new;
}

/* e has lost its hole, which was at start: the right one takes all of it, and stays where it is in the index. */
static __always_inline void
merge_into_next(
    struct vm_map *map, struct vm_map_entry *e, vaddr_t start, struct vm_map_entry *next)
{
	struct uvm_addr *ua = &map->addr;

	uvm_addr_leave(ua, e, start);
	next->start = e->start;
	unlink_entry(map, e, next);
	stock_give(map, e);
	ua->hint = next;
}

/* e, whose hole is out of the index, ends elsewhere. */
static void
resize_entry(struct uvm_addr *ua, struct vm_map_entry *e, vaddr_t end, uint32_t guard)
{
	uvm_addr_leave(ua, e, VMMAP_FREE_START(e));
	e->end = end;
	e->guard = guard;
	uvm_addr_enter(ua, e, end + guard);
}

/*
 * Put [start, end) and its guard into the hole after e, joining it to what it touches and equals. Cannot
 * fail.
 */
static __noinline void
insert_range(struct vm_map *map, struct vm_map_entry *e, vaddr_t start, vaddr_t end, uint32_t guard,
    struct uvm_object *uobj, uint64_t attr, bool merge)
{
	struct uvm_addr *ua = &map->addr;
	struct vm_map_entry *next = e->next, *new;
	bool with_prev = merge && e->end == start && joins(e, uobj, attr);
	bool with_next = merge && next->start == end && joins(next, uobj, attr);

	uvm_addr_hole_remove(ua, e);
	if (with_prev) {
		if (with_next) {
			merge_into_next(map, e, VMMAP_FREE_START(e), next);
			return;
		}
		e->fspace = VMMAP_FREE_END(e) - end - guard;
		resize_entry(ua, e, end, guard);
		ua->hint = e;
	} else {
		if (with_next) {
			next->start = start;
			ua->hint = next;
		} else {
			new = make_entry(map, e, start, end, guard, VMMAP_FREE_END(e) - end - guard,
			    uobj, attr, trie_leaf(ua, page_number(ua, end + guard)));
			uvm_addr_hole_insert(ua, new);
		}
		/* A fixed address may lie in the guard. */
		if (unlikely(VMMAP_FREE_START(e) > start))
			resize_entry(ua, e, e->end, (uint32_t)(start - e->end));
		e->fspace = start - VMMAP_FREE_START(e);
	}
	uvm_addr_hole_insert(ua, e);
}

/* Planted bugs: a hole that is cut at its start stays in the index as it was, or is lost from it. */
static __noinline __unused_arg void
forget_hole(struct uvm_addr *ua, struct vm_map_entry *e, vaddr_t end, vsize_t left)
{
	if (PLANTED(HOLE_LOST))
		uvm_addr_hole_remove(ua, e);
	uvm_addr_move(ua, e, end);
	e->fspace = left;
}

/*
 * The same with pages of kernel_object at the beginning of a hole, in a map without guards. There the
 * attributes are all that tells entries apart: no other object is ever in a map.
 */
static __always_inline void
insert_low(struct vm_map *map, struct vm_map_entry *e, vsize_t size, uint64_t attr)
{
	struct uvm_addr *ua = &map->addr;
	struct vm_map_entry *next = e->next, *new;
	vsize_t hole = e->fspace, left = hole - size;
	bool last = e == ua->top, with_next = left == 0 && next->attr == attr;
	vaddr_t start = e->end;

	if (e->attr == attr && !with_next) {
		ua->hint = e;
		if (PLANTED(HOLE_NOT_UPDATED) || PLANTED(HOLE_LOST)) {
			forget_hole(ua, e, start + size, left);
		} else if (!last) {
			uvm_addr_hole_resize(ua, e, true, start + size, left);
		} else {
			uvm_addr_move(ua, e, start + size);
			e->fspace = left;
		}
		return;
	}
	if (!last && !PLANTED(HOLE_NOT_UPDATED) && !uvm_addr_quick_out(ua, e, hole))
		uvm_addr_sort_out(ua, e);
	if (e->attr == attr) {
		merge_into_next(map, e, start, next);
		return;
	}
	e->fspace = 0;
	if (with_next) {
		next->start = start;
		ua->hint = next;
		return;
	}
	new = make_entry(map, e, start, start + size, 0, left, &uvm_kernel_object, attr,
	    trie_leaf(ua, page_number(ua, start + size)));
	if (last)
		ua->top = new;
	else if (left != 0 && !PLANTED(HOLE_LOST) &&
		 !uvm_addr_quick_in(ua, new, start + size, left))
		uvm_addr_sort_in(ua, new);
}

/* Why a request is refused; 0: it is not. */
static int
check_request(const struct vm_map *map, vaddr_t va, vsize_t size, const struct uvm_object *uobj,
    voff_t offset, vsize_t align, unsigned flags)
{
	unsigned prot = flags & PROT_MASK;

	if ((prot & (PROT_WRITE | PROT_EXEC)) == (PROT_WRITE | PROT_EXEC))
		panic("uvm_map: write and execute together in map %s", map->name);
	if (prot & ~(flags >> 8))
		return EACCES;
	if (size == 0 || (size & PAGE_MASK) != 0 || (align & (align - 1)) != 0)
		return EINVAL;
	if ((flags & UVM_FLAG_FIXED) != 0 && (va & PAGE_MASK) != 0)
		return EINVAL;
	if (offset != UVM_UNKNOWN_OFFSET || (uobj != NULL && uobj != &uvm_kernel_object))
		return EINVAL;
	return size > map->max_offset - map->min_offset ? ENOMEM : 0;
}

/* FIXED and UNMAP: make room, once nothing else can go wrong. */
static int
unmap_first(struct vm_map *map, vaddr_t start, vsize_t size)
{
	int error;

	if (start < map->min_offset || start >= map->max_offset || size > map->max_offset - start)
		return ENOMEM;
	if (uvm_map_has_submap(map, start, start + size))
		return EINVAL;
	error = map_grow(start + size);
	if (error == 0)
		error = uvm_unmap_remove(map, start, start + size);
	return error == ENOENT ? 0 : error;
}

/* The entry before the hole the rule names, *va and the bytes of guard, or NULL. */
static struct vm_map_entry *
guarded_space(struct vm_map *map, vaddr_t *va, vsize_t size, vsize_t align, uint32_t *guard)
{
	struct vm_map_entry *e;

	if ((map->flags & VM_MAP_GUARDPAGES) == 0)
		return uvm_addr_select_slow(&map->addr, size, align, va);
	*guard = PAGE_SIZE;
	e = uvm_addr_select_slow(&map->addr, size + PAGE_SIZE, align, va);
	/* A single page left behind the guard could never be used: it joins the guard. */
	if (e != NULL && VMMAP_FREE_END(e) - (*va + size) == 2 * PAGE_SIZE)
		*guard = 2 * PAGE_SIZE;
	return e;
}

/* uvm_map() with everything that may be asked for. */
static __noinline int
map_specially(struct vm_map *map, vaddr_t *addr, vsize_t sz, struct uvm_object *uobj, voff_t offset,
    vsize_t align, unsigned flags)
{
	struct vm_map_entry *e;
	vaddr_t va = *addr;
	uint32_t guard = 0;
	int error;

	error = check_request(map, va, sz, uobj, offset, align, flags);
	if (error == 0)
		error = uvm_map_lock_stocked(map, UVM_MAP_STOCK_MAP, flags);
	if (error != 0)
		return error;
	if ((flags & UVM_FLAG_FIXED) == 0) {
		e = guarded_space(map, &va, sz, align, &guard);
	} else {
		if ((flags & (UVM_FLAG_UNMAP | UVM_FLAG_QUERY)) == UVM_FLAG_UNMAP)
			error = unmap_first(map, va, sz);
		e = error == 0 ? fixed_space(map, va, sz) : NULL;
	}
	if (e == NULL && error == 0)
		error = ENOMEM;
	if (PLANTED(ENTRY_LEAKED_ON_FAILURE) && error == ENOMEM)
		stock_take(map);
	if (error == 0 && (flags & UVM_FLAG_QUERY) == 0)
		error = map_grow(va + sz);
	if (error == 0)
		*addr = va;
	if (error == 0 && (flags & UVM_FLAG_QUERY) == 0) {
		EVENT(VA_ALLOC, map, va, va + sz);
		insert_range(map, e, va, va + sz, guard, uobj, attr_of(uobj, flags),
		    (flags & UVM_FLAG_NOMERGE) == 0);
		if ((flags & UVM_FLAG_HOLE) == 0)
			map->size += sz;
		if (flags <= UVM_PLAIN_FLAGS)
			__atomic_store_n(&map->kind_flags, flags, __ATOMIC_RELAXED);
	}
	uvm_map_unlock_stocked(map);
	if (PLANTED(MAP_LOCK_KEPT) && error == ENOMEM)
		map->lock.rwl_owner = (uintptr_t)curcpu()->ci_curthread | RWLOCK_WRLOCK;
	return error;
}

/* It is not the short way after all. */
static __noinline int
start_again(struct vm_map *map, vaddr_t *addr, vsize_t size, uint64_t attr)
{
	vm_map_unlock(map);
	return map_specially(map, addr, size, &uvm_kernel_object, UVM_UNKNOWN_OFFSET, 0,
	    (unsigned)attr & UVM_PLAIN_FLAGS);
}

/* The short way goes on, locked, with the hole after e, which is large enough. */
static __noinline int
finish_low(struct vm_map *map, struct vm_map_entry *e, vaddr_t *addr, vsize_t size, uint64_t attr)
{
	if (unlikely(map->nstock < UVM_MAP_STOCK_MAP))
		return start_again(map, addr, size, attr);
	EVENT(VA_ALLOC, map, e->end, e->end + size);
	*addr = e->end;
	map->size += size;
	insert_low(map, e, size, attr);
	return uvm_map_unlock_pageable(map);
}

/* The same with the last hole, which is not filled. */
static __noinline int
finish_last(struct vm_map *map, struct vm_map_entry *e, vaddr_t *addr, vsize_t size, uint64_t attr)
{
	struct uvm_addr *ua = &map->addr;
	vaddr_t start = e->end, end = start + size;

	/* It may reach above what there are page tables for. */
	if (unlikely(end > uvm_maxkaddr))
		return start_again(map, addr, size, attr);
	if (e->attr == attr
		? !uvm_addr_is_near(e, end)
		: !trie_is_near(ua, page_number(ua, end)) || map->nstock < UVM_MAP_STOCK_MAP)
		return finish_low(map, e, addr, size, attr);
	EVENT(VA_ALLOC, map, start, end);
	*addr = start;
	map->size += size;
	if (e->attr == attr) {
		uvm_addr_move_near(e, end);
		e->fspace -= size;
	} else {
		vsize_t left = e->fspace - size;

		e->fspace = 0;
		e = make_entry(
		    map, e, start, end, 0, left, &uvm_kernel_object, attr, ua->near_leaf);
		ua->top = e;
	}
	ua->hint = e;
	return uvm_map_unlock_short(map);
}

/* The same with a small hole that is filled, where both entries around it become one. */
static __noinline int
finish_filled(struct vm_map *map, struct vm_map_entry *e, vaddr_t *addr, vsize_t size)
{
	vaddr_t start = e->end;

	EVENT(VA_ALLOC, map, start, start + size);
	*addr = start;
	map->size += size;
	uvm_addr_small_out(&map->addr, e, start, size >> PAGE_SHIFT);
	merge_into_next(map, e, start, e->next);
	return uvm_map_unlock_pageable(map);
}

static __always_inline int
finish(struct vm_map *map, struct vm_map_entry *e, vaddr_t *addr, vsize_t size, uint64_t attr)
{
	if (e == map->addr.top)
		return finish_last(map, e, addr, size, attr);
	if (e->fspace == size && e->attr == attr && e->next->attr == attr &&
	    likely(size < UVM_ADDR_BIG * PAGE_SIZE))
		return finish_filled(map, e, addr, size);
	return finish_low(map, e, addr, size, attr);
}

/* Or without one yet: all are big, or something is missing; or the lowest of a small size has to be found. */
static __noinline int
search_big(struct vm_map *map, vaddr_t *addr, vsize_t size, uint64_t attr)
{
	struct vm_map_entry *e = uvm_addr_select_big(&map->addr, size);

	if (unlikely(e == NULL) || !uvm_map_is_ready(map))
		return start_again(map, addr, size, attr);
	return finish(map, e, addr, size, attr);
}

static __noinline int
search(struct vm_map *map, vaddr_t *addr, vsize_t size, uint64_t attr)
{
	if (uvm_addr_small_sizes(&map->addr, size) == 0 || !uvm_map_is_ready(map))
		return search_big(map, addr, size, attr);
	return finish(map, uvm_addr_select_small(&map->addr, size), addr, size, attr);
}

/*
 * The short way is for kernel_object, page alignment and the flags that the map saw last, in a map where
 * nothing is special; everything else goes map_specially(), which does the same at more leisure.
 */
int
uvm_map(struct vm_map *map, vaddr_t *addr, vsize_t sz, struct uvm_object *uobj, voff_t offset,
    vsize_t align, unsigned flags)
{
	struct vm_map_entry *e;
	uint64_t attr;

	if (PLANTED(ALIGNMENT_IGNORED))
		align = 0;
	/* The short way compares nothing but attributes. */
	if (PLANTED(MERGE_OF_UNEQUALS))
		return map_specially(map, addr, sz, uobj, offset, align, flags);
	if (unlikely(uobj != &uvm_kernel_object) || unlikely(sz - 1 >= map->plain_span) ||
	    unlikely(((sz & PAGE_MASK) | (align & ~PAGE_SIZE)) != 0) ||
	    unlikely(offset != UVM_UNKNOWN_OFFSET) ||
	    unlikely(flags != __atomic_load_n(&map->kind_flags, __ATOMIC_RELAXED)) ||
	    !uvm_map_lock_short(map))
		return map_specially(map, addr, sz, uobj, offset, align, flags);
	e = uvm_addr_select_held(&map->addr, sz);
	attr = flags | UVM_ET_OBJ << 16;
	if (unlikely(e == NULL) || !uvm_map_is_ready(map))
		return search(map, addr, sz, attr);
	return finish(map, e, addr, sz, attr);
}

struct vm_map_entry *
uvm_map_clip_start(struct vm_map *map, struct vm_map_entry *e, vaddr_t va)
{
	struct vm_map_entry *left;

	if (va <= e->start || va >= e->end)
		return e;
	KASSERT(!UVM_ET_ISSUBMAP(e));
	/* The right part stays e, where it is in the index. */
	left = stock_take(map);
	left->start = e->start;
	left->end = PLANTED(SPLIT_OVERLAPS) ? va + PAGE_SIZE : va;
	left->guard = 0;
	left->fspace = 0;
	left->object = e->object;
	left->attr = e->attr;
	if (PLANTED(SPLIT_LOSES_WIRING))
		left->wired_count = 0;
	e->start = va;
	link_after(map, e->prev, left);
	uvm_addr_enter(&map->addr, left, va);
	return e;
}

struct vm_map_entry *
uvm_map_clip_end(struct vm_map *map, struct vm_map_entry *e, vaddr_t va)
{
	if (va <= e->start || va >= e->end)
		return e;
	return uvm_map_clip_start(map, e, va)->prev;
}
