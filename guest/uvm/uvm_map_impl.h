/* SPDX-License-Identifier: ISC */
/*
 * What the files of the map layer share: the ring and the stock of a locked map.
 */
#ifndef UVM_MAP_IMPL_H
#define UVM_MAP_IMPL_H

#include <machine/assert.h>
#include <machine/planted.h>

#include "uvm_addr_impl.h"
#include "uvm_map.h"

/* Flag words up to this are a protection, inheritance and advice, and nothing else. */
#define UVM_PLAIN_FLAGS 0xffff

static inline struct vm_map_entry *
stock_take(struct vm_map *map)
{
	struct vm_map_entry *e = map->stock;

	KASSERT(e != NULL);
	map->stock = e->next;
	map->nstock--;
	return e;
}

static inline void
stock_give(struct vm_map *map, struct vm_map_entry *e)
{
	e->next = map->stock;
	map->stock = e;
	map->nstock++;
}

static inline void
link_after(struct vm_map *map, struct vm_map_entry *prev, struct vm_map_entry *e)
{
	e->prev = prev;
	e->next = prev->next;
	prev->next->prev = e;
	prev->next = e;
	map->nentries++;
}

static inline void
unlink_entry(struct vm_map *map, struct vm_map_entry *e, struct vm_map_entry *next)
{
	struct vm_map_entry *prev = e->prev;

	prev->next = next;
	next->prev = prev;
	map->addr.hint = prev;
	if (unlikely(map->addr.cut == e))
		map->addr.cut = prev;
	map->nentries--;
}

/* Where the space before `next` ends. */
static inline vaddr_t
space_end(const struct vm_map *map, const struct vm_map_entry *next)
{
	return next == &map->header ? map->max_offset : next->start;
}

static inline bool
stocked(const struct vm_map *map, unsigned entries)
{
	if (map->nstock < entries && !PLANTED(ENTRIES_NOT_STOCKED))
		return false;
	return entries < UVM_MAP_STOCK_MAP ? uvm_addr_stocked_to_cut(&map->addr, entries)
	                                   : uvm_addr_stocked_to_map(&map->addr);
}

int uvm_map_restock(struct vm_map *, unsigned entries, unsigned flags);
int uvm_map_trim_stock(struct vm_map *); /* 0 */

/*
 * Write lock, and with a stock of at least `entries` entries and what the index needs. 0, EFAULT
 * (UVM_FLAG_TRYLOCK and locked) or ENOMEM; then it is not locked.
 */
static inline int
uvm_map_lock_stocked(struct vm_map *map, unsigned entries, unsigned flags)
{
	if (likely((flags & UVM_FLAG_TRYLOCK) == 0))
		vm_map_lock(map);
	else if (!vm_map_lock_try(map))
		return EFAULT;
	if (likely(stocked(map, entries)))
		return 0;
	return uvm_map_restock(map, entries, flags);
}

/* Unlock, and give back what the stock holds too many. */
static inline void
uvm_map_unlock_stocked(struct vm_map *map)
{
	if (likely(map->nstock <= UVM_MAP_STOCK_MAX))
		vm_map_unlock(map);
	else
		uvm_map_trim_stock(map);
}

/*
 * The same as the last thing a short way does, whose result it is: 0. Unlocking only: nothing has gone into
 * the stock.
 */
static __always_inline int
uvm_map_unlock_short(struct vm_map *map)
{
	return rw_exit_write(&map->lock) ? rw_wake(&map->lock) : 0;
}

static __always_inline int
uvm_map_unlock_pageable(struct vm_map *map)
{
	return unlikely(map->nstock > UVM_MAP_STOCK_MAX) ? uvm_map_trim_stock(map)
	                                                 : uvm_map_unlock_short(map);
}

/* How a short way begins: false, and not locked, if somebody else is at it. */
static __always_inline bool
uvm_map_lock_short(struct vm_map *map)
{
	return rw_enter_write_try(&map->lock);
}

/* Locked, can it go on? Whoever takes an entry looks at the stock of these besides. */
static __always_inline bool
uvm_map_is_ready(const struct vm_map *map)
{
	return likely(map->addr.closed == 0);
}

/* uvm_unmap(), and then, still locked, wake those who wait for space in the map. */
void uvm_unmap_wakeup(struct vm_map *, vaddr_t start, vaddr_t end);

/* Does [start, end) touch the range of a submap? Locked. */
bool uvm_map_has_submap(struct vm_map *, vaddr_t start, vaddr_t end);

/* An empty, unused map of uvm_map_create() becomes one over [min, max). */
void uvm_map_move(struct vm_map *, vaddr_t min, vaddr_t max);

/* Count what a caller got wrong, or panic (uvm_misuse_panic). */
void uvm_map_misuse(
    uint64_t *counter, const char *what, const struct vm_map *, vaddr_t start, vaddr_t end);

#endif
