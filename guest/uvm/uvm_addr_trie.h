/* SPDX-License-Identifier: ISC */
/*
 * A 64-ary trie over the page numbers of a map, with UVM_ADDR_BIG + 1 sets in it at once, its columns:
 *
 *	column 0                 pages at which an entry starts
 *	column 1..UVM_ADDR_BIG-1 pages at which a hole of exactly that many pages starts
 *	column UVM_ADDR_BIG      first fit only: pages at which a bigger hole starts
 *
 * A node is a word for each column and 64 pointers. In a leaf, bit i of col[c] says that page i of its 64
 * is in column c, and sub[i] is the entry that starts there or that the hole there belongs to; a page
 * is in one column at most. In a node above, bit i of col[c] says that col[c] of sub[i] is not zero. Hence
 * the lowest page of a column is one bit scan a level, and the entry below an address is found in column 0
 * the same way. Nodes stay when they empty.
 *
 * One leaf may be idle: its column 0 is zero, but the bits above still say otherwise. The entry that left
 * it is likely to come back, or another in its place, and then nothing above has to change at all.
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

/* Where in its leaf, at whichever page number: base is at the start of one. */
static inline unsigned
in_leaf(vaddr_t va)
{
	return (unsigned)(va >> PAGE_SHIFT) & 63;
}

/* Slow paths of those below: words that were or became zero, leaves other than the last one. */
void uvm_addr_trie_raise(struct uvm_addr *, struct uvm_addr_node *leaf, uint64_t page, unsigned c);
void uvm_addr_trie_sink(struct uvm_addr *, struct uvm_addr_node *leaf, uint64_t page, unsigned c);
struct uvm_addr_node *uvm_addr_trie_leaf(struct uvm_addr *, uint64_t page);
/* Let the bits above the idle leaf know what is in it. */
void uvm_addr_trie_settle(struct uvm_addr *);
/* uvm_addr_lookup() that notes the leaf. */
struct vm_map_entry *uvm_addr_find_slow(struct uvm_addr *, vaddr_t va);

/* The leaf of a page; takes nodes from the stock if it is not there yet. */
static inline struct uvm_addr_node *
trie_leaf(struct uvm_addr *ua, uint64_t page)
{
	if (likely(page >> 6 == ua->near))
		return ua->near_leaf;
	return uvm_addr_trie_leaf(ua, page);
}

static inline void
trie_set(struct uvm_addr *ua, struct uvm_addr_node *leaf, uint64_t page, unsigned c, void *owner)
{
	uint64_t old = leaf->col[c];

	leaf->col[c] = old | UINT64_C(1) << (page & 63);
	leaf->sub[page & 63] = owner;
	if (old == 0 &&
	    (leaf->up == NULL || unlikely((leaf->up->col[c] >> (page >> 6 & 63) & 1) == 0)))
		uvm_addr_trie_raise(ua, leaf, page, c);
}

static inline void
trie_clear(struct uvm_addr *ua, struct uvm_addr_node *leaf, vaddr_t va, unsigned c)
{
	uint64_t new = leaf->col[c] & ~(UINT64_C(1) << in_leaf(va));

	leaf->col[c] = new;
	if (new == 0)
		uvm_addr_trie_sink(ua, leaf, page_number(ua, va), c);
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

#define TRIE_NONE UINT64_MAX

/* The lowest page >= `page` that is in one of the columns of the set, or TRIE_NONE; *leaf: its leaf. */
uint64_t uvm_addr_trie_next(
    const struct uvm_addr *, uint64_t columns, uint64_t page, struct uvm_addr_node **leaf);

#endif
