/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: any bytes as page tables. The walker (one address), the iterator (everything) and the
 * snapshot must agree with each other, and end.
 *
 * Input: a byte of flags, a byte for the root, then records of 10 bytes: page, entry / 2, value of the entry.
 * The frame of a value is taken modulo the pages there are, unless the byte of the page has its high bit
 * set, so that most entries point to another table.
 */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/view/diff.h"
#include "vmm/view/print.h"
#include "vmm/view/snapshot.h"

enum { NPAGES = 12, BASE = 0x10000, RECORD = 10 };

static uint8_t ram[NPAGES * 4096] __attribute__((__aligned__(4096)));

static void
lay_out(struct view *view, const uint8_t *data, size_t size)
{
	memset(ram, 0, sizeof(ram));
	view->nx = data[0] & 1;
	view->pages_1g = data[0] & 2;
	view->maxphyaddr = 36 + (data[0] >> 2) % 17;
	view->root = GPA(BASE + data[1] % NPAGES * 4096u);
	for (const uint8_t *r = data + 2; r + RECORD <= data + size; r += RECORD) {
		uint64_t raw, table = BASE + (uint64_t)(r[0] & 0x7f) % NPAGES * 4096;

		memcpy(&raw, r + 2, 8);
		if (r[0] < 0x80) {
			uint64_t frame = raw >> 12 & 0xff;

			raw = (raw & 0xfff0000000000fff) | (BASE + frame % NPAGES * 4096);
		}
		memcpy(&ram[table - BASE + r[1] * 2u * 8], &raw, 8);
	}
}

struct sums {
	const struct view *view;
	gva_t last;
	uint64_t leaves;
};

static bool
leaf(void *arg, const struct iter_leaf *l)
{
	struct sums *sums = arg;
	struct walk w = view_walk(sums->view, l->va);

	FUZZ_ASSERT(w.stop == WALK_LEAF && w.pa.v == l->pa.v && w.attr.rights == l->attr.rights);
	FUZZ_ASSERT(w.step[w.nsteps - 1].entry.v == l->entry.v);
	FUZZ_ASSERT(sums->leaves == 0 || l->va.v > sums->last.v);
	sums->last = l->va;
	sums->leaves++;
	return sums->leaves < 20000;
}

static bool
fault(void *arg, const struct iter_fault *f)
{
	struct sums *sums = arg;
	struct walk w = view_walk(sums->view, f->va);

	FUZZ_ASSERT(w.stop == f->why || f->level == 5);
	return true;
}

/* Take it twice: equal, and every run is where the walker says. */
static void
snapshots(const struct view *view)
{
	struct snapshot first = { 0 }, second = { 0 };
	struct snap_opts opts = { .iter.max_visits = 2000 };
	struct snap_diff diff = { 0 };
	struct bed_err err;

	FUZZ_ASSERT(snapshot_take(&first, view, &opts, &err));
	FUZZ_ASSERT(snapshot_take(&second, view, &opts, &err));
	for (size_t i = 0; i < first.nrun && i < 100; i++) {
		const struct view_run *run = &first.run[i];
		struct walk w = view_walk(view, view_run_last(run));

		FUZZ_ASSERT(i == 0 || run->va.v > view_run_last(run - 1).v);
		FUZZ_ASSERT(w.stop == WALK_LEAF);
		FUZZ_ASSERT(w.pa.v == run->pa.v + view_run_bytes(run) - 1);
		FUZZ_ASSERT(snapshot_lookup(&first, run->va) == run);
	}
	if (!first.capped) {
		FUZZ_ASSERT(snapshot_diff(&first, &second, &diff, &err) && diff.n == 0);
		snap_diff_free(&diff);
	}
	snapshot_free(&first);
	snapshot_free(&second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct iter_ops ops = { .leaf = leaf, .fault = fault };
	static const struct iter_opts opts = { .max_visits = 2000 };
	struct view_seg seg = { GPA(BASE), sizeof(ram), ram };
	struct view view = { .seg = &seg, .nseg = 1 };
	struct sums sums = { .view = &view };

	if (size < 2)
		return 0;
	lay_out(&view, data, size);
	(void)view_iterate(&view, &opts, &ops, &sums);
	snapshots(&view);
	for (size_t i = 2; i + 8 <= size && i < 200; i += 8) {
		struct walk strict, through;
		gva_t va;

		memcpy(&va.v, data + i, 8);
		strict = view_walk(&view, va);
		through = view_walk_through(&view, va);
		FUZZ_ASSERT(through.stop != WALK_LOOP);
		FUZZ_ASSERT(strict.stop == WALK_LOOP || strict.stop == through.stop);
	}
	return 0;
}
