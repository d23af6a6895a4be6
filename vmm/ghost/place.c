/* SPDX-License-Identifier: ISC */
/*
 * The placement rule of guest/uvm/uvm_addr.h, by looking at every hole.
 *
 *   best fit    the smallest hole that can hold the request; of equal ones the lowest
 *   first fit   the lowest
 *
 * In the hole the lowest aligned address; under best fit the highest, if that leaves less on its outer side
 * than the lowest leaves on its own, but not in the hole at the end of the map. With guards a request
 * asks for a page more; a lone page behind the guard joins it.
 */
#include "shared/layout.h"
#include "shared/paging.h"
#include "vmm/ghost/ghost.h"

#define GUARDPAGES 0x20 /* VM_MAP_GUARDPAGES */

struct hole {
	uint64_t start, end;
};

/* The hole before range i; i == n: the one at the end of the map. */
static struct hole
hole_before(const struct ghost_map *m, size_t i)
{
	struct hole h = { .start = m->min, .end = i < m->n ? m->range[i].start : m->max };

	if (i > 0)
		h.start = m->range[i - 1].end + m->range[i - 1].guard;
	return h;
}

static uint64_t
align_up(uint64_t va, uint64_t align)
{
	return (va + align - 1) / align * align;
}

static bool
holds(struct hole h, uint64_t size, uint64_t align)
{
	uint64_t low = align_up(h.start, align);

	return low >= h.start && low < h.end && size <= h.end - low;
}

static uint64_t
place_in(struct hole h, uint64_t size, uint64_t align, bool both_ends)
{
	uint64_t low = align_up(h.start, align), high = (h.end - size) / align * align;

	return both_ends && h.end - size - high < low - h.start ? high : low;
}

uint64_t
ghost_place(const struct ghost_map *m, uint64_t size, uint64_t align, uint64_t *guard)
{
	bool guards = (m->flags & GUARDPAGES) != 0, last = false;
	uint64_t need = size + (guards ? BED_PAGE_SIZE : 0), va;
	struct hole best = { 0, 0 };

	if (align < BED_PAGE_SIZE)
		align = BED_PAGE_SIZE;
	for (size_t i = 0; i <= m->n; i++) {
		struct hole h = hole_before(m, i);

		if (!holds(h, need, align))
			continue;
		if (best.end != 0 && (!m->best_fit || h.end - h.start >= best.end - best.start))
			continue;
		best = h;
		last = i == m->n;
	}
	if (best.end == 0)
		return 0;
	va = place_in(best, need, align, m->best_fit && !last);
	*guard = 0;
	if (guards)
		*guard =
		    best.end - (va + size) == 2 * BED_PAGE_SIZE ? 2 * BED_PAGE_SIZE : BED_PAGE_SIZE;
	return va;
}

uint64_t
ghost_largest_hole(const struct ghost_map *m)
{
	uint64_t largest = 0;

	for (size_t i = 0; i <= m->n; i++) {
		struct hole h = hole_before(m, i);

		if (h.end > h.start && h.end - h.start > largest)
			largest = h.end - h.start;
	}
	return largest;
}
