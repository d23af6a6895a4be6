/* SPDX-License-Identifier: ISC */
/*
 * uvm_km_free in all its shapes: parts, several at once, unaligned, wrong; and the policy about misuse of
 * guest/uvm/uvm_extern.h.
 */
#include <string.h>

#include "tests/bed/inside.h"

/* The range a free of (addr, size) must take out of pages [0, 12) from va, holes passed over. */
struct shape {
	const char *what;
	int64_t addr;  /* bytes from va */
	uint64_t size; /* bytes */
	unsigned from, to;
};

/* Properties 39 to 41. Pages 3 and 4 of the twelve are a hole already. */
static const struct shape shapes[] = {
	{ "the middle page", 6 * 4096, 4096, 6, 7 },
	{ "the first page", 0, 4096, 0, 1 },
	{ "the last page", 11 * 4096, 4096, 11, 12 },
	{ "all", 0, 12 * 4096, 0, 12 },
	{ "all and beyond", 0, 20 * 4096, 0, 12 },
	{ "over the hole", 2 * 4096, 4 * 4096, 2, 6 },
	{ "one byte is its page", 8 * 4096 + 77, 1, 8, 9 },
	{ "two bytes over an edge are two pages", 9 * 4096 - 1, 2, 8, 10 },
	{ "an unaligned address with no size is a page", 6 * 4096 + 1, 0, 6, 7 },
	{ "no size at an edge is nothing", 6 * 4096, 0, 6, 6 },
	{ "rounding goes outwards", 5 * 4096 + 5, 2 * 4096, 5, 8 },
};

/* property 39 40 41: kernel_map */
BED_TEST(km_free, shapes)
{
	struct bed *bed = BED();
	struct inside before = inside_look(bed);

	for (size_t i = 0; i < COUNT_OF(shapes); i++) {
		const struct shape *s = &shapes[i];
		/* Two allocations side by side, of which one call may free parts together. */
		gva_t va = bed_uvm_km_alloc(bed, KERNEL, 7 * PAGE);
		gva_t right = bed_uvm_km_alloc(bed, KERNEL, 5 * PAGE);
		uint64_t gone = 0;
		int64_t lost;
		struct work w;

		CHECK(right.v == va.v + 7 * PAGE, "%s: not side by side", s->what);
		bed_uvm_km_free(bed, KERNEL, page_of(va, 3), 2 * PAGE);
		CHECK(bed_fill(bed, va, 3, i) == 0 && bed_fill(bed, page_of(va, 5), 7, i) == 0,
		    "%s", s->what);
		w = WORK(bed, bed_uvm_km_free(bed, KERNEL, GVA(va.v + (uint64_t)s->addr), s->size));
		for (unsigned k = 0; k < 12; k++) {
			bool hole = k == 3 || k == 4, out = k >= s->from && k < s->to;
			char report[REPORT];

			gone += out && !hole;
			CHECK(bed_shows(bed,
				  &(struct pt_expect){ .va = page_of(va, k),
				      .state = hole || out ? PT_ABSENT : PT_PRESENT },
				  report),
			    "%s: page %u: %s", s->what, k, report);
		}
		CHECK(w.count.pte_clear == gone && w.count.invlpg <= gone, "%s: %lu cleared",
		    s->what, w.count.pte_clear);
		/* What stays has its contents. */
		lost = bed_verify(bed, va, 3, i) + bed_verify(bed, page_of(va, 5), 7, i);
		CHECK((uint64_t)lost == gone, "%s: %ld pages lost their contents", s->what, lost);
		INSIDE_CHECK(bed);
		inside_tolerate_misuse(bed);
		for (unsigned k = 0; k < 12; k++)
			bed_uvm_km_free(bed, KERNEL, page_of(va, k), PAGE);
		INSIDE_SAME(bed, &before);
	}
	bed_down(bed);
}

/* Wrong frees: from kernel_map's base, what is freed; the misuse counter moves by one, and nothing else does. */
static const struct {
	const char *what, *says;
	uint64_t addr, size;
} wrongs[] = {
	{ "never allocated", "nothing there", BED_KVA_BASE + GIB, PAGE },
	{ "below the map", "nothing there", BED_KVA_BASE - MIB, PAGE },
	{ "above the map", "nothing there", BED_KVA_BASE + 5 * GIB, PAGE },
	{ "the direct map", "nothing there", BED_DIRECT_BASE, PAGE },
	{ "the image", "nothing there", BED_IMAGE_BASE + BED_IMAGE_PA, PAGE },
	{ "null", "nothing there", 0, PAGE },
	{ "addr + size wraps", "wraps", BED_KVA_BASE + GIB, UINT64_MAX - GIB },
	{ "size wraps when rounded", "wraps", BED_KVA_BASE + GIB, UINT64_MAX - BED_KVA_BASE - GIB },
	{ "everything from null", "submap", 0, UINT64_MAX - 8192 },
	{ "the first submap", "submap", BED_KVA_BASE, PAGE },
	{ "into the first submap", "submap", BED_KVA_BASE - PAGE, 3 * PAGE },
};

/* property 42 44: kernel_map */
BED_TEST(km_free, misuse_is_counted_and_does_nothing)
{
	struct bed *bed = BED();
	gva_t va = bed_uvm_km_alloc(bed, KERNEL, 4 * PAGE);
	struct inside before, after;

	inside_tolerate_misuse(bed);
	before = inside_look(bed);
	for (size_t i = 0; i < COUNT_OF(wrongs); i++) {
		DELTA(bed, bed_uvm_km_free(bed, KERNEL, GVA(wrongs[i].addr), wrongs[i].size));
		after = inside_look(bed);
		CHECK(after.misuse == before.misuse + i + 1, "%s: counted %lu times",
		    wrongs[i].what, after.misuse - before.misuse - i);
		INSIDE_SAME(bed, &before);
	}
	/* Double free, whole and in part: property 44. */
	bed_uvm_km_free(bed, KERNEL, va, 4 * PAGE);
	before = inside_look(bed);
	DELTA(bed, bed_uvm_km_free(bed, KERNEL, va, 4 * PAGE));
	DELTA(bed, bed_uvm_km_free(bed, KERNEL, page_of(va, 1), PAGE));
	after = inside_look(bed);
	CHECK(after.misuse == before.misuse + 2, "counted %lu times", after.misuse - before.misuse);
	INSIDE_SAME(bed, &before);
	INSIDE_CHECK(bed);
	bed_down(bed);
}

/* The checked flavour's default: the guest dies of it and says which map and range. */
/* property 42 44 70: kernel_map */
BED_TEST(km_free, misuse_is_a_panic_in_the_checked_flavour)
{
	static const unsigned rows[] = { 0, 6, 9 };

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct bed *bed = BED();
		uint64_t args[] = { KERNEL, wrongs[rows[i]].addr, wrongs[rows[i]].size };
		struct bed_result res;
		struct bed_err err;

		CHECK(!bed_call_try(bed, BED_CALL_uvm_km_free, args, 3, &res, &err), "%s: it lives",
		    wrongs[rows[i]].what);
		CHECK(err.class == BED_E_GUEST && strstr(err.text, wrongs[rows[i]].says) &&
			  strstr(err.text, "map kernel_map") && strstr(err.text, "uvm_km_free"),
		    "%s: %s", wrongs[rows[i]].what, err.text);
		bed_down(bed);
	}
}

/* The release flavour counts by default. */
BED_TEST(km_free, misuse_is_counted_in_the_release_flavour)
{
	struct bed *bed = BED(.release = true);
	struct inside before = inside_look(bed);

	bed_uvm_km_free(bed, KERNEL, GVA(BED_KVA_BASE + GIB), PAGE);
	CHECK(inside_look(bed).misuse == before.misuse + 1, "not counted");
	bed_down(bed);
}

/* Partly outside the map, but with something inside: clipped, not misuse. */
BED_TEST(km_free, clipped_to_the_map)
{
	struct bed *bed = BED(.kva = 16 * MIB);
	struct inside before = inside_look(bed);
	uint64_t hole = 16 * MIB - before.map_pages * PAGE;
	gva_t all = bed_uvm_km_alloc1(bed, KERNEL, PAGE, 0, 0), last;

	/* The last page of the map, found by asking for it at a forced place: everything up to it first. */
	last = GVA(BED_KVA_BASE + 16 * MIB - PAGE);
	CHECK(all.v == last.v + PAGE - hole, "%#lx", all.v);
	bed_uvm_km_free(bed, KERNEL, all, PAGE);
	if (hole <= inside_look(bed).free * PAGE - 64 * PAGE) {
		all = bed_uvm_km_alloc(bed, KERNEL, hole);
		CHECK(all.v != 0, "the whole hole");
		DELTA(bed, bed_uvm_km_free(bed, KERNEL, last, 5 * PAGE),
		    { PT_REMOVED, .map = { .va = last, .state = PT_PRESENT } });
		DELTA(bed, bed_uvm_km_free(bed, KERNEL, all, hole - PAGE),
		    { PT_REMOVED,
			.map = { .va = all, .npages = hole / PAGE - 1, .state = PT_PRESENT } });
	} else {
		FAIL("the hole of %lu pages is more than memory: the test's sizes are wrong",
		    hole / PAGE);
	}
	INSIDE_SAME(bed, &before);
	bed_down(bed);
}

/* Property 45, and that pages, too, come back: the same request over and over changes nothing. */
/* property 45: kernel_map */
BED_TEST(km_free, alloc_after_free_is_the_same)
{
	struct bed *bed = BED();
	gva_t keep = bed_uvm_km_alloc(bed, KERNEL, 2 * PAGE), va, again;
	struct inside before = inside_look(bed);

	for (uint64_t n = 1; n <= 40; n += 13) {
		va = bed_uvm_km_alloc(bed, KERNEL, n * PAGE);
		bed_uvm_km_free(bed, KERNEL, va, n * PAGE);
		for (unsigned round = 0; round < 4; round++) {
			again = bed_uvm_km_alloc(bed, KERNEL, n * PAGE);
			CHECK(again.v == va.v, "%lu pages: %#lx, then %#lx", n, va.v, again.v);
			bed_uvm_km_free(bed, KERNEL, again, n * PAGE);
		}
	}
	PT_EXPECT(bed, keep, .npages = 2, .perm = PT_RW);
	INSIDE_SAME(bed, &before);
	bed_down(bed);
}
