/* SPDX-License-Identifier: ISC */
/*
 * Taking ranges of a map: uvm_map(), the merging of entries it does, their lookup and splitting.
 */
#include "uvm_map_impl.h"

#include <machine/assert.h>
#include <machine/event.h>

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
		else
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
	return e->attr == attr && e->object.uvm_obj == uobj;
}

static __always_inline void
insert_entry(struct vm_map *map, struct vm_map_entry *prev, vaddr_t start, vaddr_t end,
    uint32_t guard, struct uvm_object *uobj, uint64_t attr)
{
	struct vm_map_entry *new = stock_take(map);

	new->start = start;
	new->end = end;
	new->guard = guard;
	new->fspace = VMMAP_FREE_END(prev) - end - guard;
	new->object.uvm_obj = uobj;
	new->offset = start - VM_MIN_KERNEL_ADDRESS;
	new->attr = attr;
	link_after(map, prev, new);
	uvm_addr_enter(&map->addr, new);
	uvm_addr_hole_insert(&map->addr, new);
	map->addr.hint = new;
}

/* The right one takes all of e: its hole stays where it is in the index. */
static __always_inline void
merge_into_next(
    struct vm_map *map, struct uvm_addr *ua, struct vm_map_entry *e, struct vm_map_entry *next)
{
	uvm_addr_leave(ua, next);
	next->start = e->start;
	next->offset = e->offset;
	uvm_addr_inherit(next, e);
	unlink_entry(map, e);
	stock_give(map, e);
	ua->hint = next;
}

/*
 * Put [start, end) and its guard into the hole after e, joining it to what it touches and equals. Cannot
 * fail.
 */
static __always_inline void
insert_range(struct vm_map *map, struct vm_map_entry *e, vaddr_t start, vaddr_t end, uint32_t guard,
    struct uvm_object *uobj, uint64_t attr, const bool merge)
{
	struct uvm_addr *ua = &map->addr;
	struct vm_map_entry *next = e->next;
	bool with_prev = merge && e->end == start && joins(e, uobj, attr);
	bool with_next = merge && next->start == end && joins(next, uobj, attr);

	uvm_addr_hole_remove(ua, e);
	if (with_prev) {
		if (with_next) {
			merge_into_next(map, ua, e, next);
			return;
		}
		e->fspace -= end + guard - VMMAP_FREE_START(e);
		e->end = end;
		e->guard = guard;
		ua->hint = e;
	} else {
		if (with_next) {
			uvm_addr_move(ua, next, start);
			next->offset = start - VM_MIN_KERNEL_ADDRESS;
			ua->hint = next;
		} else {
			insert_entry(map, e, start, end, guard, uobj, attr);
		}
		/* A fixed address may lie in the guard. */
		if (unlikely(VMMAP_FREE_START(e) > start))
			e->guard = (uint32_t)(start - e->end);
		e->fspace = start - VMMAP_FREE_START(e);
	}
	uvm_addr_hole_insert(ua, e);
}

/* The same out of line. */
static __noinline void
insert_anywhere(
    struct vm_map *map, struct vm_map_entry *e, vaddr_t start, vaddr_t end, struct uvm_object *uobj)
{
	insert_range(map, e, start, end, 0, uobj, map->kind_attr, true);
}

/*
 * The same at the beginning of the hole after e, in a map without guards, of the kind that the map saw
 * last.
 */
static __always_inline void
insert_low(struct vm_map *map, struct vm_map_entry *e, vsize_t size, struct uvm_object *uobj)
{
	struct uvm_addr *ua = &map->addr;
	struct vm_map_entry *next, *new;
	vsize_t left = e->fspace - size;
	uint64_t attr = map->kind_attr;
	vaddr_t start = e->end;
	bool last = e == ua->top;

	if (!last)
		uvm_addr_take(ua, e);
	if (joins(e, uobj, attr)) {
		next = e->next;
		/* A hole that is filled at the end of the map has the header after it, which joins nothing. */
		if (left == 0 && joins(next, uobj, attr)) {
			merge_into_next(map, ua, e, next);
			return;
		}
		e->end = start + size;
		e->fspace = left;
		ua->hint = e;
		if (!last && left != 0)
			uvm_addr_sort_in(ua, e);
		return;
	}
	e->fspace = 0;
	next = e->next;
	if (left == 0 && joins(next, uobj, attr)) {
		uvm_addr_move(ua, next, start);
		next->offset = start - VM_MIN_KERNEL_ADDRESS;
		ua->hint = next;
		return;
	}
	new = stock_take(map);
	new->start = start;
	new->end = start + size;
	new->guard = 0;
	new->fspace = left;
	new->object.uvm_obj = uobj;
	new->offset = start - VM_MIN_KERNEL_ADDRESS;
	new->attr = attr;
	link_after(map, e, new);
	uvm_addr_enter(ua, new);
	ua->hint = new;
	if (last)
		ua->top = new;
	else if (left != 0)
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
	if (offset != UVM_UNKNOWN_OFFSET || (uobj != NULL && !UVM_OBJ_IS_KERN_OBJECT(uobj)))
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
		if (flags <= UVM_PLAIN_FLAGS) {
			map->kind_flags = flags;
			map->kind_uobj = uobj;
			map->kind_attr = attr_of(uobj, flags);
		}
	}
	uvm_map_unlock_stocked(map);
	return error;
}

/*
 * The short way is for a request of the kind that the map saw last, in a map where nothing is special;
 * everything else goes map_specially(), which does the same at more leisure.
 */
int
uvm_map(struct vm_map *map, vaddr_t *addr, vsize_t sz, struct uvm_object *uobj, voff_t offset,
    vsize_t align, unsigned flags)
{
	struct vm_map_entry *e;
	vaddr_t va, aligned;

	if (unlikely(sz - 1 >= map->plain_span || flags > UVM_PLAIN_FLAGS ||
		     ((sz & PAGE_MASK) | (align & (align - 1)) | ~offset) != 0))
		return map_specially(map, addr, sz, uobj, offset, align, flags);
	vm_map_lock_pageable(map);
	if (unlikely(flags != map->kind_flags || uobj != map->kind_uobj ||
		     !stocked(map, UVM_MAP_STOCK_MAP)))
		goto specially;
	e = likely(align <= PAGE_SIZE) ? uvm_addr_select(&map->addr, sz)
	                               : uvm_addr_select_slow(&map->addr, sz, align, &aligned);
	if (unlikely(e == NULL))
		goto specially;
	va = likely(align <= PAGE_SIZE) ? e->end : aligned;
	if (unlikely(va + sz > uvm_maxkaddr))
		goto specially;
	EVENT(VA_ALLOC, map, va, va + sz);
	*addr = va;
	map->size += sz;
	if (likely(align <= PAGE_SIZE))
		insert_low(map, e, sz, uobj);
	else
		insert_anywhere(map, e, va, va + sz, uobj);
	uvm_map_unlock_pageable(map);
	return 0;

specially:
	vm_map_unlock(map);
	return map_specially(map, addr, sz, uobj, offset, align, flags);
}

struct vm_map_entry *
uvm_map_clip_start(struct vm_map *map, struct vm_map_entry *e, vaddr_t va)
{
	struct vm_map_entry *left;

	if (va <= e->start || va >= e->end)
		return e;
	KASSERT(!UVM_ET_ISSUBMAP(e));
	/* The right part stays e: its hole stays where it is in the index. */
	left = stock_take(map);
	left->start = e->start;
	left->end = va;
	left->guard = 0;
	left->fspace = 0;
	left->object = e->object;
	left->offset = e->offset;
	left->attr = e->attr;
	e->start = va;
	e->offset += va - left->start;
	link_after(map, e->prev, left);
	uvm_addr_inherit(left, e);
	uvm_addr_enter(&map->addr, e);
	return e;
}

struct vm_map_entry *
uvm_map_clip_end(struct vm_map *map, struct vm_map_entry *e, vaddr_t va)
{
	if (va <= e->start || va >= e->end)
		return e;
	return uvm_map_clip_start(map, e, va)->prev;
}
