/* SPDX-License-Identifier: ISC */
/*
 * The brute-force model of a map (map_model.h).
 */
#include "tests/twin/map_model.h"

#include <string.h>

void
model_init(struct model *m, vaddr_t base, uint64_t pages, bool best, bool guarded)
{
	cr_assert_leq(pages, MODEL_PAGES);
	*m = (struct model){ .base = base, .pages = pages, .best = best, .guarded = guarded };
}

static uint64_t
free_run(const struct model *m, uint64_t from)
{
	uint64_t n = 0;

	while (from + n < m->pages && m->page[from + n] == FREE)
		n++;
	return n;
}

vaddr_t
model_place(const struct model *m, uint64_t n, uint64_t align)
{
	uint64_t first = m->base >> 12, best = 0, best_size = UINT64_MAX, size;

	n += m->guarded;
	for (uint64_t p = 0; p < m->pages; p += size + 1) {
		uint64_t start = first + p, low, high, last;

		size = free_run(m, p);
		low = (start + align - 1) / align * align;
		if (size == 0 || low + n > start + size || size >= best_size)
			continue;
		last = start + size - n;
		high = last / align * align;
		best = m->best && p + size < m->pages && last - high < low - start ? high : low;
		best_size = size;
		if (!m->best)
			break;
	}
	return best << 12;
}

void
model_take(struct model *m, vaddr_t va, uint64_t n)
{
	uint64_t p = (va - m->base) >> 12;

	memset(m->page + p, USED, n);
	if (m->guarded)
		memset(m->page + p + n, GUARD, free_run(m, p + n) == 2 ? 2 : 1);
}

void
model_give(struct model *m, vaddr_t va, uint64_t n)
{
	uint64_t p = (va - m->base) >> 12;

	memset(m->page + p, FREE, n);
	for (p += n; p < m->pages && m->page[p] == GUARD; p++)
		m->page[p] = FREE;
}

uint64_t
model_largest(const struct model *m)
{
	uint64_t largest = 0, size;

	for (uint64_t p = 0; p < m->pages; p += size + 1) {
		size = free_run(m, p);
		if (size > largest)
			largest = size;
	}
	return largest;
}

static void
check_ring(const struct model *m, const struct vm_map *map)
{
	const struct vm_map_entry *header = &map->header, *e = header;
	uint64_t p = 0, entries = 0, used = 0;

	cr_assert(header->start == m->base && header->end == m->base);
	for (;;) {
		uint64_t n = (e->end - e->start) >> 12;

		cr_assert_eq(e->start, m->base + (p << 12), "entry 0x%lx begins where 0x%lx should",
		    e->start, m->base + (p << 12));
		cr_assert_eq(e->next->prev, e);
		for (; n != 0; n--, p++, used++)
			cr_assert_eq(m->page[p], USED, "page %lu", p);
		for (n = e->guard >> 12; n != 0; n--, p++)
			cr_assert_eq(m->page[p], GUARD, "page %lu", p);
		for (n = e->fspace >> 12; n != 0; n--, p++)
			cr_assert_eq(m->page[p], FREE, "page %lu", p);
		e = e->next;
		if (e == header)
			break;
		entries++;
	}
	cr_assert_eq(p, m->pages);
	cr_assert_eq(entries, map->nentries);
	cr_assert_eq(used << 12, map->size);
}

void
model_check(const struct model *m, struct vm_map *map, struct rnd *r)
{
	struct vm_map_entry *e;

	check_ring(m, map);
	cr_assert_eq(uvm_map_largest_hole(map), model_largest(m) << 12);
	for (int i = 0; i < 50; i++) {
		uint64_t p = rnd_below(r, m->pages);
		vaddr_t va = m->base + (p << 12) + rnd_below(r, 4096);

		cr_assert_eq(uvm_map_lookup_entry(map, va, &e) != 0, m->page[p] == USED);
		cr_assert(e->start <= va && (e->next == &map->header || e->next->start > va));
	}
}
