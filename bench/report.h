/* SPDX-License-Identifier: ISC */
/*
 * Showing benchmark results.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <jansson.h>

#include "bench/bench.h"

/* Escape sequences, each "" where the output is no terminal. */
struct bench_style {
	const char *bold, *dim, *good, *bad, *plain;
};

void bench_print(const struct bench_list *, const struct bench_style *);
json_t *bench_json(const struct bench_list *); /* the array "benchmarks" */

#endif
