/* SPDX-License-Identifier: ISC */
/*
 * What invalidation on other CPUs takes, counted: an interrupt a free whatever its size while the other CPU
 * is on, none while it is off, and every page invalidated once on each CPU that is on.
 */
#include "tests/bed/fixture.h"

#include "vmm/bed/batch.h"

struct counts {
	uint64_t ipi, invlpg[2], full[2];
};

static struct counts
counts(struct bed *bed)
{
	struct bed_counters a = bed_counters(bed, 0), b = bed_counters(bed, 1);

	return (struct counts){ a.ipi + b.ipi, { a.invlpg, b.invlpg }, { a.tlb_full, b.tlb_full } };
}

/* On the first CPU, meet, so many pairs of that size, meet; the second is in `meet` or off. */
static struct counts
pairs(struct bed *bed, unsigned n, uint64_t size, bool both)
{
	uint64_t meet = both ? 2 : 1, done;
	struct bed_prog *p[2] = { NULL };
	struct counts was = counts(bed), now;
	struct bed_err err;

	for (unsigned cpu = 0; cpu < meet; cpu++) {
		CHECK((p[cpu] = bed_prog_new(bed, &err)) != NULL, "%s", err.text);
		bed_prog_add(p[cpu], BED_CALL_meet, &meet, 1);
		for (unsigned i = 0; i < (cpu == 0 ? n : 0); i++) {
			unsigned va = bed_prog_add(
			    p[cpu], BED_CALL_uvm_km_alloc, (uint64_t[]){ KERNEL, size }, 2);
			unsigned op = bed_prog_add(
			    p[cpu], BED_CALL_uvm_km_free, (uint64_t[]){ KERNEL, 0, size }, 3);

			bed_prog_use(p[cpu], op, 1, va);
		}
		bed_prog_add(p[cpu], BED_CALL_meet, &meet, 1);
		CHECK(bed_prog_post(p[cpu], cpu, 1, &err), "%s", err.text);
	}
	CHECK(bed_wait(bed, &err), "%s", err.text);
	for (unsigned cpu = 0; cpu < meet; cpu++) {
		CHECK(bed_prog_finish(p[cpu], &done, &err), "%s", err.text);
		bed_prog_free(p[cpu]);
	}
	now = counts(bed);
	return (struct counts){ now.ipi - was.ipi,
		{ now.invlpg[0] - was.invlpg[0], now.invlpg[1] - was.invlpg[1] },
		{ now.full[0] - was.full[0], now.full[1] - was.full[1] } };
}

/* Until a call wakes nobody: then the first CPU was the last to leave, and the other stays off. */
static void
settle(struct bed *bed)
{
	uint64_t before;

	do {
		before = bed_counters_all(bed).wakeup;
		bed_null(bed);
	} while (bed_counters_all(bed).wakeup != before);
}

static void
cost(bool release)
{
	static const unsigned sizes[] = { 1, 2, 16, 700 };
	struct bed *bed = BED(.ncpu = 2, .ram = 32 * MIB, .release = release);
	const unsigned n = 5;

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		uint64_t pages = sizes[i];
		bool small = pages <= 16;
		struct counts c;

		pairs(bed, 1, pages * PAGE, true); /* first times */
		c = pairs(bed, n, pages * PAGE, true);
		CHECK(c.ipi == n, "%u frees of %lu pages took %lu interrupts", n, pages, c.ipi);
		for (unsigned cpu = 0; small && cpu < 2; cpu++)
			CHECK(c.invlpg[cpu] == n * pages, "CPU %u: %lu INVLPG for %lu pages", cpu,
			    c.invlpg[cpu], n * pages);
		/* More than the threshold: everything goes, once a free, beside what coming on takes. */
		for (unsigned cpu = 0; !small && cpu < 2; cpu++)
			CHECK(c.invlpg[cpu] == 0 && c.full[cpu] >= n && c.full[cpu] <= n + 1,
			    "CPU %u: %lu INVLPG, %lu flushes", cpu, c.invlpg[cpu], c.full[cpu]);
		settle(bed);
		c = pairs(bed, n, pages * PAGE, false);
		CHECK(c.ipi == 0, "%lu interrupts for a CPU that is off", c.ipi);
		CHECK(c.invlpg[1] == 0 && c.full[1] == 0, "a CPU that is off invalidates");
	}
	bed_down(bed);
}

BED_TEST(smp, one_interrupt_a_free)
{
	cost(false);
}

BED_TEST(smp, one_interrupt_a_free_released)
{
	cost(true);
}

/* Who comes alone waits, with its turns counted; more than there are CPUs would wait for ever. */
BED_TEST(smp, meet)
{
	struct bed *bed = BED(.ncpu = 2, .ram = 32 * MIB, .release = true);
	uint64_t two = 2;
	struct bed_counters before = bed_counters_all(bed), after;
	struct bed_result res[2];
	unsigned slot[2];
	struct bed_err err;

	CHECK(bed_meet(bed, 3) == 0 && bed_meet(bed, 1) == 0 && bed_meet(bed, 0) == 0, "it waited");
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned cpu = 0; cpu < 2; cpu++)
			CHECK(bed_post_on(bed, cpu, BED_CALL_meet, &two, 1, &slot[cpu], &err), "%s",
			    err.text);
		CHECK(bed_wait(bed, &err), "%s", err.text);
		for (unsigned cpu = 0; cpu < 2; cpu++)
			CHECK(bed_call_wait(bed, slot[cpu], &res[cpu], &err) &&
				  res[cpu].state == BED_STATE_DONE,
			    "CPU %u: %s", cpu, err.text);
		CHECK(res[0].value == 0 || res[1].value == 0, "both waited: %lu and %lu turns",
		    res[0].value, res[1].value);
	}
	after = bed_counters_all(bed);
	CHECK(after.ack_spin == before.ack_spin, "nobody was asked for anything");
	/* Alone it must not come back, until the time is over. */
	bed_set_timeout(bed, scaled_ms(300));
	CHECK(!bed_start_on(bed, 1, BED_CALL_meet, &two, 1, &res[0], &err) &&
		  err.class == BED_E_GUEST,
	    "it met nobody and came back");
	bed_down(bed);
}
