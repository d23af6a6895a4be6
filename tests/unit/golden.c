/* SPDX-License-Identifier: ISC */
/*
 * Hand-made page-table trees and the second walker: see golden.h.
 */
#include "tests/unit/golden.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/seed.h"

void
golden_init(struct golden *g, unsigned npages)
{
	g->mem = aligned_alloc(4096, (size_t)npages * 4096);
	cr_assert_not_null(g->mem);
	memset(g->mem, 0, (size_t)npages * 4096);
	g->npages = npages;
	g->next = 0;
	g->seg = (struct view_seg){ GPA(GOLDEN_BASE), (uint64_t)npages * 4096, g->mem };
	g->view = (struct view){
		.seg = &g->seg, .nseg = 1, .maxphyaddr = 40, .nx = true, .pages_1g = true
	};
	g->view.root = golden_page(g);
}

void
golden_free(struct golden *g)
{
	free(g->mem);
}

gpa_t
golden_page(struct golden *g)
{
	cr_assert(g->next < g->npages, "the golden tree needs more than %u pages", g->npages);
	return GPA(GOLDEN_BASE + 4096ull * g->next++);
}

void *
golden_at(const struct golden *g, gpa_t gpa)
{
	cr_assert(gpa.v >= GOLDEN_BASE && gpa.v < GOLDEN_BASE + 4096ull * g->npages);
	return g->mem + (gpa.v - GOLDEN_BASE);
}

uint64_t *
golden_entry(struct golden *g, uint64_t va, int level)
{
	gpa_t table = g->view.root;

	for (int at = 4;; at--) {
		uint64_t *entry =
		    (uint64_t *)golden_at(g, table) + (va >> (12 + 9 * (at - 1)) & 511);

		if (at == level)
			return entry;
		if ((*entry & 1) == 0)
			*entry = golden_page(g).v | 7;
		table = GPA(*entry & 0xfffffff000);
	}
}

void
golden_map(struct golden *g, uint64_t va, unsigned npages, uint64_t raw)
{
	for (unsigned i = 0; i < npages; i++)
		*golden_entry(g, va + i * 4096ull, 1) = raw + i * 4096ull;
}

/* Is bit `bit` of a present entry allowed to be set? Straight from the tables of the manual. */
static bool
bit_allowed(const struct view *view, int level, bool large, int bit)
{
	if (bit == 63)
		return view->nx;
	if (bit >= 52)
		return true;
	if (bit >= (int)view->maxphyaddr)
		return false;
	if (bit == 7 && level == 4)
		return false;
	if (bit == 7 && level == 3)
		return view->pages_1g;
	if (large && bit > 12 && bit < (level == 3 ? 30 : 21))
		return false;
	return true;
}

struct second {
	const struct view *view;
	bool through;
	bool one; /* only the way to va */
	uint64_t va;
	golden_leaf_fn *leaf;
	void *arg;
	uint64_t tables;
	uint64_t above[5];
	struct golden_walk end; /* of the way to va */
};

static const uint64_t *
find_table(const struct view *view, uint64_t gpa)
{
	for (unsigned i = 0; i < view->nseg; i++) {
		const struct view_seg *seg = &view->seg[i];

		if (gpa >= seg->start.v && gpa + 4096 <= seg->start.v + seg->len)
			return (const uint64_t *)(const void *)(seg->host + (gpa - seg->start.v));
	}
	return NULL;
}

static void second_table(
    struct second *s, int level, uint64_t gpa, uint64_t va, struct golden_walk so_far);

static void
second_entry(struct second *s, int level, uint64_t raw, uint64_t va, struct golden_walk walk)
{
	bool large = level < 4 && level > 1 && (raw >> 7 & 1) != 0;
	uint64_t address = 0;

	walk.level = level;
	walk.stop = WALK_NOT_PRESENT;
	s->end = walk;
	if ((raw & 1) == 0)
		return;
	for (int bit = 0; bit < 64; bit++) {
		if ((raw >> bit & 1) == 0 || bit_allowed(s->view, level, large, bit))
			continue;
		s->end.stop = level == 4 && (raw >> 7 & 1) != 0 ? WALK_PS_L4 : WALK_RESERVED;
		return;
	}
	for (int bit = large ? 12 + 9 * (level - 1) : 12; bit < 52; bit++)
		address += (raw >> bit & 1) << bit;
	if (walk.w && (raw >> 1 & 1) == 0)
		walk.w_lost = (uint8_t)level;
	if (walk.u && (raw >> 2 & 1) == 0)
		walk.u_lost = (uint8_t)level;
	if (walk.x && (raw >> 63 & 1) != 0)
		walk.x_lost = (uint8_t)level;
	walk.w = walk.w_lost == 0;
	walk.u = walk.u_lost == 0;
	walk.x = walk.x_lost == 0;
	if (!large && level > 1) {
		second_table(s, level - 1, address, va, walk);
		return;
	}
	walk.stop = WALK_LEAF;
	walk.size = level == 1 ? 4096 : level == 2 ? 2097152 : 1073741824;
	walk.pa = address + (s->one ? s->va % walk.size : 0);
	s->end = walk;
	if (s->leaf != NULL)
		s->leaf(s->arg, va, &walk);
}

static void
second_table(struct second *s, int level, uint64_t gpa, uint64_t va, struct golden_walk so_far)
{
	const uint64_t *table = find_table(s->view, gpa);
	uint64_t step = UINT64_C(1) << (12 + 9 * (level - 1));

	s->end = so_far;
	s->end.level = level;
	s->above[level] = gpa;
	for (int i = level + 1; i <= 4; i++) {
		if (s->above[i] == gpa && !s->through) {
			s->end.stop = WALK_LOOP;
			return;
		}
	}
	s->end.stop = WALK_OUTSIDE;
	if (table == NULL)
		return;
	s->tables++;
	for (uint64_t i = 0; i < 512; i++) {
		uint64_t at = va + i * step;

		if (level == 4 && i >= 256)
			at += UINT64_C(0xffff000000000000);
		if (!s->one || (s->va >= at && s->va - at < step))
			second_entry(s, level, table[i], at, so_far);
	}
}

struct golden_walk
golden_walk(const struct view *view, uint64_t va, bool through_loops)
{
	struct second s = { .view = view, .one = true, .va = va, .through = through_loops };

	if (va > UINT64_C(0x7fffffffffff) && va < UINT64_C(0xffff800000000000))
		return (struct golden_walk){
			.stop = WALK_NONCANONICAL, .w = true, .x = true, .u = true
		};
	second_table(
	    &s, 4, view->root.v, 0, (struct golden_walk){ .w = true, .x = true, .u = true });
	return s.end;
}

uint64_t
golden_walk_all(const struct view *view, bool through_loops, golden_leaf_fn *leaf, void *arg)
{
	struct second s = { .view = view, .through = through_loops, .leaf = leaf, .arg = arg };

	second_table(
	    &s, 4, view->root.v, 0, (struct golden_walk){ .w = true, .x = true, .u = true });
	return s.tables;
}

uint64_t
golden_seed(const char *test)
{
	uint64_t seed = test_seed(test);

	seed = seed != 0 ? seed : 1;
	fprintf(stderr, "%s: BED_SEED=0x%llx\n", test, (unsigned long long)seed);
	return seed;
}

uint64_t
golden_random(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = *state;

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void
golden_random_tree(struct golden *g, uint64_t base, uint64_t *rnd)
{
	static const uint64_t extra[] = { 0, 0, 0, PTE_A, PTE_A | PTE_D, PTE_NX, PTE_W, PTE_G,
		PTE_SW_W, PTE_PCD, 1ull << 50 };

	golden_init(g, 16);
	for (int i = 0; i < 60; i++) {
		uint64_t va = base + golden_random(rnd) % 2048 * 4096,
			 frame = golden_random(rnd) % 4096 * 4096;
		uint64_t bits = extra[golden_random(rnd) % (sizeof(extra) / sizeof(extra[0]))];

		if (golden_random(rnd) % 32 == 0) {
			uint64_t *pde = golden_entry(g, va + (64 << 20), 2);

			*pde = (*pde & PTE_P) != 0 ? *pde : (frame << 9) | PTE_P | PTE_PS | PTE_W;
			continue;
		}
		golden_map(
		    g, va, 1 + (unsigned)(golden_random(rnd) % 64), frame | PTE_P | PTE_W | bits);
	}
}
