/* SPDX-License-Identifier: ISC */
/*
 * A reset is a boot: after whatever happened, all memory and every register are those of the snapshot, and the bed does
 * what a fresh one does. And what a reset must not overlook is noticed when it does.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bed/inside.h"
#include "vmm/bed/batch.h"
#include "vmm/bed/snap.h"
#include "vmm/tlbsan/bed.h"

static void
reset(struct bed *bed)
{
	struct bed_err err;

	if (!bed_reset(bed, &err) || !bed_is_reset(bed, &err))
		FAIL("%s", err.text);
}

struct live {
	gva_t va;
	uint64_t npages;
	bool backed;
};

/* One random act: by the guest, or by the host behind its back. */
static void
act(struct bed *bed, struct rng *r, struct live *slot)
{
	uint64_t n = 1 + rng_below(r, 24);

	if (slot->va.v == 0) {
		slot->npages = n;
		slot->backed = rng_below(r, 3) != 0;
		slot->va = slot->backed ? bed_uvm_km_alloc(bed, KERNEL, n * PAGE)
		                        : bed_uvm_km_valloc(bed, KERNEL, n * PAGE);
		return;
	}
	switch (rng_below(r, 4)) {
	case 0:
		bed_uvm_km_free(bed, KERNEL, slot->va, slot->npages * PAGE);
		slot->va.v = 0;
		break;
	case 1:
		bed_store(bed, page_of(slot->va, rng_below(r, slot->npages)), rng_next(r));
		break;
	case 2:
		if (slot->backed)
			bed_fill(bed, slot->va, slot->npages, rng_next(r));
		break;
	default:
		if (slot->backed)
			*HOST(bed, page_of(slot->va, rng_below(r, slot->npages))) ^= rng_next(r);
		break;
	}
}

static void
random_program(struct bed *bed, struct rng *r, unsigned acts)
{
	struct live slot[8] = { 0 };

	for (unsigned i = 0; i < acts; i++)
		act(bed, r, &slot[rng_below(r, COUNT_OF(slot))]);
}

/* What a fixed program returns and leaves: the same on every fresh bed. */
static uint64_t
fixed_program(struct bed *bed)
{
	gva_t a = bed_uvm_km_alloc(bed, KERNEL, 5 * PAGE),
	      b = bed_uvm_km_valloc(bed, KERNEL, 3 * PAGE);
	gpa_t pa = { 0 };

	GUEST_STORE(bed, page_of(b, 1), 7);
	bed_uvm_km_free(bed, KERNEL, a, 2 * PAGE);
	CHECK(bed_translate(bed, page_of(b, 1), &pa), "not mapped");
	return a.v ^ b.v << 8 ^ pa.v << 16 ^ bed_counters(bed, 0).pte_set << 48;
}

BED_TEST(reset, equals_boot_after_random_programs)
{
	struct rng r = rng_seeded("reset::equals_boot_after_random_programs");
	struct bed *bed = BED(), *fresh = BED(.boot = true);
	uint64_t want = fixed_program(fresh);

	for (unsigned round = 0; round < 12; round++) {
		random_program(bed, &r, 4u << rng_below(&r, 5));
		reset(bed);
		CHECK(fixed_program(bed) == want, "round %u: another program than on a fresh bed",
		    round);
		INSIDE_CHECK(bed);
		reset(bed);
	}
	CHECK(bed_reset_work(bed).guest_pages > 0, "no page was dirty");
	bed_down(fresh);
	bed_down(bed);
}

/* Many shapes: RAM above the hole has a slot of its own, the release flavour another image. */
BED_TEST(reset, every_shape)
{
	static const struct bed_opts row[] = { { .ram = 8 * MIB },
		{ .ram = 64 * MIB, .kva = 64 * MIB }, { .release = true }, { .ptpool = 2 * MIB },
		{ .ram = 4 * GIB, .flags = BED_OVERCOMMIT } };

	for (size_t i = 0; i < COUNT_OF(row); i++) {
		struct bed *bed = bed_up(&row[i], __FILE__, __LINE__);
		uint64_t want = fixed_program(bed);

		for (int k = 0; k < 2; k++) {
			reset(bed);
			CHECK(fixed_program(bed) == want, "row %zu, reset %d", i, k);
		}
		bed_down(bed);
	}
}

/* Each death, and each way to scribble over the share area: the bed lives again, as new. */
BED_TEST(reset, the_dead_live_again)
{
	static const enum bed_call_id deaths[] = { BED_CALL_die_panic, BED_CALL_die_triple,
		BED_CALL_die_ud, BED_CALL_die_stack, BED_CALL_die_hang, BED_CALL_scribble,
		BED_CALL_scribble, BED_CALL_scribble };
	struct bed *bed = BED();
	uint64_t want = fixed_program(bed), scribble = 0;
	char *console = strdup(bed_console(bed));

	reset(bed);
	for (size_t i = 0; i < COUNT_OF(deaths); i++) {
		bool arg = deaths[i] == BED_CALL_scribble;
		struct bed_result res;
		struct bed_err err;

		bed_set_timeout(bed, scaled_ms(300));
		CHECK(!bed_call_try(bed, deaths[i], &scribble, arg, &res, &err),
		    "death %zu: it lives", i);
		CHECK(bed_report(bed) != NULL && err.class == BED_E_GUEST, "death %zu", i);
		scribble += arg;
		bed_set_timeout(bed, scaled_ms(10000));
		reset(bed);
		CHECK(bed_report(bed) == NULL, "death %zu: still dead", i);
		CHECK(strcmp(bed_console(bed), console) == 0, "death %zu: console", i);
		CHECK(fixed_program(bed) == want, "death %zu: not as new", i);
		INSIDE_CHECK(bed);
		reset(bed);
	}
	free(console);
	bed_down(bed);
}

/* Sleeping calls hold slots, locks and threads of the guest: all of that is gone. */
BED_TEST(reset, blocked_calls_are_forgotten)
{
	struct bed *bed = BED();
	struct bed_result res = { 0 };
	struct bed_err err;

	for (int round = 0; round < 3; round++) {
		uint64_t map = (uint64_t)bed_uvm_km_suballoc(bed, KERNEL, GVA(0), 8 * PAGE, 1, 0);
		uint64_t args[] = { map, 2 * PAGE };

		bed_uvm_km_valloc(bed, map, 8 * PAGE);
		for (int i = 0; i < BED_SLOTS / 2; i++) {
			CHECK(bed_call_start(bed, BED_CALL_uvm_km_valloc_wait, args, 2, &res, &err),
			    "%s", err.text);
			CHECK(res.state == BED_STATE_BLOCKED, "it did not sleep");
		}
		reset(bed);
		CHECK(!bed_call_wait(bed, res.slot, &res, &err) && err.class == BED_E_USAGE,
		    "the call is still there");
	}
	for (int i = 0; i < 2 * BED_SLOTS; i++)
		bed_null(bed);
	bed_down(bed);
}

/* Through a pointer that is older than the reset, nobody knows of the store: all memory compared finds it. */
BED_TEST(reset, what_is_overlooked_is_found)
{
	struct bed *bed = BED();
	uint8_t *old;
	struct bed_err err;

	old = bed_ptr(bed, GPA(12 * MIB), PAGE);
	old[17] = 1;
	reset(bed); /* known: it was asked for since */
	CHECK(old[17] == 0, "not put back");
	old[17] = 0xab;
	CHECK(bed_reset(bed, &err), "%s", err.text);
	CHECK(!bed_is_reset(bed, &err) && err.class == BED_E_FINDING, "not found");
	CHECK(strstr(err.text, "0xc00000") && strstr(err.text, "byte 0x11: 0xab") &&
		  strstr(err.text, "allocator's memory"),
	    "%s", err.text);
	/* With the check asked for, the reset itself says it. */
	setenv("UVMBED_RESET_CHECK", "1", 1);
	CHECK(!bed_reset(bed, &err) && strstr(err.text, "0xc00000"), "not found by the reset");
	setenv("UVMBED_RESET_CHECK", "0", 1);
	CHECK(bed_reset(bed, &err), "%s", err.text);
	old = bed_ptr(bed, GPA(12 * MIB), PAGE);
	reset(bed);
	/* Pages of the snapshot itself, and tables, are compared like the others. */
	old = bed_ptr(bed, GPA(BED_IMAGE_PA), PAGE);
	reset(bed);
	old[4095] ^= 0x80;
	CHECK(
	    !bed_is_reset(bed, &err) && strstr(err.text, "0x400000 (low memory)"), "%s", err.text);
	old[4095] ^= 0x80;
	CHECK(bed_is_reset(bed, &err), "%s", err.text);
	bed_down(bed);
}

BED_TEST(reset, registers_that_differ_are_found)
{
	struct bed *bed = BED();
	struct hv_regs regs;
	struct bed_err err;

	CHECK(bed_is_reset(bed, &err), "%s", err.text);
	hv_cpu_regs(bed->cpus[0].hv, &regs);
	regs.r13 ^= 0x100;
	CHECK(hv_cpu_set_regs(bed->cpus[0].hv, &regs, &err), "%s", err.text);
	CHECK(!bed_is_reset(bed, &err) && strstr(err.text, "regs"), "\"%s\"", err.text);
	reset(bed);
	regs.r13 ^= 0x100;
	regs.cr2 = 0x123000;
	CHECK(hv_cpu_set_regs(bed->cpus[0].hv, &regs, &err), "%s", err.text);
	CHECK(!bed_is_reset(bed, &err) && strstr(err.text, "sregs"), "\"%s\"", err.text);
	reset(bed);
	bed_null(bed);
	bed_down(bed);
}

static unsigned
open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

BED_TEST(reset, a_thousand_leave_nothing_open)
{
	struct bed *bed = BED();
	struct bed_err err;
	unsigned before;

	reset(bed);
	before = open_files();
	for (int i = 0; i < 1000; i++)
		CHECK(bed_reset(bed, &err), "reset %d: %s", i, err.text);
	CHECK(open_files() == before, "%u open files became %u", before, open_files());
	bed_null(bed);
	for (int i = 0; i < 20; i++)
		bed_down(BED());
	CHECK(open_files() == before, "%u open files became %u", before, open_files());
	bed_down(bed);
}

static void
reset_inside(void *arg, struct bed *bed, uint64_t info)
{
	struct bed_err *err = arg;

	(void)info;
	if (bed_reset(bed, err))
		err->class = BED_OK;
}

BED_TEST(reset, refused_where_it_makes_no_sense)
{
	struct bed *bed = BED(), *booted = BED(.boot = true);
	struct bed_config cfg = bed_opts_config(&(struct bed_opts){ .flags = BED_COUNT_BOOT });
	uint64_t map = (uint64_t)bed_uvm_km_suballoc(bed, KERNEL, GVA(0), 8 * PAGE, 1, 0);
	struct bed_err err = { 0 }, inside = { 0 };
	struct bed_result res;

	CHECK(!bed_reset(booted, &err) && err.class == BED_E_USAGE && strstr(err.text, "bed_start"),
	    "\"%s\"", err.text);
	CHECK(!bed_is_reset(booted, &err) && bed_start_note(booted) == NULL, "a booted bed");
	CHECK(bed_start(&cfg, &err) == NULL && strstr(err.text, "no boot"), "\"%s\"", err.text);
	/* From a callback: the guest stands at the stop point of a call that finds its map full. */
	bed_uvm_km_valloc(bed, map, 8 * PAGE);
	bed_on_sync(bed, reset_inside, &inside);
	bed_stop_arm(bed, 1);
	CHECK(bed_call_start(
		  bed, BED_CALL_uvm_km_valloc_wait, (uint64_t[]){ map, PAGE }, 2, &res, &err),
	    "%s", err.text);
	CHECK(
	    inside.class == BED_E_USAGE && strstr(inside.text, "callback"), "\"%s\"", inside.text);
	bed_on_sync(bed, NULL, NULL);
	reset(bed);
	bed_down(booted);
	bed_down(bed);
}

/* Attached anew, the sanitizer finds the world in order after a reset. */
BED_TEST(reset, the_sanitizer_starts_again)
{
	struct bed *bed = BED();
	struct bed_err err;

	for (int round = 0; round < 3; round++) {
		struct tlbsan *s = tlbsan_attach(bed, NULL, NULL, &err);
		gva_t va;

		CHECK(s != NULL, "%s", err.text);
		va = bed_uvm_km_alloc(bed, KERNEL, 6 * PAGE);
		bed_uvm_km_free(bed, KERNEL, va, 6 * PAGE);
		CHECK(tlbsan_poll(s, &err), "round %d: %s", round, err.text);
		tlbsan_detach(s);
		reset(bed);
	}
	bed_down(bed);
}

/* Work on every CPU, and a death on one of them: all are as after boot, asleep but for one, and work again. */
BED_TEST(reset, several_cpus)
{
	static const unsigned counts[] = { 2, 4, 16 };
	const uint64_t alloc[] = { KERNEL, 3 * PAGE };

	for (size_t i = 0; i < COUNT_OF(counts); i++) {
		struct bed *bed = BED(.ncpu = counts[i], .ram = 32 * MIB);
		struct bed_counters booted[BED_CPU_MAX];

		for (unsigned cpu = 0; cpu < counts[i]; cpu++)
			booted[cpu] = bed_counters(bed, cpu);
		for (unsigned round = 0; round < 3; round++) {
			unsigned victim = counts[i] - 1 - round % 2;
			struct bed_result res;
			struct bed_err err;
			uint64_t first = 0;

			for (unsigned cpu = 0; cpu < counts[i]; cpu++) {
				uint64_t va =
				    bed_call_on(bed, cpu, BED_CALL_uvm_km_alloc, alloc, 2);

				CHECK(
				    va != 0 && (cpu == 0 || va != first), "CPU %u: %#lx", cpu, va);
				first = cpu == 0 ? va : first;
				GUEST_STORE(bed, GVA(va), cpu);
			}
			if (round > 0)
				CHECK(!bed_start_on(
					  bed, victim, BED_CALL_die_panic, NULL, 0, &res, &err),
				    "CPU %u lives", victim);
			reset(bed);
			CHECK(bed_report(bed) == NULL, "round %u: still dead", round);
			for (unsigned cpu = 0; cpu < counts[i]; cpu++) {
				struct bed_counters now = bed_counters(bed, cpu);

				CHECK(memcmp(&now, &booted[cpu], sizeof(now)) == 0,
				    "round %u: counters of CPU %u", round, cpu);
			}
			for (unsigned cpu = 0; cpu < counts[i]; cpu++)
				CHECK(bed_call_on(bed, cpu, BED_CALL_cpu, NULL, 0) == cpu, "CPU %u",
				    cpu);
			reset(bed);
			reset(bed);
		}
		INSIDE_CHECK(bed);
		bed_down(bed);
	}
}

/* The proof of resets, with the flush this engine was found to need, and with none. */
BED_TEST(reset, without_a_flush_the_proof_fails_where_one_is_needed)
{
	struct bed *bed = BED();
	enum hv_flush how;
	struct bed_err err;

	CHECK(hv_flush_choose(&how, &err), "%s", err.text);
	CHECK(reset_prove_with(bed, how, &err), "%s", err.text);
	CHECK(reset_prove_with(bed, HV_FLUSH_ALL, &err), "%s", err.text);
	if (reset_prove_with(bed, HV_FLUSH_NONE, &err))
		bedtest_vacuous("no translation outlives a reset here, flushed or not");
	CHECK(how != HV_FLUSH_NONE, "%s", err.text);
	bed_down(bed);
}
