/* SPDX-License-Identifier: ISC */
/*
 * Iterator over whole trees, and both walkers compared: trees made by hand, random trees, garbage.
 */
#include "tests/bedtest.h"
#include "tests/unit/golden.h"

#include <string.h>

#include "vmm/view/iterate.h"
#include "vmm/view/walk.h"

#define VA UINT64_C(0xffff800000201000)

/* What the iterator hands out, checked against the second walker entry by entry. */
struct crosscheck {
	const struct view *view;
	bool through;
	uint64_t leaves, tables, faults, sum;
	uint64_t next; /* addresses must ascend */
	uint64_t seed;
};

static bool
cross_leaf(void *arg, const struct iter_leaf *leaf)
{
	struct crosscheck *c = arg;
	struct golden_walk second = golden_walk(c->view, leaf->va.v, c->through);

	cr_assert(second.stop == WALK_LEAF && second.pa == leaf->pa.v &&
		      second.level == leaf->attr.level &&
		      second.w == ((leaf->attr.rights & VIEW_W) != 0) &&
		      second.x == ((leaf->attr.rights & VIEW_X) != 0) &&
		      second.u == ((leaf->attr.rights & VIEW_U) != 0),
	    "seed 0x%lx: leaf at 0x%lx", c->seed, leaf->va.v);
	cr_assert_geq(leaf->va.v, c->next, "seed 0x%lx: order", c->seed);
	c->next = leaf->va.v + pt_span(leaf->attr.level) - 1;
	c->leaves++;
	c->sum += leaf->va.v ^ leaf->pa.v;
	return true;
}

static bool
cross_table(void *arg, const struct iter_table *table)
{
	struct crosscheck *c = arg;

	c->tables++;
	cr_assert_eq(memcmp(table->entry, view_ptr(c->view, table->gpa, 4096), 4096), 0);
	return true;
}

static bool
cross_fault(void *arg, const struct iter_fault *fault)
{
	struct crosscheck *c = arg;
	struct golden_walk second = golden_walk(c->view, fault->va.v, c->through);

	cr_assert_eq(second.stop, fault->why, "seed 0x%lx: 0x%lx: %s, second walker: %s", c->seed,
	    fault->va.v, walk_stop_name(fault->why), walk_stop_name(second.stop));
	c->faults++;
	return true;
}

static const struct iter_ops cross_ops = {
	.table = cross_table, .leaf = cross_leaf, .fault = cross_fault
};

static void
second_leaf(void *arg, uint64_t va, const struct golden_walk *walk)
{
	struct crosscheck *c = arg;

	c->leaves++;
	c->sum += va ^ walk->pa;
}

/* An entry that is likely to lead somewhere, and not always. */
static uint64_t
random_entry(struct golden *g, uint64_t *rnd)
{
	uint64_t r = golden_random(rnd);
	uint64_t raw = GOLDEN_BASE + (golden_random(rnd) % (g->npages + 1)) * 4096;

	raw |= golden_random(rnd) &
	       (PTE_W | PTE_U | PTE_PWT | PTE_PCD | PTE_A | PTE_D | PTE_G | PTE_SW_W);
	raw |= (r & 7) != 0 ? PTE_P : 0;
	raw |= (r >> 3 & 3) == 0 ? PTE_NX : 0;
	raw |= (r >> 5 & 15) == 0 ? PTE_PS : 0;
	raw |= (r >> 9 & 31) == 0 ? 1ull << (golden_random(rnd) % 64) : 0;
	return (r >> 14 & 63) == 0 ? golden_random(rnd) : raw;
}

BED_TEST(iterate, random_trees, .timeout = 60)
{
	uint64_t seed = golden_seed("iterate::random_trees"), rnd = seed;
	uint64_t leaves = 0, faults = 0;

	for (int round = 0; round < 40; round++) {
		struct golden g;
		struct iter_opts opts = { .max_visits = 1u << 20, .through_loops = round % 2 != 0 };
		struct crosscheck is, second = { 0 };
		struct iter_result result;
		uint64_t tables;

		golden_init(&g, 9);
		g.view.maxphyaddr = 36 + (unsigned)(golden_random(&rnd) % 17);
		g.view.nx = golden_random(&rnd) % 4 != 0;
		g.view.pages_1g = golden_random(&rnd) % 4 != 0;
		for (int i = 0; i < 9 * 6; i++) {
			uint64_t *page = golden_at(&g, GPA(GOLDEN_BASE + (uint64_t)(i % 9) * 4096));

			page[golden_random(&rnd) % 512] = random_entry(&g, &rnd);
		}
		is = (struct crosscheck){
			.view = &g.view, .through = opts.through_loops, .seed = seed
		};
		result = view_iterate(&g.view, &opts, &cross_ops, &is);
		tables = golden_walk_all(&g.view, opts.through_loops, second_leaf, &second);
		cr_assert(!result.capped && !result.ended && result.visits == is.tables);
		cr_assert_eq(is.tables, tables, "seed 0x%lx round %d", seed, round);
		cr_assert_eq(is.leaves, second.leaves, "seed 0x%lx round %d", seed, round);
		cr_assert_eq(is.sum, second.sum, "seed 0x%lx round %d", seed, round);
		leaves += is.leaves;
		faults += is.faults;

		for (int i = 0; i < 500; i++) {
			uint64_t va = golden_random(&rnd);
			struct golden_walk b;
			struct walk a;

			va = i % 8 == 0 ? va : va_canonical(va);
			b = golden_walk(&g.view, va, opts.through_loops);
			a = opts.through_loops ? view_walk_through(&g.view, GVA(va))
			                       : view_walk(&g.view, GVA(va));
			cr_assert(a.stop == b.stop && a.level == b.level && a.w_lost == b.w_lost &&
				      a.x_lost == b.x_lost && a.u_lost == b.u_lost &&
				      (a.stop != WALK_LEAF || (a.pa.v == b.pa && a.size == b.size)),
			    "seed 0x%lx round %d va 0x%lx: %s and %s", seed, round, va,
			    walk_stop_name(a.stop), walk_stop_name(b.stop));
		}
		golden_free(&g);
	}
	/* The trees are worth something only if they lead somewhere. */
	cr_assert(leaves > 1000 && faults > 1000, "seed 0x%lx: %lu leaves, %lu faults", seed,
	    leaves, faults);
}

BED_TEST(iterate, survives_garbage)
{
	uint64_t seed = golden_seed("iterate::survives_garbage"), rnd = seed;
	struct golden g;
	struct iter_opts opts = { .max_visits = 3000, .through_loops = true };
	struct iter_result result;
	struct crosscheck is;

	/* Pure noise: nearly every entry is bad. */
	golden_init(&g, 16);
	for (size_t i = 0; i < 16 * 512; i++)
		((uint64_t *)(void *)g.mem)[i] = golden_random(&rnd);
	is = (struct crosscheck){ .view = &g.view, .through = true, .seed = seed };
	result = view_iterate(&g.view, &opts, &cross_ops, &is);
	cr_expect(is.faults > 0 && result.visits >= 1, "seed 0x%lx", seed);

	/* Every entry leads to some table: 512^3 visits if nothing ends it. */
	for (size_t i = 0; i < 16 * 512; i++)
		((uint64_t *)(void *)g.mem)[i] = (GOLDEN_BASE + i % 16 * 4096) | PTE_P;
	result = view_iterate(&g.view, &opts, &(struct iter_ops){ 0 }, NULL);
	cr_expect(result.capped && result.visits == 3000, "%lu visits", result.visits);
	result = view_iterate(&g.view, NULL, &(struct iter_ops){ 0 }, NULL);
	cr_expect(result.capped && result.visits == iter_default_visits(&g.view));
	golden_free(&g);
}

struct seen {
	unsigned tables, leaves, faults, stop_after;
	enum walk_stop why;
	uint64_t first, last;
};

static bool
count_table(void *arg, const struct iter_table *table)
{
	struct seen *s = arg;

	(void)table;
	return ++s->tables != s->stop_after;
}

static bool
count_leaf(void *arg, const struct iter_leaf *leaf)
{
	struct seen *s = arg;

	if (s->leaves++ == 0)
		s->first = leaf->va.v;
	s->last = leaf->va.v;
	return true;
}

static bool
count_fault(void *arg, const struct iter_fault *fault)
{
	struct seen *s = arg;

	s->why = fault->why;
	s->faults++;
	return true;
}

static const struct iter_ops count_ops = {
	.table = count_table, .leaf = count_leaf, .fault = count_fault
};

BED_TEST(iterate, reports)
{
	struct golden g;
	struct seen seen = { 0 };
	struct iter_result result;
	struct iter_opts opts = { 0 };

	golden_init(&g, 16);
	golden_map(&g, VA, 4, 0x7000 | PTE_P);
	/* The same page table once more, 2 MiB further: its leaves are reported twice. */
	*golden_entry(&g, VA + 0x200000, 2) = *golden_entry(&g, VA, 2);
	result = view_iterate(&g.view, NULL, &count_ops, &seen);
	cr_expect(seen.leaves == 8 && seen.tables == 5 && seen.faults == 0 && result.visits == 5);

	/* A range: only what it touches is entered. */
	seen = (struct seen){ 0 };
	opts.first = GVA(VA + 0x1000);
	opts.last = GVA(VA + 0x2fff);
	view_iterate(&g.view, &opts, &count_ops, &seen);
	cr_expect(seen.leaves == 2 && seen.tables == 4 && seen.first == VA + 0x1000 &&
		  seen.last == VA + 0x2000);
	seen = (struct seen){ 0 };
	opts.first = GVA(0);
	opts.last = GVA(0x7fffffffffff);
	view_iterate(&g.view, &opts, &count_ops, &seen);
	cr_expect(seen.leaves == 0 && seen.tables == 1);
	/* Bounds in the hole move inwards; then this one is empty. */
	seen = (struct seen){ 0 };
	opts.first = GVA(0x800000000000);
	opts.last = GVA(0xffff7fffffffffff);
	view_iterate(&g.view, &opts, &count_ops, &seen);
	cr_expect(seen.tables == 0);

	/* A callback that says stop. */
	seen = (struct seen){ .stop_after = 2 };
	result = view_iterate(&g.view, NULL, &count_ops, &seen);
	cr_expect(result.ended && seen.tables == 2 && seen.leaves == 0);

	/* Loop, table outside, root outside. */
	seen = (struct seen){ 0 };
	*golden_entry(&g, 0, 4) = g.view.root.v | PTE_P;
	view_iterate(&g.view, NULL, &count_ops, &seen);
	cr_expect(seen.faults == 1 && seen.why == WALK_LOOP && seen.leaves == 8);
	seen = (struct seen){ 0 };
	*golden_entry(&g, 0, 4) = 0x40000000 | PTE_P;
	view_iterate(&g.view, NULL, &count_ops, &seen);
	cr_expect(seen.faults == 1 && seen.why == WALK_OUTSIDE && seen.leaves == 8);
	seen = (struct seen){ 0 };
	g.view.root = GPA(0x40000000);
	view_iterate(&g.view, NULL, &count_ops, &seen);
	cr_expect(seen.faults == 1 && seen.why == WALK_OUTSIDE && seen.tables == 0);
	golden_free(&g);
}
