/* SPDX-License-Identifier: ISC */
/*
 * The trees of free runs, for uvm_pmemrange.c and uvm_pglist.c: treaps in address order (heap order by
 * pmr_prio), each node the first page of a run, augmented with the largest run of the subtree.
 */
#ifndef UVM_PMR_TREE_H
#define UVM_PMR_TREE_H

#include "uvm_page.h"

static inline uint32_t
pmr_max_of(const struct vm_page *pg)
{
	return pg == NULL ? 0 : pg->pmr_max;
}

void pmr_tree_insert(struct vm_page **root, struct vm_page *run);
void pmr_tree_remove(struct vm_page **root, struct vm_page *run);
/* run->fpgsz has changed. */
void pmr_tree_resized(struct vm_page *run);
/* The run `from` begins at page `to` from now on (same place in the order, new fpgsz set in `to`). */
void pmr_tree_move(struct vm_page **root, struct vm_page *from, struct vm_page *to);

/* The highest run of at least n pages; NULL: none. */
struct vm_page *pmr_tree_highest(struct vm_page *root, uint64_t n);
/* The next lower run of at least n pages. */
struct vm_page *pmr_tree_lower(struct vm_page *run, uint64_t n);

#endif
