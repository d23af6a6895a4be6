/* SPDX-License-Identifier: ISC */
/*
 * Section "check": what checking every call costs. A program of 1,000 operations over 1,000 live allocations,
 * on the checked guest, a call at a time; with nobody looking, with all witnesses, and with each alone.
 *
 * The factor compares a run with itself: its time, over its time without that of the looking. Two runs after each
 * other differ by more than what is measured, on a host that is shared. The TLB sanitizer works while the
 * guest's events are drained, inside the call: its share is in the time, and not in the factor.
 */
#include <math.h>
#include <stdio.h>

#include "bench/bench.h"
#include "shared/paging.h"
#include "vmm/check/check.h"
#include "vmm/tlbsan/bed.h"

#define LIVE       1000
#define OPERATIONS 1000
#define REPEATS    3
#define CHECK_RAM  (UINT64_C(64) << 20)
#define LIMIT      2.0 /* times the run with nobody looking */

struct live {
	uint64_t va, size;
};

struct run {
	struct bed *bed;
	struct check *check;
	struct tlbsan *san; /* NULL: not attached */
	uint64_t rng;
	struct live live[LIVE];
	struct bed_err *err;
};

static uint64_t
draw(struct run *r, uint64_t n)
{
	r->rng ^= r->rng << 13;
	r->rng ^= r->rng >> 7;
	r->rng ^= r->rng << 17;
	return (r->rng >> 32) % n;
}

static bool
step(struct run *r, enum bed_call_id id, const uint64_t *args, unsigned nargs, uint64_t *value)
{
	struct bed_result result;

	if (!check_call(r->check, NULL, id, args, nargs, &result, r->err))
		return false;
	*value = result.value;
	return r->san == NULL || tlbsan_poll(r->san, r->err);
}

/* Fill an empty place, or empty a full one. */
static bool
operate(struct run *r, struct live *l)
{
	uint64_t args[3] = { BED_MAP_KERNEL, l->va, l->size }, none;

	if (l->va != 0) {
		l->va = 0;
		return step(r, BED_CALL_uvm_km_free, args, 3, &none);
	}
	args[1] = l->size = (1 + draw(r, 4)) << BED_PAGE_SHIFT;
	return step(
	    r, draw(r, 2) ? BED_CALL_uvm_km_alloc : BED_CALL_uvm_km_zalloc, args, 2, &l->va);
}

static void
end_run(struct run *r)
{
	tlbsan_detach(r->san);
	check_free(r->check);
	bed_destroy(r->bed);
}

/* A program from LIVE allocations on: ns a call, and of these, looking. */
struct timing {
	double ns, looking;
	struct check_cost cost;
};

static bool
measure(const struct bed_config *cfg, unsigned witnesses, struct timing *t, struct bed_err *err)
{
	struct run r = { .rng = 88172645463325252, .err = err };
	struct check_totals before, after;
	uint64_t t0;
	bool ok;

	ok = (r.bed = bed_create(cfg, err)) != NULL && (r.check = check_new(r.bed, err)) != NULL &&
	     check_witnesses(r.check, 0, err);
	for (unsigned i = 0; ok && i < LIVE; i++)
		ok = operate(&r, &r.live[i]);
	ok = ok && check_witnesses(r.check, witnesses, err) &&
	     ((witnesses & CHECK_TLB) == 0 ||
		 (r.san = tlbsan_attach(r.bed, NULL, NULL, err)) != NULL);
	before = ok ? check_totals(r.check) : (struct check_totals){ 0 };
	t0 = bench_now();
	/* A free and an allocation in its place, so that as many are alive at the end. */
	for (unsigned i = 0; ok && i < OPERATIONS / 2; i++) {
		struct live *l = &r.live[draw(&r, LIVE)];

		ok = operate(&r, l) && operate(&r, l);
	}
	t->ns = (double)(bench_now() - t0) / OPERATIONS;
	after = ok ? check_totals(r.check) : before;
	t->looking = (double)(after.ns - before.ns) / OPERATIONS;
#define X(name) t->cost.name = after.cost.name - before.cost.name;
	CHECK_COSTS(X)
#undef X
	end_run(&r);
	return ok;
}

static const struct {
	const char *name;
	unsigned witnesses;
} runs[] = {
	{ "check/nobody looks", 0 },
	{ "check/all witnesses", CHECK_ALL },
	{ "check/mappings alone", CHECK_MAPPINGS },
	{ "check/audit alone", CHECK_AUDIT },
	{ "check/ghost alone", CHECK_GHOST },
	{ "check/tlb alone", CHECK_TLB },
};
#define NRUNS (sizeof(runs) / sizeof(runs[0]))

static bool
report(unsigned i, struct timing *t, struct bench_list *list, struct bed_err *err)
{
	struct bench_result *r = bench_add(list, err, "%s", runs[i].name);
	double ns[REPEATS], factor[REPEATS], least = INFINITY;

	if (r == NULL)
		return false;
	for (unsigned k = 0; k < REPEATS; k++) {
		ns[k] = t[k].ns;
		factor[k] = t[k].ns / (t[k].ns - t[k].looking);
		least = factor[k] < least ? factor[k] : least;
	}
	r->unit = "call";
	r->operations = REPEATS * OPERATIONS;
	bench_times(r, ns, REPEATS);
	bench_count(r, "factor", least);
#define X(name)                                 \
	if (t[0].cost.name > OPERATIONS * 1000) \
		bench_count(r, #name "_us", (double)t[0].cost.name / 1e3 / OPERATIONS);
	CHECK_COSTS(X)
#undef X
	if (runs[i].witnesses == CHECK_ALL) {
		snprintf(r->note, sizeof(r->note), "factor at most %.0f", LIMIT);
		r->missed = least > LIMIT;
		r->timed = true;
	}
	return true;
}

bool
bench_check(const struct bed_config *base, struct bench_list *list, struct bed_err *err)
{
	struct bed_config cfg = *base;

	cfg.flavour = BED_CHECKED;
	if (cfg.ram < CHECK_RAM)
		cfg.ram = CHECK_RAM;
	for (unsigned i = 0; i < NRUNS; i++) {
		struct timing t[REPEATS];

		for (unsigned k = 0; k < REPEATS; k++) {
			if (!measure(&cfg, runs[i].witnesses, &t[k], err))
				return false;
		}
		if (!report(i, t, list, err))
			return false;
	}
	return true;
}
