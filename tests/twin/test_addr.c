/* SPDX-License-Identifier: ISC */
/*
 * Free-space search against the brute-force model: random maps with best and first fit, aligned, guarded,
 * merged and split, small and big holes.
 */
#include "tests/twin/map_model.h"

#include "guest/pmap.h"
#include "guest/uvm/uvm_object.h"

#define LIVE_MAX 4000

struct live {
	vaddr_t va;
	uint64_t n;
};

struct course {
	const char *name;
	bool best, guarded;
	uint64_t most;   /* pages of an allocation */
	uint64_t aligns; /* log2 of the largest alignment in pages, exclusive */
	unsigned steps;
};

static struct model model;
static struct vm_map map;
static struct live live[LIVE_MAX];
static unsigned nlive;

static void
step_alloc(const struct course *c, struct rnd *r)
{
	uint64_t n = 1 + rnd_below(r, c->most);
	uint64_t align = rnd_below(r, 3) == 0 ? UINT64_C(1) << rnd_below(r, c->aligns) : 1;
	struct uvm_object *obj = rnd_below(r, 4) == 0 ? NULL : &uvm_kernel_object;
	unsigned flags = rnd_below(r, 8) == 0 ? UVM_FLAG_NOMERGE : 0;
	vaddr_t want = model_place(&model, n, align), va = 0;
	int error;

	error = uvm_map(&map, &va, n << 12, obj, UVM_UNKNOWN_OFFSET, align << 12,
	    UVM_MAPFLAG(RW, RW, MAP_INHERIT_NONE, MADV_RANDOM, flags));
	cr_assert_eq(error, want == 0 ? ENOMEM : 0, "%lu pages aligned to %lu", n, align);
	if (error != 0)
		return;
	cr_assert_eq(va, want, "%lu pages aligned to %lu: at 0x%lx, not 0x%lx", n, align, va, want);
	model_take(&model, va, n);
	live[nlive++] = (struct live){ va, n };
}

/* Free all of one, or, where no guard confuses the picture, a part. */
static void
step_free(const struct course *c, struct rnd *r)
{
	unsigned k = (unsigned)rnd_below(r, nlive);
	struct live l = live[k];
	uint64_t from = 0, to = l.n;

	live[k] = live[--nlive];
	if (!c->guarded && l.n > 2 && rnd_below(r, 4) == 0) {
		from = rnd_below(r, l.n);
		to = from + 1 + rnd_below(r, l.n - from);
		if (from != 0)
			live[nlive++] = (struct live){ l.va, from };
		if (to != l.n)
			live[nlive++] = (struct live){ l.va + (to << 12), l.n - to };
	}
	uvm_unmap(&map, l.va + (from << 12), l.va + (to << 12));
	model_give(&model, l.va + (from << 12), to - from);
}

static void
run(const struct course *c)
{
	struct rnd r = rnd_start(c->name);
	uint64_t pages, free_before;

	twin_boot(16 * MIB, 4 * GIB, 0);
	/* Somewhere in the middle, at no particular alignment. */
	pages = 1000 + rnd_below(&r, MODEL_PAGES - 1000);
	model_init(&model, KVA + GIB + (rnd_below(&r, 1000) << 12), pages, c->best, c->guarded);
	free_before = uvmexp.free;
	uvm_map_setup(&map, pmap_kernel(), model.base, model.base + (pages << 12),
	    VM_MAP_PAGEABLE | (c->guarded ? VM_MAP_GUARDPAGES : 0),
	    c->best ? UVM_ADDR_BESTFIT : UVM_ADDR_FIRSTFIT, "test");
	/* No page of it is ever touched: no need for tables. */
	uvm_maxkaddr = vm_map_max(&map);
	nlive = 0;
	for (unsigned i = 0; i < c->steps; i++) {
		unsigned target = (i / 1000) % 2 == 0 ? 150 : 600;

		if (nlive == 0 ||
		    (nlive < LIVE_MAX - 4 && rnd_below(&r, 100) < (nlive < target ? 60 : 40)))
			step_alloc(c, &r);
		else
			step_free(c, &r);
		if (i % 40 == 0)
			model_check(&model, &map, &r);
	}
	while (nlive != 0) {
		struct live l = live[--nlive];

		uvm_unmap(&map, l.va, l.va + (l.n << 12));
		model_give(&model, l.va, l.n);
	}
	model_check(&model, &map, &r);
	cr_assert_eq(map.nentries, 0);
	uvm_map_deallocate(&map);
	/* One page of entries may stay with the pool. */
	cr_assert(uvmexp.free == free_before || uvmexp.free == free_before - 1);
}

/* property 18 46 72 73: map */
BED_TEST(addr, best_fit_small)
{
	run(&(struct course){ "addr_best_fit_small", true, false, 32, 11, 6000 });
}

/* property 18 46 72 73: map */
BED_TEST(addr, best_fit_big)
{
	run(&(struct course){ "addr_best_fit_big", true, false, 256, 11, 4000 });
}

/* property 18 46 72 73 74 75: map */
BED_TEST(addr, best_fit_guarded)
{
	run(&(struct course){ "addr_best_fit_guarded", true, true, 40, 8, 5000 });
}

/* property 19 46 72 73: map */
BED_TEST(addr, first_fit_small)
{
	run(&(struct course){ "addr_first_fit_small", false, false, 32, 11, 5000 });
}

/* property 19 46 72 73: map */
BED_TEST(addr, first_fit_big)
{
	run(&(struct course){ "addr_first_fit_big", false, false, 256, 11, 3000 });
}

/* property 19 46 72 73 74 75: map */
BED_TEST(addr, first_fit_guarded)
{
	run(&(struct course){ "addr_first_fit_guarded", false, true, 40, 8, 4000 });
}

/* Single pages in and out of a comb: every word of the trie empties and fills again. */
/* property 18 72: map */
BED_TEST(addr, comb)
{
	struct rnd r = rnd_start("addr_comb");

	twin_boot(16 * MIB, 4 * GIB, 0);
	model_init(&model, KVA + GIB, 9000, true, false);
	uvm_map_setup(&map, pmap_kernel(), model.base, model.base + (9000 << 12), VM_MAP_PAGEABLE,
	    UVM_ADDR_BESTFIT, "comb");
	uvm_maxkaddr = vm_map_max(&map);
	for (int i = 0; i < 9000; i++)
		step_alloc(&(struct course){ "", true, false, 1, 1, 0 }, &r), nlive = 0;
	cr_assert_eq(uvm_map_largest_hole(&map), 0);
	for (uint64_t stride = 2; stride < 200; stride = stride * 3 + 1) {
		for (uint64_t p = 0; p < 9000; p += stride) {
			uvm_unmap(&map, model.base + (p << 12), model.base + ((p + 1) << 12));
			model_give(&model, model.base + (p << 12), 1);
		}
		model_check(&model, &map, &r);
		for (uint64_t p = 0; p < 9000; p += stride)
			step_alloc(&(struct course){ "", true, false, 1, 1, 0 }, &r), nlive = 0;
		model_check(&model, &map, &r);
	}
	uvm_map_deallocate(&map);
}
