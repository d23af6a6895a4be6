/* SPDX-License-Identifier: ISC */
/*
 * Depth-first iterator over a page-table tree: see iterate.h.
 */
#include "vmm/view/iterate.h"

#define VA_BITS 48
#define VA_LOW  ((UINT64_C(1) << VA_BITS) - 1)

struct iter {
	const struct view *view;
	const struct iter_ops *ops;
	void *arg;
	struct pte_rules rules;
	uint64_t first, last; /* bounds as 48-bit numbers: no hole in the middle */
	uint64_t max_visits;
	bool through;
	struct iter_result result;
	uint64_t path[PT_LEVELS + 1];                 /* table of each level on the way down */
	uint64_t copy[PT_LEVELS + 1][PT_ENTRIES + 1]; /* its contents, and a zero */
};

uint64_t
iter_default_visits(const struct view *view)
{
	uint64_t pages = 0;

	for (unsigned i = 0; i < view->nseg; i++)
		pages += view->seg[i].len >> BED_PAGE_SHIFT;
	return pages < 1024 ? 4096 : 4 * pages;
}

/* Read the table once; which groups of eight are used falls out. */
static void
copy_table(struct iter_table *table, uint64_t *to, const void *from)
{
	const uint64_t *entry = from;
	uint64_t aligned[PT_ENTRIES];
	uint64_t used = 0;

	if (((uintptr_t)from & 7) != 0) {
		memcpy(aligned, from, sizeof(aligned));
		entry = aligned;
	}
	for (unsigned group = 0; group < PT_ENTRIES / 8; group++, entry += 8, to += 8) {
		uint64_t any = 0;

#pragma GCC unroll 8
		for (unsigned i = 0; i < 8; i++) {
			uint64_t raw = __atomic_load_n(&entry[i], __ATOMIC_RELAXED);

			to[i] = raw;
			any |= raw;
		}
		used |= (uint64_t)(any != 0) << group;
	}
	*to = 0;
	table->used = used;
}

unsigned
iter_present(const struct iter_table *table)
{
	uint64_t present = 0;

	for (unsigned i = 0; i < PT_ENTRIES; i++)
		present += table->entry[i] & PTE_P;
	return (unsigned)present;
}

static bool
report_fault(struct iter *it, const struct iter_fault *fault)
{
	return it->ops->fault == NULL || it->ops->fault(it->arg, fault);
}

static bool
ended(struct iter *it)
{
	it->result.ended = true;
	return false;
}

static bool visit(
    struct iter *it, int level, uint64_t va, unsigned rights, const struct iter_fault *from);

/* One entry that is not zero. False ends the iteration. */
static bool
visit_entry(struct iter *it, const struct iter_table *table, unsigned index)
{
	const int level = table->level;
	uint64_t raw = table->entry[index];
	struct iter_fault at = {
		.va = GVA(va_canonical((table->va.v & VA_LOW) + index * pt_span(level))),
		.level = level,
		.entry = GPA(table->gpa.v + index * sizeof(uint64_t)),
		.raw = raw,
	};

	if ((raw & PTE_P) == 0)
		return true;
	if ((level == PT_LEVELS && (raw & PTE_PS) != 0) ||
	    pte_reserved(&it->rules, level, raw) != 0) {
		at.why = level == PT_LEVELS && (raw & PTE_PS) != 0 ? WALK_PS_L4 : WALK_RESERVED;
		return report_fault(it, &at) || ended(it);
	}
	if (pte_is_leaf(level, raw)) {
		struct iter_leaf leaf = {
			.va = at.va,
			.entry = at.entry,
			.raw = raw,
			.pa = pte_leaf_frame(&it->rules, level, raw),
			.attr = pte_leaf_attr(level, raw, table->rights),
		};

		return it->ops->leaf == NULL || it->ops->leaf(it->arg, &leaf) || ended(it);
	}
	it->path[level - 1] = raw & it->rules.frame;
	return visit(it, level - 1, at.va.v & VA_LOW, table->rights & pte_rights(raw), &at);
}

/* May the table it->path[level] be entered? If not, reports why through the entry that points at it. */
static const void *
enter(struct iter *it, int level, const struct iter_fault *from, bool *go_on)
{
	struct iter_fault fault = *from;
	const void *host;

	*go_on = true;
	for (int above = level + 1; above <= PT_LEVELS && !it->through; above++) {
		if (it->path[above] == it->path[level]) {
			fault.why = WALK_LOOP;
			*go_on = report_fault(it, &fault) || ended(it);
			return NULL;
		}
	}
	host = view_ptr(it->view, GPA(it->path[level]), BED_PAGE_SIZE);
	if (host == NULL) {
		fault.why = WALK_OUTSIDE;
		*go_on = report_fault(it, &fault) || ended(it);
		return NULL;
	}
	if (it->result.visits >= it->max_visits) {
		it->result.capped = true;
		*go_on = false;
		return NULL;
	}
	it->result.visits++;
	return host;
}

/* The table it->path[level], which translates addresses from va (48 bits) on. */
static bool
visit(struct iter *it, int level, uint64_t va, unsigned rights, const struct iter_fault *from)
{
	const uint64_t span = pt_span(level);
	const uint64_t end = va + PT_ENTRIES * span - 1;
	struct iter_table table = {
		.gpa = GPA(it->path[level]),
		.va = GVA(va_canonical(va)),
		.level = level,
		.first = it->first > va ? (unsigned)((it->first - va) / span) : 0,
		.last = it->last < end ? (unsigned)((it->last - va) / span) : PT_ENTRIES - 1,
		.rights = rights,
		.entry = it->copy[level],
		.rules = &it->rules,
	};
	bool go_on;
	const void *host = enter(it, level, from, &go_on);

	if (host == NULL)
		return go_on;
	copy_table(&table, it->copy[level], host);
	if (it->ops->table != NULL && !it->ops->table(it->arg, &table))
		return ended(it);
	if (level == 1 && it->ops->page_table != NULL)
		return it->ops->page_table(it->arg, &table) || ended(it);

	for (unsigned i = table.first; i <= table.last; i++) {
		if (((table.used >> (i / 8)) & 1) == 0) {
			i |= 7;
			continue;
		}
		if (!visit_entry(it, &table, i))
			return false;
	}
	return true;
}

struct iter_result
view_iterate(
    const struct view *view, const struct iter_opts *opts, const struct iter_ops *ops, void *arg)
{
	static const struct iter_opts all;
	struct iter it;
	uint64_t first, last;

	if (opts == NULL)
		opts = &all;
	first = opts->first.v;
	last = first == 0 && opts->last.v == 0 ? UINT64_MAX : opts->last.v;

	if (!va_is_canonical(first))
		first = UINT64_C(0xffff800000000000);
	if (!va_is_canonical(last))
		last = UINT64_C(0x00007fffffffffff);
	it.view = view;
	it.ops = ops;
	it.arg = arg;
	it.rules = pte_rules(view);
	it.first = first & VA_LOW;
	it.last = last & VA_LOW;
	it.max_visits = opts->max_visits != 0 ? opts->max_visits : iter_default_visits(view);
	it.through = opts->through_loops;
	it.result = (struct iter_result){ 0 };
	it.path[PT_LEVELS] = view->root.v & it.rules.frame;
	if (first <= last) {
		struct iter_fault root = { .level = PT_LEVELS + 1, .entry = view->root };

		(void)visit(&it, PT_LEVELS, 0, VIEW_RIGHTS_ALL, &root);
	}
	return it.result;
}
