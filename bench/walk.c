/* SPDX-License-Identifier: ISC */
/*
 * Section "walk": how dear the host's look at 32,768 leaves is, against plain loads of the same pages.
 */
#include <stdio.h>

#include "bench/bench.h"
#include "vmm/view/walkbench.h"

#define WALK_LEAVES 32768
#define WALK_ROUNDS 201
#define WALK_FACTOR 5.0 /* a walk may cost this many times the loads */

static bool
walk_row(struct bench_list *list, struct bed_err *err, const char *name, double ns, double floor_ns,
    const struct walk_bench *w, size_t runs)
{
	struct bench_result *r = bench_add(list, err, "%s", name);

	if (r == NULL)
		return false;
	r->unit = "walk";
	r->operations = WALK_ROUNDS;
	r->ns = r->ns_min = r->ns_max = ns;
	bench_count(r, "leaves", w->leaves);
	bench_count(r, "tables", w->tables);
	bench_count(r, "runs", (double)runs);
	if (ns > floor_ns) {
		bench_count(r, "x floor", ns / floor_ns);
		snprintf(r->note, sizeof(r->note), "at most %.0f x floor", WALK_FACTOR);
		r->missed = ns > WALK_FACTOR * floor_ns;
		r->timed = true;
	}
	return true;
}

bool
bench_walk(const struct bed_config *cfg, struct bench_list *list, struct bed_err *err)
{
	struct walk_bench w;

	(void)cfg; /* needs no guest */
	return view_bench_walk(WALK_LEAVES, WALK_ROUNDS, &w, err) &&
	       walk_row(list, err, "walk/floor: loads", w.floor_ns, w.floor_ns, &w, 0) &&
	       walk_row(list, err, "walk/dense frames", w.dense_ns, w.floor_ns, &w, w.dense_runs) &&
	       walk_row(
		   list, err, "walk/random frames", w.random_ns, w.floor_ns, &w, w.random_runs);
}
