/* SPDX-License-Identifier: ISC */
/*
 * pmap(9) on real tables: the bits of each kind of mapping, the counted work, the growth of the tables and
 * their end.
 */
#include "tests/bed/inside.h"
#include "vmm/view/snapshot.h"
#include "vmm/view/walk.h"

#define RO BED_PROT_READ
#define RW (BED_PROT_READ | BED_PROT_WRITE)
#define RX (BED_PROT_READ | BED_PROT_EXEC)

#define WIRED 0x10

/* An address of kernel_map that no map entry has, in the table that many after 64 MiB. */
static gva_t
free_va(unsigned table, unsigned page)
{
	return GVA(BED_KVA_BASE + 64 * MIB + table * 2 * MIB + page * PAGE);
}

static gpa_t
new_page(struct bed *bed)
{
	gpa_t pa = bed_uvm_pagealloc(bed);

	CHECK(pa.v != 0 && pa.v % PAGE == 0 && inside_page(bed, pa).in_use, "page %#lx", pa.v);
	return pa;
}

/* property 5 28: tables */
BED_TEST(pmap, bits_of_every_kind)
{
	static const struct {
		uint64_t prot;
		bool enter;
		uint64_t flags;
	} row[] = {
		{ RO, false, 0 },
		{ RW, false, 0 },
		{ RX, false, 0 },
		{ RO, true, 0 },
		{ RW, true, 0 },
		{ RW, true, WIRED },
		{ RO, true, WIRED },
		{ RX, true, 0 },
	};
	struct bed *bed = BED();
	uint64_t ifetch = bed_view(bed).nx ? PF_I : 0;
	gpa_t pa = new_page(bed);

	CHECK(bed_pmap_growkernel(bed, page_of(free_va(0, 0), 512)).v != 0, "growth");
	for (size_t i = 0; i < COUNT_OF(row); i++) {
		gva_t va = free_va(0, (unsigned)i);
		struct work w;
		int error;

		DELTA(bed,
		    w = WORK(bed, error = row[i].enter
		                              ? bed_pmap_enter(bed, va, pa, row[i].prot,
						    row[i].flags | row[i].prot)
		                              : bed_pmap_kenter_pa(bed, va, pa, row[i].prot)),
		    { PT_ADDED,
			.map = { .va = va,
			    .size = PT_4K,
			    .perm = row[i].prot & BED_PROT_WRITE ? PT_RW : PT_R,
			    .nx = PT_YES, /* the tables above deny it, whatever the leaf says */
			    .user = PT_NO,
			    .global = PT_YES,
			    .managed = row[i].enter ? PT_YES : PT_NO,
			    .wired = row[i].flags & WIRED ? PT_YES : PT_NO,
			    .frames = PT_PA(pa.v) } },
		    { PT_TABLES, .gained = PT_EXACTLY(0), .lost = PT_EXACTLY(0) });
		CHECK(error == 0, "row %zu: error %d", i, error);
		CHECK(w.count.pte_set == 1 && w.count.pte_change + w.count.pte_clear == 0 &&
			  w.count.invlpg + w.count.tlb_full == 0,
		    "row %zu: %lu set, %lu INVLPG", i, w.count.pte_set, w.count.invlpg);
		PT_EXPECT(bed, va, .accessed = PT_NO, .dirty = PT_NO);
		CHECK(((*bed_entry(bed, va, 1) & PTE_NX) == 0) == (row[i].prot == RX),
		    "row %zu: NX of the leaf", i);
		CHECK((*bed_entry(bed, va, 1) & PTE_SW_3) == 0, "row %zu: bit 11", i);
		(void)GUEST_LOAD(bed, va);
		PT_EXPECT(bed, va, .accessed = PT_YES, .dirty = PT_NO);
		if (row[i].prot & BED_PROT_WRITE) {
			GUEST_STORE(bed, va, i);
			PT_EXPECT(bed, va, .dirty = PT_YES);
		} else {
			EXPECT_FAULT(bed, va, STORE, PF_P | PF_W);
		}
		EXPECT_FAULT(bed, va, EXEC, PF_P | ifetch);
		DELTA(bed,
		    w = WORK(bed, row[i].enter ? bed_pmap_remove(bed, va, page_of(va, 1))
					       : bed_pmap_kremove(bed, va, PAGE)),
		    { PT_REMOVED, .map = { .va = va, .frames = PT_PA(pa.v) } });
		CHECK(w.count.pte_clear == 1 && w.count.invlpg == 1 && w.count.tlb_full == 0,
		    "row %zu: %lu cleared, %lu INVLPG", i, w.count.pte_clear, w.count.invlpg);
		EXPECT_FAULT(bed, va, LOAD, 0);
	}
	bed_uvm_pagefree(bed, pa);
	bed_down(bed);
}

/* Replacing a frame changes one entry and invalidates it: the guest reads the new page at once. */
/* property 94 95: tables */
BED_TEST(pmap, another_frame_at_the_same_address)
{
	struct bed *bed = BED();
	gpa_t first = new_page(bed), second = new_page(bed);
	gva_t va = free_va(1, 7);
	struct work w;

	*(uint64_t *)bed_ptr(bed, first, 8) = 111;
	*(uint64_t *)bed_ptr(bed, second, 8) = 222;
	CHECK(bed_pmap_kenter_pa(bed, va, first, RW) == 0, "kenter");
	CHECK(GUEST_LOAD(bed, va) == 111, "%lu", bed_result2(bed));
	DELTA(bed, w = WORK(bed, bed_pmap_kenter_pa(bed, va, second, RW)),
	    { PT_CHANGED, .what = SNAP_FRAME, .map = { .va = va, .frames = PT_PA(second.v) } });
	/* Through not-present: no two CPUs may ever see the address at two frames. */
	CHECK(w.count.pte_clear == 1 && w.count.pte_set == 1 && w.count.pte_change == 0 &&
		  w.count.invlpg == 1,
	    "%lu cleared, %lu set, %lu changed, %lu INVLPG", w.count.pte_clear, w.count.pte_set,
	    w.count.pte_change, w.count.invlpg);
	CHECK(GUEST_LOAD(bed, va) == 222, "stale: %lu", bed_result2(bed));
	/* Rights taken away are gone at once, too. */
	GUEST_STORE(bed, va, 223);
	DELTA(bed, w = WORK(bed, bed_pmap_kenter_pa(bed, va, second, RO)),
	    { PT_CHANGED, .what = SNAP_RIGHTS, .map = { .va = va, .perm = PT_R } });
	CHECK(w.count.pte_change == 1 && w.count.pte_set + w.count.pte_clear == 0 &&
		  w.count.invlpg == 1,
	    "%lu changed, %lu INVLPG", w.count.pte_change, w.count.invlpg);
	EXPECT_FAULT(bed, va, STORE, PF_P | PF_W);
	CHECK(GUEST_LOAD(bed, va) == 223, "%lu", bed_result2(bed));
	bed_down(bed);
}

/* A range: only what is there is cleared and invalidated, over table edges and holes. */
BED_TEST(pmap, ranges_across_tables)
{
	/* Pages of one range: the ends of table 2, the start of table 3; a hole between. */
	static const unsigned at[] = { 508, 509, 511, 512, 513, 515 };
	struct bed *bed = BED(.flush_threshold = 1000);
	gva_t base = free_va(2, 0), start = page_of(base, 508);
	struct work w;

	for (size_t i = 0; i < COUNT_OF(at); i++)
		CHECK(bed_pmap_kenter_pa(bed, page_of(base, at[i]), new_page(bed), RW) == 0, "%u",
		    at[i]);
	CHECK(bed_verify(bed, start, 8, 0) == 8, "all pages read"); /* whatever they hold */
	w = WORK(bed, bed_pmap_kremove(bed, page_of(base, 509), 4 * PAGE));
	CHECK(w.count.pte_clear == 3 && w.count.invlpg == 3, "%lu cleared, %lu INVLPG",
	    w.count.pte_clear, w.count.invlpg);
	PT_EXPECT(bed, start, .perm = PT_RW);
	PT_ABSENT(bed, page_of(start, 1), 4);
	PT_EXPECT(bed, page_of(start, 5), .perm = PT_RW);
	for (unsigned i = 1; i < 5; i++)
		EXPECT_FAULT(bed, page_of(start, i), LOAD, 0);
	DELTA(bed, w = WORK(bed, bed_pmap_kremove(bed, page_of(start, 1), 4 * PAGE)));
	CHECK(w.count.pte_clear + w.count.invlpg + w.count.tlb_full == 0, "nothing was there");
	bed_pmap_kremove(bed, start, 8 * PAGE);
	PT_ABSENT(bed, start, 8);
	bed_down(bed);
}

/* Only addresses of kernel_map: everything else is refused and stays as it is. */
BED_TEST(pmap, foreign_addresses_are_refused)
{
	static const uint64_t va[] = { 0, PAGE, BED_KVA_BASE - PAGE, BED_KVA_BASE + 4 * GIB,
		BED_DIRECT_BASE, BED_IMAGE_BASE + BED_IMAGE_PA, UINT64_MAX - BED_PAGE_MASK,
		0x00007ffffffff000, 0x8000000000000000 };
	struct bed *bed = BED();
	gpa_t pa = new_page(bed);

	for (size_t i = 0; i < COUNT_OF(va); i++) {
		int k, e;

		DELTA(bed, k = bed_pmap_kenter_pa(bed, GVA(va[i]), pa, RW);
		      e = bed_pmap_enter(bed, GVA(va[i]), pa, RW, WIRED),
		      { PT_TABLES, .gained = PT_EXACTLY(0), .lost = PT_EXACTLY(0) });
		CHECK(k == BED_EINVAL && e == BED_EINVAL, "%#lx: %d and %d", va[i], k, e);
	}
	bed_null(bed);
	bed_down(bed);
}

BED_TEST(pmap, extract)
{
	struct bed *bed = BED();
	struct view view = bed_view(bed);
	gva_t va = bed_uvm_km_alloc(bed, KERNEL, 3 * PAGE);
	const uint64_t mapped[] = { va.v, va.v + 2 * PAGE + 123, BED_DIRECT_BASE,
		BED_DIRECT_BASE + 3 * MIB + 77, BED_IMAGE_BASE + BED_IMAGE_PA + 5 };
	const uint64_t absent[] = { 0, va.v - 1, va.v + 3 * PAGE, BED_KVA_BASE + 3 * GIB,
		BED_DIRECT_BASE + 16 * MIB, BED_IMAGE_BASE, 0x8000000000000000, UINT64_MAX };

	for (size_t i = 0; i < COUNT_OF(mapped); i++) {
		CHECK(bed_pmap_extract(bed, GVA(mapped[i])) == 0, "%#lx", mapped[i]);
		CHECK(bed_result2(bed) == view_walk(&view, GVA(mapped[i])).pa.v, "%#lx: %#lx",
		    mapped[i], bed_result2(bed));
	}
	for (size_t i = 0; i < COUNT_OF(absent); i++)
		CHECK(bed_pmap_extract(bed, GVA(absent[i])) == BED_EFAULT, "%#lx", absent[i]);
	bed_down(bed);
}

/* Table pages of kernel_map's slot, and their present entries' bits (properties 79 and 80). */
static uint64_t
kernel_tables(struct bed *bed)
{
	struct snapshot snap = bed_snapshot(bed);
	uint64_t n = 0;

	for (size_t i = 0; i < snap.ntable; i++) {
		const struct snap_table *t = &snap.table[i];

		if (t->level == 4 || pt_index(t->va.v, 4) != pt_index(BED_KVA_BASE, 4))
			continue;
		n++;
		CHECK(t->gpa.v >= bed_bootinfo(bed)->ptpool_start &&
			  t->gpa.v < bed_bootinfo(bed)->ptpool_end,
		    "table %#lx is not from the pool", t->gpa.v);
		if (t->level < 3) {
			uint64_t e = *bed_entry(bed, t->va, t->level + 1);

			CHECK((e & ~(PTE_FRAME | PTE_A)) == (PTE_P | PTE_W | (e & PTE_NX)) &&
				  (e & PTE_FRAME) == t->gpa.v,
			    "entry above %#lx: %#lx", t->va.v, e);
		}
	}
	snapshot_free(&snap);
	return n;
}

/* property 79 80: tables */
BED_TEST(pmap, growkernel)
{
	struct bed *bed = BED(.ram = 64 * MIB, .kva = 2 * GIB);
	uint64_t end, before, grown = 0;
	struct work w;

	end = bed_pmap_growkernel(bed, GVA(BED_KVA_BASE)).v;
	CHECK(end % (2 * MIB) == 0 && end >= BED_KVA_BASE, "%#lx", end);
	before = kernel_tables(bed);
	/* One byte more is one more table; the same again is none; less is what there is. */
	for (unsigned i = 0; i < 3; i++) {
		uint64_t next;

		w = WORK(bed, next = bed_pmap_growkernel(bed, GVA(end + 1)).v);
		CHECK(next == end + 2 * MIB && w.count.ptp_alloc == 1, "%#lx, %lu tables", next,
		    w.count.ptp_alloc);
		end = next;
		grown++;
		w = WORK(bed, next = bed_pmap_growkernel(bed, GVA(end)).v);
		CHECK(next == end && w.count.ptp_alloc == 0, "again: %#lx", next);
		w = WORK(bed, next = bed_pmap_growkernel(bed, GVA(BED_KVA_BASE)).v);
		CHECK(next == end && w.count.ptp_alloc == 0, "back: %#lx", next);
	}
	CHECK(kernel_tables(bed) == before + grown, "%lu tables", kernel_tables(bed));
	/* Over the edge of a level-3 entry: one level-2 table and one level-1 table more. */
	end = bed_pmap_growkernel(bed, GVA(BED_KVA_BASE + GIB)).v;
	CHECK(end == BED_KVA_BASE + GIB, "%#lx", end);
	w = WORK(bed, end = bed_pmap_growkernel(bed, GVA(BED_KVA_BASE + GIB + 1)).v);
	CHECK(end == BED_KVA_BASE + GIB + 2 * MIB && w.count.ptp_alloc == 2, "%#lx, %lu tables",
	    end, w.count.ptp_alloc);
	/* Beyond the map: refused, and nothing is made. */
	w = WORK(bed, end = bed_pmap_growkernel(bed, GVA(BED_KVA_BASE + 2 * GIB + 1)).v);
	CHECK(end == 0 && w.count.ptp_alloc == 0, "%#lx", end);
	w = WORK(bed, end = bed_pmap_growkernel(bed, GVA(UINT64_MAX)).v);
	CHECK(end == 0 && w.count.ptp_alloc == 0, "%#lx", end);
	bed_down(bed);
}

/* Property 81: no page for tables is an error of the call, not of the guest; nothing is made in part. */
/* property 81: kernel_map tables */
BED_TEST(pmap, table_pages_run_out)
{
	struct bed *bed = BED(.kva = GIB, .ptpool = 128 * KIB);
	struct inside before;
	uint64_t end, next;
	struct work w;
	gva_t va, last;

	end = bed_pmap_growkernel(bed, GVA(BED_KVA_BASE)).v;
	while ((next = bed_pmap_growkernel(bed, GVA(end + 2 * MIB)).v) != 0)
		end = next;
	DELTA(bed, w = WORK(bed, next = bed_pmap_growkernel(bed, GVA(end + 8 * MIB)).v),
	    { PT_TABLES, .gained = PT_EXACTLY(0), .lost = PT_EXACTLY(0) });
	CHECK(next == 0 && w.count.ptp_alloc == 0, "%#lx", next);
	before = inside_look(bed);
	CHECK(bed_pmap_kenter_pa(bed, GVA(end + PAGE), GPA(8 * MIB), RW) == BED_ENOMEM, "kenter");
	CHECK(bed_pmap_enter(bed, GVA(end + PAGE), GPA(8 * MIB), RW, 0) == BED_ENOMEM, "enter");
	/* An allocation that must reach past the last table fails, whole. */
	DELTA(bed, va = bed_uvm_km_alloc1(bed, KERNEL, PAGE, 512 * MIB, 0));
	CHECK(va.v == 0, "%#lx", va.v);
	INSIDE_SAME(bed, &before);
	/* What has tables still works, to the last page. */
	last = GVA(end - PAGE);
	CHECK(bed_pmap_kenter_pa(bed, last, GPA(8 * MIB), RW) == 0, "the last page with a table");
	bed_pmap_kremove(bed, last, PAGE);
	va = bed_uvm_km_alloc(bed, KERNEL, 2 * PAGE);
	PT_EXPECT(bed, va, .npages = 2, .perm = PT_RW);
	bed_uvm_km_free(bed, KERNEL, va, 2 * PAGE);
	INSIDE_SAME(bed, &before);
	INSIDE_CHECK(bed);
	bed_down(bed);
}
