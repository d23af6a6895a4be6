/* SPDX-License-Identifier: ISC */
/*
 * Section "reset": what it costs to have a booted bed without booting: started from a snapshot, against a boot; and
 * reset to it, with so many pages dirtied by the guest since.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "vmm/bed/call.h"
#include "vmm/bed/snapshot.h"

#define ROUNDS     200
#define STARTS     15
#define HELD_TO_US 150
#define HELD_PAGES 64
#define PAGE       4096

static int
compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static bool
time_of(const struct bed_config *cfg,
    struct bed *(*make)(const struct bed_config *, struct bed_err *), double *ns,
    struct bed_err *err)
{
	uint64_t t0 = bench_now();
	struct bed *bed = make(cfg, err);

	*ns = (double)(bench_now() - t0);
	bed_destroy(bed);
	return bed != NULL;
}

/* Starts and boots in turn. */
static bool
bench_starts(const struct bed_config *cfg, struct bench_list *list, struct bed_err *err)
{
	double start[STARTS], boot[STARTS], warm;
	struct bench_result *r;

	/* The first one may have to make the snapshot. */
	if (!time_of(cfg, bed_start, &warm, err))
		return false;
	for (unsigned i = 0; i < STARTS; i++)
		if (!time_of(cfg, bed_start, &start[i], err) ||
		    !time_of(cfg, bed_create, &boot[i], err))
			return false;
	r = bench_add(list, err, "reset/boot instead, %lu MiB", cfg->ram >> 20);
	if (r == NULL)
		return false;
	r->unit = "boot";
	r->operations = STARTS;
	bench_times(r, boot, STARTS);
	r = bench_add(list, err, "reset/start from a snapshot, %lu MiB", cfg->ram >> 20);
	if (r == NULL)
		return false;
	r->unit = "start";
	r->operations = STARTS;
	bench_times(r, start, STARTS);
	bench_count(r, "x boot", r->ns / boot[STARTS / 2]);
	return true;
}

/* The guest takes that many pages and stores to each of them. */
static bool
dirty(struct bed *bed, uint64_t pages, struct bed_err *err)
{
	struct bed_result res;
	uint64_t alloc[] = { BED_MAP_KERNEL, pages * PAGE };
	uint64_t fill[] = { 0, pages, 1 };

	if (pages == 0)
		return true;
	if (!bed_call_try(bed, BED_CALL_uvm_km_alloc, alloc, 2, &res, err))
		return false;
	fill[0] = res.value;
	return bed_call_try(bed, BED_CALL_fill, fill, 3, &res, err);
}

static bool
bench_pages(struct bed *bed, uint64_t pages, struct bench_list *list, struct bed_err *err)
{
	struct bench_result *r = bench_add(list, err, "reset/%lu pages dirtied", pages);
	struct bed_reset_work work;
	double ns[ROUNDS];

	if (r == NULL)
		return false;
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t t0;

		if (!dirty(bed, pages, err))
			return false;
		t0 = bench_now();
		if (!bed_reset(bed, err))
			return false;
		ns[i] = (double)(bench_now() - t0);
	}
	work = bed_reset_work(bed);
	qsort(ns, ROUNDS, sizeof(*ns), compare_doubles);
	r->unit = "reset";
	r->operations = ROUNDS;
	bench_times(r, ns, ROUNDS);
	bench_count(r, "p99 us", ns[ROUNDS * 99 / 100] / 1e3);
	bench_count(r, "pages copied", (double)work.pages);
	if (pages <= HELD_PAGES) {
		snprintf(r->note, sizeof(r->note), "p50 at most %d us", HELD_TO_US);
		r->missed = r->ns > HELD_TO_US * 1e3;
		r->timed = true;
	}
	return true;
}

bool
bench_reset(const struct bed_config *cfg, struct bench_list *list, struct bed_err *err)
{
	static const uint64_t pages[] = { 0, 1, 4, 16, HELD_PAGES, 256 };
	struct bed *bed;
	bool ok;

	if (!bench_starts(cfg, list, err))
		return false;
	bed = bed_start(cfg, err);
	/* The first reset of a process also proves that resets work. */
	ok = bed != NULL && bed_reset(bed, err);
	for (size_t i = 0; ok && i < sizeof(pages) / sizeof(pages[0]); i++)
		ok = bench_pages(bed, pages[i], list, err);
	bed_destroy(bed);
	return ok;
}
