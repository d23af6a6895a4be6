/* SPDX-License-Identifier: ISC */
/*
 * Page tables: which there must be after a map has grown or a page was entered. They are made when
 * addresses are first needed and stay.
 */
#include "vmm/ghost/spec.h"

#define LEAF_SPAN pt_span(2) /* what one level-1 table translates */

/* Tables of a level are numbered by address / what one translates. */
static unsigned
table_shift(unsigned level)
{
	return BED_PAGE_SHIFT + 9 * level;
}

/* Tables of the level that [start, end) needs and lacks. */
static uint64_t
missing(const struct ghost_step *st, unsigned level, uint64_t start, uint64_t end)
{
	uint64_t first = start >> table_shift(level), last = (end - 1) >> table_shift(level);
	uint64_t n = last - first + 1;
	struct ghost_run part;

	RUNS_EACH(&st->now->table[level - 1], first, last - first + 1, i, part)
	n -= part.n;
	return n;
}

static bool
can_make(const struct ghost_step *st, uint64_t start, uint64_t end)
{
	uint64_t n = 0;

	for (unsigned level = 1; level <= GHOST_LEVELS && start < end; level++)
		n += missing(st, level, start, end);
	return n <= st->now->pool;
}

static void
make(struct ghost_step *st, uint64_t start, uint64_t end)
{
	for (unsigned level = 1; level <= GHOST_LEVELS && start < end; level++) {
		uint64_t first = start >> table_shift(level);
		uint64_t n = ((end - 1) >> table_shift(level)) - first + 1;

		st->now->pool -= missing(st, level, start, end);
		runs_put(&st->now->table[level - 1], run_of_frames(first, n));
	}
}

static uint64_t
grown_to(uint64_t end)
{
	return (end + LEAF_SPAN - 1) & ~(LEAF_SPAN - 1);
}

bool
spec_pmap_can_grow(const struct ghost_step *st, uint64_t end)
{
	return end <= st->now->pm_end || can_make(st, st->now->pm_end, grown_to(end));
}

void
spec_pmap_grow(struct ghost_step *st, uint64_t end)
{
	if (end <= st->now->pm_end)
		return;
	make(st, st->now->pm_end, grown_to(end));
	st->now->pm_end = grown_to(end);
}

bool
spec_can_grow(const struct ghost_step *st, uint64_t end)
{
	return end <= st->now->maxkaddr || spec_pmap_can_grow(st, end);
}

void
spec_grow(struct ghost_step *st, uint64_t end)
{
	if (end <= st->now->maxkaddr)
		return;
	spec_pmap_grow(st, end);
	st->now->maxkaddr = st->now->pm_end;
}

bool
spec_make_path(struct ghost_step *st, uint64_t va)
{
	if (!can_make(st, va & ~BED_PAGE_MASK, (va & ~BED_PAGE_MASK) + BED_PAGE_SIZE))
		return false;
	make(st, va & ~BED_PAGE_MASK, (va & ~BED_PAGE_MASK) + BED_PAGE_SIZE);
	return true;
}
