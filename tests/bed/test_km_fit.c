/* SPDX-License-Identifier: ISC */
/*
 * Where allocations go, and what happens when there is no room: addresses are compared with a brute-force
 * model of the placement rule (model.h) after every call.
 */
#include <string.h>

#include "tests/bed/model.h"

#define LIVE 48

struct live {
	uint64_t va, npages;
	uint64_t end;  /* guard included */
	uint64_t seed; /* of what it was filled with */
};

/* Alignment of a random request: mostly none, else any power of two up to 16 MiB. */
static uint64_t
some_align(struct rng *r)
{
	return rng_below(r, 3) ? 0 : PAGE << rng_below(r, 13);
}

static uint64_t
some_pages(struct rng *r)
{
	return 1 + (rng_below(r, 4) ? rng_below(r, 6) : rng_below(r, 90));
}

static struct live
take(struct bed *bed, struct model *m, struct rng *r)
{
	uint64_t npages = some_pages(r), align = some_align(r);
	uint64_t want = model_place(m, npages * PAGE, align);
	gva_t va = bed_uvm_km_alloc1(bed, KERNEL, npages * PAGE, align, 0);

	CHECK(va.v == want, "%lu pages, alignment %#lx: %#lx, the rule says %#lx", npages, align,
	    va.v, want);
	return (struct live){ va.v, npages, va.v != 0 ? model_take(m, va.v, npages * PAGE) : 0,
		rng_next(r) };
}

/* Free all of it, or a piece out of it: then what is left stays live. */
static void
give(struct bed *bed, struct model *m, struct rng *r, struct live *l)
{
	uint64_t from = 0, n = l->npages;

	if (!m->guarded && l->npages > 1 && rng_below(r, 3) == 0) {
		from = rng_below(r, 2) ? l->npages / 2 : 0;
		n = from == 0 ? l->npages / 2 : l->npages - from;
	}
	bed_uvm_km_free(bed, KERNEL, GVA(l->va + from * PAGE), n * PAGE);
	model_give(m, l->va + from * PAGE, n == l->npages ? l->end : l->va + (from + n) * PAGE);
	l->npages -= n;
	if (from == 0)
		l->va += n * PAGE;
	else
		l->end = l->va + l->npages * PAGE;
}

static void
random_sequence(const char *test, uint64_t kva, uint32_t flags, unsigned steps)
{
	struct rng rng = rng_seeded(test);
	struct bed *bed = BED(.ram = 8 * MIB, .kva = kva, .flags = flags);
	struct inside before = inside_look(bed);
	struct model m = model_of(bed), empty = m;
	struct live live[LIVE] = { 0 };
	uint64_t pages = 0;

	for (unsigned step = 0; step < steps; step++) {
		struct live *l = &live[rng_below(&rng, LIVE)];

		if (l->npages == 0 && pages < 500) {
			*l = take(bed, &m, &rng);
			if (l->va == 0)
				l->npages = 0;
			else
				CHECK(bed_fill(bed, GVA(l->va), l->npages, l->seed) == 0, "fill");
			pages += l->npages;
		} else if (l->npages != 0) {
			CHECK(step % 4 || bed_verify(bed, GVA(l->va), l->npages, l->seed) == 0,
			    "another's contents at %#lx", l->va);
			pages -= l->npages;
			give(bed, &m, &rng, l);
			pages += l->npages;
		}
		MODEL_SAME(bed, &m);
		if (step % 16 == 0)
			INSIDE_CHECK(bed);
	}
	for (unsigned i = 0; i < LIVE; i++) {
		if (live[i].npages == 0)
			continue;
		bed_uvm_km_free(bed, KERNEL, GVA(live[i].va), live[i].npages * PAGE);
		model_give(&m, live[i].va, live[i].end);
		MODEL_SAME(bed, &m);
	}
	/* Property 46: one hole again. */
	MODEL_SAME(bed, &empty);
	INSIDE_CHECK(bed);
	INSIDE_SAME(bed, &before);
	bed_down(bed);
}

/* Properties 18, 46, 72 and 73. The small map runs full at times; the large one never. */
/* property 18 39 46 72 73: kernel_map */
BED_TEST(km_fit, random_in_a_large_map)
{
	random_sequence("random_in_a_large_map", 4 * GIB, 0, 250);
}

/* property 18 39 46 72 73: kernel_map */
BED_TEST(km_fit, random_in_a_small_map)
{
	random_sequence("random_in_a_small_map", 4 * MIB, 0, 250);
}

/* property 18 46 72 73 75: kernel_map */
BED_TEST(km_fit, random_with_guard_pages)
{
	random_sequence("random_with_guard_pages", 16 * MIB, BED_BOOT_GUARDPAGES, 150);
}

/* Property 13: every alignment that fits the map, and the smaller ones that mean a page. */
/* property 13: kernel_map */
BED_TEST(km_fit, every_alignment)
{
	struct bed *bed = BED(.ram = 64 * MIB, .ptpool = 12 * MIB);
	struct model m = model_of(bed);
	gva_t first = bed_uvm_km_alloc(bed, KERNEL, PAGE);

	model_take(&m, first.v, PAGE);
	for (unsigned shift = 0; shift <= 32; shift++) {
		uint64_t align = UINT64_C(1) << shift, want = model_place(&m, 2 * PAGE, align);
		gva_t va = bed_uvm_km_alloc1(bed, KERNEL, 2 * PAGE, align, 0);

		CHECK(va.v == want, "alignment 2^%u: %#lx, the rule says %#lx", shift, va.v, want);
		CHECK(va.v != 0 || shift > 30, "alignment 2^%u: no room", shift);
		if (va.v == 0)
			continue;
		CHECK(va.v % align == 0 && va.v % PAGE == 0, "alignment 2^%u: %#lx", shift, va.v);
		model_take(&m, va.v, 2 * PAGE);
	}
	MODEL_SAME(bed, &m);
	INSIDE_CHECK(bed);
	bed_down(bed);
}

/* Holes of 1, 2, 3, 2 pages in this order: each request takes the smallest that holds it, the lowest of two. */
/* property 18: kernel_map */
BED_TEST(km_fit, smallest_hole_lowest_address)
{
	static const unsigned holes[] = { 1, 2, 3, 2 };
	struct bed *bed = BED();
	gva_t at[COUNT_OF(holes)], got;

	for (size_t i = 0; i < COUNT_OF(holes); i++) {
		at[i] = bed_uvm_km_alloc(bed, KERNEL, holes[i] * PAGE);
		bed_uvm_km_alloc(bed, KERNEL, PAGE); /* a wall */
	}
	for (size_t i = 0; i < COUNT_OF(holes); i++)
		bed_uvm_km_free(bed, KERNEL, at[i], holes[i] * PAGE);
	got = bed_uvm_km_alloc(bed, KERNEL, 3 * PAGE);
	CHECK(got.v == at[2].v, "three pages at %#lx", got.v);
	got = bed_uvm_km_alloc(bed, KERNEL, 2 * PAGE);
	CHECK(got.v == at[1].v, "two pages at %#lx", got.v);
	got = bed_uvm_km_alloc(bed, KERNEL, 2 * PAGE);
	CHECK(got.v == at[3].v, "two more at %#lx", got.v);
	got = bed_uvm_km_alloc(bed, KERNEL, PAGE);
	CHECK(got.v == at[0].v, "one page at %#lx", got.v);
	bed_down(bed);
}

/* Properties 17 and 48: the largest hole fits exactly; a full map refuses, keeps all, and recovers by one free. */
/* property 17 48: kernel_map */
BED_TEST(km_fit, addresses_run_out)
{
	struct bed *bed = BED(.kva = 4 * MIB);
	struct model m = model_of(bed);
	uint64_t hole = model_largest(&m);
	struct inside before;
	gva_t va[8], all;

	DELTA(bed, all = bed_uvm_km_alloc(bed, KERNEL, hole + PAGE));
	CHECK(all.v == 0, "one page more than the largest hole: %#lx", all.v);
	all = bed_uvm_km_alloc(bed, KERNEL, hole);
	CHECK(all.v == BED_KVA_BASE + 4 * MIB - hole, "the whole hole: %#lx", all.v);
	bed_uvm_km_free(bed, KERNEL, all, hole);

	for (unsigned i = 0; i < COUNT_OF(va); i++) {
		va[i] = bed_uvm_km_alloc(bed, KERNEL, hole / PAGE / 8 * PAGE);
		CHECK(va[i].v != 0 && bed_fill(bed, va[i], 3, i) == 0, "part %u", i);
	}
	while (bed_uvm_km_alloc(bed, KERNEL, PAGE).v != 0)
		;
	before = inside_look(bed);
	DELTA(bed, all = bed_uvm_km_alloc(bed, KERNEL, PAGE));
	CHECK(all.v == 0, "one page in a full map: %#lx", all.v);
	INSIDE_SAME(bed, &before);
	for (unsigned i = 0; i < COUNT_OF(va); i++)
		CHECK(bed_verify(bed, va[i], 3, i) == 0, "part %u lost its contents", i);
	bed_uvm_km_free(bed, KERNEL, page_of(va[5], 1), PAGE);
	all = bed_uvm_km_alloc(bed, KERNEL, PAGE);
	CHECK(all.v == va[5].v + PAGE, "after one free: %#lx", all.v);
	INSIDE_CHECK(bed);
	bed_down(bed);
}

/*
 * Properties 52 and 54. More pages than are free: the call sleeps, holding nothing, so that others go on; a
 * free that makes room ends it. More than there is altogether is refused at once.
 */
/* property 52: kernel_map */
BED_TEST(km_fit, pages_run_out)
{
	struct bed *bed = BED(.ram = 8 * MIB);
	struct inside before = inside_look(bed);
	uint64_t args[] = { KERNEL, 60 * PAGE };
	gva_t most, other;
	struct bed_result res;
	struct bed_err err;

	CHECK(bed_uvm_km_alloc(bed, KERNEL, 8 * MIB).v == 0, "more than memory");
	INSIDE_SAME(bed, &before);
	most = bed_uvm_km_alloc(bed, KERNEL, (before.free - 50) * PAGE);
	CHECK(most.v != 0, "most of memory");
	DELTA(bed,
	    CHECK(bed_call_start(bed, BED_CALL_uvm_km_alloc, args, 2, &res, &err), "%s", err.text));
	CHECK(res.state == BED_STATE_BLOCKED && res.wmesg[0] != '\0' && res.wchan.v != 0,
	    "it did not sleep");
	/* Others allocate and free in the same map meanwhile. */
	other = bed_uvm_km_alloc(bed, KERNEL, 3 * PAGE);
	CHECK(other.v != 0 && bed_fill(bed, other, 3, 1) == 0, "another call");
	bed_uvm_km_free(bed, KERNEL, other, 3 * PAGE);
	CHECK(bed_call_wait(bed, res.slot, &res, &err) && res.state == BED_STATE_BLOCKED,
	    "it woke, and got %lu", res.value);
	bed_uvm_km_free(bed, KERNEL, most, 40 * PAGE);
	CHECK(bed_call_wait(bed, res.slot, &res, &err), "%s", err.text);
	CHECK(res.state == BED_STATE_DONE && res.value != 0, "it still sleeps on %s", res.wmesg);
	PT_EXPECT(bed, GVA(res.value), .npages = 60, .perm = PT_RW, .frames = PT_DISTINCT);
	INSIDE_CHECK(bed);
	bed_uvm_km_free(bed, KERNEL, GVA(res.value), 60 * PAGE);
	bed_uvm_km_free(bed, KERNEL, page_of(most, 40), (before.free - 90) * PAGE);
	INSIDE_SAME(bed, &before);
	bed_down(bed);
}

/* A bed with its slots full of sleepers says so, and can still be destroyed. */
BED_TEST(km_fit, every_slot_asleep)
{
	struct bed *bed = BED(.ram = 8 * MIB);
	uint64_t args[] = { KERNEL, 60 * PAGE };
	gva_t hold = bed_uvm_km_alloc(bed, KERNEL, (inside_look(bed).free - 50) * PAGE);
	struct bed_result res;
	struct bed_err err;
	unsigned asleep = 0;

	CHECK(hold.v != 0, "no memory");
	while (bed_call_start(bed, BED_CALL_uvm_km_alloc, args, 2, &res, &err)) {
		CHECK(res.state == BED_STATE_BLOCKED, "it got %#lx", res.value);
		asleep++;
	}
	CHECK(err.class == BED_E_USAGE && strstr(err.text, "slot"), "%s", err.text);
	CHECK(asleep == BED_SLOTS, "%u asleep", asleep);
	CHECK(bed_report(bed) == NULL, "dead");
	bed_down(bed);
}
