/* SPDX-License-Identifier: ISC */
/*
 * Counted work and time of programs: see measure.h.
 */
#include "bench/measure.h"

#include <math.h>

#define BATCH_NS   20000000 /* a timed batch takes at least this long */
#define REPEAT_MAX (1u << 20)

bool
bench_program_work(struct bed *bed, struct bed_prog *prog, uint64_t repeat, struct bench_work *w,
    struct bed_err *err)
{
	struct bed_counters c0 = bed_counters(bed, 0), c1;
	struct bed_stats s0 = bed_stats(bed), s1;
	double n = (double)repeat;
	uint64_t done;

	if (!bed_prog_run(prog, repeat, &done, err))
		return false;
	c1 = bed_counters(bed, 0);
	s1 = bed_stats(bed);
	*w = (struct bench_work){
		.pte_set = (double)(c1.pte_set - c0.pte_set) / n,
		.pte_clear = (double)(c1.pte_clear - c0.pte_clear) / n,
		.invlpg = (double)(c1.invlpg - c0.invlpg) / n,
		.tlb_full = (double)(c1.tlb_full - c0.tlb_full) / n,
		.insns = s1.has_insns ? (double)(s1.insns - s0.insns) / n : NAN,
		.exits = (double)(s1.exits - s0.exits),
		.repeat = repeat,
	};
	return true;
}

bool
bench_program_time(struct bed_prog *prog, struct bench_result *r, struct bed_err *err)
{
	uint64_t repeat = 1, done, t0, t;
	double ns[BENCH_REPEATS];

	for (;;) {
		t0 = bench_now();
		if (!bed_prog_run(prog, repeat, &done, err))
			return false;
		t = bench_now() - t0;
		if (t >= BATCH_NS || repeat >= REPEAT_MAX)
			break;
		repeat *= t < BATCH_NS / 8 ? 4 : 2;
	}
	for (unsigned i = 0; i < BENCH_REPEATS; i++) {
		t0 = bench_now();
		if (!bed_prog_run(prog, repeat, &done, err))
			return false;
		ns[i] = (double)(bench_now() - t0) / (double)repeat;
	}
	r->operations = repeat * BENCH_REPEATS;
	bench_times(r, ns, BENCH_REPEATS);
	return true;
}

bool
bench_batch_overhead(struct bed *bed, unsigned n, double *insns, struct bed_err *err)
{
	struct bed_prog *prog = bed_prog_new(bed, err);
	struct bench_work w1, w2;
	bool ok;

	if (prog == NULL)
		return false;
	for (unsigned i = 0; i < n; i++)
		bed_prog_add(prog, BED_CALL_null, NULL, 0);
	/*
	 * Two lengths: the difference leaves out what is paid once a call. The first call of a bed pays
	 * what no other does.
	 */
	ok = bench_program_work(bed, prog, 1, &w1, err) &&
	     bench_program_work(bed, prog, 10, &w1, err) &&
	     bench_program_work(bed, prog, 60, &w2, err);
	*insns = (w2.insns * 60 - w1.insns * 10) / 50;
	bed_prog_free(prog);
	return ok;
}
