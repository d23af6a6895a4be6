/* SPDX-License-Identifier: ISC */
/*
 * Section "twin": how fast random programs run where no machine is between them and the allocator, with how
 * much checking; and what going back to a booted machine costs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench/bench.h"
#include "vmm/bed/call.h"
#include "vmm/bed/rewind.h"
#include "vmm/explore/explore.h"

static const struct row {
	const char *name;
	enum bed_flavour flavour;
	enum xchecks checks;
	unsigned every;
	size_t length; /* operations of a program; long ones, so that its start does not count */
	double ns;     /* an operation may take that long; 0: no figure */
} rows[] = {
	{ "twin/unchecked", BED_RELEASE, XCHECK_NONE, 0, 100000, 1e9 / 1e6 },
	{ "twin/unchecked, checked guest", BED_CHECKED, XCHECK_NONE, 0, 100000, 0 },
	{ "twin/invariants every 100", BED_RELEASE, XCHECK_INVARIANTS, 100, 50000, 1e9 / 1e5 },
	{ "twin/every check after each", BED_CHECKED, XCHECK_CALLS, 0, 500, 0 },
};

/* Of this thread: rates are of one core, whoever else the host has to serve. */
static uint64_t
cpu_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* One repetition: nanoseconds a call; 0: err says why. */
static double
repeat(struct xlab *lab, const struct row *row, unsigned round, uint8_t *bytes, uint64_t *calls,
    struct bed_err *err)
{
	struct xresult r;
	uint64_t start;

	xprogram_make(bytes, row->length, 1, round, xprofile_find("mixed"));
	start = cpu_now();
	if (!xlab_run(lab, bytes, row->length * XOP_BYTES, &r, err))
		return 0;
	*calls += r.calls;
	return (double)(cpu_now() - start) / (double)r.calls;
}

static bool
programs(const struct row *row, const struct bed_config *cfg, struct bench_list *list,
    struct bed_err *err)
{
	struct xlab_config config = { .bed = *cfg, .checks = row->checks, .every = row->every };
	uint8_t *bytes = malloc(row->length * XOP_BYTES);
	struct bench_result *r = bench_add(list, err, "%s", row->name);
	double ns[BENCH_REPEATS];
	struct xlab *lab;
	bool ok;

	config.bed.flavour = row->flavour;
	lab = bytes != NULL && r != NULL ? xlab_new(&config, err) : NULL;
	ok = lab != NULL;
	for (unsigned i = 0; i < BENCH_REPEATS && ok; i++) {
		ns[i] = repeat(lab, row, i, bytes, &r->operations, err);
		ok = ns[i] != 0;
	}
	xlab_free(lab);
	free(bytes);
	if (!ok)
		return false;
	r->unit = "call";
	bench_times(r, ns, BENCH_REPEATS);
	bench_count(r, "calls/s", 1e9 / r->ns);
	r->timed = true;
	r->missed = row->ns != 0 && r->ns > row->ns;
	if (row->ns != 0)
		snprintf(r->note, sizeof(r->note), "at least %.0f calls/s", 1e9 / row->ns);
	return true;
}

/* Eight allocations of 1 to 8 pages, all filled: what a short test leaves behind. */
static bool
dirty(struct bed *bed, struct bed_err *err)
{
	struct bed_result r;

	for (uint64_t n = 1; n <= 8; n++) {
		if (!bed_call_try(bed, BED_CALL_uvm_km_alloc,
			(uint64_t[]){ BED_MAP_KERNEL, n << 12 }, 2, &r, err) ||
		    !bed_call_try(bed, BED_CALL_fill, (uint64_t[]){ r.value, n, n }, 3, &r, err))
			return false;
	}
	return true;
}

static bool
rewind_row(const struct bed_config *cfg, struct bench_list *list, struct bed_err *err)
{
	struct bench_result *r = bench_add(list, err, "twin/rewind, 36 dirty pages");
	struct bed *bed = r == NULL ? NULL : bed_create(cfg, err);
	bool ok = bed != NULL && bed_mark(bed, err);
	double ns[BENCH_REPEATS];

	for (unsigned i = 0; i < BENCH_REPEATS && ok; i++) {
		uint64_t sum = 0;

		for (unsigned k = 0; k < 100 && ok; k++) {
			uint64_t start;

			ok = dirty(bed, err);
			start = cpu_now();
			ok = ok && bed_rewind(bed, err);
			sum += cpu_now() - start;
		}
		ns[i] = (double)sum / 100;
	}
	bed_destroy(bed);
	if (!ok)
		return false;
	r->unit = "rewind";
	r->operations = 100 * BENCH_REPEATS;
	bench_times(r, ns, BENCH_REPEATS);
	return true;
}

bool
bench_twin(const struct bed_config *cfg, struct bench_list *list, struct bed_err *err)
{
	struct bed_config twin = *cfg;

	twin.engine = BED_ENGINE_TWIN;
	twin.timeout_ms = 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!programs(&rows[i], &twin, list, err))
			return false;
	}
	return rewind_row(&twin, list, err);
}
