/* SPDX-License-Identifier: ISC */
/*
 * Free-space search of a map: which hole does a request get, and which entry holds an address.
 *
 * THE PLACEMENT RULE (deterministic; a specification can copy it)
 *
 *   A request asks for n bytes (n includes the guard, if the map adds one) at a multiple of `align`, a
 *   power of two, at least a page. A hole [p, p + s) can hold it iff low + n <= p + s where
 *   low = p rounded up to `align`.
 *
 *   best fit     of all holes that can hold it, the one with the smallest s; of these, the smallest p.
 *   first fit    of all holes that can hold it, the one with the smallest p.
 *
 *   Within the hole: let high = (p + s - n) rounded down to `align`. The address is low, except under
 *   best fit when (p + s - n) - high < low - p, that is, when what is cut off at the top by the high
 *   placement is less than what is cut off at the bottom by the low one; then it is high. The last
 *   hole, the one that ends at the end of the map, is always used from the low end: what it reaches up
 *   to costs page tables. Without alignment the address is always p.
 *
 * HOW IT IS FOUND
 *
 *   A hole is in exactly one place:
 *
 *   - the last one, which ends at the end of the map, is held outside (`top`);
 *   - of each size below UVM_ADDR_BIG pages, the lowest may be held outside, too (`single`);
 *   - the others of these sizes are bits in a 64-ary trie over page numbers (uvm_addr_trie.h), which has
 *     one column per hole size, and one more for the entries themselves;
 *   - bigger holes are in a crit-bit tree keyed by (size, address) (uvm_addr_tree.h); under first fit
 *     in one more column of the trie instead.
 *
 *   best fit, page alignment: the smallest size there is a hole of (one bit scan), its single one, or
 *   the first bit of its column (one bit scan a level). What is freed and taken again, the lowest hole
 *   of its size, never gets into the trie: whatever leaves `single` is a floor to those in the column,
 *   so what comes back at or below it is known to be the lowest. Levels follow the highest address in
 *   use: 2 up to 16 MiB, 3 up to 1 GiB, 4 up to 64 GiB. Big holes: three descents of at most 64 steps,
 *   about log2(big holes) in practice; one that grows or shrinks keeps its place in the tree if no other is
 *   between what it was and what it is. Nothing depends on the number of small holes.
 *
 *   The entry an address lies in is the first one that ends above it: an entry is in the trie at the page
 *   where its hole starts, so that both are one place, and taking an entry's beginning, or joining it to the
 *   one before it, moves nothing.
 *
 *   best fit, aligned: columns from the request's size upwards are searched in turn. Each column and
 *   each subtree carries an upper bound of the alignment its holes contain; a bound is raised by every
 *   insertion and lowered by a search that finds it too high. So a column or subtree is visited only
 *   if it holds such a hole, or held one since the last visit. Worst case: all holes of at least n
 *   bytes that contain an aligned page with fewer than n bytes after it, plus, in the columns visited,
 *   one step for each 64 pages with a hole of that size.
 *
 *   first fit: under UVM_ADDR_BIG pages one descent, at most UVM_ADDR_BIG steps a level; bigger or
 *   aligned requests step through the holes of sufficient size from the lowest on.
 *
 * MEMORY
 *
 *   Trie nodes, 1 KiB for each 256 KiB of address space that has ever held a boundary, come from pages
 *   the map feeds in (uvm_addr_feed) before it takes its lock for an operation. They return when the
 *   map is destroyed, like page-table pages.
 */
#ifndef UVM_ADDR_H
#define UVM_ADDR_H

#include <machine/param.h>

struct vm_map_entry;
struct uvm_addr_node;

/* Holes of this many pages and more are not in a size column. */
#define UVM_ADDR_BIG 62

enum uvm_addr_fit {
	UVM_ADDR_FIRSTFIT = 0, /* uaddr_kbootstrap: submaps, and every map until uvm_init is done */
	UVM_ADDR_BESTFIT = 1,  /* uaddr_bestfit: kernel_map and kmem_map */
};

/* Per entry: a leaf of the tree of big holes and, next to it, room for one branch. */
struct uvm_addr_big {
	uint64_t key;                   /* pages << 32 | page number of the hole's start */
	struct vm_map_entry *leaf_up;   /* the branch above the leaf, NULL: the leaf is the root */
	struct vm_map_entry *branch_up; /* the branch above the branch */
	uintptr_t child[2];             /* entry; low bit set: its branch, clear: its leaf */
	uint8_t bit;                    /* the branch's critical bit of the key */
	uint8_t align;                  /* upper bound of the alignment below, as a shift */
	uint8_t used;                   /* the branch is part of the tree */
	uint8_t pad[5];
};

struct uvm_addr {
	vaddr_t base;                /* address of page number 0: min_offset down to 64 pages */
	struct vm_map_entry *header; /* the map's */
	struct vm_map_entry *top;    /* its hole ends at max_offset */
	/* Entries, or the header, that are likely looked for next: put in last, cut at its beginning last. */
	struct vm_map_entry *hint, *cut;
	uint64_t have;    /* bit c: there are holes of c pages */
	uint64_t in_trie; /* bit c: column c of the trie is not empty */
	uintptr_t big;    /* root of the tree of big holes */
	struct uvm_addr_node *root;
	uint64_t reach; /* page numbers below this are below the root */
	uint32_t shift; /* 6 * (levels - 1) */
	uint32_t fit;   /* enum uvm_addr_fit */
	uint64_t near;  /* the leaf found last, and page number / 64 of it */
	struct uvm_addr_node *near_leaf;
	struct uvm_addr_node *spare; /* nodes in stock, linked by `up` */
	uint32_t nspare;
	uint32_t need; /* most nodes one uvm_map() can take, and an unmap after it */
	uint32_t
	    deep; /* most nodes that one page more in the trie can take, where others are above it */
	uint32_t nnodes; /* nodes fed in altogether: a multiple of 4 */
	uint32_t
	    closed; /* why nobody may change the map now, or not yet: UVM_ADDR_LOW, UVM_ADDR_BUSY */
	/* Of each size: OR of uvm_addr_hole_bits() of its holes, or more. */
	uint64_t align[UVM_ADDR_BIG + 1];
	/* Of each size the lowest hole, if it is known; it is not in the trie. */
	struct vm_map_entry *single[UVM_ADDR_BIG + 1];
	/*
	 * Of each size: none is below this, and the single one, if there is one, is at it. Best fit: no
	 * hole of the size, no floor. First fit: always 0, so that every hole goes into the trie.
	 */
	vaddr_t floor[UVM_ADDR_BIG + 1];
};
#define UVM_ADDR_NO_FLOOR UINT64_MAX

/* uvm_addr.closed */
#define UVM_ADDR_LOW  1 /* nspare < need */
#define UVM_ADDR_BUSY 2 /* VM_MAP_BUSY */

/* min and max: page aligned. `header` must describe one hole, [min, max). Takes no memory. */
void uvm_addr_init(
    struct uvm_addr *, struct vm_map_entry *header, vaddr_t min, vaddr_t max, enum uvm_addr_fit);

/*
 * Nodes are in stock for one uvm_map(), or else for an operation that cuts `cuts` entries in two. While false,
 * feed a page.
 */
static inline bool
uvm_addr_stocked_to_map(const struct uvm_addr *ua)
{
	return (ua->closed & UVM_ADDR_LOW) == 0;
}
static inline bool
uvm_addr_stocked_to_cut(const struct uvm_addr *ua, unsigned cuts)
{
	return ua->nspare >= cuts * ua->deep;
}
void uvm_addr_feed(struct uvm_addr *, void *page);

/* Empties the index. The pages fed in, one at a time; NULL: no more. */
void *uvm_addr_drain(struct uvm_addr *);

/* The last entry that starts at or below va, or the header. Changes nothing: a read lock is enough. */
struct vm_map_entry *uvm_addr_lookup(const struct uvm_addr *, vaddr_t va);

/* Bytes of the largest hole. */
vsize_t uvm_addr_largest(const struct uvm_addr *);

/* uvm_addr_impl.h: what the map layer calls while it changes a map. */

#endif
