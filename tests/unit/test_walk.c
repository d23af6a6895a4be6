/* SPDX-License-Identifier: ISC */
/*
 * View accessors and the walker, on trees made by hand: every way a walk can end.
 */
#include "tests/bedtest.h"
#include "tests/unit/golden.h"

#include <string.h>

#include "vmm/view/report.h"
#include "vmm/view/walk.h"

#define VA UINT64_C(0xffff800000201000)
#define HI UINT64_C(0xffff800000000000)

BED_TEST(walk, view_ptr)
{
	static uint8_t mem[64];
	const struct view_seg seg[] = {
		{ GPA(0x1000), 16, mem }, /* the next one follows in both */
		{ GPA(0x1010), 16, mem + 16 },
		{ GPA(0x1020), 8, mem + 40 },         /* follows in the guest only */
		{ GPA(0x2000), 8, mem + 48 },         /* in the host only */
		{ GPA(UINT64_MAX - 7), 8, mem + 56 }, /* the last bytes there are */
	};
	const struct view view = { .seg = seg, .nseg = 5 };
	const struct {
		uint64_t gpa, len;
		void *want;
	} cases[] = {
		{ 0x1000, 16, mem },
		{ 0x1000, 32, mem },
		{ 0x100f, 17, mem + 15 },
		{ 0x101f, 1, mem + 31 },
		{ 0x1000, 33, NULL },
		{ 0x1018, 9, NULL },
		{ 0x1020, 8, mem + 40 },
		{ 0x1027, 2, NULL },
		{ 0x1028, 1, NULL },
		{ 0xfff, 1, NULL },
		{ 0xfff, 2, NULL },
		{ 0x2000, 8, mem + 48 },
		{ 0x2000, UINT64_MAX, NULL },
		{ 0x1000, UINT64_MAX - 0xfff, NULL },
		{ UINT64_MAX - 7, 8, mem + 56 },
		{ UINT64_MAX - 7, 9, NULL },
		{ UINT64_MAX, 1, mem + 63 },
		{ UINT64_MAX, 2, NULL },
		{ 0, 0x1001, NULL },
	};
	const struct view empty = { .nseg = 0 };
	uint64_t value;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(view_ptr(&view, GPA(cases[i].gpa), cases[i].len), cases[i].want,
		    "case %zu: 0x%lx +0x%lx", i, cases[i].gpa, cases[i].len);
	cr_expect_null(view_ptr(&empty, GPA(0), 1));

	memset(mem, 0, sizeof(mem));
	mem[8] = 0x5a;
	cr_expect(view_read64(&view, GPA(0x1008), &value) && value == 0x5a);
	cr_expect(!view_read64(&view, GPA(0x1004), &value), "unaligned");
	cr_expect(!view_read64(&view, GPA(0x1028), &value), "outside");
	cr_expect(!view_read64(&view, GPA(0x3000), &value), "outside");
}

BED_TEST(walk, read_of_a_misaligned_file)
{
	static uint8_t mem[24] __attribute__((__aligned__(8)));
	const struct view_seg seg = { GPA(0), 16, mem + 3 };
	const struct view view = { .seg = &seg, .nseg = 1 };
	uint64_t value = 0;

	mem[3 + 8] = 0x77;
	cr_expect(view_read64(&view, GPA(8), &value) && value == 0x77);
}

BED_TEST(walk, leaves)
{
	static const struct {
		int level;
		uint64_t raw, va, pa;
		unsigned memtype, flags, soft;
	} cases[] = {
		{ 1, 0x812000 | PTE_P | PTE_W, VA + 0x123, 0x812123, 0, 0, 0 },
		{ 1, 0x812000 | PTE_P | PTE_PAT | PTE_PWT, VA, 0x812000, 5, 0, 0 },
		{ 1, 0xfffffff000 | PTE_P | PTE_G | PTE_A | PTE_D, VA + 0xfff, 0xffffffffff, 0,
		    VIEW_G | VIEW_A | VIEW_D, 0 },
		{ 1, 0x1000 | PTE_P | PTE_SW_W | PTE_SW_M, VA, 0x1000, 0, 0,
		    VIEW_SOFT_W | VIEW_SOFT_M },
		{ 1, 0x1000 | PTE_P | UINT64_C(1) << 62, VA, 0x1000, 0, 0, 1u << 13 },
		{ 2, 0x40000000 | PTE_P | PTE_PS, VA + 0x1ff, 0x400011ff, 0, 0, 0 },
		{ 2, 0x40000000 | PTE_P | PTE_PS | PTE_LPAT | PTE_PCD, VA, 0x40001000, 6, 0, 0 },
		{ 3, 0xc0000000 | PTE_P | PTE_PS | PTE_G, VA, 0xc0201000, 0, VIEW_G, 0 },
		{ 3, 0xc0000000 | PTE_P | PTE_PS | PTE_LPAT | PTE_D, HI, 0xc0000000, 4, VIEW_D, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct golden g;
		struct walk w;

		golden_init(&g, 8);
		*golden_entry(&g, cases[i].va, cases[i].level) = cases[i].raw;
		w = view_walk(&g.view, GVA(cases[i].va));
		cr_expect_eq(w.stop, WALK_LEAF, "case %zu: %s", i, walk_stop_name(w.stop));
		cr_expect_eq(w.level, cases[i].level, "case %zu", i);
		cr_expect_eq(w.nsteps, (unsigned)(5 - cases[i].level), "case %zu", i);
		cr_expect_eq(w.pa.v, cases[i].pa, "case %zu: pa 0x%lx", i, w.pa.v);
		cr_expect_eq(w.size, pt_span(cases[i].level), "case %zu", i);
		cr_expect_eq(
		    w.attr.memtype, cases[i].memtype, "case %zu: pat %u", i, w.attr.memtype);
		cr_expect_eq(w.attr.flags, cases[i].flags, "case %zu: flags %u", i, w.attr.flags);
		cr_expect_eq(w.attr.soft, cases[i].soft, "case %zu: soft 0x%x", i, w.attr.soft);
		cr_expect_eq(w.step[w.nsteps - 1].raw, cases[i].raw, "case %zu", i);
		cr_expect_eq(w.step[0].index, 256, "case %zu", i);
		cr_expect_eq(w.step[0].entry.v, g.view.root.v + 256 * 8, "case %zu", i);
		golden_free(&g);
	}
}

BED_TEST(walk, rights_per_level)
{
	/* Each right taken at each level, for leaves at levels 1..3. */
	for (int leaf = 1; leaf <= 3; leaf++) {
		for (int at = leaf; at <= 4; at++) {
			static const uint64_t bit[] = { PTE_W, PTE_U, PTE_NX };

			for (int right = 0; right < 3; right++) {
				struct golden g;
				struct walk w;

				golden_init(&g, 8);
				*golden_entry(&g, VA, leaf) =
				    PTE_P | PTE_W | PTE_U | (leaf > 1 ? PTE_PS : 0);
				*golden_entry(&g, VA, at) ^= bit[right];
				w = view_walk(&g.view, GVA(VA));
				cr_expect(walk_mapped(&w));
				cr_expect_eq(
				    w.w_lost, right == 0 ? at : 0, "leaf %d at %d", leaf, at);
				cr_expect_eq(
				    w.u_lost, right == 1 ? at : 0, "leaf %d at %d", leaf, at);
				cr_expect_eq(
				    w.x_lost, right == 2 ? at : 0, "leaf %d at %d", leaf, at);
				cr_expect_eq(w.attr.rights,
				    VIEW_RIGHTS_ALL & ~(right == 0     ? VIEW_W
							  : right == 1 ? VIEW_U
								       : VIEW_X),
				    "leaf %d at %d: %x", leaf, at, w.attr.rights);
				golden_free(&g);
			}
		}
	}
}

BED_TEST(walk, first_level_that_takes_is_named)
{
	struct golden g;
	struct walk w;
	char buf[128];
	struct text text = text_on(buf, sizeof(buf));

	golden_init(&g, 8);
	*golden_entry(&g, VA, 1) = 0x5000 | PTE_P | PTE_NX;
	*golden_entry(&g, VA, 3) &= ~PTE_W;
	*golden_entry(&g, VA, 4) &= ~PTE_U;
	w = view_walk(&g.view, GVA(VA));
	cr_expect_eq(w.w_lost, 3);
	cr_expect_eq(w.x_lost, 1);
	cr_expect_eq(w.u_lost, 4);
	walk_rights_text(&text, &w);
	cr_expect_str_eq(buf, "r--- (W taken at PDPT[0], X taken at PT[1], U taken at PML4[256])");
	golden_free(&g);
}

BED_TEST(walk, stops)
{
	static const struct {
		const char *what;
		int level;
		uint64_t raw;
		unsigned maxphyaddr;
		bool nx, pages_1g;
		enum walk_stop stop;
		int stop_level;
		uint64_t bad;
	} cases[] = {
		{ "P clear", 1, 0x1000 | PTE_W, 40, true, true, WALK_NOT_PRESENT, 1, 0 },
		{ "P clear, garbage", 2, ~PTE_P, 40, true, true, WALK_NOT_PRESENT, 2, 0 },
		{ "address bit 40", 1, PTE_P | 1ull << 40, 40, true, true, WALK_RESERVED, 1,
		    1ull << 40 },
		{ "address bit 40, allowed", 1, PTE_P | 1ull << 40, 41, true, true, WALK_LEAF, 1,
		    0 },
		{ "address bit 36", 1, PTE_P | 1ull << 36, 36, true, true, WALK_RESERVED, 1,
		    1ull << 36 },
		{ "address bit 51", 3, PTE_P | 1ull << 51, 51, true, true, WALK_RESERVED, 3,
		    1ull << 51 },
		{ "address bit 51, allowed", 1, PTE_P | 1ull << 51, 52, true, true, WALK_LEAF, 1,
		    0 },
		{ "PML4 address bit 45", 4, PTE_P | 1ull << 45, 45, true, true, WALK_RESERVED, 4,
		    1ull << 45 },
		{ "bits 52..62 are free", 1, PTE_P | 0x7ffull << 52, 36, true, true, WALK_LEAF, 1,
		    0 },
		{ "NX with NXE off", 1, PTE_P | PTE_NX, 40, false, true, WALK_RESERVED, 1, PTE_NX },
		{ "NX with NXE off, above", 3, PTE_P | PTE_NX, 40, false, true, WALK_RESERVED, 3,
		    PTE_NX },
		{ "PS in the PML4", 4, PTE_P | PTE_PS, 40, true, true, WALK_PS_L4, 4, PTE_PS },
		{ "PS at level 3, no 1G", 3, PTE_P | PTE_PS, 40, true, false, WALK_RESERVED, 3,
		    PTE_PS },
		{ "2M, bit 13", 2, PTE_P | PTE_PS | 1 << 13, 40, true, true, WALK_RESERVED, 2,
		    1 << 13 },
		{ "2M, bit 20", 2, PTE_P | PTE_PS | 1 << 20, 40, true, true, WALK_RESERVED, 2,
		    1 << 20 },
		{ "2M, bit 12 is PAT", 2, PTE_P | PTE_PS | 1 << 12, 40, true, true, WALK_LEAF, 2,
		    0 },
		{ "1G, bit 29", 3, PTE_P | PTE_PS | 1 << 29, 40, true, true, WALK_RESERVED, 3,
		    1 << 29 },
		{ "1G, bit 13", 3, PTE_P | PTE_PS | 1 << 13, 40, true, true, WALK_RESERVED, 3,
		    1 << 13 },
		{ "table at 0", 4, PTE_P, 40, true, true, WALK_OUTSIDE, 3, 0 },
		{ "table beyond memory", 2, PTE_P | 0x40000000, 40, true, true, WALK_OUTSIDE, 1,
		    0 },
		{ "G and D above a leaf are ignored", 2, PTE_P | PTE_G | PTE_D, 40, true, true,
		    WALK_OUTSIDE, 1, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct golden g;
		struct golden_walk second;
		struct walk w;

		golden_init(&g, 8);
		g.view.maxphyaddr = cases[i].maxphyaddr;
		g.view.nx = cases[i].nx;
		g.view.pages_1g = cases[i].pages_1g;
		*golden_entry(&g, VA, cases[i].level) = cases[i].raw;
		w = view_walk(&g.view, GVA(VA));
		second = golden_walk(&g.view, VA, false);
		cr_expect_eq(
		    w.stop, cases[i].stop, "%s: %s", cases[i].what, walk_stop_name(w.stop));
		cr_expect_eq(w.level, cases[i].stop_level, "%s: level %d", cases[i].what, w.level);
		cr_expect_eq(w.bad, cases[i].bad, "%s: bad 0x%lx", cases[i].what, w.bad);
		cr_expect_eq(second.stop, w.stop, "%s: second walker: %s", cases[i].what,
		    walk_stop_name(second.stop));
		cr_expect_eq(second.level, w.level, "%s", cases[i].what);
		golden_free(&g);
	}
}

BED_TEST(walk, canonical_form)
{
	static const uint64_t bad[] = { 0x800000000000, 0xffff7fffffffffff, 0x1000000000000,
		0x8000000000000000, 0xfffe800000000000 };
	static const uint64_t good[] = { 0, 0x7fffffffffff, 0xffff800000000000, UINT64_MAX };
	struct golden g;

	golden_init(&g, 8);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct walk w = view_walk(&g.view, GVA(bad[i]));

		cr_expect(w.stop == WALK_NONCANONICAL && w.nsteps == 0, "0x%lx", bad[i]);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_expect_eq(
		    view_walk(&g.view, GVA(good[i])).stop, WALK_NOT_PRESENT, "0x%lx", good[i]);
	g.view.root = GPA(0x40000000);
	cr_expect_eq(view_walk(&g.view, GVA(0)).stop, WALK_OUTSIDE, "root outside");
	cr_expect_eq(view_walk(&g.view, GVA(0)).level, 4, "root outside");
	golden_free(&g);
}

BED_TEST(walk, loops)
{
	struct golden g;
	struct walk w;

	/* PML4[510] is the PML4: the recursive slot some kernels use. */
	golden_init(&g, 8);
	golden_map(&g, VA, 1, 0x7000 | PTE_P | PTE_W);
	*golden_entry(&g, 0xffffff0000000000, 4) = g.view.root.v | PTE_P | PTE_W;
	w = view_walk(&g.view, GVA(0xffffff7fbfdfe000));
	cr_expect(w.stop == WALK_LOOP && w.level == 3 && w.table.v == g.view.root.v, "%s",
	    walk_stop_name(w.stop));
	w = view_walk_through(&g.view, GVA(0xffffff7fbfdfe000));
	cr_expect(
	    walk_mapped(&w) && w.pa.v == g.view.root.v && w.looped == 1, "looped at %d", w.looped);
	w = view_walk(&g.view, GVA(VA));
	cr_expect(walk_mapped(&w) && w.looped == 0);

	/* Deeper: the page directory points at the PDPT. */
	*golden_entry(&g, VA + 0x200000, 2) = (*golden_entry(&g, VA, 4) & PTE_FRAME) | PTE_P;
	w = view_walk(&g.view, GVA(VA + 0x200000));
	cr_expect(w.stop == WALK_LOOP && w.level == 1 && w.nsteps == 3);
	/* And at itself. */
	*golden_entry(&g, VA + 0x400000, 2) = (*golden_entry(&g, VA, 3) & PTE_FRAME) | PTE_P;
	cr_expect_eq(view_walk(&g.view, GVA(VA + 0x400000)).stop, WALK_LOOP);
	golden_free(&g);
}

BED_TEST(walk, end_in_words)
{
	static const struct {
		int level;
		uint64_t raw;
		const char *want;
	} cases[] = {
		{ 1, 0x5000 | PTE_P, "leaf 4k pa=0x5000" },
		{ 2, 0, "not present at PD[1]" },
		{ 3, PTE_P | 1ull << 45, "reserved bit set at PDPT[0]: bits 0x200000000000" },
		{ 4, PTE_P | PTE_PS, "PS set at level 4 at PML4[256]: bits 0x80" },
		{ 3, PTE_P | 0x80000000, "table outside memory: PD page 0x80000000" },
		{ 3, PTE_P | GOLDEN_BASE, "loop: table is its own ancestor: PD page 0x100000" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct golden g;
		struct walk w;
		char buf[128];
		struct text text = text_on(buf, sizeof(buf));

		golden_init(&g, 8);
		*golden_entry(&g, VA, cases[i].level) = cases[i].raw;
		w = view_walk(&g.view, GVA(VA));
		walk_end_text(&text, &w);
		cr_expect_str_eq(buf, cases[i].want);
		golden_free(&g);
	}
}
