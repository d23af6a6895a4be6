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
	trie_clear(ua, e->leaf, page_number(ua, e->start), 0);
}

/* `e` takes over the start of `old`, which is its own now. */
static inline void
uvm_addr_inherit(struct uvm_addr *ua, struct vm_map_entry *e, const struct vm_map_entry *old)
{
	e->leaf = old->leaf;
	e->leaf->sub[page_number(ua, e->start) & 63] = e;
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

static inline void
uvm_addr_hole_remove(struct uvm_addr *ua, struct vm_map_entry *e)
{
	if (e != ua->top && e->fspace != 0)
		uvm_addr_sort_out(ua, e);
}

/* uvm_addr_lookup(), quick when the entry starts in the leaf used last. */
static inline struct vm_map_entry *
uvm_addr_find(struct uvm_addr *ua, vaddr_t va)
{
	uint64_t page = page_number(ua, va), w;

	if (likely(page >> 6 == ua->near)) {
		w = ua->near_leaf->col[0] & ~(COLUMNS_FROM(page & 63) << 1);
		if (likely(w != 0))
			return ua->near_leaf->sub[highest_bit(w)];
	}
	return uvm_addr_lookup(ua, va);
}

/*
 * uvm_addr_select_slow() for a best-fit map: quick when a hole of a small size is the one, or no big one
 * is left but the last.
 */
static inline struct vm_map_entry *
uvm_addr_select(struct uvm_addr *ua, vsize_t size, vsize_t align, vaddr_t *va)
{
	uint64_t columns = 0;
	struct vm_map_entry *e, *s, *t;
	unsigned c;

	if (likely(size < UVM_ADDR_BIG * PAGE_SIZE))
		columns = ua->have & COLUMNS_FROM(size >> PAGE_SHIFT);
	if (unlikely(align > PAGE_SIZE || (columns == 0 && ua->big != 0)))
		return uvm_addr_select_slow(ua, size, align, va);
	e = ua->top;
	if (columns != 0) {
		c = lowest_bit(columns);
		s = ua->single[c];
		if (ua->in_trie >> c & 1) {
			t = trie_first(ua, c);
			if (s == NULL || t->start < s->start)
				s = t;
		}
		/* The last hole has the highest address: it wins only if it is smaller. */
		if (likely(e->fspace >= s->fspace || e->fspace < size))
			e = s;
	} else if (unlikely(e->fspace < size)) {
		return NULL;
	}
	*va = VMMAP_FREE_START(e);
	return e;
}

#endif
