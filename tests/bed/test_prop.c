/* SPDX-License-Identifier: ISC */
/*
 * Promises that only the real machine can keep or break: the same boot does the same things to the same
 * frames, and growth is seen by whoever has the root as it was at boot.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/bed/inside.h"
#include "vmm/view/walk.h"

#define STEPS 120
#define LIVE  24

static uint64_t
mix(uint64_t h, uint64_t x)
{
	return (h ^ x) * UINT64_C(0x100000001b3);
}

/* A hash of each address, each frame and each count of a random sequence. */
static uint64_t
run_sequence(uint64_t seed)
{
	struct bed *bed = BED(.ram = 8 * MIB, .flags = BED_BOOT_DETERMINISTIC);
	struct rng r = { seed };
	struct {
		gva_t va;
		uint64_t n;
	} live[LIVE] = { 0 };
	struct view view = bed_view(bed);
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	struct work w;

	for (unsigned i = 0; i < STEPS; i++) {
		unsigned k = (unsigned)rng_below(&r, LIVE);
		uint64_t kind = rng_below(&r, 3), n = 1 + rng_below(&r, 12);

		if (live[k].n != 0) {
			bed_uvm_km_free(bed, KERNEL, live[k].va, live[k].n * PAGE);
			live[k].n = 0;
			continue;
		}
		live[k].n = n;
		live[k].va = kind == 0   ? bed_uvm_km_alloc(bed, KERNEL, n * PAGE)
		             : kind == 1 ? bed_uvm_km_zalloc(bed, KERNEL, n * PAGE)
		                         : bed_uvm_km_valloc(bed, KERNEL, n * PAGE);
		CHECK(live[k].va.v != 0, "step %u: no memory", i);
		GUEST_STORE(bed, live[k].va, i);
		h = mix(mix(h, live[k].va.v), view_walk(&view, live[k].va).pa.v);
	}
	w = bed_work(bed);
	h = mix(mix(mix(h, w.count.pte_set), w.count.pte_clear), w.count.invlpg);
	h = mix(mix(mix(h, w.count.page_alloc), w.count.page_free), w.exits);
	h = mix(h, w.has_insns ? w.insns : 0);
	bed_down(bed);
	return h;
}

/* property 100: kernel_map */
BED_TEST(prop, the_same_seed_does_the_same)
{
	struct rng r = rng_seeded("prop the_same_seed_does_the_same");
	uint64_t seed = rng_next(&r), first = run_sequence(seed);

	CHECK(run_sequence(seed) == first, "seed %#lx: another address, frame or count", seed);
	CHECK(run_sequence(seed + 1) != first, "the hash says nothing");
}

/* property 79 82: kernel_map submap */
BED_TEST(prop, growth_changes_no_entry_of_the_root)
{
	struct bed *bed = BED(.ram = 64 * MIB, .kva = 2 * GIB, .ptpool = 8 * MIB);
	const uint64_t *root = bed_ptr(bed, bed_view(bed).root, PAGE);
	uint64_t slot[512], tables = inside_look(bed).ptps;
	gva_t va;

	memcpy(slot, root, sizeof(slot));
	va = bed_uvm_km_valloc(bed, KERNEL, GIB + 64 * MIB); /* over the edge of a level-3 entry */
	CHECK(va.v != 0, "no addresses");
	GUEST_STORE(bed, GVA(va.v + GIB + 64 * MIB - 8), 7);
	bed_uvm_km_free(bed, KERNEL, va, GIB + 64 * MIB);
	CHECK(inside_look(bed).ptps > tables + 512, "%lu tables", inside_look(bed).ptps);
	tables = inside_look(bed).ptps;
	CHECK(bed_uvm_km_suballoc(bed, KERNEL, GVA(0), GIB, 1, 0) != 0, "no submap");
	CHECK(inside_look(bed).ptps == tables, "tables that exist were made again");
	for (unsigned i = 0; i < 512; i++)
		CHECK(((slot[i] ^ root[i]) & ~PTE_A) == 0, "slot %u: %#lx, was %#lx", i, root[i],
		    slot[i]);
	INSIDE_CHECK(bed);
	bed_down(bed);
}
