/* SPDX-License-Identifier: ISC */
/*
 * What changed between two snapshots: each kind of change, refusals, and random pairs page by page.
 */
#include "tests/bedtest.h"
#include "tests/unit/golden.h"

#include <string.h>

#include "vmm/view/diff.h"

#define VA UINT64_C(0xffff800000201000)
#define RW (PTE_P | PTE_W | PTE_NX | PTE_G)
#define PG UINT64_C(4096)

static void
take(struct snapshot *snap, const struct golden *g, const struct snap_opts *opts)
{
	struct bed_err err;

	cr_assert(snapshot_take(snap, &g->view, opts, &err), "%s", err.text);
}

/* All changes as text, a line each. */
static char *
diff_text(const struct snapshot *a, const struct snapshot *b, char *buf, size_t size)
{
	struct snap_diff diff = { 0 };
	struct bed_err err;
	struct text text = text_on(buf, size);

	cr_assert(snapshot_diff(a, b, &diff, &err), "%s", err.text);
	for (size_t i = 0; i < diff.n; i++) {
		snap_change_text(&text, &diff.change[i]);
		text_add(&text, "\n");
	}
	snap_diff_free(&diff);
	return buf;
}

BED_TEST(diff, says_what_changed)
{
	static const struct {
		uint64_t page, clear, set; /* of the entry VA + page */
		const char *want;
	} cases[] = {
		{ 8, 0, 0x5000 | RW, "+ ffff800000209000 +1 rw-- 4k pa=0x5000 global\n" },
		{ 1, ~0ull, 0, "- ffff800000202000 +1 rw-- 4k pa=0x801000 global\n" },
		{ 0, PTE_FRAME, 0x7000, "~ ffff800000201000 +1 frame 0x800000 -> 0x7000\n" },
		{ 2, PTE_W, 0, "~ ffff800000203000 +1 rights rw-- -> r---\n" },
		{ 2, PTE_NX, 0, "~ ffff800000203000 +1 rights rw-- -> rwx-\n" },
		{ 2, PTE_G, 0, "~ ffff800000203000 +1 global cleared\n" },
		{ 2, 0, PTE_PCD, "~ ffff800000203000 +1 memory type pat0 -> pat2\n" },
		{ 2, 0, PTE_SW_M, "~ ffff800000203000 +1 software bits -> managed\n" },
		{ 2, PTE_W, PTE_PWT,
		    "~ ffff800000203000 +1 rights rw-- -> r--- memory type pat0 -> pat1\n" },
		{ 2, 0, PTE_A | PTE_D, "" },
		{ 512, 0, 0x5000 | RW,
		    "+ ffff800000401000 +1 rw-- 4k pa=0x5000 global\n"
		    "T ffff800000400000 PT table gained, page 0x104000 with 1 entries\n" },
		{ 2, 0, 1ull << 45,
		    "- ffff800000203000 +1 rw-- 4k pa=0x802000 global\n"
		    "! ffff800000203000 bad entry appeared: reserved bit set, PT entry at 0x103018 = "
		    "0x8000200000802103\n" },
	};
	struct snapshot a = { 0 }, b = { 0 };
	char buf[2048];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct golden g;
		uint64_t *entry;

		golden_init(&g, 16);
		golden_map(&g, VA, 4, 0x800000 | RW);
		take(&a, &g, NULL);
		entry = golden_entry(&g, VA + cases[i].page * PG, 1);
		*entry = (*entry & ~cases[i].clear) | cases[i].set;
		take(&b, &g, NULL);
		cr_expect_str_eq(
		    diff_text(&a, &b, buf, sizeof(buf)), cases[i].want, "case %zu:\n%s", i, buf);
		cr_expect_str_eq(
		    diff_text(&b, &b, buf, sizeof(buf)), "", "case %zu with itself", i);
		golden_free(&g);
	}
	snapshot_free(&a);
	snapshot_free(&b);
}

BED_TEST(diff, page_size_and_tables)
{
	struct golden g;
	struct snapshot a = { 0 }, b = { 0 };
	char buf[1024];
	uint64_t va = VA - PG;

	golden_init(&g, 16);
	*golden_entry(&g, va, 2) = 0x800000 | RW | PTE_PS;
	take(&a, &g, NULL);
	*golden_entry(&g, va, 2) = 0;
	golden_map(&g, va, 512, 0x800000 | RW);
	take(&b, &g, NULL);
	cr_expect_str_eq(diff_text(&a, &b, buf, sizeof(buf)),
	    "~ ffff800000200000 +512 page size 2m -> 4k\n"
	    "T ffff800000200000 PT table gained, page 0x103000 with 512 entries\n");
	cr_expect_str_eq(diff_text(&b, &a, buf, sizeof(buf)),
	    "~ ffff800000200000 +512 page size 4k -> 2m\n"
	    "T ffff800000200000 PT table lost, page 0x103000 with 512 entries\n");

	/* Accessed and dirty, where asked for. */
	take(&a, &g, &(struct snap_opts){ .with_ad = true });
	*golden_entry(&g, va, 1) |= PTE_A | PTE_D;
	take(&b, &g, &(struct snap_opts){ .with_ad = true });
	cr_expect_str_eq(
	    diff_text(&a, &b, buf, sizeof(buf)), "~ ffff800000200000 +1 accessed/dirty -- -> ad\n");
	snapshot_free(&a);
	snapshot_free(&b);
	golden_free(&g);
}

BED_TEST(diff, refuses)
{
	struct golden g;
	struct snapshot a = { 0 }, b = { 0 };
	struct snap_diff diff = { 0 };
	struct bed_err err;

	golden_init(&g, 8);
	golden_map(&g, VA, 1, 0x800000 | RW);
	take(&a, &g, NULL);
	take(&b, &g, &(struct snap_opts){ .with_ad = true });
	cr_expect(
	    !snapshot_diff(&a, &b, &diff, &err) && strstr(err.text, "different options") != NULL);
	take(&a, &g, &(struct snap_opts){ .iter.max_visits = 2 });
	take(&b, &g, NULL);
	cr_expect(a.capped);
	cr_expect(!snapshot_diff(&a, &b, &diff, &err) && strstr(err.text, "incomplete") != NULL);
	snap_diff_free(&diff);
	snapshot_free(&a);
	snapshot_free(&b);
	golden_free(&g);
}

/* A diff, applied to what was, gives what is; page by page, for random trees. */
BED_TEST(diff, random_trees, .timeout = 60)
{
	uint64_t seed = golden_seed("diff::random_trees"), rnd = seed;
	struct snapshot a = { 0 }, b = { 0 };
	struct snap_diff diff = { 0 };
	struct bed_err err;

	for (int round = 0; round < 40; round++) {
		struct golden ga, gb;
		size_t k = 0;

		golden_random_tree(&ga, VA, &rnd);
		golden_random_tree(&gb, VA, &rnd);
		take(&a, &ga, NULL);
		take(&b, &gb, NULL);
		cr_assert(snapshot_diff(&a, &b, &diff, &err), "%s", err.text);
		for (uint64_t va = VA - 512 * PG; va < VA + (80 << 20); va += PG) {
			const struct view_run *ra = snapshot_lookup(&a, GVA(va));
			const struct view_run *rb = snapshot_lookup(&b, GVA(va));
			bool same = (ra == NULL) == (rb == NULL) &&
			            (ra == NULL ||
					(view_run_pa(ra, GVA(va)).v == view_run_pa(rb, GVA(va)).v &&
					    view_attr_equal(ra->attr, rb->attr)));
			const struct snap_change *c;

			while (k < diff.n && (diff.change[k].what & SNAP_MAPPINGS) != 0 &&
			       diff.change[k].va.v + diff.change[k].npages * PG <= va)
				k++;
			c = k < diff.n && (diff.change[k].what & SNAP_MAPPINGS) != 0 &&
			            diff.change[k].va.v <= va
			        ? &diff.change[k]
			        : NULL;
			cr_assert_eq(
			    same, c == NULL, "seed 0x%lx round %d va 0x%lx", seed, round, va);
			if (c == NULL)
				continue;
			cr_assert_eq((c->what & SNAP_ADDED) != 0, ra == NULL, "seed 0x%lx va 0x%lx",
			    seed, va);
			cr_assert_eq((c->what & SNAP_REMOVED) != 0, rb == NULL,
			    "seed 0x%lx va 0x%lx", seed, va);
			if (rb != NULL)
				cr_assert_eq(
				    view_run_pa(&c->after, GVA(va)).v, view_run_pa(rb, GVA(va)).v);
			if (ra != NULL)
				cr_assert_eq(
				    view_run_pa(&c->before, GVA(va)).v, view_run_pa(ra, GVA(va)).v);
		}
		golden_free(&ga);
		golden_free(&gb);
	}
	snap_diff_free(&diff);
	snapshot_free(&a);
	snapshot_free(&b);
}
