/* SPDX-License-Identifier: ISC */
/*
 * Measuring a program of calls in a bed: how much counted work a repetition is, and how long it takes.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "bench/bench.h"
#include "vmm/bed/batch.h"

/* Work per repetition; counts are exact. NAN: the engine cannot tell. */
struct bench_work {
	double pte_set, pte_clear, invlpg, tlb_full, insns;
	double exits; /* of the whole measured batch, whatever its length */
	uint64_t repeat;
};

/* Run the program `repeat` times in one call and count. */
bool bench_program_work(
    struct bed *, struct bed_prog *, uint64_t repeat, struct bench_work *, struct bed_err *);

/* Put times per repetition into the result: batches long enough to time, BENCH_REPEATS of them. */
bool bench_program_time(struct bed_prog *, struct bench_result *, struct bed_err *);

/* Guest instructions that a repetition of n null calls costs: what the batch itself adds. NAN: unknown. */
bool bench_batch_overhead(struct bed *, unsigned n, double *insns, struct bed_err *);

#endif
