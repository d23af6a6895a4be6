/* SPDX-License-Identifier: ISC */
/*
 * The list of sections, and results: appending, counting, medians.
 */
#include "bench/bench.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const struct bench_section bench_sections[] = {
	{ "boot", "from nothing to ready for calls", bench_boot, false },
	{ "call", "a null call and a bare port exit", bench_call, false },
	{ "check", "1,000 calls with 1,000 live allocations, checked after each, and not",
	    bench_check, true },
	{ "map", "uvm_km_alloc + uvm_km_free against the bare floor", bench_map, false },
	{ "reset", "a booted bed without a boot: from a snapshot, and reset to it", bench_reset,
	    false },
	{ "smp", "what a second CPU costs a pair: invalidations, interrupts, instructions",
	    bench_smp, true },
	{ "tlbsan", "events a second through the TLB sanitizer", bench_tlbsan, false },
	{ "twin", "random programs without a machine, and going back to its start", bench_twin,
	    false },
	{ "walk", "the host's walk of 32,768 leaves against plain loads", bench_walk, false },
	{ "work", "instructions of the allocator on standard workloads", bench_work, true },
	{ NULL, NULL, NULL, false },
};

uint64_t
bench_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

struct bench_result *
bench_add(struct bench_list *list, struct bed_err *err, const char *name, ...)
{
	struct bench_result *r;
	va_list ap;

	if (list->n == list->cap) {
		unsigned cap = list->cap ? 2 * list->cap : 16;
		struct bench_result *bigger = realloc(list->result, cap * sizeof(*bigger));

		if (bigger == NULL) {
			bed_fail(err, BED_E_HOST, "out of memory for benchmark results");
			return NULL;
		}
		list->result = bigger;
		list->cap = cap;
	}
	r = &list->result[list->n++];
	memset(r, 0, sizeof(*r));
	r->ns = r->ns_min = r->ns_max = NAN;
	va_start(ap, name);
	vsnprintf(r->name, sizeof(r->name), name, ap);
	va_end(ap);
	return r;
}

void
bench_count(struct bench_result *r, const char *name, double value)
{
	if (r->ncounter < BENCH_COUNTERS)
		r->counter[r->ncounter++] = (struct bench_counter){ name, value };
}

static int
compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void
bench_times(struct bench_result *r, double *ns, unsigned n)
{
	qsort(ns, n, sizeof(*ns), compare_doubles);
	r->ns = n % 2 ? ns[n / 2] : (ns[n / 2 - 1] + ns[n / 2]) / 2;
	r->ns_min = ns[0];
	r->ns_max = ns[n - 1];
}

void
bench_list_free(struct bench_list *list)
{
	free(list->result);
	memset(list, 0, sizeof(*list));
}
