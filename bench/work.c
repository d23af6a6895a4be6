/* SPDX-License-Identifier: ISC */
/*
 * Section "work": instructions the allocator takes on standard workloads, in the guest. Counted by KVM
 * where it counts every guest instruction; elsewhere the section says so and shows only time.
 *
 * An instruction count is the difference of two runs of the same steps, one with nothing in place of the
 * allocator, divided by the steps: the allocator alone, to the instruction.
 */
#include <math.h>
#include <stdio.h>

#include "bench/bench.h"
#include "shared/paging.h"
#include "vmm/bed/call.h"

#define WORK_RAM     (UINT64_C(256) << 20)
#define WORK_PTPOOL  (UINT64_C(16) << 20)
#define WORK_TIMEOUT 120000 /* ms; ten thousand allocations at a million instructions a second */

struct workload {
	const char *name;
	enum bed_work kind;
	unsigned live, most; /* pages */
	unsigned align;      /* pages, 0: none */
	unsigned pages;      /* of the pair, where there is one */
	unsigned steps;
	double limit; /* instructions a step; 0: no figure */
};

/* Figures: what a workload may cost, in instructions per allocation and its free. */
static const struct workload workloads[] = {
	{ "W1 one page, empty map", BED_WORK_PAIR, 1, 1, 0, 1, 200, 250 },
	{ "W6 one page, 1,000 live", BED_WORK_PAIR, 1000, 32, 0, 1, 200, 250 },
	{ "W2 1..32 pages, 10 live", BED_WORK_RANDOM, 10, 32, 0, 0, 400, 450 },
	{ "W2 1..32 pages, 1,000 live", BED_WORK_RANDOM, 1000, 32, 0, 0, 1000, 450 },
	{ "W2 1..32 pages, 10,000 live", BED_WORK_RANDOM, 10000, 32, 0, 0, 1000, 450 },
	{ "W2 1..256 pages, 1,000 live", BED_WORK_RANDOM, 1000, 256, 0, 0, 1000, 1300 },
	{ "W3 FIFO, 4,000 live", BED_WORK_FIFO, 4000, 32, 0, 0, 1000, 500 },
	{ "W4 aligned 16 pages, 1,000 live", BED_WORK_RANDOM, 1000, 16, 16, 0, 500, 0 },
	{ "W4 aligned 512 pages, 1,000 live", BED_WORK_RANDOM, 1000, 16, 512, 0, 500, 0 },
	{ "uvm_km_alloc 1 page, 10 live", BED_WORK_KM, 10, 4, 0, 1, 100, 600 },
	{ "uvm_km_alloc 17 pages, 10 live", BED_WORK_KM, 10, 4, 0, 17, 50, 600 + 16 * 35 },
	{ "uvm_km_alloc 1 page, 10,000 live", BED_WORK_KM, 10000, 4, 0, 1, 100, 780 },
	{ "uvm_km_valloc + touch 1 page", BED_WORK_VALLOC, 10, 4, 0, 1, 100, 1400 },
	{ "km_alloc(kv_page, kp_dirty)", BED_WORK_KM_PAGE, 10, 4, 0, 1, 100, 200 },
};
#define NWORK        (sizeof(workloads) / sizeof(workloads[0]))
#define W4_INSNS_MAX 2000

static bool
run(struct bed *bed, const struct workload *w, bool empty, uint64_t *insns, double *ns,
    struct bed_err *err)
{
	const uint64_t args[] = { w->steps, w->pages, empty };
	struct bed_stats before = bed_stats(bed), after;
	uint64_t t0 = bench_now();
	struct bed_result result;

	if (!bed_call_try(bed, BED_CALL_work_run, args, 3, &result, err))
		return false;
	*ns = (double)(bench_now() - t0);
	after = bed_stats(bed);
	*insns = after.insns - before.insns;
	if (result.value != w->steps)
		return bed_fail(err, BED_E_HOST, "workload \"%s\" ran out of memory", w->name);
	return true;
}

static bool
measure(struct bed *bed, const struct workload *w, struct bench_list *list, struct bed_err *err)
{
	const uint64_t args[] = { w->kind, w->live, w->most, (uint64_t)w->align << BED_PAGE_SHIFT };
	struct bed_result result;
	struct bench_result *r;
	uint64_t real, empty;
	double ns, empty_ns;
	double n = w->steps;

	if (!bed_call_try(bed, BED_CALL_work_setup, args, 4, &result, err))
		return false;
	if (result.value != 0)
		return bed_fail(err, BED_E_HOST, "workload \"%s\" could not be set up", w->name);
	/* Once to get over first times (tables, index nodes), then to count. */
	if (!run(bed, w, false, &real, &ns, err) || !run(bed, w, false, &real, &ns, err) ||
	    !run(bed, w, true, &empty, &empty_ns, err) ||
	    (r = bench_add(list, err, "work/%s", w->name)) == NULL)
		return false;
	r->unit = "pair";
	r->operations = w->steps;
	r->ns = r->ns_min = r->ns_max = ns > empty_ns ? (ns - empty_ns) / n : 0;
	if (!bed_stats(bed).has_insns) {
		bench_count(r, "insns", NAN);
		return true;
	}
	bench_count(r, "insns", ((double)real - (double)empty) / n);
	if (w->limit > 0) {
		snprintf(r->note, sizeof(r->note), "at most %.0f instructions", w->limit);
		r->missed = r->counter[0].value > w->limit;
	}
	return true;
}

/* W4 is held to the mean over its two alignments. */
static bool
aligned_mean(struct bench_list *list, unsigned first, struct bed_err *err)
{
	struct bench_result *r = bench_add(list, err, "work/W4 mean of both");
	double sum = 0;
	unsigned n = 0;

	if (r == NULL)
		return false;
	for (unsigned i = 0; i < NWORK; i++) {
		if (workloads[i].align != 0) {
			sum += list->result[first + i].counter[0].value;
			n++;
		}
	}
	r->unit = "pair";
	bench_count(r, "insns", sum / n);
	snprintf(r->note, sizeof(r->note), "at most %d instructions", W4_INSNS_MAX);
	r->missed = sum / n > W4_INSNS_MAX;
	return true;
}

bool
bench_work(const struct bed_config *cfg, struct bench_list *list, struct bed_err *err)
{
	struct bed_config big = *cfg;
	struct bed_result result;
	unsigned first = list->n;
	struct bed *bed;
	bool ok;

	if (big.ram < WORK_RAM)
		big.ram = WORK_RAM;
	if (big.ptpool == 0)
		big.ptpool = WORK_PTPOOL;
	big.timeout_ms = WORK_TIMEOUT;
	bed = bed_create(&big, err);
	ok = bed != NULL;
	for (unsigned i = 0; ok && i < NWORK; i++)
		ok = measure(bed, &workloads[i], list, err);
	ok = ok && aligned_mean(list, first, err);
	ok = ok && bed_call_try(bed, BED_CALL_work_end, NULL, 0, &result, err);
	bed_destroy(bed);
	return ok;
}
