/* SPDX-License-Identifier: ISC */
/*
 * The trees of free runs (uvm_pmr_tree.h).
 */
#include "uvm_pmr_tree.h"

#include <machine/planted.h>

static uint32_t
max_here(const struct vm_page *pg)
{
	uint32_t max = pg->fpgsz, left = pmr_max_of(pg->pmr_left),
		 right = pmr_max_of(pg->pmr_right);

	if (left > max)
		max = left;
	return right > max ? right : max;
}

void
pmr_tree_resized(struct vm_page *pg)
{
	if (PLANTED(RUN_MAX_STALE))
		return;
	for (; pg != NULL; pg = pg->pmr_parent) {
		uint32_t max = max_here(pg);

		if (max == pg->pmr_max)
			return;
		pg->pmr_max = max;
	}
}

/* The pointer that leads to pg. */
static struct vm_page **
link_to(struct vm_page **root, const struct vm_page *pg)
{
	struct vm_page *parent = pg->pmr_parent;

	if (parent == NULL)
		return root;
	return parent->pmr_left == pg ? &parent->pmr_left : &parent->pmr_right;
}

/* pg, the child of its parent, takes its place; the parent becomes its child. */
static void
rotate_up(struct vm_page **root, struct vm_page *pg)
{
	struct vm_page *parent = pg->pmr_parent, *middle;
	struct vm_page **link = link_to(root, parent);

	if (parent->pmr_left == pg) {
		middle = parent->pmr_left = pg->pmr_right;
		pg->pmr_right = parent;
	} else {
		middle = parent->pmr_right = pg->pmr_left;
		pg->pmr_left = parent;
	}
	if (middle != NULL)
		middle->pmr_parent = parent;
	pg->pmr_parent = parent->pmr_parent;
	parent->pmr_parent = pg;
	*link = pg;
	pg->pmr_max = parent->pmr_max;
	parent->pmr_max = max_here(parent);
}

/* Well mixed and always the same for a page: no random numbers, no state. */
static uint16_t
prio_of(const struct vm_page *pg)
{
	return (uint16_t)((uint32_t)(VM_PAGE_TO_PHYS(pg) >> PAGE_SHIFT) * 0x9e3779b1u >> 16);
}

void
pmr_tree_insert(struct vm_page **root, struct vm_page *run)
{
	struct vm_page **link = root, *parent = NULL;

	while (*link != NULL) {
		parent = *link;
		link = run < parent ? &parent->pmr_left : &parent->pmr_right;
	}
	*link = run;
	run->pmr_left = run->pmr_right = NULL;
	run->pmr_parent = parent;
	run->pmr_prio = prio_of(run);
	run->pmr_max = run->fpgsz;
	if (parent == NULL)
		return;
	pmr_tree_resized(parent);
	while (run->pmr_parent != NULL && run->pmr_parent->pmr_prio < run->pmr_prio)
		rotate_up(root, run);
}

void
pmr_tree_remove(struct vm_page **root, struct vm_page *run)
{
	struct vm_page *child, *left, *right;

	while ((left = run->pmr_left) != NULL && (right = run->pmr_right) != NULL)
		rotate_up(root, left->pmr_prio > right->pmr_prio ? left : right);
	child = run->pmr_left != NULL ? run->pmr_left : run->pmr_right;
	*link_to(root, run) = child;
	if (child != NULL)
		child->pmr_parent = run->pmr_parent;
	pmr_tree_resized(run->pmr_parent);
}

void
pmr_tree_move(struct vm_page **root, struct vm_page *from, struct vm_page *to)
{
	*link_to(root, from) = to;
	to->pmr_left = from->pmr_left;
	to->pmr_right = from->pmr_right;
	to->pmr_parent = from->pmr_parent;
	to->pmr_prio = from->pmr_prio;
	to->pmr_max = from->pmr_max;
	if (to->pmr_left != NULL)
		to->pmr_left->pmr_parent = to;
	if (to->pmr_right != NULL)
		to->pmr_right->pmr_parent = to;
	pmr_tree_resized(to);
}

struct vm_page *
pmr_tree_highest(struct vm_page *pg, uint64_t n)
{
	if (pmr_max_of(pg) < n)
		return NULL;
	for (;;) {
		if (pmr_max_of(pg->pmr_right) >= n)
			pg = pg->pmr_right;
		else if (pg->fpgsz >= n)
			return pg;
		else
			pg = pg->pmr_left;
	}
}

struct vm_page *
pmr_tree_lower(struct vm_page *pg, uint64_t n)
{
	if (pmr_max_of(pg->pmr_left) >= n)
		return pmr_tree_highest(pg->pmr_left, n);
	for (struct vm_page *parent = pg->pmr_parent; parent != NULL; parent = pg->pmr_parent) {
		bool right = parent->pmr_right == pg;

		pg = parent;
		if (!right)
			continue;
		if (pg->fpgsz >= n)
			return pg;
		if (pmr_max_of(pg->pmr_left) >= n)
			return pmr_tree_highest(pg->pmr_left, n);
	}
	return NULL;
}
