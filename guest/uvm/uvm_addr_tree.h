/* SPDX-License-Identifier: ISC */
/*
 * The big holes of a best-fit map: a crit-bit tree over the key (pages, page number), so that the first
 * key at or above (n, 0) is the smallest hole of at least n pages, the lowest of its size.
 *
 * The tree lives in the entries: each has the leaf for the hole after it and room for one branch, which
 * may serve anywhere in the tree. A tree of n leaves has n - 1 branches, so one entry's room is idle.
 * A branch tests one bit of the key, the highest in which the keys below it differ; bits fall on the way
 * down. It also bounds the alignment that the holes below contain (insertions raise the bound, searches
 * lower it).
 */
#ifndef UVM_ADDR_TREE_H
#define UVM_ADDR_TREE_H

#include "uvm_map.h"

void uvm_addr_tree_insert(struct uvm_addr *, struct vm_map_entry *, uint64_t key);
void uvm_addr_tree_remove(struct uvm_addr *, struct vm_map_entry *);
/* The hole of an entry in the tree has become another one. In place, if none is between the two. */
void uvm_addr_tree_rekey(struct uvm_addr *, struct vm_map_entry *, uint64_t key);

/* The entry with the lowest key >= key, or NULL. */
struct vm_map_entry *uvm_addr_tree_first(const struct uvm_addr *, uint64_t key);

/* The entry with the highest key, or NULL. */
struct vm_map_entry *uvm_addr_tree_last(const struct uvm_addr *);

/*
 * Among the entries with key >= key: the lowest whose hole can hold size bytes at a multiple of align,
 * or NULL.
 */
struct vm_map_entry *uvm_addr_tree_aligned(
    struct uvm_addr *, uint64_t key, vsize_t size, vsize_t align);

#endif
