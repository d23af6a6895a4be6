/* SPDX-License-Identifier: ISC */
/*
 * Giving back, in every kind of map: all and parts, in order and not, right and wrong; and the order of
 * clearing, invalidating and freeing, seen through the events.
 */
#include "tests/twin/prop.h"

#include <string.h>

/* Twelve pages of two allocations side by side, each with a word of its own; pages 3 and 4 are a hole. */
static vaddr_t
twelve_pages(const struct prop_map *m)
{
	vaddr_t va = prop_alloc(m, P(7)), right = prop_alloc(m, P(5));

	cr_assert_eq(right, va + P(7), "%s: not side by side", m->name);
	for (unsigned i = 0; i < 12; i++)
		prop_store(va + P(i), 0x4000 + i);
	prop_free(m, va + P(3), P(2));
	return va;
}

static const struct shape {
	const char *what;
	uint64_t addr, size; /* bytes from the first page */
	unsigned from, to;   /* the pages that go */
} shapes[] = {
	{ "the middle page", P(6), P(1), 6, 7 },
	{ "the first page", 0, P(1), 0, 1 },
	{ "the last page", P(11), P(1), 11, 12 },
	{ "all of both, over the hole", 0, P(12), 0, 12 },
	{ "parts of both", P(5), P(4), 5, 9 },
	{ "the second from its start", P(7), P(2), 7, 9 },
	{ "the hole and what is beside it", P(2), P(4), 2, 6 },
	{ "beyond the end", P(10), P(6), 10, 12 },
	{ "one byte is its page", P(8) + 77, 1, 8, 9 },
	{ "two bytes over an edge are two pages", P(9) - 1, 2, 8, 10 },
	{ "an unaligned address with no size is a page", P(6) + 1, 0, 6, 7 },
	{ "no size at an edge is nothing", P(6), 0, 6, 6 },
	{ "rounding goes outwards", P(5) + 5, P(2), 5, 8 },
};

/* property 33 36 37 38 39 40 41: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_free, every_shape_in_every_map)
{
	FOR_EACH_MAP(m, 0)
	{
		struct prop_state was = prop_state();

		for (unsigned s = 0; s < nitems(shapes); s++) {
			const struct shape *sh = &shapes[s];
			vaddr_t va = twelve_pages(&m);
			uint64_t pte[12], gone = 0;
			struct prop_work w;

			for (unsigned i = 0; i < 12; i++)
				pte[i] = leaf_at(va + P(i));
			prop_events_start();
			prop_free(&m, va + sh->addr, sh->size);
			w = prop_events_check(sh->what);
			for (unsigned i = 0; i < 12; i++) {
				bool out = (i >= sh->from && i < sh->to) || i == 3 || i == 4;

				gone += out && i != 3 && i != 4;
				cr_assert_eq(leaf_at(va + P(i)), out ? 0 : pte[i],
				    "%s: %s: page %u", m.name, sh->what, i);
				if (out)
					prop_fault(va + P(i), true);
				else
					cr_assert_eq(prop_load(va + P(i)), 0x4000 + i);
				if (pte[i] != 0)
					cr_assert_eq(
					    uvm_pmr_isfree(PHYS_TO_VM_PAGE(pte[i] & PTE_FRAME)),
					    out);
			}
			cr_assert(w.cleared == gone && w.freed == gone && w.set == 0 &&
				      (w.invlpg == gone || (w.full == 1 && w.invlpg == 0)),
			    "%s: %s: %lu cleared, %lu invalidated, %lu freed, of %lu", m.name,
			    sh->what, w.cleared, w.invlpg, w.freed, gone);
			prop_check(sh->what);
			for (unsigned i = 0; i < 12; i++) {
				if (leaf_at(va + P(i)) != 0)
					prop_free(&m, va + P(i), P(1));
			}
			prop_same(&was, sh->what);
		}
	}
}

/* Nothing but a counter moves: nothing is unmapped, cleared, invalidated or freed. */
static void
wrong(const struct prop_map *m, struct vm_map *map, vaddr_t va, vsize_t size, uint64_t *counter,
    const char *what)
{
	struct prop_state was = prop_state();
	uint64_t free = uvmexp.free, before = *counter;
	struct prop_work w;

	prop_events_start();
	uvm_km_free(map, va, size);
	w = prop_events_check(what);
	cr_assert_eq(*counter, before + 1, "%s: %s is not counted", m->name, what);
	cr_assert(w.cleared + w.freed + w.invlpg + w.full == 0, "%s: %s", m->name, what);
	cr_assert_eq(uvmexp.free, free, "%s: %s", m->name, what);
	was.misuse++;
	prop_same(&was, what);
	uvm_misuse_panic = true;
	cr_assert_not_null(TWIN_PANIC(uvm_km_free(map, va, size)), "%s: %s", m->name, what);
	uvm_misuse_panic = false;
}

/* property 42 43 44: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_free, wrong_ones)
{
	static const char *const what[] = { "addr + size wraps", "the last byte wraps",
		"another map", "twice", "a part of it twice", "never allocated" };

	for (volatile unsigned row = 0; row < nitems(what); row++) {
		FOR_EACH_MAP(m, 0)
		{
			vaddr_t va = prop_alloc(&m, P(4));
			struct vm_map *other = m.map == exec_map ? phys_map : exec_map;

			if (row == 3)
				prop_free(&m, va, P(4));
			if (row == 4)
				prop_free(&m, va + P(1), P(2));
			switch (row) {
			case 0:
				wrong(&m, m.map, va, UINT64_MAX - va + 2, &uvm_misuse.free_wraps,
				    what[row]);
				break;
			case 1:
				wrong(&m, m.map, va, UINT64_MAX - va, &uvm_misuse.free_wraps,
				    what[row]);
				break;
			case 2:
				wrong(&m, other, va, P(4), &uvm_misuse.free_unmapped, what[row]);
				break;
			case 3:
				wrong(&m, m.map, va, P(4), &uvm_misuse.free_unmapped, what[row]);
				break;
			case 4:
				wrong(&m, m.map, va + P(1), P(1), &uvm_misuse.free_unmapped,
				    what[row]);
				break;
			default:
				wrong(&m, m.map, vm_map_max(m.map) - P(3), P(2),
				    &uvm_misuse.free_unmapped, what[row]);
				break;
			}
		}
	}
}

/* property 45: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_free, the_same_request_gets_the_same_place)
{
	FOR_EACH_MAP(m, 0)
	{
		cr_assert_neq(prop_alloc(&m, P(2)), 0);
		for (unsigned n = 1; n <= 70; n = n * 3 + 1) {
			vaddr_t va = prop_alloc(&m, P(n)), again;
			struct prop_state was;

			prop_free(&m, va, P(n));
			was = prop_state();
			for (unsigned round = 0; round < 4; round++) {
				again = prop_alloc(&m, P(n));
				cr_assert_eq(again, va, "%s: %u pages", m.name, n);
				prop_free(&m, again, P(n));
				prop_unchanged(&was, m.name);
			}
		}
	}
}

/* A free that spans entries of every kind tears each down by its own kind. */
/* property 38 40: kernel_map exec_map submap nested */
BED_TEST(prop_free, entries_of_every_kind_at_once)
{
	FOR_EACH_MAP(m, 0)
	{
		struct prop_state was;
		vaddr_t va, end, at;

		if (!m.pageable || m.intrsafe)
			continue;
		va = uvm_km_alloc(m.map, P(4));
		uvm_km_free(m.map, va, P(4));
		was = prop_state();
		va = uvm_km_alloc(m.map, P(3));  /* wired */
		at = uvm_km_valloc(m.map, P(3)); /* touched in part */
		prop_store(at + P(1), 1);
		cr_assert_neq(uvm_km_kmemalloc(m.map, NULL, P(2), UVM_KMF_VALLOC), 0); /* nothing */
		end = 0;
		cr_assert_eq(prop_map_at(&m, &end, P(2), UVM_FLAG_HOLE), 0); /* a reservation */
		at = uvm_km_valloc(m.map, P(2));                             /* wired by fault */
		cr_assert_eq(uvm_map_pageable(m.map, at, at + P(2), FALSE), 0);
		at = uvm_km_valloc(m.map, P(2)); /* no rights */
		prop_store(at, 1);
		cr_assert_eq(uvm_map_protect(m.map, at, at + P(2), PROT_NONE, FALSE), 0);
		end = at + P(2);
		cr_assert_eq(end, va + P(14), "%s: not side by side", m.name);
		prop_events_start();
		prop_free(&m, va, end - va);
		cr_assert_eq(prop_events_check(m.name).freed, 3 + 1 + 2 + 1);
		prop_same(&was, m.name);
		prop_check(m.name);
	}
}
