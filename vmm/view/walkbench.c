/* SPDX-License-Identifier: ISC */
/*
 * Cost of a snapshot against the floor: see walkbench.h.
 */
#include "vmm/view/walkbench.h"

#include <stdlib.h>
#include <time.h>

#include "shared/layout.h"
#include "vmm/view/snapshot.h"

#define MAX_LEAVES (PT_ENTRIES * PT_ENTRIES) /* below one page directory */

struct tree {
	uint64_t (*table)[PT_ENTRIES]; /* root, PDPT, PD, then the page tables */
	unsigned ntable;
	struct view_seg seg;
	struct view view;
};

static double
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* The frame of each leaf: in order, or shuffled (xorshift; always the same order). */
static void
fill_leaves(struct tree *tree, unsigned leaves, bool shuffled)
{
	uint64_t *leaf = tree->table[3];
	uint64_t x = UINT64_C(0x9e3779b97f4a7c15);

	for (unsigned i = 0; i < leaves; i++)
		leaf[i] =
		    (UINT64_C(0x10000000) + i * BED_PAGE_SIZE) | PTE_P | PTE_W | PTE_NX | PTE_G;
	for (unsigned i = leaves - 1; shuffled && i > 0; i--) {
		uint64_t swap = leaf[i];
		unsigned j;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		j = (unsigned)(x % (i + 1));
		leaf[i] = leaf[j];
		leaf[j] = swap;
	}
	/* Accessed and dirty bits as a running system leaves them: they must not split runs. */
	for (unsigned i = 0; i < leaves; i++)
		leaf[i] |= i % 3 == 0 ? PTE_A | PTE_D : PTE_A;
}

static bool
make_tree(struct tree *tree, unsigned leaves, bool shuffled)
{
	const uint64_t link = PTE_P | PTE_W | PTE_A;
	unsigned npt = (leaves + PT_ENTRIES - 1) / PT_ENTRIES;
	size_t bytes;

	tree->ntable = 3 + npt;
	bytes = tree->ntable * BED_PAGE_SIZE;
	tree->table = aligned_alloc(BED_PAGE_SIZE, bytes);
	if (tree->table == NULL)
		return false;
	memset(tree->table, 0, bytes);
	tree->table[0][pt_index(BED_KVA_BASE, 4)] = 1 * BED_PAGE_SIZE | link;
	tree->table[1][pt_index(BED_KVA_BASE, 3)] = 2 * BED_PAGE_SIZE | link;
	for (unsigned i = 0; i < npt; i++)
		tree->table[2][i] = (3 + i) * BED_PAGE_SIZE | link;
	fill_leaves(tree, leaves, shuffled);
	tree->seg =
	    (struct view_seg){ .start = GPA(0), .len = bytes, .host = (uint8_t *)tree->table };
	tree->view = (struct view){ .seg = &tree->seg,
		.nseg = 1,
		.root = GPA(0),
		.maxphyaddr = 46,
		.nx = true,
		.pages_1g = true };
	return true;
}

/* The floor. The sum keeps the loads alive. */
static __attribute__((__noinline__)) uint64_t
load_all(const struct tree *tree)
{
	const uint64_t *entry = tree->table[0];
	const uint64_t *end = entry + (size_t)tree->ntable * PT_ENTRIES;
	uint64_t sum = 0;

	for (; entry < end; entry++)
		sum += __atomic_load_n(entry, __ATOMIC_RELAXED);
	return sum;
}

static int
by_value(const void *pa, const void *pb)
{
	const double *a = pa, *b = pb;

	return (*a > *b) - (*a < *b);
}

static double
median(double *sample, unsigned n)
{
	qsort(sample, n, sizeof(*sample), by_value);
	return n % 2 != 0 ? sample[n / 2] : (sample[n / 2 - 1] + sample[n / 2]) / 2;
}

static bool
measure(const struct tree tree[2], unsigned rounds, double *sample, struct walk_bench *bench,
    struct bed_err *err)
{
	struct snapshot dense = { 0 }, shuffled = { 0 };
	uint64_t sum = 0;
	bool ok = true;

	/* Round 0 warms caches and lets the snapshots get their memory. */
	for (unsigned round = 0; round <= rounds && ok; round++) {
		unsigned slot = round == 0 ? 0 : round - 1;
		double t0 = now_ns(), t1, t2, t3;

		sum += load_all(&tree[0]);
		t1 = now_ns();
		ok = snapshot_take(&dense, &tree[0].view, NULL, err);
		t2 = now_ns();
		ok = ok && snapshot_take(&shuffled, &tree[1].view, NULL, err);
		t3 = now_ns();
		sample[slot] = t1 - t0;
		sample[rounds + slot] = t2 - t1;
		sample[2 * rounds + slot] = t3 - t2;
	}
	/* The loads of the floor happened, because what they read is wanted. */
	ok = ok && (sum != 0 || bed_fail(err, BED_E_INTERNAL, "the tree is empty"));
	if (ok) {
		bench->floor_ns = median(sample, rounds);
		bench->dense_ns = median(sample + rounds, rounds);
		bench->random_ns = median(sample + 2 * rounds, rounds);
		bench->dense_runs = dense.nrun;
		bench->random_runs = shuffled.nrun;
		if (snapshot_pages(&dense) != bench->leaves ||
		    snapshot_pages(&shuffled) != bench->leaves)
			ok = bed_fail(err, BED_E_INTERNAL,
			    "the snapshots show %llu and %llu leaves of a tree of %u",
			    (unsigned long long)snapshot_pages(&dense),
			    (unsigned long long)snapshot_pages(&shuffled), bench->leaves);
	}
	snapshot_free(&dense);
	snapshot_free(&shuffled);
	return ok;
}

bool
view_bench_walk(unsigned leaves, unsigned rounds, struct walk_bench *bench, struct bed_err *err)
{
	struct tree tree[2] = { 0 };
	double *sample;
	bool ok;

	if (leaves == 0 || leaves > MAX_LEAVES || rounds == 0)
		return bed_fail(err, BED_E_USAGE,
		    "bench walk: 1 to %u leaves and at least one round", MAX_LEAVES);
	sample = calloc(3 * (size_t)rounds, sizeof(*sample));
	if (sample == NULL || !make_tree(&tree[0], leaves, false) ||
	    !make_tree(&tree[1], leaves, true)) {
		ok = bed_fail(
		    err, BED_E_HOST, "bench walk: no memory for a tree of %u leaves", leaves);
	} else {
		*bench = (struct walk_bench){ .leaves = leaves, .tables = tree[0].ntable };
		ok = measure(tree, rounds, sample, bench, err);
	}
	free(tree[0].table);
	free(tree[1].table);
	free(sample);
	return ok;
}
