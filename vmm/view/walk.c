/* SPDX-License-Identifier: ISC */
/*
 * The walk of one virtual address: see walk.h.
 */
#include "vmm/view/walk.h"

static const char *const stop_name[WALK_NSTOPS] = {
	[WALK_LEAF] = "leaf",
	[WALK_NOT_PRESENT] = "not present",
	[WALK_RESERVED] = "reserved bit set",
	[WALK_PS_L4] = "PS set at level 4",
	[WALK_OUTSIDE] = "table outside memory",
	[WALK_NONCANONICAL] = "non-canonical address",
	[WALK_LOOP] = "loop: table is its own ancestor",
};

const char *
walk_stop_name(enum walk_stop stop)
{
	return (unsigned)stop < WALK_NSTOPS ? stop_name[stop] : "?";
}

/* Is `table` one of the tables whose entries were read already? */
static bool
seen(const struct walk *walk, gpa_t table)
{
	for (unsigned i = 0; i < walk->nsteps; i++) {
		if ((walk->step[i].entry.v & ~BED_PAGE_MASK) == table.v)
			return true;
	}
	return false;
}

/* Take away what the entry does not grant and remember who did it first. */
static void
restrict_rights(struct walk *walk, int level, uint64_t raw)
{
	unsigned lost = walk->attr.rights & ~pte_rights(raw);

	if ((lost & VIEW_W) != 0)
		walk->w_lost = (uint8_t)level;
	if ((lost & VIEW_X) != 0)
		walk->x_lost = (uint8_t)level;
	if ((lost & VIEW_U) != 0)
		walk->u_lost = (uint8_t)level;
	walk->attr.rights = (uint8_t)(walk->attr.rights & pte_rights(raw));
}

static struct walk
stopped(struct walk walk, enum walk_stop why, int level)
{
	walk.stop = why;
	walk.level = level;
	return walk;
}

static struct walk
do_walk(const struct view *view, gva_t va, bool through)
{
	const struct pte_rules rules = pte_rules(view);
	struct walk walk = { .va = va, .attr.rights = VIEW_RIGHTS_ALL };
	gpa_t table = GPA(view->root.v & rules.frame);

	if (!va_is_canonical(va.v))
		return stopped(walk, WALK_NONCANONICAL, 0);

	for (int level = PT_LEVELS;; level--) {
		unsigned index = pt_index(va.v, level);
		gpa_t entry = GPA(table.v + index * sizeof(uint64_t));
		uint64_t raw;

		walk.table = table;
		if (seen(&walk, table)) {
			if (!through)
				return stopped(walk, WALK_LOOP, level);
			walk.looped = (uint8_t)level;
		}
		if (view_ptr(view, table, BED_PAGE_SIZE) == NULL || !view_read64(view, entry, &raw))
			return stopped(walk, WALK_OUTSIDE, level);
		walk.table = GPA(0);
		walk.step[walk.nsteps++] = (struct walk_step){ .entry = entry,
			.raw = raw,
			.index = (uint16_t)index,
			.level = (uint8_t)level };
		if ((raw & PTE_P) == 0)
			return stopped(walk, WALK_NOT_PRESENT, level);
		walk.bad = level == PT_LEVELS ? raw & PTE_PS : 0;
		if (walk.bad != 0)
			return stopped(walk, WALK_PS_L4, level);
		walk.bad = pte_reserved(&rules, level, raw);
		if (walk.bad != 0)
			return stopped(walk, WALK_RESERVED, level);
		restrict_rights(&walk, level, raw);
		if (pte_is_leaf(level, raw)) {
			walk.size = pt_span(level);
			walk.pa =
			    GPA(pte_leaf_frame(&rules, level, raw).v | (va.v & (walk.size - 1)));
			walk.attr = pte_leaf_attr(level, raw, walk.attr.rights);
			return stopped(walk, WALK_LEAF, level);
		}
		table = GPA(raw & rules.frame);
	}
}

struct walk
view_walk(const struct view *view, gva_t va)
{
	return do_walk(view, va, false);
}

struct walk
view_walk_through(const struct view *view, gva_t va)
{
	return do_walk(view, va, true);
}
