/* SPDX-License-Identifier: ISC */
/*
 * Benchmarks: a section measures one thing and appends results; the report prints them for a person or
 * in the JSON shape of Google Benchmark, which comparison tools read.
 *
 * A result is counted work first, time second. Counted work (page-table stores, invalidations, guest
 * instructions, exits) is exact and is what a gate may compare; time depends on the engine and on what
 * else the host does, and is published with both.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "vmm/bed/bed.h"
#include "vmm/error.h"

#define BENCH_COUNTERS 10
#define BENCH_REPEATS  9 /* times a timed batch is repeated; the median is published */

struct bench_counter {
	const char *name; /* static text */
	double value;     /* per operation; NAN: this engine cannot count it */
};

struct bench_result {
	char name[48];
	const char *unit;    /* what one operation is: "call", "pair", "walk" */
	uint64_t operations; /* in all repetitions */
	double ns;           /* per operation, median of the repetitions; NAN: not timed */
	double ns_min, ns_max;
	unsigned ncounter;
	struct bench_counter counter[BENCH_COUNTERS];
	char note[96]; /* the figure it is held against, or "" */
	bool missed;   /* the figure was not reached */
	bool timed; /* the figure is one of time: shown, but it fails nothing (hosts are shared) */
};

struct bench_list {
	struct bench_result *result;
	unsigned n, cap;
};

struct bench_section {
	const char *name;
	const char *text;
	bool (*run)(const struct bed_config *, struct bench_list *, struct bed_err *);
	bool on_demand; /* takes long: only when named */
};
extern const struct bench_section bench_sections[]; /* ends with a NULL name */

/* Append a zeroed result; NULL: out of memory (err is filled). */
struct bench_result *bench_add(struct bench_list *, struct bed_err *, const char *name, ...)
    __attribute__((__format__(__printf__, 3, 4)));
void bench_count(struct bench_result *, const char *name, double value);
/* Put the median and the extremes of n per-operation times into the result. */
void bench_times(struct bench_result *, double *ns, unsigned n);
void bench_list_free(struct bench_list *);

bool bench_boot(const struct bed_config *, struct bench_list *, struct bed_err *);
bool bench_call(const struct bed_config *, struct bench_list *, struct bed_err *);
bool bench_check(const struct bed_config *, struct bench_list *, struct bed_err *);
bool bench_map(const struct bed_config *, struct bench_list *, struct bed_err *);
bool bench_reset(const struct bed_config *, struct bench_list *, struct bed_err *);
bool bench_smp(const struct bed_config *, struct bench_list *, struct bed_err *);
bool bench_work(const struct bed_config *, struct bench_list *, struct bed_err *);
bool bench_tlbsan(const struct bed_config *, struct bench_list *, struct bed_err *);
bool bench_twin(const struct bed_config *, struct bench_list *, struct bed_err *);
bool bench_walk(const struct bed_config *, struct bench_list *, struct bed_err *);

uint64_t bench_now(void); /* CLOCK_MONOTONIC_RAW, ns */

#endif
