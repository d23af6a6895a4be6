/* SPDX-License-Identifier: ISC */
/*
 * The frame rule: each kind of statement kept and broken, and what is not stated.
 */
#include "tests/bedtest.h"
#include "tests/unit/golden.h"

#include <string.h>

#include "vmm/view/delta.h"

#define VA UINT64_C(0xffff800000201000)
#define RW (PTE_P | PTE_W | PTE_NX | PTE_G)
#define PG UINT64_C(4096)

/* Before: pages VA .. VA+3 at 0x800000; after: what edit() does to it. */
static void
add_three(struct golden *g)
{
	golden_map(g, VA + 8 * PG, 3, 0x900000 | RW);
}

static void
add_three_and_touch_another(struct golden *g)
{
	add_three(g);
	*golden_entry(g, VA + 2 * PG, 1) &= ~PTE_W;
}

static void
add_beyond_a_table(struct golden *g)
{
	golden_map(g, VA + 600 * PG, 1, 0x900000 | RW);
}

static void
remove_two(struct golden *g)
{
	*golden_entry(g, VA + PG, 1) = 0;
	*golden_entry(g, VA + 2 * PG, 1) = 0;
}

static void
protect_two(struct golden *g)
{
	*golden_entry(g, VA + PG, 1) &= ~PTE_W;
	*golden_entry(g, VA + 2 * PG, 1) &= ~PTE_W;
}

static void
break_one(struct golden *g)
{
	*golden_entry(g, VA + 5 * PG, 1) = 1ull << 45 | PTE_P;
}

static void
nothing(struct golden *g)
{
	(void)g;
}

static const struct {
	void (*edit)(struct golden *);
	size_t n;
	struct pt_delta stated[2];
	const char *fact[2]; /* NULL: passes */
} delta_case[] = {
	{ .edit = nothing, .n = 0, .stated = { { 0 } }, .fact = { NULL } },
	{ .edit = add_three,
	    .n = 0,
	    .stated = { { 0 } },
	    .fact = { "not stated: + ffff800000209000 +3 rw-- 4k pa=0x900000" } },
	{ .edit = add_three,
	    .n = 1,
	    .stated = { { .kind = PT_ADDED,
		.map = { .va = GVA(VA + 8 * PG),
		    .npages = 3,
		    .perm = PT_RW,
		    .nx = 1,
		    .wired = PT_NO,
		    .frames = PT_CONTIG(0x900000) } } },
	    .fact = { NULL } },
	{ .edit = add_three_and_touch_another,
	    .n = 1,
	    .stated = { { .kind = PT_ADDED, .map = { .va = GVA(VA + 8 * PG), .npages = 3 } } },
	    .fact = { "not stated: ~ ffff800000203000 +1 rights rw-- -> r---" } },
	{ .edit = add_three_and_touch_another,
	    .n = 2,
	    .stated = { { .kind = PT_CHANGED,
			    .map = { .va = GVA(VA + 2 * PG), .perm = PT_R },
			    .what = SNAP_RIGHTS },
		{ .kind = PT_ADDED, .map = { .va = GVA(VA + 8 * PG), .npages = 3 } } },
	    .fact = { NULL } },
	/* Stated in the other order, too. */
	{ .edit = add_three_and_touch_another,
	    .n = 2,
	    .stated = { { .kind = PT_ADDED, .map = { .va = GVA(VA + 8 * PG), .npages = 3 } },
		{ .kind = PT_CHANGED, .map = { .va = GVA(VA + 2 * PG) } } },
	    .fact = { NULL } },
	{ .edit = add_three,
	    .n = 1,
	    .stated = { { .kind = PT_ADDED, .map = { .va = GVA(VA + 8 * PG), .npages = 2 } } },
	    .fact = { "not stated: + ffff80000020b000 +1 rw-- 4k pa=0x902000" } },
	{ .edit = add_three,
	    .n = 1,
	    .stated = { { .kind = PT_ADDED, .map = { .va = GVA(VA + 8 * PG), .npages = 5 } } },
	    .fact = { "stated, did not happen: added ffff80000020c000, and 2 of 5 pages in all" } },
	{ .edit = add_three,
	    .n = 1,
	    .stated = { { .kind = PT_ADDED, .map = { .va = GVA(VA + 7 * PG), .npages = 4 } } },
	    .fact = { "did not happen: added ffff800000208000, and 1 of 4" } },
	{ .edit = add_three,
	    .n = 1,
	    .stated = { { .kind = PT_ADDED,
		.map = { .va = GVA(VA + 8 * PG), .npages = 3, .perm = PT_R } } },
	    .fact = { "added ffff800000209000: writable, wants read-only" } },
	{ .edit = add_three,
	    .n = 1,
	    .stated = { { .kind = PT_ADDED,
		.map = { .va = GVA(VA + 8 * PG), .npages = 3, .frames = PT_SAME_AS(VA) } } },
	    .fact = { "added ffff80000020a000: frame 0x901000, wants that of ffff800000202000" } },
	{ .edit = add_three,
	    .n = 1,
	    .stated = { { .kind = PT_REMOVED, .map = { .va = GVA(VA + 8 * PG), .npages = 3 } } },
	    .fact = { "stated as removed, but: + ffff800000209000 +3" } },
	{ .edit = remove_two,
	    .n = 1,
	    .stated = { { .kind = PT_REMOVED,
		.map = { .va = GVA(VA + PG),
		    .npages = 2,
		    .perm = PT_RW,
		    .frames = PT_CONTIG(0x801000) } } },
	    .fact = { NULL } },
	{ .edit = remove_two,
	    .n = 1,
	    .stated = { { .kind = PT_REMOVED,
		.map = { .va = GVA(VA + PG), .npages = 2, .wired = PT_YES } } },
	    .fact = { "removed ffff800000202000: wants wired set", "removed ffff800000203000" } },
	{ .edit = remove_two,
	    .n = 1,
	    .stated = { { .kind = PT_REMOVED, .map = { .va = GVA(VA), .npages = 4 } } },
	    .fact = { "did not happen: removed ffff800000201000, and 2 of 4" } },
	{ .edit = protect_two,
	    .n = 1,
	    .stated = { { .kind = PT_CHANGED,
		.map = { .va = GVA(VA + PG), .npages = 2 },
		.what = SNAP_FRAME } },
	    .fact = { "stated as changed, but: ~ ffff800000202000 +2 rights rw-- -> r---" } },
	{ .edit = protect_two,
	    .n = 1,
	    .stated = { { .kind = PT_CHANGED,
		.map = { .va = GVA(VA + PG), .npages = 2 },
		.what = SNAP_RIGHTS } },
	    .fact = { NULL } },
	{ .edit = break_one,
	    .n = 0,
	    .stated = { { 0 } },
	    .fact = { "not stated: ! ffff800000206000 bad entry appeared" } },
	/* Tables. */
	{ .edit = add_beyond_a_table,
	    .n = 1,
	    .stated = { { .kind = PT_ADDED, .map = { .va = GVA(VA + 600 * PG) } } },
	    .fact = { NULL } },
	{ .edit = add_beyond_a_table,
	    .n = 2,
	    .stated = { { .kind = PT_ADDED, .map = { .va = GVA(VA + 600 * PG) } },
		{ .kind = PT_TABLES, .gained = PT_EXACTLY(1), .lost = PT_EXACTLY(0) } },
	    .fact = { NULL } },
	{ .edit = add_beyond_a_table,
	    .n = 2,
	    .stated = { { .kind = PT_ADDED, .map = { .va = GVA(VA + 600 * PG) } },
		{ .kind = PT_TABLES, .gained = PT_EXACTLY(0) } },
	    .fact = { "1 table pages gained, stated 0" } },
	{ .edit = add_three,
	    .n = 2,
	    .stated = { { .kind = PT_ADDED, .map = { .va = GVA(VA + 8 * PG), .npages = 3 } },
		{ .kind = PT_TABLES, .gained = PT_BETWEEN(1, 2) } },
	    .fact = { "0 table pages gained, stated 1 to 2" } },
	/* Statements that make no sense. */
	{ .edit = nothing, .n = 1, .stated = { { 0 } }, .fact = { "no such kind" } },
	{ .edit = nothing,
	    .n = 1,
	    .stated = { { .kind = PT_TABLES } },
	    .fact = { "states no count" } },
	{ .edit = nothing,
	    .n = 1,
	    .stated = { { .kind = PT_ADDED, .map = { .va = GVA(VA + 1) } } },
	    .fact = { "canonical page" } },
	{ .edit = nothing,
	    .n = 1,
	    .stated = { { .kind = PT_ADDED, .map = { .va = GVA(VA), .zero = 1 } } },
	    .fact = { "content" } },
	{ .edit = nothing,
	    .n = 1,
	    .stated = { { .kind = PT_ADDED, .map = { .va = GVA(VA), .dirty = 1 } } },
	    .fact = { "without accessed" } },
	{ .edit = nothing,
	    .n = 1,
	    .stated = { { .kind = PT_REMOVED, .map = { .va = GVA(VA), .state = PT_ABSENT } } },
	    .fact = { "PT_REMOVED" } },
	{ .edit = nothing,
	    .n = 1,
	    .stated = { { .kind = PT_ADDED, .map = { .va = GVA(VA) }, .what = SNAP_FRAME } },
	    .fact = { ".what" } },
	{ .edit = nothing,
	    .n = 2,
	    .stated = { { .kind = PT_ADDED, .map = { .va = GVA(VA), .npages = 2 } },
		{ .kind = PT_ADDED, .map = { .va = GVA(VA + PG) } } },
	    .fact = { "overlaps" } },
};

BED_TEST(delta, frame_rule)
{
	struct snapshot before = { 0 }, after = { 0 };
	char report[4096];

	for (size_t i = 0; i < sizeof(delta_case) / sizeof(delta_case[0]); i++) {
		struct golden g;
		bool pass = delta_case[i].fact[0] == NULL;

		golden_init(&g, 16);
		golden_map(&g, VA, 4, 0x800000 | RW);
		cr_assert(snapshot_take(&before, &g.view, NULL, NULL));
		delta_case[i].edit(&g);
		cr_assert(snapshot_take(&after, &g.view, NULL, NULL));
		cr_expect_eq(snapshot_delta(&before, &after, delta_case[i].stated, delta_case[i].n,
				 report, sizeof(report)),
		    pass, "case %zu:\n%s", i, report);
		cr_expect_eq(report[0] == '\0', pass, "case %zu: %s", i, report);
		for (unsigned k = 0; k < 2 && delta_case[i].fact[k] != NULL; k++)
			cr_expect_not_null(strstr(report, delta_case[i].fact[k]),
			    "case %zu: no \"%s\" in\n%s", i, delta_case[i].fact[k], report);
		golden_free(&g);
	}
	snapshot_free(&before);
	snapshot_free(&after);
}

static unsigned
count(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, what)) != NULL; p++)
		n++;
	return n;
}

BED_TEST(delta, stops_after_eight)
{
	struct golden g;
	struct snapshot before = { 0 }, after = { 0 };
	char report[4096];

	golden_init(&g, 16);
	cr_assert(snapshot_take(&before, &g.view, NULL, NULL));
	for (unsigned i = 0; i < 11; i++)
		golden_map(&g, VA + 2 * i * PG, 1, 0x900000 | RW);
	cr_assert(snapshot_take(&after, &g.view, NULL, NULL));
	cr_expect(!snapshot_delta(&before, &after, NULL, 0, report, sizeof(report)));
	cr_expect_eq(count(report, "not stated"), 8, "%s", report);
	cr_expect_not_null(strstr(report, "  and 3 more\n"), "%s", report);
	snapshot_free(&before);
	snapshot_free(&after);
	golden_free(&g);
}
