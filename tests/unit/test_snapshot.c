/* SPDX-License-Identifier: ISC */
/*
 * Snapshots, and the pictures and the JSON made of them.
 */
#include "tests/bedtest.h"
#include "tests/unit/golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/view/diff.h"
#include "vmm/view/json.h"
#include "vmm/view/print.h"
#include "vmm/view/snapshot.h"
#include "vmm/view/walkbench.h"

#define VA UINT64_C(0xffff800000201000)
#define RW (PTE_P | PTE_W | PTE_NX | PTE_G)
#define PG UINT64_C(4096)

static void
take(struct snapshot *snap, const struct golden *g, const struct snap_opts *opts)
{
	struct bed_err err;

	cr_assert(snapshot_take(snap, &g->view, opts, &err), "%s", err.text);
}

BED_TEST(snapshot, runs)
{
	struct golden g;
	struct snapshot snap = { 0 };

	golden_init(&g, 16);
	golden_map(&g, VA, 3, 0x800000 | RW);                     /* one run ... */
	*golden_entry(&g, VA + PG, 1) |= PTE_A | PTE_D;           /* that A and D do not split */
	golden_map(&g, VA + 3 * PG, 1, 0x900000 | RW);            /* another frame */
	golden_map(&g, VA + 4 * PG, 1, 0x901000 | (RW & ~PTE_W)); /* follows, other rights */
	golden_map(&g, VA + 5 * PG, 1, 0x902000 | (RW & ~PTE_W) | PTE_SW_W);
	golden_map(&g, VA + 6 * PG, 1, 0x903000 | (RW & ~PTE_W) | PTE_SW_W | PTE_PCD);
	golden_map(&g, VA + 8 * PG, 1, 0x904000 | (RW & ~PTE_W) | PTE_SW_W | PTE_PCD); /* hole */
	*golden_entry(&g, VA + 9 * PG, 1) = 1ull << 45 | PTE_P;                        /* bad */
	take(&snap, &g, NULL);
	cr_expect_eq(snap.nrun, 6);
	cr_expect(
	    snap.run[0].npages == 3 && snap.run[0].va.v == VA && snap.run[0].pa.v == 0x800000);
	cr_expect(snap.run[0].attr.rights == (VIEW_R | VIEW_W) && snap.run[0].attr.flags == VIEW_G);
	cr_expect_eq(snap.run[4].attr.memtype, 2);
	cr_expect_eq(snap.run[3].attr.soft, VIEW_SOFT_W);
	cr_expect_eq(snapshot_pages(&snap), 8);
	cr_expect(snap.nfault == 1 && snap.fault[0].va.v == VA + 9 * PG &&
		  snap.fault[0].why == WALK_RESERVED);
	cr_expect(snap.ntable == 4 && snap.table[3].level == 1 && snap.table[3].present == 9);
	cr_expect(snap.table[0].level == 4 && snap.table[0].present == 1 && !snap.capped);

	/* Lookup. */
	cr_expect_null(snapshot_lookup(&snap, GVA(VA - 1)));
	cr_expect_eq(snapshot_lookup(&snap, GVA(VA)), &snap.run[0]);
	cr_expect_eq(snapshot_lookup(&snap, GVA(VA + 3 * PG - 1)), &snap.run[0]);
	cr_expect_eq(snapshot_lookup(&snap, GVA(VA + 3 * PG)), &snap.run[1]);
	cr_expect_null(snapshot_lookup(&snap, GVA(VA + 7 * PG)));
	cr_expect_eq(view_run_pa(&snap.run[0], GVA(VA + PG + 5)).v, 0x801005);

	/* With A and D, the first run is three. */
	take(&snap, &g, &(struct snap_opts){ .with_ad = true });
	cr_expect_eq(snap.nrun, 8);
	cr_expect_eq(snap.run[1].attr.flags, VIEW_G | VIEW_A | VIEW_D);
	snapshot_free(&snap);
	golden_free(&g);
}

BED_TEST(snapshot, runs_across_tables)
{
	struct golden g;
	struct snapshot snap = { 0 };

	/* 1024 pages over three page tables, contiguous: one run. Then 2 MiB leaves, contiguous too: their
	 * size differs, so another. The top of the address space, too. */
	golden_init(&g, 24);
	golden_map(&g, VA, 1024 - 1, 0x801000 | RW);
	*golden_entry(&g, VA + 1023 * PG, 2) = 0xc00000 | RW | PTE_PS;
	*golden_entry(&g, VA + 1023 * PG + (2 << 20), 2) = 0xe00000 | RW | PTE_PS | PTE_A;
	golden_map(&g, UINT64_MAX - 2 * PG + 1, 2, 0x5000 | RW);
	take(&snap, &g, NULL);
	cr_assert_eq(snap.nrun, 3);
	cr_expect(snap.run[0].npages == 1023 && snap.run[0].va.v == VA);
	cr_expect(snap.run[1].npages == 1024 && snap.run[1].attr.level == 2 &&
		  snap.run[1].pa.v == 0xc00000);
	cr_expect(snap.run[2].npages == 2 && view_run_last(&snap.run[2]).v == UINT64_MAX);
	cr_expect_eq(snapshot_lookup(&snap, GVA(UINT64_MAX)), &snap.run[2]);

	/* The lower half's last page and the upper half's first do not touch. */
	golden_map(&g, 0x7ffffffff000, 1, 0x5000 | RW);
	golden_map(&g, 0xffff800000000000, 1, 0x6000 | RW);
	take(&snap, &g, NULL);
	cr_expect_eq(snap.nrun, 5);
	snapshot_free(&snap);
	golden_free(&g);
}

BED_TEST(snapshot, highest_frame_ends_a_run)
{
	struct golden g;
	struct snapshot snap = { 0 };

	/* One frame above the highest there is would be a carry into bit 40 (reserved), or 52 (free). */
	for (unsigned bits = 40; bits <= 52; bits += 12) {
		uint64_t top = (1ull << bits) - PG;

		golden_init(&g, 8);
		g.view.maxphyaddr = bits;
		golden_map(&g, VA, 3, top - PG);
		for (unsigned i = 0; i < 3; i++)
			*golden_entry(&g, VA + i * PG, 1) |= PTE_P;
		take(&snap, &g, NULL);
		cr_expect(snap.run[0].npages == 2 && snap.run[0].pa.v == top - PG, "%u bits", bits);
		cr_expect_eq(snap.nfault, bits == 40 ? 1 : 0, "%u bits", bits);
		cr_expect_eq(snap.nrun, bits == 40 ? 1 : 2, "%u bits", bits);
		golden_free(&g);
	}
	snapshot_free(&snap);
}

BED_TEST(snapshot, smallest_entry)
{
	struct golden g;
	struct snapshot snap = { 0 };

	/* Frame 0 and nothing but P, alone in its group: the entry is the number 1. */
	golden_init(&g, 8);
	*golden_entry(&g, VA + 100 * PG, 1) = PTE_P;
	take(&snap, &g, NULL);
	cr_assert_eq(snap.nrun, 1);
	cr_expect(
	    snap.run[0].va.v == VA + 100 * PG && snap.run[0].pa.v == 0 && snap.run[0].npages == 1);
	cr_expect_eq(snap.run[0].attr.rights, VIEW_R | VIEW_X);
	snapshot_free(&snap);
	golden_free(&g);
}

BED_TEST(snapshot, of_a_range)
{
	struct golden g;
	struct snapshot snap = { 0 };
	struct snap_opts opts = { .iter = { .first = GVA(VA + PG), .last = GVA(VA + 3 * PG - 1) } };

	golden_init(&g, 8);
	golden_map(&g, VA, 8, 0x800000 | RW);
	*golden_entry(&g, VA + (4 << 20) - PG, 2) = 0x40000000 | RW | PTE_PS;
	take(&snap, &g, &opts);
	cr_expect(snap.nrun == 1 && snap.run[0].va.v == VA + PG && snap.run[0].npages == 2);
	cr_expect_eq(snap.run[0].pa.v, 0x801000);
	cr_expect_eq(snap.table[3].present, 8, "present entries are counted over the whole table");

	/* Inside a large leaf. */
	opts.iter.first = GVA(VA + (4 << 20) + PG);
	opts.iter.last = GVA(VA + (4 << 20) + 3 * PG);
	take(&snap, &g, &opts);
	cr_expect(
	    snap.nrun == 1 && snap.run[0].va.v == VA + (4 << 20) + PG && snap.run[0].npages == 3);
	cr_expect(snap.run[0].pa.v == 0x40000000 + 2 * PG && snap.run[0].attr.level == 2);
	snapshot_free(&snap);
	golden_free(&g);
}

BED_TEST(snapshot, aliases_and_loops)
{
	struct golden g;
	struct snapshot snap = { 0 };
	struct snap_table *alias;
	size_t n;

	golden_init(&g, 8);
	golden_map(&g, VA, 1, 0x800000 | RW);
	take(&snap, &g, NULL);
	cr_expect_null(snapshot_aliases(&snap, &n));
	cr_expect_eq(n, 0);

	*golden_entry(&g, VA + (2 << 20), 2) = *golden_entry(&g, VA, 2);
	take(&snap, &g, NULL);
	alias = snapshot_aliases(&snap, &n);
	cr_assert(alias != NULL && n == 2);
	cr_expect(alias[0].gpa.v == alias[1].gpa.v && alias[0].level == 1 &&
		  alias[0].va.v < alias[1].va.v);
	cr_expect_eq(snapshot_pages(&snap), 2, "both places are reported");
	free(alias);

	*golden_entry(&g, 0, 4) = g.view.root.v | RW;
	take(&snap, &g, NULL);
	cr_expect(snap.nfault == 1 && snap.fault[0].why == WALK_LOOP);
	take(&snap, &g, &(struct snap_opts){ .iter.through_loops = true });
	cr_expect(snap.nfault == 0 && snapshot_pages(&snap) > 2, "table pages show as leaves");
	snapshot_free(&snap);
	golden_free(&g);
}

/* The runs must be what the second walker finds, page by page. */
struct expected {
	const struct snapshot *snap;
	uint64_t pages, seed;
};

static void
expected_leaf(void *arg, uint64_t va, const struct golden_walk *walk)
{
	struct expected *e = arg;
	const struct view_run *run = snapshot_lookup(e->snap, GVA(va));

	cr_assert(run != NULL && view_run_pa(run, GVA(va)).v == walk->pa &&
		      run->attr.level == walk->level &&
		      walk->w == ((run->attr.rights & VIEW_W) != 0) &&
		      walk->x == ((run->attr.rights & VIEW_X) != 0),
	    "seed 0x%lx: 0x%lx", e->seed, va);
	e->pages += walk->size / PG;
}

BED_TEST(snapshot, random_trees, .timeout = 60)
{
	uint64_t seed = golden_seed("snapshot::random_trees"), rnd = seed;
	struct snapshot snap = { 0 };

	for (int round = 0; round < 60; round++) {
		struct golden g;
		struct expected e = { .snap = &snap, .seed = seed };

		golden_random_tree(&g, VA, &rnd);
		take(&snap, &g, &(struct snap_opts){ .with_ad = round % 2 != 0 });
		golden_walk_all(&g.view, false, expected_leaf, &e);
		cr_assert_eq(snapshot_pages(&snap), e.pages, "seed 0x%lx round %d", seed, round);
		for (size_t i = 1; i < snap.nrun; i++) {
			const struct view_run *a = &snap.run[i - 1], *b = &snap.run[i];

			cr_assert_lt(view_run_last(a).v, b->va.v, "seed 0x%lx: order", seed);
			cr_assert(a->va.v + view_run_bytes(a) != b->va.v ||
				      a->pa.v + view_run_bytes(a) != b->pa.v ||
				      !view_attr_equal(a->attr, b->attr),
			    "seed 0x%lx: two runs that should be one at 0x%lx", seed, b->va.v);
		}
		golden_free(&g);
	}
	snapshot_free(&snap);
}

BED_TEST(print, map)
{
	struct golden g;
	struct snapshot snap = { 0 };
	char *buf = NULL;
	size_t size;
	FILE *out;

	golden_init(&g, 16);
	golden_map(&g, VA, 2, 0x800000 | RW | PTE_SW_W);
	golden_map(&g, VA + 2 * PG, 1, 0x700000 | RW | PTE_SW_W);
	*golden_entry(&g, 0xfffffd8000000000, 2) = RW | PTE_PS;
	golden_map(&g, 0xffffffff80400000, 1, 0x400000 | PTE_P);
	*golden_entry(&g, 0x1000, 4) = g.view.root.v | PTE_P;
	take(&snap, &g, NULL);
	out = open_memstream(&buf, &size);
	view_map_print(out, &snap, NULL);
	fclose(out);
	cr_expect_str_eq(buf,
	    "root 0x100000; rights r w x u are effective\n"
	    "kernel_map\n"
	    "  ffff800000201000-ffff800000203fff    12K rw-- 4k pa in 0x700000-0x801fff, 2 pieces global "
	    "wired\n"
	    "direct map\n"
	    "  fffffd8000000000-fffffd80001fffff     2M rw-- 2m pa 0x0 global\n"
	    "image\n"
	    "  ffffffff80400000-ffffffff80400fff     4K r-x- 4k pa 0x400000\n"
	    "bad entries\n"
	    "  0000000000000000 PML4 at 0x100000 = 0x100001: loop: table is its own ancestor\n"
	    "516 pages (2064K) in 4 runs, 9 table pages, 1 bad entries\n",
	    "%s", buf);
	free(buf);

	out = open_memstream(&buf, &size);
	view_map_print(out, &snap, &(struct map_style){ .every_run = true, .tables = true });
	fclose(out);
	cr_expect_not_null(strstr(buf, "    8K rw-- 4k pa 0x800000 global wired\n"), "%s", buf);
	cr_expect_not_null(
	    strstr(buf, "  ffff800000200000 PT   page 0x103000, 3 entries\n"), "%s", buf);
	free(buf);
	snapshot_free(&snap);
	golden_free(&g);
}

BED_TEST(print, walk)
{
	struct golden g;
	struct walk walk;
	char *buf = NULL;
	size_t size;
	FILE *out;

	golden_init(&g, 8);
	golden_map(&g, VA, 1, 0x800000 | RW | PTE_A | PTE_D | PTE_SW_W);
	walk = view_walk(&g.view, GVA(VA + 8));
	out = open_memstream(&buf, &size);
	view_walk_print(out, &walk);
	fclose(out);
	cr_expect_str_eq(buf,
	    "va ffff800000201008 (kernel_map)\n"
	    "  PML4[256] at 0x100800       = 0x0000000000101007  P W U pa=0x101000\n"
	    "  PDPT[  0] at 0x101000       = 0x0000000000102007  P W U pa=0x102000\n"
	    "  PD  [  1] at 0x102008       = 0x0000000000103007  P W U pa=0x103000\n"
	    "  PT  [  1] at 0x103008       = 0x8000000000800363  P W NX A D G wired pa=0x800000\n"
	    "  end        leaf 4k pa=0x800008\n"
	    "  effective  rw-- (X taken at PT[1], U taken at PT[1])\n",
	    "%s", buf);
	free(buf);
	golden_free(&g);
}

BED_TEST(json, walk_snapshot_diff)
{
	struct golden g;
	struct snapshot a = { 0 }, b = { 0 };
	struct snap_diff diff = { 0 };
	struct walk walk;
	json_t *json;
	const char *s, *t;
	int i;

	golden_init(&g, 8);
	take(&a, &g, NULL);
	golden_map(&g, VA, 2, 0x800000 | RW);
	*golden_entry(&g, VA + 4 * PG, 1) = 1ull << 45 | PTE_P;
	take(&b, &g, NULL);

	walk = view_walk(&g.view, GVA(VA));
	json = view_walk_json(&walk);
	cr_assert_eq(json_unpack(json, "{s:s, s:s, s:s, s:[{}, {}, {}, {s:i}]}", "schema", &s, "va",
			 &t, "pa", &s, "steps", "index", &i),
	    0);
	cr_expect_str_eq(t, "0xffff800000201000");
	cr_expect_str_eq(s, "0x800000");
	cr_expect_eq(i, 1);
	cr_expect_str_eq(json_string_value(json_object_get(json, "x_taken")), "PT");
	json_decref(json);

	json = view_snapshot_json(&b);
	cr_assert_eq(json_unpack(json, "{s:[{s:s, s:i, s:s}], s:[{s:s}]}", "runs", "region", &s,
			 "npages", &i, "rights", &t, "faults", "why", &s),
	    0);
	cr_expect(i == 2 && strcmp(t, "rw--") == 0 && strcmp(s, "reserved bit set") == 0);
	cr_expect(json_is_true(json_object_get(json, "complete")));
	json_decref(json);

	cr_assert(snapshot_diff(&a, &b, &diff, NULL));
	json = view_diff_json(&diff);
	cr_assert_eq(
	    json_unpack(json, "{s:[{s:[s], s:i}]}", "changes", "what", &s, "npages", &i), 0);
	cr_expect(strcmp(s, "added") == 0 && i == 2);
	cr_expect_eq(json_array_size(json_object_get(json, "changes")), 5);
	json_decref(json);
	snap_diff_free(&diff);
	snapshot_free(&a);
	snapshot_free(&b);
	golden_free(&g);
}

BED_TEST(walkbench, counts_what_it_measures)
{
	struct walk_bench bench;
	struct bed_err err;

	cr_assert(view_bench_walk(5000, 3, &bench, &err), "%s", err.text);
	cr_expect(bench.leaves == 5000 && bench.tables == 13);
	cr_expect(bench.dense_runs == 1 && bench.random_runs > 4900, "%zu %zu", bench.dense_runs,
	    bench.random_runs);
	cr_expect(bench.floor_ns > 0 && bench.dense_ns > 0 && bench.random_ns > 0);
	cr_expect(!view_bench_walk(0, 3, &bench, &err) && err.class == BED_E_USAGE);
	cr_expect(!view_bench_walk(1u << 20, 3, &bench, &err) && err.class == BED_E_USAGE);
}
