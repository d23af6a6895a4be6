/* SPDX-License-Identifier: ISC */
/*
 * uvm_km_alloc, uvm_km_zalloc, uvm_km_alloc1: what is mapped, with what behind it, at what cost; and that
 * uvm_km_free takes exactly that away.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/bed/inside.h"
#include "vmm/view/walk.h"

/* A wired, managed, private page of kernel memory. */
#define WIRED_KERNEL                                                                 \
	.size = PT_4K, .perm = PT_RW, .nx = PT_YES, .user = PT_NO, .global = PT_YES, \
	.wired = PT_YES, .managed = PT_YES, .frames = PT_DISTINCT

static uint64_t
pages_of(uint64_t size)
{
	return (size + BED_PAGE_MASK) >> BED_PAGE_SHIFT;
}

/* Each page is memory the allocator was given, in use, in the object at its place (properties 6, 8, 9). */
static void
check_owned(struct bed *bed, gva_t va, uint64_t npages)
{
	const struct bed_bootinfo *info = bed_bootinfo(bed);
	struct view view = bed_view(bed);

	for (uint64_t i = 0; i < npages; i++) {
		struct walk w = view_walk(&view, page_of(va, i));
		struct inside_page pg = inside_page(bed, w.pa);
		bool loaded = false;

		for (unsigned k = 0; k < info->nseg; k++)
			loaded |= w.pa.v >= info->seg[k].start && w.pa.v < info->seg[k].end;
		CHECK(loaded, "%#lx maps %#lx", page_of(va, i).v, w.pa.v);
		CHECK(pg.in_use && pg.tabled && pg.offset == page_of(va, i).v - BED_KVA_BASE,
		    "page %#lx: in use %d, in the object %d at %#lx", w.pa.v, pg.in_use, pg.tabled,
		    pg.offset);
		CHECK(pg.wire_count == 0, "wire_count is %u", pg.wire_count);
	}
}

/* A free of n pages in one call: each entry cleared once, invalidated at most once, one exit. */
static void
check_free(struct bed *bed, gva_t va, uint64_t size)
{
	uint64_t n = pages_of(size);
	struct view view = bed_view(bed);
	gpa_t *frame = calloc(n, sizeof(*frame));
	struct work w;

	CHECK(frame != NULL, "no memory");
	for (uint64_t i = 0; i < n; i++)
		frame[i] = view_walk(&view, page_of(va, i)).pa;
	DELTA(bed, w = WORK(bed, bed_uvm_km_free(bed, KERNEL, va, size)),
	    { PT_REMOVED, .map = { .va = va, .npages = n, .state = PT_PRESENT } },
	    { PT_TABLES, .gained = PT_EXACTLY(0), .lost = PT_EXACTLY(0) });
	CHECK(w.count.pte_clear == n && w.count.pte_set == 0 && w.count.pte_change == 0,
	    "%lu pages: %lu cleared, %lu set, %lu changed", n, w.count.pte_clear, w.count.pte_set,
	    w.count.pte_change);
	CHECK(w.count.invlpg <= n && w.count.invlpg + w.count.tlb_full > 0 && w.count.tlb_full <= 1,
	    "%lu pages: %lu INVLPG, %lu full flushes", n, w.count.invlpg, w.count.tlb_full);
	CHECK(!w.has_invlpg || w.invlpg == w.count.invlpg, "KVM saw %lu INVLPG, the guest %lu",
	    w.invlpg, w.count.invlpg);
	CHECK(w.exits == 1 && w.count.page_free == n, "%lu exits, %lu pages freed", w.exits,
	    w.count.page_free);
	for (uint64_t i = 0; i < n; i++)
		CHECK(!inside_page(bed, frame[i]).in_use, "%#lx is not free", frame[i].v);
	free(frame);
}

enum how { ALLOC, ZALLOC, ALLOC1 };

static gva_t
allocate(struct bed *bed, enum how how, uint64_t size, uint64_t align)
{
	return how == ALLOC    ? bed_uvm_km_alloc(bed, KERNEL, size)
	       : how == ZALLOC ? bed_uvm_km_zalloc(bed, KERNEL, size)
	                       : bed_uvm_km_alloc1(bed, KERNEL, size, align, 0);
}

/* Properties 1 to 9, 11, 33 to 35 for every way to allocate and sizes on both sides of each boundary. */
/* property 1 2 3 4 5 6 8 9 33 34 35: kernel_map */
BED_TEST(km, maps_what_it_promises)
{
	static const struct {
		enum how how;
		uint64_t size, align;
	} row[] = {
		{ ALLOC, 1, 0 },
		{ ALLOC, 4095, 0 },
		{ ALLOC, 4096, 0 },
		{ ALLOC, 4097, 0 },
		{ ALLOC, 7 * PAGE, 0 },
		{ ALLOC, 32 * PAGE, 0 },
		{ ALLOC, 33 * PAGE, 0 },
		{ ALLOC, 513 * PAGE, 0 },
		{ ZALLOC, 1, 0 },
		{ ZALLOC, 3 * PAGE - 1, 0 },
		{ ALLOC1, 5, 0 },
		{ ALLOC1, 3 * PAGE, 64 * KIB },
		{ ALLOC1, 2 * PAGE, 2 * MIB },
	};
	struct bed *bed = BED();
	struct inside before = inside_look(bed);

	for (size_t i = 0; i < COUNT_OF(row); i++) {
		uint64_t n = pages_of(row[i].size);
		struct work w;
		gva_t va;

		DELTA(bed, w = WORK(bed, va = allocate(bed, row[i].how, row[i].size, row[i].align)),
		    { PT_ADDED, .map = { .va = va, .npages = n, WIRED_KERNEL } },
		    { PT_TABLES, .gained = PT_AT_MOST(1), .lost = PT_EXACTLY(0) });
		CHECK(va.v >= BED_KVA_BASE && va.v + n * PAGE <= BED_KVA_BASE + 4 * GIB &&
			  va.v % (row[i].align ? row[i].align : PAGE) == 0,
		    "row %zu: %#lx", i, va.v);
		CHECK(w.count.pte_set == n && w.count.pte_clear + w.count.pte_change == 0 &&
			  w.exits == 1,
		    "row %zu: %lu set, %lu exits", i, w.count.pte_set, w.exits);
		CHECK(w.count.invlpg + w.count.tlb_full == 0, "row %zu: nothing to invalidate", i);
		PT_EXPECT(bed, va, .npages = n, .dirty = PT_NO);
		PT_ABSENT(bed, GVA(va.v - PAGE), 1);
		PT_ABSENT(bed, page_of(va, n), 1);
		check_owned(bed, va, n);
		/* The rounded tail is usable, and what the guest writes the host reads. */
		GUEST_STORE(bed, GVA(va.v + n * PAGE - 8), 0x1234 + i);
		CHECK(*HOST(bed, GVA(va.v + n * PAGE - 8)) == 0x1234 + i, "row %zu: tail", i);
		PT_EXPECT(bed, page_of(va, n - 1), .dirty = PT_YES, .accessed = PT_YES);
		INSIDE_CHECK(bed);
		check_free(bed, va, row[i].size);
		EXPECT_FAULT(bed, va, LOAD, 0);
		EXPECT_FAULT(bed, page_of(va, n - 1), STORE, PF_W);
	}
	INSIDE_SAME(bed, &before);
	INSIDE_CHECK(bed);
	bed_down(bed);
}

/* Properties 12 and 28; neighbours of the range fault, with the right code. */
/* property 12 28: kernel_map */
BED_TEST(km, guest_and_host_see_the_same_memory)
{
	struct bed *bed = BED();
	uint64_t ifetch = bed_view(bed).nx ? PF_I : 0;
	gva_t va = bed_uvm_km_alloc(bed, KERNEL, 6 * PAGE);

	for (unsigned i = 0; i < 6; i++) {
		gva_t direct, at = GVA(page_of(va, i).v + 8 * i);
		struct view view = bed_view(bed);

		GUEST_STORE(bed, at, 0x1000 + i);
		CHECK(*HOST(bed, at) == 0x1000 + i, "page %u", i);
		direct = GVA(BED_DIRECT_BASE + view_walk(&view, at).pa.v);
		CHECK(GUEST_LOAD(bed, direct) == 0x1000 + i, "through the direct map, page %u", i);
		*HOST(bed, at) = 0x2000 + i;
		CHECK(GUEST_LOAD(bed, at) == 0x2000 + i, "page %u", i);
	}
	EXPECT_FAULT(bed, va, EXEC, PF_P | ifetch);
	EXPECT_FAULT(bed, GVA(va.v - 8), LOAD, 0);
	EXPECT_FAULT(bed, GVA(va.v - 8), STORE, PF_W);
	EXPECT_FAULT(bed, page_of(va, 6), LOAD, 0);
	EXPECT_FAULT(bed, page_of(va, 6), STORE, PF_W);
	/* One load over the edge takes the fault at the edge. */
	EXPECT_FAULT(bed, GVA(va.v + 6 * PAGE - 4), LOAD, 0);
	bed_down(bed);
}

/*
 * Properties 10 and 11. Memory is used up but for a few pages, some of which are dirty in every byte; so
 * zalloc must take these, too. It zeroes them, through the new mapping; pages known to be zero it leaves.
 */
/* property 10 11: kernel_map */
BED_TEST(km, zalloc_is_zero_after_use)
{
	struct bed *bed = BED(.ram = 8 * MIB);
	uint64_t spare = inside_look(bed).free - 40, zeroed = 0;
	gva_t most = bed_uvm_km_alloc(bed, KERNEL, spare * PAGE), va;
	gva_t dirty = bed_uvm_km_alloc(bed, KERNEL, 12 * PAGE);
	struct view view = bed_view(bed);
	gpa_t frame[12];
	struct work w;

	CHECK(most.v != 0 && dirty.v != 0, "no memory");
	for (unsigned i = 0; i < 12; i++) {
		frame[i] = view_walk(&view, page_of(dirty, i)).pa;
		memset(HOST(bed, page_of(dirty, i)), 0xa5, PAGE);
	}
	bed_uvm_km_free(bed, KERNEL, dirty, 12 * PAGE);
	w = WORK(bed, va = bed_uvm_km_zalloc(bed, KERNEL, 26 * PAGE - 100));
	CHECK(va.v != 0, "no memory");
	PT_EXPECT(bed, va, .npages = 26, .zero = PT_YES, WIRED_KERNEL);
	for (unsigned i = 0; i < 26; i++) {
		bool was_dirty = false;

		for (unsigned k = 0; k < 12; k++)
			was_dirty |= view_walk(&view, page_of(va, i)).pa.v == frame[k].v;
		PT_EXPECT(bed, page_of(va, i), .dirty = was_dirty ? PT_YES : PT_NO);
		zeroed += was_dirty;
	}
	CHECK(zeroed > 0, "no page was reused: this proves nothing");
	/* The same memory again by plain alloc: whatever it held, it is not zeroed. */
	bed_uvm_km_free(bed, KERNEL, va, 26 * PAGE);
	w = WORK(bed, va = bed_uvm_km_alloc(bed, KERNEL, 26 * PAGE));
	CHECK(va.v != 0 && w.count.page_zero == 0, "%lu pages zeroed", w.count.page_zero);
	PT_EXPECT(bed, va, .npages = 26, .dirty = PT_NO);
	bed_down(bed);
}

/* alloc1's last argument is zalloc's promise. */
BED_TEST(km, alloc1_zeroes_when_asked)
{
	struct bed *bed = BED();
	gva_t va = bed_uvm_km_alloc1(bed, KERNEL, 5 * PAGE, 0, 1);

	PT_EXPECT(bed, va, .npages = 5, .zero = PT_YES);
	for (unsigned i = 0; i < 5; i++)
		memset(HOST(bed, page_of(va, i)), 0x11, PAGE);
	bed_uvm_km_free(bed, KERNEL, va, 5 * PAGE);
	for (unsigned round = 0; round < 3; round++) {
		va = bed_uvm_km_alloc1(bed, KERNEL, 3 * PAGE, 4 * PAGE, 1);
		PT_EXPECT(bed, va, .npages = 3, .zero = PT_YES);
		memset(HOST(bed, page_of(va, 1)), 0x22, PAGE);
		bed_uvm_km_free(bed, KERNEL, va, 3 * PAGE);
	}
	bed_down(bed);
}

/* Properties 15 and 16, and what is no alignment: refused, and nothing whatever changes. */
/* property 14 15 16: kernel_map */
BED_TEST(km, refusals_change_nothing)
{
	static const struct {
		uint64_t size, align;
	} row[] = {
		{ 0, 0 },
		{ UINT64_MAX, 0 },
		{ UINT64_MAX - 4094, 0 },
		{ UINT64_MAX - 4095, 0 },
		{ UINT64_C(1) << 63, 0 },
		{ (UINT64_C(1) << 63) + 1, 0 },
		{ 4 * GIB, 0 },
		{ 4 * GIB + 1, 0 },
		{ 4 * GIB - PAGE, 0 },
		{ 32 * MIB, 0 }, /* fits the map, but not into memory */
		{ PAGE, 3 },
		{ PAGE, PAGE + 1 },
		{ PAGE, 3 * PAGE },
		{ PAGE, UINT64_MAX },
		{ PAGE, UINT64_C(1) << 63 },
		{ PAGE, 8 * GIB },
		{ 0, PAGE },
	};
	struct bed *bed = BED();
	gva_t va = bed_uvm_km_alloc(bed, KERNEL, 2 * PAGE);
	struct inside before;

	before = inside_look(bed);
	for (size_t i = 0; i < COUNT_OF(row); i++) {
		struct work w;
		gva_t got;

		DELTA(bed,
		    w = WORK(bed, got = allocate(bed,
				      row[i].align != 0 ? ALLOC1
				      : i % 2           ? ZALLOC
							: ALLOC,
				      row[i].size, row[i].align)),
		    { PT_TABLES, .gained = PT_EXACTLY(0), .lost = PT_EXACTLY(0) });
		CHECK(got.v == 0, "row %zu: %#lx", i, got.v);
		CHECK(
		    w.count.pte_set == 0 && w.exits == 1, "row %zu: %lu PTEs", i, w.count.pte_set);
		INSIDE_SAME(bed, &before);
	}
	CHECK(inside_look(bed).ptps == before.ptps, "tables were made");
	PT_EXPECT(bed, va, .npages = 2, WIRED_KERNEL);
	INSIDE_CHECK(bed);
	bed_down(bed);
}

/* Above the threshold a free flushes once instead of a page at a time; both work right at the edge. */
BED_TEST(km, free_flushes_once_above_the_threshold)
{
	struct bed *bed = BED(.flush_threshold = 8);

	for (uint64_t n = 7; n <= 10; n++) {
		gva_t va = bed_uvm_km_alloc(bed, KERNEL, n * PAGE);
		struct work w;

		CHECK(bed_fill(bed, va, n, n) == 0, "fill");
		w = WORK(bed, bed_uvm_km_free(bed, KERNEL, va, n * PAGE));
		CHECK(w.count.invlpg == (n <= 8 ? n : 0) && w.count.tlb_full == (n > 8),
		    "%lu pages: %lu INVLPG, %lu full", n, w.count.invlpg, w.count.tlb_full);
		CHECK(!w.has_invlpg || w.invlpg == w.count.invlpg, "KVM saw %lu", w.invlpg);
		for (uint64_t i = 0; i < n; i++)
			EXPECT_FAULT(bed, page_of(va, i), LOAD, 0);
	}
	bed_down(bed);
}
