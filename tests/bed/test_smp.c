/* SPDX-License-Identifier: ISC */
/*
 * Several CPUs: they come up, each runs its own calls, they interrupt and wake one another, work at the
 * same time, and what one of them does wrong ends the machine with a report about all.
 */
#include "tests/bed/fixture.h"

#include <string.h>

#include "vmm/bed/batch.h"

static void
post(struct bed *bed, unsigned cpu, enum bed_call_id id, const uint64_t *args, unsigned nargs,
    unsigned *slot)
{
	struct bed_err err;

	if (!bed_post_on(bed, cpu, id, args, nargs, slot, &err))
		FAIL("%s", err.text);
}

static void
wait_quiet(struct bed *bed)
{
	struct bed_err err;

	if (!bed_wait(bed, &err))
		FAIL("%s", err.text);
}

static struct bed_result
result(struct bed *bed, unsigned slot)
{
	struct bed_result r;
	struct bed_err err;

	if (!bed_call_wait(bed, slot, &r, &err))
		FAIL("%s", err.text);
	return r;
}

static struct bed_result
start_on(struct bed *bed, unsigned cpu, enum bed_call_id id, const uint64_t *args, unsigned nargs)
{
	struct bed_result r;
	struct bed_err err;

	if (!bed_start_on(bed, cpu, id, args, nargs, &r, &err))
		FAIL("%s", err.text);
	return r;
}

/* Every CPU runs what is asked of it, by itself, and no other's local APIC. */
BED_TEST(smp, every_cpu_is_itself)
{
	static const unsigned counts[] = { 1, 2, 4, 16 };

	for (size_t i = 0; i < COUNT_OF(counts); i++) {
		struct bed *bed = BED(.ncpu = counts[i], .ram = 32 * MIB);

		for (unsigned round = 0; round < 2; round++) {
			for (unsigned cpu = 0; cpu < counts[i]; cpu++) {
				uint64_t id = bed_call_on(bed, cpu, BED_CALL_cpu, NULL, 0);

				CHECK(id == cpu && bed_result2(bed) == cpu,
				    "CPU %u says it is %lu, APIC %lu", cpu, id, bed_result2(bed));
			}
		}
		bed_down(bed);
	}
}

BED_TEST(smp, what_cannot_be_posted)
{
	struct bed *bed = BED(.ncpu = 2, .ram = 32 * MIB);
	unsigned slot;
	struct bed_err err;

	CHECK(!bed_post_on(bed, 2, BED_CALL_null, NULL, 0, &slot, &err) &&
		  strstr(err.text, "CPU 2 of a bed with 2"),
	    "%s", err.text);
	post(bed, 1, BED_CALL_null, NULL, 0, &slot);
	CHECK(!bed_post_on(bed, 1, BED_CALL_null, NULL, 0, &slot, &err) &&
		  strstr(err.text, "posted already"),
	    "%s", err.text);
	wait_quiet(bed);
	CHECK(result(bed, slot).state == BED_STATE_DONE, "a null call is not done");
	bed_down(bed);
}

/* One exit a call on the CPU that left last, and nobody else is disturbed. */
BED_TEST(smp, a_call_costs_one_exit)
{
	struct bed *bed = BED(.ncpu = 4, .ram = 32 * MIB);
	struct work w;

	bed_null(bed);
	w = WORK(bed, bed_null(bed));
	CHECK(
	    w.exits == 1 && w.count.wakeup == 0, "%lu exits, %lu wakeups", w.exits, w.count.wakeup);
	bed_down(bed);
}

/* Interrupts between CPUs arrive, each once, also at a CPU that sleeps in HLT. */
BED_TEST(smp, interrupts_go_round)
{
	struct bed *bed = BED(.ncpu = 3, .ram = 32 * MIB);
	const unsigned rounds = 100;
	unsigned slot[3];

	for (unsigned from = 0; from < 3; from++) {
		uint64_t args[] = { (from + 1) % 3, rounds };

		CHECK(
		    bed_call_on(bed, from, BED_CALL_ipi_ping, args, 2) == rounds, "from %u", from);
	}
	for (unsigned from = 0; from < 3; from++)
		post(bed, from, BED_CALL_ipi_ping, (uint64_t[]){ (from + 1) % 3, rounds }, 2,
		    &slot[from]);
	wait_quiet(bed);
	for (unsigned from = 0; from < 3; from++)
		CHECK(result(bed, slot[from]).value == rounds, "at once, from %u", from);
	bed_down(bed);
}

/* A submap of 8 pages, all taken. */
static uint64_t
full_submap(struct bed *bed, gva_t *all)
{
	uint64_t map = (uint64_t)bed_uvm_km_suballoc(bed, KERNEL, GVA(0), 8 * PAGE, 1, 0);

	CHECK(map != 0, "no submap");
	*all = bed_uvm_km_valloc(bed, map, 8 * PAGE);
	CHECK(all->v != 0, "an empty submap is full");
	return map;
}

/* property 56 57: submap */
BED_TEST(smp, a_sleeper_is_woken_by_another_cpu)
{
	struct bed *bed = BED(.ncpu = 4, .ram = 32 * MIB);
	gva_t all;
	uint64_t map = full_submap(bed, &all), wakeups;
	struct bed_result w[3];

	for (unsigned cpu = 1; cpu < 4; cpu++) {
		w[cpu - 1] =
		    start_on(bed, cpu, BED_CALL_uvm_km_valloc_wait, (uint64_t[]){ map, PAGE }, 2);
		CHECK(w[cpu - 1].state == BED_STATE_BLOCKED &&
			  strcmp(w[cpu - 1].wmesg, "vallocwait") == 0,
		    "CPU %u: state %d on \"%s\"", cpu, w[cpu - 1].state, w[cpu - 1].wmesg);
	}
	/* The other CPUs answer while three calls sleep. */
	CHECK(bed_call_on(bed, 2, BED_CALL_cpu, NULL, 0) == 2, "CPU 2 is not there");
	bed_null(bed);
	wakeups = bed_counters(bed, 0).wakeup;
	bed_uvm_km_free_wakeup(bed, map, all, 8 * PAGE);
	CHECK(bed_counters(bed, 0).wakeup == wakeups + 3, "CPU 0 woke %lu CPUs",
	    bed_counters(bed, 0).wakeup - wakeups);
	for (unsigned i = 0; i < 3; i++) {
		w[i] = result(bed, w[i].slot);
		CHECK(w[i].state == BED_STATE_DONE && w[i].value != 0, "CPU %u: state %d", i + 1,
		    w[i].state);
	}
	CHECK(w[0].value != w[1].value && w[1].value != w[2].value && w[0].value != w[2].value,
	    "two have the same address");
	bed_down(bed);
}

/* What is done while CPU 1 stands at a stop point. */
struct stop {
	uint64_t map, va;
	unsigned slot, stops;
};

static void
free_at_stop(void *arg, struct bed *bed, uint64_t info)
{
	struct stop *s = arg;
	struct bed_err err;

	s->stops += info == 1;
	if (!bed_call_post(bed, BED_CALL_uvm_km_free_wakeup,
		(uint64_t[]){ s->map, s->va, 8 * PAGE }, 3, &s->slot, &err))
		FAIL("%s", err.text);
}

/* property 58: submap */
BED_TEST(smp, a_stop_point_on_another_cpu)
{
	struct bed *bed = BED(.ncpu = 3, .ram = 32 * MIB);
	gva_t all;
	uint64_t map = full_submap(bed, &all);
	struct stop stop = { .map = map, .va = all.v };
	struct bed_result w;

	bed_on_sync(bed, free_at_stop, &stop);
	CHECK(bed_stop_arm(bed, 1) == 0, "the checked flavour has no stop points");
	w = start_on(bed, 1, BED_CALL_uvm_km_valloc_wait, (uint64_t[]){ map, PAGE }, 2);
	CHECK(stop.stops == 1, "%u stops", stop.stops);
	CHECK(
	    w.state == BED_STATE_DONE && w.value == all.v, "the wakeup was lost: \"%s\"", w.wmesg);
	CHECK(result(bed, stop.slot).state == BED_STATE_DONE, "the free did not come through");
	bed_down(bed);
}

/* As many sleepers as a CPU has threads for; one more is refused, and all wake. */
BED_TEST(smp, a_cpu_full_of_sleepers)
{
	struct bed *bed = BED(.ncpu = 2, .ram = 32 * MIB);
	gva_t all;
	uint64_t map = full_submap(bed, &all);
	struct bed_result w[BED_CPU_CALLS];
	unsigned slot;
	struct bed_err err;

	for (unsigned i = 0; i < COUNT_OF(w); i++) {
		w[i] = start_on(bed, 1, BED_CALL_uvm_km_valloc_wait, (uint64_t[]){ map, PAGE }, 2);
		CHECK(w[i].state == BED_STATE_BLOCKED, "%u: not blocked", i);
	}
	CHECK(!bed_post_on(bed, 1, BED_CALL_null, NULL, 0, &slot, &err) &&
		  strstr(err.text, "blocked on CPU 1"),
	    "%s", err.text);
	bed_uvm_km_free_wakeup(bed, map, all, 8 * PAGE);
	for (unsigned i = 0; i < COUNT_OF(w); i++)
		CHECK(result(bed, w[i].slot).state == BED_STATE_DONE, "%u still sleeps", i);
	CHECK(bed_call_on(bed, 1, BED_CALL_cpu, NULL, 0) == 1, "CPU 1 is not there");
	bed_down(bed);
}

/* Each allocates, uses and frees in the same map, at the same time; all is as before in the end. */
static void
share_a_map(unsigned ncpu, uint64_t rounds, bool release)
{
	struct bed *bed = BED(.ncpu = ncpu, .ram = 64 * MIB, .release = release);
	const uint64_t size = 2 * PAGE;
	struct snapshot before;
	struct bed_prog *p[BED_CPU_MAX];
	struct bed_err err;

	/* Once alone, so that what is made for good is there. */
	bed_uvm_km_free(bed, KERNEL, bed_uvm_km_alloc(bed, KERNEL, size), size);
	before = bed_snapshot(bed);
	for (unsigned cpu = 0; cpu < ncpu; cpu++) {
		unsigned va, op;

		p[cpu] = bed_prog_new(bed, &err);
		CHECK(p[cpu] != NULL, "%s", err.text);
		va = bed_prog_add(p[cpu], BED_CALL_uvm_km_alloc, (uint64_t[]){ KERNEL, size }, 2);
		op = bed_prog_add(p[cpu], BED_CALL_fill, (uint64_t[]){ 0, 2, cpu + 1 }, 3);
		bed_prog_use(p[cpu], op, 0, va);
		op = bed_prog_add(p[cpu], BED_CALL_verify, (uint64_t[]){ 0, 2, cpu + 1 }, 3);
		bed_prog_use(p[cpu], op, 0, va);
		op = bed_prog_add(p[cpu], BED_CALL_uvm_km_free, (uint64_t[]){ KERNEL, 0, size }, 3);
		bed_prog_use(p[cpu], op, 1, va);
		CHECK(bed_prog_post(p[cpu], cpu, rounds, &err), "%s", err.text);
	}
	wait_quiet(bed);
	for (unsigned cpu = 0; cpu < ncpu; cpu++) {
		uint64_t done;

		CHECK(bed_prog_finish(p[cpu], &done, &err), "CPU %u: %s", cpu, err.text);
		CHECK(bed_prog_result(p[cpu], 2)->result == 0, "CPU %u lost its contents", cpu);
		bed_prog_free(p[cpu]);
	}
	bed_must_differ(bed, &before, NULL, 0, __FILE__, __LINE__);
	bed_down(bed);
}

BED_TEST(smp, two_share_a_map)
{
	share_a_map(2, 30, false);
}

BED_TEST(smp, four_share_a_map)
{
	share_a_map(4, 20, true);
}

/* More CPUs than the host has: whoever waits for another lets it run. */
BED_TEST(smp, sixteen_make_progress)
{
	share_a_map(16, 4, true);
}

/* The same call dies on a CPU other than the first; the report must have the words. */
static void
dies_on(unsigned cpu, enum bed_call_id id, uint64_t arg, unsigned nargs, const char *const *words)
{
	struct bed *bed = BED(.ncpu = 3, .ram = 32 * MIB);
	gva_t all;
	uint64_t map = full_submap(bed, &all);
	struct bed_result asleep =
	    start_on(bed, 2, BED_CALL_uvm_km_valloc_wait, (uint64_t[]){ map, PAGE }, 2);
	struct bed_result res;
	struct bed_err err;

	bed_set_timeout(bed, scaled_ms(1500));
	CHECK(!bed_start_on(bed, cpu, id, &arg, nargs, &res, &err) && err.class == BED_E_GUEST,
	    "it lives");
	for (size_t i = 0; words[i] != NULL; i++)
		CHECK(strstr(bed_report(bed), words[i]) != NULL, "\"%s\" is not in\n%s", words[i],
		    bed_report(bed));
	/* Dead is dead on every CPU, for sleepers too. */
	CHECK(!bed_start_on(bed, 0, BED_CALL_null, NULL, 0, &res, &err), "CPU 0 lives");
	CHECK(!bed_call_wait(bed, asleep.slot, &res, &err), "a call came back from the dead");
	bed_down(bed);
}
#define DIES_ON(cpu, id, arg, nargs, ...) \
	dies_on(cpu, BED_CALL_##id, arg, nargs, (const char *const[]){ __VA_ARGS__, NULL })

BED_TEST(smp, panic_on_another_cpu)
{
	DIES_ON(1, die_panic, 0, 0, "guest panic: asked to", "call_die_panic",
	    "CPU 1, slot 0: die_panic()", "CPU 2, slot 0: uvm_km_valloc_wait(", "CPU 0     idle at",
	    "CPU 1     the one above", "CPU 2     ");
}

BED_TEST(smp, hang_on_another_cpu)
{
	DIES_ON(1, die_hang, 0, 0, "guest hangs", "interrupts off", "call_die_hang",
	    "CPU 1     the one above", "CPU 0     idle at");
}

BED_TEST(smp, stack_overflow_on_another_cpu)
{
	DIES_ON(1, die_stack, 0, 0, "stack overflow", "recurse+", "CPU 1, slot 0: die_stack()");
}

BED_TEST(smp, page_fault_on_another_cpu)
{
	DIES_ON(1, die_fault, BED_KVA_BASE + GIB, 1, "page fault", "nothing is mapped there",
	    "call_die_fault");
}

BED_TEST(smp, triple_fault_on_another_cpu)
{
	DIES_ON(1, die_triple, 0, 0, "triple fault", "die_triple()");
}

BED_TEST(smp, scribbles_of_another_cpu)
{
	DIES_ON(1, scribble, 5, 1, "broke the contract");
}

/* While one hangs another works on; both are in the report. */
BED_TEST(smp, one_hangs_while_another_works)
{
	struct bed *bed = BED(.ncpu = 2, .ram = 32 * MIB);
	unsigned slot;
	struct bed_err err;

	bed_set_timeout(bed, scaled_ms(1000));
	post(bed, 0, BED_CALL_null, NULL, 0, &slot);
	post(bed, 1, BED_CALL_die_hang, NULL, 0, &slot);
	CHECK(!bed_wait(bed, &err) && err.class == BED_E_GUEST, "it lives");
	CHECK(strstr(err.text, "call_die_hang") != NULL, "%s", err.text);
	bed_down(bed);
}

/* Two calls that wait for each other are seen as what they are, at once and without a clock. */
BED_TEST(smp, a_deadlock_is_two_blocked_calls)
{
	struct bed *bed = BED(.ncpu = 2, .ram = 32 * MIB, .release = true);
	unsigned slot[2];
	struct bed_result r;

	post(bed, 0, BED_CALL_lock_pair, (uint64_t[]){ 0, 1, 2 }, 3, &slot[0]);
	post(bed, 1, BED_CALL_lock_pair, (uint64_t[]){ 1, 0, 2 }, 3, &slot[1]);
	wait_quiet(bed);
	r = result(bed, slot[0]);
	CHECK(r.state == BED_STATE_BLOCKED && strcmp(r.wmesg, "pair1") == 0, "state %d on \"%s\"",
	    r.state, r.wmesg);
	r = result(bed, slot[1]);
	CHECK(r.state == BED_STATE_BLOCKED && strcmp(r.wmesg, "pair0") == 0, "state %d on \"%s\"",
	    r.state, r.wmesg);
	bed_null(bed);
	bed_down(bed);
}

/* property 98: kernel_map */
BED_TEST(smp, misused_locks_are_caught)
{
	static const struct {
		uint64_t how;
		const char *says[2];
	} row[] = {
		{ 0, { "lock order: object (", "taken with pages (" } },
		{ 1, { "object (", "taken again by thread" } },
		{ 2, { "die_lock (", "taken again by thread" } },
		{ 3, { "mtx_owned(m)", "lock.h" } },
		{ 4, { "sleeping is forbidden", "object" } },
		{ 5, { "a call returns with", "die_lock (" } },
	};

	for (size_t i = 0; i < COUNT_OF(row); i++) {
		struct bed *bed = BED(.ncpu = 2, .ram = 32 * MIB);
		struct bed_result res;
		struct bed_err err;

		CHECK(!bed_start_on(bed, 1, BED_CALL_die_lock, &row[i].how, 1, &res, &err),
		    "misuse %lu went unseen", row[i].how);
		for (unsigned k = 0; k < 2; k++)
			CHECK(strstr(err.text, row[i].says[k]) != NULL, "\"%s\" is not in\n%s",
			    row[i].says[k], err.text);
		bed_down(bed);
	}
}

/* property 98: kernel_map */
BED_TEST(smp, an_order_violation_is_caught_without_the_deadlock)
{
	struct bed *bed = BED(.ncpu = 2, .ram = 32 * MIB);
	struct bed_result res;
	struct bed_err err;

	/* Alone nobody could deadlock with it. */
	res = start_on(bed, 1, BED_CALL_lock_pair, (uint64_t[]){ 0, 1, 0 }, 3);
	CHECK(res.state == BED_STATE_DONE, "the right order blocks");
	CHECK(!bed_start_on(bed, 0, BED_CALL_lock_pair, (uint64_t[]){ 1, 0, 0 }, 3, &res, &err) &&
		  strstr(err.text, "lock order: pair0") && strstr(err.text, "with pair1"),
	    "%s", err.text);
	bed_down(bed);
}
