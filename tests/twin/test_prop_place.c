/* SPDX-License-Identifier: ISC */
/*
 * Random work in every kind of map against the brute-force model of placement, the oracle over events, and
 * the state at boot; and that the same seed does the same things.
 */
#include "tests/twin/prop.h"

#include <string.h>

#include "tests/twin/map_model.h"

#define LIVE_MAX 200

struct live {
	vaddr_t va;
	uint64_t n;
	bool pages; /* with memory behind it, a word of each page its own address */
};

static struct model model;
static struct live live[LIVE_MAX];
static unsigned nlive;

static void
model_of(const struct prop_map *m)
{
	const struct vm_map *map = m->map;

	model_init(
	    &model, map->min_offset, atop(map->max_offset - map->min_offset), m->best, m->guarded);
	for (const struct vm_map_entry *e = map->header.next; e != &map->header; e = e->next) {
		uint64_t p = atop(e->start - map->min_offset), n = atop(e->end - e->start);

		memset(model.page + p, USED, n);
		memset(model.page + p + n, GUARD, atop(e->guard));
	}
	nlive = 0;
}

static void
step_alloc(const struct prop_map *m, struct rnd *r)
{
	uint64_t n = 1 + rnd_below(r, rnd_below(r, 4) ? 6 : 40);
	uint64_t align = rnd_below(r, 3) ? 1 : UINT64_C(1) << rnd_below(r, 7);
	bool pages = align == 1 && rnd_below(r, 2);
	vaddr_t want = model_place(&model, n, align);
	vaddr_t va = pages ? prop_alloc(m, P(n)) : prop_addresses(m, P(n), P(align));

	cr_assert_eq(va, want,
	    "%s, seed 0x%lx: %lu pages aligned to %lu: 0x%lx, the rule says 0x%lx", m->name,
	    r->seed, n, align, va, want);
	if (va == 0)
		return;
	model_take(&model, va, n);
	for (uint64_t i = 0; pages && i < n; i++)
		prop_store(va + P(i) + 8, va + P(i));
	live[nlive++] = (struct live){ va, n, pages };
}

static void
step_free(const struct prop_map *m, struct rnd *r)
{
	unsigned k = (unsigned)rnd_below(r, nlive);
	struct live l = live[k];
	uint64_t from = 0, to = l.n;

	live[k] = live[--nlive];
	if (!m->guarded && l.n > 2 && rnd_below(r, 3) == 0) {
		from = rnd_below(r, l.n);
		to = from + 1 + rnd_below(r, l.n - from);
		if (from != 0)
			live[nlive++] = (struct live){ l.va, from, l.pages };
		if (to != l.n)
			live[nlive++] = (struct live){ l.va + P(to), l.n - to, l.pages };
	}
	for (uint64_t i = 0; l.pages && i < l.n; i++)
		cr_assert_eq(prop_load(l.va + P(i) + 8), l.va + P(i), "%s, seed 0x%lx: contents",
		    m->name, r->seed);
	prop_free(m, l.va + P(from), P(to - from));
	model_give(&model, l.va + P(from), to - from);
}

static void
random_work(const struct prop_map *m, struct rnd *r, unsigned steps)
{
	struct prop_state was = prop_state();

	model_of(m);
	prop_events_start();
	for (unsigned i = 0; i < steps; i++) {
		if (nlive == 0 || (nlive < LIVE_MAX - 4 && rnd_below(r, 100) < 55))
			step_alloc(m, r);
		else
			step_free(m, r);
		if (i % 50 == 0) {
			model_check(&model, m->map, r);
			prop_check(m->name);
		}
	}
	while (nlive != 0) {
		unsigned k = (unsigned)rnd_below(r, nlive);
		struct live l = live[k];

		live[k] = live[--nlive];
		prop_free(m, l.va, P(l.n));
		model_give(&model, l.va, l.n);
	}
	prop_events_check(m->name);
	model_check(&model, m->map, r);
	prop_same(&was, m->name);
	prop_check(m->name);
}

/* property 18 36 37 38 46 72 73: kernel_map kmem_map */
/* property 19 36 37 38 46 72 73: exec_map phys_map submap nested */
BED_TEST(prop_place, random_in_every_map)
{
	struct rnd r = rnd_start("prop_place random_in_every_map");

	FOR_EACH_MAP(m, 0)
	{
		random_work(&m, &r, 250);
	}
}

/* property 18 46 72 73 74 75: kernel_map kmem_map */
/* property 19 46 72 73 74 75: submap nested */
BED_TEST(prop_place, random_with_guards)
{
	struct rnd r = rnd_start("prop_place random_with_guards");

	FOR_EACH_MAP(m, BED_BOOT_GUARDPAGES)
	{
		if (m.guarded)
			random_work(&m, &r, 200);
	}
}

/* Maps of all kinds at once, and every way to change a range. */
#define MIXED_MAPS 5
#define MIXED_LIVE 40

struct mixed {
	struct vm_map *map;
	vaddr_t va;
	unsigned n, how;
};

enum { WIRED, ZEROED, DEMAND, FAULT_WIRED, NO_RIGHTS, KINDS_OF_MIXED };

static bool
mixed_alloc(struct mixed *x, struct vm_map *map, struct rnd *r)
{
	bool intrsafe = map->flags & VM_MAP_INTRSAFE, pageable = map->flags & VM_MAP_PAGEABLE;

	*x = (struct mixed){ map, 0, 1 + (unsigned)rnd_below(r, 12),
		(unsigned)rnd_below(r, KINDS_OF_MIXED) };
	if (!pageable && x->how > ZEROED)
		x->how %= DEMAND;
	if (intrsafe || x->how <= ZEROED)
		x->va = uvm_km_kmemalloc(map, intrsafe ? NULL : KO, P(x->n),
		    UVM_KMF_NOWAIT | (x->how == ZEROED ? UVM_KMF_ZERO : 0));
	else
		x->va = uvm_km_valloc(map, P(x->n));
	if (x->va == 0)
		return false;
	if (x->how == FAULT_WIRED)
		cr_assert_eq(uvm_map_pageable(map, x->va, x->va + P(x->n), FALSE), 0);
	for (unsigned i = 0; i < x->n; i += 2)
		prop_store(x->va + P(i), x->va ^ i);
	if (x->how == NO_RIGHTS)
		cr_assert_eq(uvm_map_protect(map, x->va, x->va + P(x->n),
				 rnd_below(r, 2) ? PROT_NONE : PROT_READ, FALSE),
		    0);
	return true;
}

static void
mixed_free(const struct mixed *x)
{
	for (unsigned i = 0; x->how != NO_RIGHTS && i < x->n; i += 2)
		cr_assert_eq(prop_load(x->va + P(i)), x->va ^ i);
	uvm_km_free(x->map, x->va, P(x->n));
}

static void
mixed_work(struct rnd *r, unsigned steps)
{
	struct mixed all[MIXED_LIVE] = { { 0 } };
	struct vm_map *maps[MIXED_MAPS] = { kernel_map, kmem_map, exec_map, phys_map };
	vaddr_t min = 0, max = 0;

	maps[4] = uvm_km_suballoc(kernel_map, &min, &max, P(64), VM_MAP_PAGEABLE, FALSE, NULL);
	cr_assert_not_null(maps[4]);
	for (unsigned i = 0; i < steps; i++) {
		struct mixed *x = &all[rnd_below(r, MIXED_LIVE)];

		if (x->va != 0) {
			mixed_free(x);
			x->va = 0;
		} else if (!mixed_alloc(x, maps[rnd_below(r, MIXED_MAPS)], r)) {
			x->va = 0;
		}
		if (i % 64 == 0)
			prop_check("mixed");
	}
	for (unsigned i = 0; i < MIXED_LIVE; i++) {
		if (all[i].va != 0)
			mixed_free(&all[i]);
	}
	cr_assert_eq(uvm_km_subfree(kernel_map, maps[4]), 0);
}

/* property 34 36 38 72 73 76 95 99: kernel_map kmem_map exec_map phys_map submap */
BED_TEST(prop_place, all_maps_at_once_leave_nothing)
{
	struct rnd r = rnd_start("prop_place all_maps_at_once_leave_nothing");
	struct prop_state was;

	prop_boot(PROP_KERNEL_MAP, 0);
	was = prop_state();
	prop_events_start();
	mixed_work(&r, 900);
	prop_events_check("mixed");
	prop_same(&was, "mixed");
	prop_check("mixed");
	check_free("mixed", r.seed, true);
}

static uint64_t
mix(uint64_t h, uint64_t x)
{
	return (h ^ x) * UINT64_C(0x100000001b3);
}

/* Everything that happened but for host addresses. */
static uint64_t
hash_of(uint64_t seed)
{
	struct rnd r = { seed, seed };
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	prop_boot(PROP_KERNEL_MAP, BED_BOOT_DETERMINISTIC);
	twin_events_clear();
	mixed_work(&r, 600);
	for (uint64_t i = 0; i < twin_nevent; i++) {
		const struct bed_event *e = &twin_event[i];
		bool host = e->type == BED_EV_VA_ALLOC || e->type == BED_EV_VA_FREE;

		h = mix(h, e->type);
		if (e->type >= BED_EV_LOCK && e->type != BED_EV_FAULT)
			continue;
		for (unsigned k = host; k < 3; k++)
			h = mix(h, e->type == BED_EV_INVLPG && k == 1 ? 0 : e->a[k]);
	}
	return mix(h, twin_nevent);
}

/* property 100: kernel_map kmem_map exec_map phys_map submap */
BED_TEST(prop_place, the_same_seed_does_the_same)
{
	struct rnd r = rnd_start("prop_place the_same_seed_does_the_same");
	uint64_t seed = rnd_next(&r), first = hash_of(seed);

	cr_assert_eq(hash_of(seed), first, "seed 0x%lx", seed);
	cr_assert_neq(hash_of(seed + 1), first, "the hash says nothing");
}
