/* SPDX-License-Identifier: ISC */
/*
 * The index as the map layer uses it, with the short ways inline: an operation on a map runs through here
 * a handful of times.
 */
#ifndef UVM_ADDR_IMPL_H
#define UVM_ADDR_IMPL_H

#include "uvm_addr_fit.h"
#include "uvm_addr_trie.h"

/* Holes in the trie or the tree. */
void uvm_addr_sort_in(struct uvm_addr *, struct vm_map_entry *);
void uvm_addr_sort_out(struct uvm_addr *, struct vm_map_entry *);

/*
 * Place size bytes (a multiple of the page size, not 0) at a multiple of align (0 or a power of two). The
 * entry before the chosen hole and *va, or NULL: no hole can hold it.
 */
struct vm_map_entry *uvm_addr_select_slow(
    struct uvm_addr *, vsize_t size, vsize_t align, vaddr_t *va);

/* The same when it is page alignment, best fit, and no small hole. */
struct vm_map_entry *uvm_addr_select_big(const struct uvm_addr *, vsize_t size);

/* Column 0: the address at which an entry starts. */
static inline void
uvm_addr_enter(struct uvm_addr *ua, struct vm_map_entry *e)
{
	uint64_t page = page_number(ua, e->start);

	e->leaf = trie_leaf(ua, page);
	trie_set(ua, e->leaf, page, 0, e);
}

static inline void
uvm_addr_leave(struct uvm_addr *ua, struct vm_map_entry *e)
{
	struct uvm_addr_node *leaf = e->leaf;
	uint64_t new = leaf->col[0] & ~(UINT64_C(1) << in_leaf(e->start));

	leaf->col[0] = new;
	if (new == 0 && ua->idle != leaf) {
		if (ua->idle != NULL)
			uvm_addr_trie_settle(ua);
		ua->idle = leaf;
		ua->idle_leaf = page_number(ua, e->start) >> 6;
	}
}

/* The same entry starts elsewhere, and nothing between. Sets e->start. */
static inline void
uvm_addr_move(struct uvm_addr *ua, struct vm_map_entry *e, vaddr_t start)
{
	struct uvm_addr_node *leaf = e->leaf;

	if (unlikely((e->start ^ start) >> (PAGE_SHIFT + 6) != 0)) {
		uvm_addr_leave(ua, e);
		e->start = start;
		uvm_addr_enter(ua, e);
		return;
	}
	leaf->col[0] = (leaf->col[0] & ~(UINT64_C(1) << in_leaf(e->start))) | UINT64_C(1)
	                                                                          << in_leaf(start);
	leaf->sub[in_leaf(start)] = e;
	e->start = start;
}

/* `e` takes over the start of `old`, which is its own now. */
static inline void
uvm_addr_inherit(struct vm_map_entry *e, const struct vm_map_entry *old)
{
	e->leaf = old->leaf;
	e->leaf->sub[in_leaf(e->start)] = e;
}

/*
 * The hole after an entry: out before its extent, or the entry's being the last one, changes; in before
 * anything searches. A hole of no bytes is nowhere. The last entry's is `top`, which is set by
 * whoever puts in the hole of the entry that is last then.
 */
static inline void
uvm_addr_hole_insert(struct uvm_addr *ua, struct vm_map_entry *e)
{
	if (e->next == ua->header)
		ua->top = e;
	else if (e->fspace != 0)
		uvm_addr_sort_in(ua, e);
}

/* uvm_addr_sort_out(), quick for the lowest hole of a small size. */
static __always_inline void
uvm_addr_take(struct uvm_addr *ua, struct vm_map_entry *e)
{
	uint64_t pages = e->fspace >> PAGE_SHIFT;

	if (likely(pages < UVM_ADDR_BIG) && ua->single[pages] == e) {
		ua->single[pages] = NULL;
		ua->floor[pages] = VMMAP_FREE_START(e);
		if ((ua->in_trie >> pages & 1) == 0)
			ua->have &= ~(UINT64_C(1) << pages);
	} else {
		uvm_addr_sort_out(ua, e);
	}
}

static inline void
uvm_addr_hole_remove(struct uvm_addr *ua, struct vm_map_entry *e)
{
	if (e != ua->top && e->fspace != 0)
		uvm_addr_sort_out(ua, e);
}

/* uvm_addr_lookup() for those who may write: quick in the entry that was put in or cut last. */
static inline struct vm_map_entry *
uvm_addr_find(struct uvm_addr *ua, vaddr_t va)
{
	struct vm_map_entry *e = ua->hint;

	if (likely(va >= e->start && va < e->end))
		return e;
	return uvm_addr_find_slow(ua, va);
}

/*
 * uvm_addr_select_slow() for a best-fit map and page alignment: quick when a hole of a small size is the
 * one, or no big one is left but the last. The place is the start of the hole.
 */
static inline struct vm_map_entry *
uvm_addr_select(struct uvm_addr *ua, vsize_t size)
{
	uint64_t columns = 0;
	struct vm_map_entry *e = ua->top, *s;
	unsigned c;

	if (likely(size < UVM_ADDR_BIG * PAGE_SIZE))
		columns = ua->have & COLUMNS_FROM(size >> PAGE_SHIFT);
	if (columns == 0) {
		if (ua->big != 0)
			return uvm_addr_select_big(ua, size);
		return likely(e->fspace >= size) ? e : NULL;
	}
	c = lowest_bit(columns);
	s = ua->single[c];
	if (s == NULL) {
		s = trie_first(ua, c);
		ua->floor[c] = VMMAP_FREE_START(s);
	}
	/* The last hole has the highest address: it wins only if it is smaller. */
	return likely(e->fspace >= s->fspace || e->fspace < size) ? s : e;
}

#endif
