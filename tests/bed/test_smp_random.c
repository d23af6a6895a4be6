/* SPDX-License-Identifier: ISC */
/*
 * Random work on all CPUs at the same time. Each page carries its owner's mark, in words that no other owner
 * writes, until it is freed; after each round, when all is quiet, structures, tables, locks and the TLB are
 * judged. And a crowd that has to sleep and wake for every step it makes.
 */
#include "tests/bed/inside.h"

#include <stdlib.h>

#include "vmm/bed/batch.h"
#include "vmm/check/check.h"
#include "vmm/tlbsan/bed.h"

#define LIVE     12
#define LIMIT_MS 40000 /* a host with few CPUs that has other things to do */

struct live {
	unsigned op; /* that allocated it */
	uint64_t pages, mark;
};

struct round {
	struct bed *bed;
	struct bed_prog *prog[BED_CPU_MAX];
	unsigned ncpu, steps;
	struct rng rng;
};

static unsigned
add(struct bed_prog *p, enum bed_call_id id, uint64_t a, uint64_t b, uint64_t c, unsigned nargs)
{
	return bed_prog_add(p, id, (uint64_t[]){ a, b, c }, nargs);
}

/* Look at the marks, then free. */
static void
drop(struct bed_prog *p, const struct live *l)
{
	unsigned op = add(p, BED_CALL_verify, 0, l->pages, l->mark, 3);

	bed_prog_use(p, op, 0, l->op);
	op = add(p, BED_CALL_uvm_km_free, KERNEL, 0, l->pages * PAGE, 3);
	bed_prog_use(p, op, 1, l->op);
}

/* A program of that many allocations and frees; what is live at its end is freed, too. */
static void
make_program(struct round *r, unsigned cpu)
{
	static const enum bed_call_id kinds[] = { BED_CALL_uvm_km_alloc, BED_CALL_uvm_km_zalloc,
		BED_CALL_uvm_km_valloc };
	struct bed_prog *p = r->prog[cpu];
	struct live live[LIVE] = { 0 };
	unsigned op;

	bed_prog_clear(p);
	for (unsigned i = 0; i < r->steps; i++) {
		struct live *l = &live[rng_below(&r->rng, LIVE)];

		if (l->pages != 0) {
			drop(p, l);
			l->pages = 0;
			continue;
		}
		l->pages = 1 + rng_below(&r->rng, 6);
		l->mark = (uint64_t)(cpu + 1) << 32 | rng_below(&r->rng, UINT32_MAX);
		l->op = add(p, kinds[rng_below(&r->rng, 3)], KERNEL, l->pages * PAGE, 0, 2);
		op = add(p, BED_CALL_fill, 0, l->pages, l->mark, 3);
		bed_prog_use(p, op, 0, l->op);
	}
	for (unsigned i = 0; i < LIVE; i++) {
		if (live[i].pages != 0)
			drop(p, &live[i]);
	}
}

static void
judge_program(struct round *r, unsigned cpu)
{
	struct bed_err err;
	uint64_t done;

	CHECK(bed_prog_finish(r->prog[cpu], &done, &err), "CPU %u: %s", cpu, err.text);
	for (unsigned i = 0; i < bed_prog_len(r->prog[cpu]); i++) {
		const struct bed_op *op = bed_prog_result(r->prog[cpu], i);
		bool allocates = op->call == BED_CALL_uvm_km_alloc ||
		                 op->call == BED_CALL_uvm_km_zalloc ||
		                 op->call == BED_CALL_uvm_km_valloc;

		CHECK(allocates == (op->result != 0), "CPU %u, operation %u, call %s: result %#lx",
		    cpu, i, bed_call_name(op->call), op->result);
	}
}

static void
run_rounds(struct round *r, unsigned rounds, bool release)
{
	struct snapshot snap = { 0 };
	struct tlbsan *tlb = NULL;
	struct inside before;
	struct bed_err err;

	r->bed = BED(.ncpu = r->ncpu, .ram = 64 * MIB, .release = release, .timeout_ms = LIMIT_MS);
	before = inside_look(r->bed);
	if (!release) {
		tlb = tlbsan_attach(r->bed, NULL, NULL, &err);
		CHECK(tlb != NULL, "%s", err.text);
	}
	for (unsigned cpu = 0; cpu < r->ncpu; cpu++) {
		r->prog[cpu] = bed_prog_new(r->bed, &err);
		CHECK(r->prog[cpu] != NULL, "%s", err.text);
	}
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned cpu = 0; cpu < r->ncpu; cpu++) {
			make_program(r, cpu);
			CHECK(bed_prog_post(r->prog[cpu], cpu, 1, &err), "%s", err.text);
		}
		CHECK(bed_wait(r->bed, &err), "round %u: %s", round, err.text);
		for (unsigned cpu = 0; cpu < r->ncpu; cpu++)
			judge_program(r, cpu);
		CHECK(tlb == NULL || tlbsan_poll(tlb, &err), "round %u: %s", round, err.text);
		snap = bed_snapshot(r->bed);
		CHECK(check_invariants(r->bed, &snap, &err), "round %u: %s", round, err.text);
		snapshot_free(&snap);
		INSIDE_CHECK(r->bed);
	}
	INSIDE_SAME(r->bed, &before);
	tlbsan_detach(tlb);
	for (unsigned cpu = 0; cpu < r->ncpu; cpu++)
		bed_prog_free(r->prog[cpu]);
	bed_down(r->bed);
}

/* BED_STEPS in the environment multiplies the work. */
static unsigned
scaled(unsigned rounds)
{
	const char *text = getenv("BED_STEPS");
	unsigned long n = text == NULL ? 1 : strtoul(text, NULL, 10);

	return n == 0 || n > 100000 ? rounds : rounds * (unsigned)n;
}

/* property 92 96 97: kernel_map */
BED_TEST(smp_random, two_cpus_checked)
{
	struct round r = {
		.ncpu = 2, .steps = 60, .rng = rng_seeded("smp_random two_cpus_checked")
	};

	run_rounds(&r, scaled(4), false);
}

/* property 90 92 94 96 97: kernel_map */
BED_TEST(smp_random, four_cpus_checked)
{
	struct round r = {
		.ncpu = 4, .steps = 40, .rng = rng_seeded("smp_random four_cpus_checked")
	};

	run_rounds(&r, scaled(3), false);
}

/* property 96 97 99: kernel_map */
BED_TEST(smp_random, four_cpus_at_full_speed)
{
	struct round r = {
		.ncpu = 4, .steps = 100, .rng = rng_seeded("smp_random four_cpus_at_full_speed")
	};

	run_rounds(&r, scaled(2), true);
}

/* property 96 97: kernel_map */
BED_TEST(smp_random, sixteen_cpus)
{
	struct round r = { .ncpu = 16, .steps = 8, .rng = rng_seeded("smp_random sixteen_cpus") };

	run_rounds(&r, scaled(1), true);
}

/*
 * Room for one at a time: everybody sleeps before almost every step, and each free wakes all. A lost wakeup
 * would leave somebody asleep when all is quiet.
 */
static void
crowd(unsigned ncpu, uint64_t rounds, bool release)
{
	struct bed *bed =
	    BED(.ncpu = ncpu, .ram = 32 * MIB, .release = release, .timeout_ms = LIMIT_MS);
	uint64_t map = (uint64_t)bed_uvm_km_suballoc(bed, KERNEL, GVA(0), 3 * PAGE, 1, 0);
	struct bed_prog *p[BED_CPU_MAX];
	uint64_t done, sleeps = 0;
	struct bed_err err;

	CHECK(map != 0, "no submap");
	for (unsigned cpu = 0; cpu < ncpu; cpu++) {
		unsigned va, op;

		p[cpu] = bed_prog_new(bed, &err);
		CHECK(p[cpu] != NULL, "%s", err.text);
		va = add(p[cpu], BED_CALL_uvm_km_valloc_wait, map, 2 * PAGE, 0, 2);
		op = add(p[cpu], BED_CALL_fill, 0, 2, cpu, 3);
		bed_prog_use(p[cpu], op, 0, va);
		op = add(p[cpu], BED_CALL_verify, 0, 2, cpu, 3);
		bed_prog_use(p[cpu], op, 0, va);
		op = add(p[cpu], BED_CALL_uvm_km_free_wakeup, map, 0, 2 * PAGE, 3);
		bed_prog_use(p[cpu], op, 1, va);
		CHECK(bed_prog_post(p[cpu], cpu, rounds, &err), "%s", err.text);
	}
	CHECK(bed_wait(bed, &err), "%s", err.text);
	for (unsigned cpu = 0; cpu < ncpu; cpu++) {
		CHECK(bed_prog_finish(p[cpu], &done, &err), "CPU %u: %s", cpu, err.text);
		CHECK(bed_prog_result(p[cpu], 1)->result == 0 &&
			  bed_prog_result(p[cpu], 2)->result == 0,
		    "CPU %u did not have its pages to itself", cpu);
		sleeps += bed_counters(bed, cpu).sleep;
		bed_prog_free(p[cpu]);
	}
	CHECK(sleeps > 0, "nobody ever slept");
	CHECK(bed_uvm_km_subfree(bed, KERNEL, map) == 0, "something is left in the submap");
	bed_down(bed);
}

/* property 56 57 58: submap */
BED_TEST(smp_random, a_crowd_of_four_loses_no_wakeup)
{
	crowd(4, scaled(15), false);
}

/* property 56 57 58: submap */
BED_TEST(smp_random, a_crowd_of_sixteen_loses_no_wakeup)
{
	crowd(16, scaled(6), true);
}
