/* SPDX-License-Identifier: ISC */
/*
 * Giving ranges of a map back.
 */
#include "vmm/ghost/spec.h"

bool
spec_has_range(const struct ghost_map *m, uint64_t start, uint64_t end)
{
	size_t i = ghost_map_above(m, start);

	return start < end && i < m->n && m->range[i].start < end;
}

bool
spec_has_submap(const struct ghost_map *m, uint64_t start, uint64_t end)
{
	for (size_t i = ghost_map_above(m, start); i < m->n && m->range[i].start < end; i++) {
		if (m->range[i].what.kind == GHOST_SUBMAP)
			return true;
	}
	return false;
}

enum ghost_verdict
spec_misuse(struct ghost_step *st, uint64_t *counter, const char *what)
{
	if (st->world->misuse_panics)
		return spec_refuse(st, "came back; %s is the end of the guest", what);
	++*counter;
	return spec_returns(st, 0);
}

/* Pages of `from` in the range become free. */
static bool
give_pages(struct ghost_step *st, struct ghost_runs *from, uint64_t at, uint64_t n)
{
	struct ghost_run part;

	RUNS_EACH(from, at, n, i, part)
	{
		if (!spec_give_frames(st, part.to, part.n)) {
			spec_refuse(st,
			    "it freed page %#lx, which was free, or is not the allocator's",
			    part.to << BED_PAGE_SHIFT);
			return false;
		}
		if (from == &st->now->object && part.attr != 0)
			st->now->wired -= part.n;
	}
	runs_remove(from, at, n);
	return true;
}

bool
spec_empty(struct ghost_step *st, uint64_t start, uint64_t end)
{
	uint64_t at = start >> BED_PAGE_SHIFT, n = pages_of(end - start);

	runs_remove(&st->now->leaf, at, n);
	return give_pages(st, &st->now->object, at, n);
}

/* What is behind [start, end), which is all of one kind. */
static bool
kill(struct ghost_step *st, const struct ghost_map *m, struct ghost_what what, uint64_t start,
    uint64_t end)
{
	uint64_t at = start >> BED_PAGE_SHIFT, n = pages_of(end - start);

	if (what.kind == GHOST_RESERVED)
		return true;
	if ((m->flags & MAP_INTRSAFE) != 0)
		return give_pages(st, &st->now->leaf, at, n);
	if (what.kind == GHOST_OBJECT)
		return spec_empty(st, start, end);
	runs_remove(&st->now->leaf, at, n);
	return true;
}

bool
spec_remove(struct ghost_step *st, unsigned map, uint64_t start, uint64_t end)
{
	const struct ghost_map *m = &st->now->map[map];

	for (size_t i = ghost_map_above(m, start); i < m->n && m->range[i].start < end; i++) {
		const struct ghost_range *r = &m->range[i];

		if (!kill(st, m, r->what, r->start > start ? r->start : start,
			r->end < end ? r->end : end))
			return false;
	}
	ghost_map_remove(st->now, map, start, end);
	return true;
}

/* [start, end) through map 0. `empty`: nothing was asked for, and that is no mistake. */
static enum ghost_verdict
unmap(struct ghost_step *st, uint64_t start, uint64_t end, bool wake)
{
	struct ghost_map *m = map_arg(st, 0);
	bool empty = start >= end;
	enum ghost_verdict v;

	if (st->call->asleep)
		return spec_may_lack(st, 0)
		           ? spec_unsaid(st, "asleep for memory to split an entry with")
		           : spec_refuse(
				 st, "asleep on \"%s\"; a free has no reason to", st->call->wmesg);
	start = start > m->min ? start : m->min;
	end = end < m->max ? end : m->max;
	if (wake)
		m->wakeups++;
	if (empty)
		return spec_returns(st, 0);
	if (!spec_has_range(m, start, end))
		return spec_misuse(st, &st->now->free_unmapped, "a free of nothing");
	if (spec_has_submap(m, start, end))
		return spec_misuse(st, &st->now->free_submap, "a free of a submap's addresses");
	v = spec_returns(st, 0);
	if (v == GHOST_OK && !spec_remove(st, (unsigned)arg(st, 0), start, end))
		v = GHOST_VIOLATION;
	return v;
}

/* The pages that [addr, addr + size) touches. */
static enum ghost_verdict
free_range(struct ghost_step *st, bool wake)
{
	uint64_t addr = arg(st, 1), size = arg(st, 2);
	uint64_t start = addr & ~BED_PAGE_MASK, end = page_up(addr + size);

	if (addr + size >= addr && end >= start)
		return unmap(st, start, end, wake);
	if (wake && !st->world->misuse_panics)
		map_arg(st, 0)->wakeups++;
	return spec_misuse(st, &st->now->free_wraps, "a free that wraps");
}

enum ghost_verdict
spec_uvm_km_free(struct ghost_step *st)
{
	return free_range(st, false);
}

enum ghost_verdict
spec_uvm_km_free_wakeup(struct ghost_step *st)
{
	return free_range(st, true);
}

enum ghost_verdict
spec_uvm_unmap(struct ghost_step *st)
{
	uint64_t start = arg(st, 1), end = start + arg(st, 2);

	if (((start | end) & BED_PAGE_MASK) != 0)
		return spec_unsaid(st, "uvm_unmap of parts of pages");
	return unmap(st, start, end, false);
}
