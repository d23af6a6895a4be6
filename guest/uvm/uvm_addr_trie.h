/* SPDX-License-Identifier: ISC */
/*
 * A 64-ary trie over the page numbers of a map, with UVM_ADDR_BIG + 1 sets in it at once, its columns. An
 * entry's page is the one its hole starts at, or would: the first one after it and its guard.
 *
 *	column 0                 pages of entries
 *	column 1..UVM_ADDR_BIG-1 pages at which a hole of exactly that many pages starts
 *	column UVM_ADDR_BIG      first fit only: pages at which a bigger hole starts
 *
 * A node is a word for each column and 64 pointers. In a leaf, bit i of col[c] says that page i of its 64
 * is in column c, and sub[i] is the entry whose page that is; it is in column 0, unless it is the header,
 * and in one other column at most. In a node above, bit i of col[c] says that col[c] of sub[i] is not zero.
 * Hence the lowest page of a column is one bit scan a level, and the entry that an address is in is found in
 * column 0 the same way. Nodes stay when they empty. There are two levels at least.
 */
#ifndef UVM_ADDR_TRIE_H
#define UVM_ADDR_TRIE_H

#include "uvm_map.h"

struct uvm_addr_node {
	uint64_t col[UVM_ADDR_BIG + 1];
	struct uvm_addr_node *up;
	void *sub[64];
};
BED_ASSERT_SIZE(struct uvm_addr_node, 1024);

/* Bits c.. of a set of columns. */
#define COLUMNS_FROM(c) (~UINT64_C(0) << (c))

static inline unsigned
lowest_bit(uint64_t w)
{
	return (unsigned)__builtin_ctzll(w);
}

static inline unsigned
highest_bit(uint64_t w)
{
	return 63 - (unsigned)__builtin_clzll(w);
}

static inline uint64_t
page_number(const struct uvm_addr *ua, vaddr_t va)
{
	return (va - ua->base) >> PAGE_SHIFT;
}

/* The leaf of a page that is not in the last one. */
struct uvm_addr_node *uvm_addr_trie_leaf(struct uvm_addr *, uint64_t page);

static __always_inline bool
trie_is_near(const struct uvm_addr *ua, uint64_t page)
{
	return likely(page >> 6 == ua->near);
}

/* The leaf of a page; takes nodes from the stock if it is not there yet. */
static inline struct uvm_addr_node *
trie_leaf(struct uvm_addr *ua, uint64_t page)
{
	return trie_is_near(ua, page) ? ua->near_leaf : uvm_addr_trie_leaf(ua, page);
}

/*
 * Pages in and out of columns, here of holes. All of these go up as long as a word becomes non-zero, or zero,
 * and call nothing, so that their callers need not save a register.
 */
static __always_inline void
trie_set(struct uvm_addr *ua, struct uvm_addr_node *n, uint64_t page, uint64_t c)
{
	uint64_t old;

	do {
		old = n->col[c];
		n->col[c] = old | UINT64_C(1) << (page & 63);
		if (old != 0)
			return;
		page >>= 6;
	} while ((n = n->up) != NULL);
	ua->in_trie |= UINT64_C(1) << c;
}

static __always_inline void
trie_clear(struct uvm_addr *ua, struct uvm_addr_node *n, uint64_t page, uint64_t c)
{
	uint64_t left;

	do {
		left = n->col[c] & ~(UINT64_C(1) << (page & 63));
		n->col[c] = left;
		if (left != 0)
			return;
		page >>= 6;
	} while ((n = n->up) != NULL);
	ua->in_trie &= ~(UINT64_C(1) << c);
	if (ua->single[c] != NULL)
		return;
	ua->have &= ~(UINT64_C(1) << c);
	if (ua->fit == UVM_ADDR_BESTFIT)
		ua->floor[c] = UVM_ADDR_NO_FLOOR;
}

/* An entry in or out of column 0. There is always a level above the leaf. */
static __always_inline void
trie_enter(struct uvm_addr_node *leaf, uint64_t page, struct vm_map_entry *e)
{
	uint64_t old = leaf->col[0];
	struct uvm_addr_node *n;

	leaf->col[0] = old | UINT64_C(1) << (page & 63);
	leaf->sub[page & 63] = e;
	if (old != 0)
		return;
	n = leaf->up;
	do {
		page >>= 6;
		old = n->col[0];
		n->col[0] = old | UINT64_C(1) << (page & 63);
	} while (unlikely(old == 0) && (n = n->up) != NULL);
}

static __always_inline void
trie_leave(struct uvm_addr_node *leaf, uint64_t page)
{
	uint64_t left = leaf->col[0] & ~(UINT64_C(1) << (page & 63));
	struct uvm_addr_node *n;

	leaf->col[0] = left;
	if (left != 0)
		return;
	n = leaf->up;
	do {
		page >>= 6;
		left = n->col[0] & ~(UINT64_C(1) << (page & 63));
		n->col[0] = left;
	} while (unlikely(left == 0) && (n = n->up) != NULL);
}

/* From one page of a leaf to another, or the same. */
static __always_inline void
trie_move(struct uvm_addr_node *leaf, uint64_t from, uint64_t to, struct vm_map_entry *e)
{
	leaf->col[0] ^= UINT64_C(1) << (from & 63) ^ UINT64_C(1) << (to & 63);
	leaf->sub[to & 63] = e;
}

/* The owner of the lowest page in column c, not 0, which is not empty. */
static inline struct vm_map_entry *
trie_first(const struct uvm_addr *ua, unsigned c)
{
	const struct uvm_addr_node *n = ua->root;

	for (unsigned shift = ua->shift; shift != 0; shift -= 6)
		n = n->sub[lowest_bit(n->col[c])];
	return n->sub[lowest_bit(n->col[c])];
}

/* The bits above i of a word. */
#define ABOVE(i) (~UINT64_C(1) << (i))

/*
 * The first entry whose page is above this one, or the header. *leaf: that of the page, or NULL: there is
 * none yet.
 */
static __always_inline struct vm_map_entry *
trie_above(const struct uvm_addr *ua, uint64_t page, struct uvm_addr_node **leaf)
{
	struct uvm_addr_node *n = ua->root, *sub;
	unsigned shift = ua->shift;
	uint64_t w;

	*leaf = NULL;
	if (unlikely(page >= ua->reach))
		return ua->header;
	/* Down to the level above the leaves, as far as there is something. */
	for (; shift != 6; shift -= 6, n = sub) {
		sub = n->sub[page >> shift & 63];
		if (unlikely(sub == NULL))
			break;
	}
	w = n->col[0] & COLUMNS_FROM(page >> shift & 63);
	if (likely(shift == 6)) {
		*leaf = sub = n->sub[page >> 6 & 63];
		/* Any entry in the leaf will do: the last one, if need be, leads to the next. */
		if ((w >> (page >> 6 & 63) & 1) != 0) {
			w = sub->col[0] & ABOVE(page & 63);
			if (w != 0)
				return sub->sub[lowest_bit(w)];
			return ((struct vm_map_entry *)sub->sub[highest_bit(sub->col[0])])->next;
		}
	}
	/* Up, until there is something to the right, and down to the lowest of it. */
	for (page >>= shift; w == 0; w = n->col[0] & ABOVE(page & 63)) {
		n = n->up;
		if (unlikely(n == NULL))
			return ua->header;
		shift += 6;
		page >>= 6;
	}
	do {
		n = n->sub[lowest_bit(w)];
		w = n->col[0];
		shift -= 6;
	} while (shift != 0);
	return n->sub[lowest_bit(w)];
}

/* trie_above() for those who are going to put something there: the leaf is the last one then. */
static __always_inline struct vm_map_entry *
trie_find(struct uvm_addr *ua, uint64_t page)
{
	struct uvm_addr_node *leaf;
	struct vm_map_entry *e = trie_above(ua, page, &leaf);

	if (likely(leaf != NULL)) {
		ua->near = page >> 6;
		ua->near_leaf = leaf;
	}
	return e;
}

#define TRIE_NONE UINT64_MAX

/* The lowest page >= `page` that is in one of the columns of the set, or TRIE_NONE; *leaf: its leaf. */
uint64_t uvm_addr_trie_next(
    const struct uvm_addr *, uint64_t columns, uint64_t page, struct uvm_addr_node **leaf);

#endif
