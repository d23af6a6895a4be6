/* SPDX-License-Identifier: ISC */
/*
 * Every way a guest can die ends in a report that says what, where and what to do, within the time
 * limit, and leaves a bed that can be looked at but not called.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bed/fixture.h"
#include "vmm/bed/batch.h"
#include "vmm/view/snapshot.h"

/* Booted within the usual time; then each call has this long. */
static struct bed *
boot(unsigned timeout_ms)
{
	struct bed *bed = BED();

	bed_set_timeout(bed, timeout_ms);
	return bed;
}

/* Die of a call; the report must hold all of the words, which end with NULL. */
static void
dies(enum bed_call_id id, uint64_t arg, unsigned nargs, const char *const *words)
{
	struct bed *bed = boot(scaled_ms(500));
	struct bed_result res;
	struct bed_err err = { 0 };
	char first[sizeof(err.text)];

	cr_assert(!bed_call_try(bed, id, &arg, nargs, &res, &err), "it lives");
	cr_expect(err.class == BED_E_GUEST, "class %d", err.class);
	cr_assert(bed_report(bed) != NULL);
	for (size_t i = 0; words[i] != NULL; i++)
		cr_expect(strstr(bed_report(bed), words[i]) != NULL, "\"%s\" is not in\n%s",
		    words[i], bed_report(bed));
	cr_expect(strstr(bed_report(bed), "backtrace") && strstr(bed_report(bed), "engine"));
	/* Dead is dead, and says the same; its memory and tables are still there. */
	strcpy(first, err.text);
	cr_expect(!bed_call_try(bed, BED_CALL_null, NULL, 0, &res, &err));
	cr_expect_str_eq(err.text, first);
	cr_expect(bed_ptr(bed, bed_view(bed).root, 4096) != NULL);
	bed_destroy(bed);
}
#define DIES(id, arg, nargs, ...) \
	dies(BED_CALL_##id, arg, nargs, (const char *const[]){ __VA_ARGS__, NULL })

BED_TEST(death, panic)
{
	DIES(die_panic, 0, 0, "guest panic: asked to", "call_die_panic",
	    "guest/calls_die.c:", "call      slot 0: die_panic()");
}

BED_TEST(death, triple_fault)
{
	kvm_only("a process has no IDT to lose");

	DIES(die_triple, 0, 0, "triple fault", "slot 0: die_triple()", "IDT");
}

BED_TEST(death, hang)
{
	DIES(die_hang, 0, 0, "guest hangs", " ms", "call_die_hang", "timeout_ms");
}

BED_TEST(death, stack_overflow)
{
	DIES(die_stack, 0, 0, "stack overflow", "recurse+", "times)", "worker_loop",
	    "slot 0: die_stack()");
}

BED_TEST(death, invalid_opcode)
{
	DIES(die_ud, 0, 0, "invalid opcode", "call_die_ud", "code      0f 0b");
}

/* property 26: kernel_map */
BED_TEST(death, page_fault)
{
	kvm_only("a process that reaches into kernel space dies in other words");

	DIES(die_fault, BED_KVA_BASE + 0x40001000, 1, "page fault", "read of 0xffff800040001000",
	    "kernel_map", "nothing is mapped there", "call_die_fault",
	    "walk of the faulting address", "not present at P",
	    "slot 0: die_fault(0xffff800040001000)");
}

BED_TEST(death, scribbled_events)
{
	DIES(scribble, 0, 1, "broke the contract", "event_");
}

BED_TEST(death, scribbled_console)
{
	DIES(scribble, 1, 1, "broke the contract", "console_");
}

BED_TEST(death, scribbled_slots)
{
	DIES(scribble, 2, 1, "broke the contract", "call slot");
}

BED_TEST(death, scribbled_exit)
{
	DIES(scribble, 3, 1, "broke the contract", "0xdeadbeef");
}

BED_TEST(death, scribbled_record)
{
	DIES(scribble, 4, 1, "record of the death is scribbled");
}

BED_TEST(death, scribbled_everything)
{
	DIES(scribble, 5, 1, "broke the contract");
}

/* A guest that keeps leaving is stopped by the same limit as one that never does. */
BED_TEST(death, endless_exits)
{
	kvm_only("the twin has no call that only leaves");

	DIES(nop_exits, UINT64_MAX, 1, "guest hangs", "nop_exits");
}

/* The time of one bed's call is not charged to the next, and no limit means none. */
BED_TEST(death, the_limit_is_per_call)
{
	kvm_only("one bed of a flavour, and no call that only leaves");

	struct bed *bed = boot(scaled_ms(300)), *other = boot(scaled_ms(10000));
	struct bed_result res;
	struct bed_err err;
	uint64_t count = 40;

	for (int i = 0; i < 400; i++)
		cr_assert(
		    bed_call_try(bed, BED_CALL_nop_exits, &count, 1, &res, &err), "%s", err.text);
	bed_set_timeout(bed, scaled_ms(200));
	cr_expect(!bed_call_try(bed, BED_CALL_die_hang, NULL, 0, &res, &err));
	cr_expect(bed_call_try(other, BED_CALL_nop_exits, &count, 1, &res, &err), "%s", err.text);
	bed_set_timeout(other, 0);
	cr_expect(bed_call_try(other, BED_CALL_nop_exits, &count, 1, &res, &err), "%s", err.text);
	bed_destroy(other);
	bed_destroy(bed);
}

static unsigned
entries_of(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	CHECK(d != NULL, "%s", path);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* Guest memory that is mapped here: lines of /proc/self/maps that name the bed's file. */
static unsigned
memory_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned n = 0;

	CHECK(f != NULL, "/proc/self/maps");
	while (fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, "uvmbed-ram") != NULL ||
		     strstr(line, "guest-checked.elf") != NULL || strstr(line, "kvm-vcpu") != NULL;
	fclose(f);
	return n;
}

/* Every way to die, one after the other in one process: no descriptor, mapping or thread stays behind. */
BED_TEST(death, leaves_nothing_behind)
{
	static const struct {
		enum bed_call_id id;
		uint64_t arg;
		unsigned nargs;
	} row[] = {
		{ BED_CALL_die_panic, 0, 0 },
		{ BED_CALL_die_triple, 0, 0 },
		{ BED_CALL_die_stack, 0, 0 },
		{ BED_CALL_die_ud, 0, 0 },
		{ BED_CALL_die_hang, 0, 0 },
		{ BED_CALL_die_fault, 8, 1 },
		{ BED_CALL_scribble, 2, 1 },
		{ BED_CALL_scribble, 99, 1 },
	};
	unsigned fds = 0, maps = 0, tasks = 0;

	for (size_t i = 0; i < COUNT_OF(row) + 1; i++) {
		/* The first round opens what stays open for good: /dev/kvm, the engine's answer. */
		size_t k = i == 0 ? 0 : i - 1;
		struct bed *bed = boot(scaled_ms(100));
		struct bed_result res;
		struct bed_err err;

		CHECK(!bed_call_try(bed, row[k].id, &row[k].arg, row[k].nargs, &res, &err),
		    "row %zu lives", k);
		bed_down(bed);
		if (i == 0) {
			fds = entries_of("/proc/self/fd");
			maps = memory_maps();
			tasks = entries_of("/proc/self/task");
		}
		CHECK(entries_of("/proc/self/fd") == fds, "row %zu: %u descriptors, were %u", k,
		    entries_of("/proc/self/fd"), fds);
		CHECK(memory_maps() == maps && maps == 0, "row %zu: %u mappings", k, memory_maps());
		CHECK(entries_of("/proc/self/task") == tasks, "row %zu: %u threads", k,
		    entries_of("/proc/self/task"));
	}
}

/* Line `nth` of the report that begins with '#': a frame. */
static const char *
frame_line(const char *report, unsigned nth)
{
	const char *line = report;

	for (; line != NULL; line = strchr(line, '\n'), line += line != NULL) {
		const char *word = line + strspn(line, " \t");

		if (*word == '#' && nth-- == 0)
			return word;
	}
	return "";
}

/* The backtrace goes through the trap to who caused it: fault, then call, then worker, then the first function. */
BED_TEST(death, backtrace_crosses_the_trap)
{
	struct bed *bed = boot(scaled_ms(1000));
	struct bed_result res;
	struct bed_err err;
	uint64_t va = 0x10;
	const char *report, *call, *worker, *main_fn;

	CHECK(!bed_call_try(bed, BED_CALL_die_fault, &va, 1, &res, &err), "it lives");
	report = bed_report(bed);
	cr_expect(strncmp(frame_line(report, 0), "#0", 2) == 0 &&
		      strstr(frame_line(report, 0), "call_die_fault"),
	    "the top frame is not the culprit:\n%s", report);
	call = strstr(report, "call_die_fault+");
	worker = strstr(report, "worker_loop+");
	main_fn = strstr(report, "kernel_main+");
	cr_expect(call && worker && main_fn && call < worker && worker < main_fn, "%s", report);
	cr_expect(strstr(report, "guest/calls_die.c:") != NULL, "no line number:\n%s", report);
	cr_expect(strstr(report, "cr2 0000000000000010") != NULL, "no CR2:\n%s", report);
	bed_down(bed);
}

/* A store and a load say so, and where the address lies. */
BED_TEST(death, fatal_faults_say_what_and_where)
{
	static const struct {
		uint64_t va;
		const char *says;
	} row[] = {
		{ 0, "lower half" },
		{ BED_KVA_BASE + GIB, "kernel_map" },
		{ BED_DIRECT_BASE + GIB, "direct map" },
		{ BED_IMAGE_BASE, "image" },
	};

	for (size_t i = 0; i < COUNT_OF(row); i++) {
		struct bed *bed = boot(scaled_ms(1000));
		struct bed_result res;
		struct bed_err err;

		cr_expect(!bed_call_try(bed, BED_CALL_die_fault, &row[i].va, 1, &res, &err));
		cr_expect(strstr(err.text, row[i].says) != NULL, "\"%s\" is not in\n%s",
		    row[i].says, err.text);
		bed_down(bed);
	}
}

/* Every call of the API meets a dead bed in a defined way. */
BED_TEST(death, a_dead_bed_answers)
{
	struct bed *bed = boot(scaled_ms(1000));
	struct bed_prog *p;
	struct bed_result res;
	struct bed_err err, again;
	struct snapshot before, after;
	uint64_t done;
	gpa_t pa;

	p = bed_prog_new(bed, &err);
	CHECK(p != NULL, "%s", err.text);
	bed_prog_add(p, BED_CALL_null, NULL, 0);
	bed_prog_add(p, BED_CALL_die_ud, NULL, 0);
	before = bed_snapshot(bed);
	CHECK(!bed_prog_run(p, 1, &done, &err), "the program lives");
	cr_expect(err.class == BED_E_GUEST && strstr(err.text, "die_ud"), "%s", err.text);
	cr_expect(!bed_prog_run(p, 1, &done, &again) && again.class == BED_E_GUEST);
	cr_expect_str_eq(again.text, err.text);
	cr_expect(!bed_call_wait(bed, 0, &res, &again));
	/* Its tables are as it left them, and KVM can still be asked. */
	after = bed_snapshot(bed);
	cr_expect(after.nrun == before.nrun && after.ntable == before.ntable);
	cr_expect(bed_translate(bed, GVA(BED_DIRECT_BASE + MIB), &pa) && pa.v == MIB);
	cr_expect(bed_stats(bed).exits > 0 && bed_console(bed) != NULL);
	snapshot_free(&before);
	snapshot_free(&after);
	bed_prog_free(p);
	bed_down(bed);
}

/* A guest that is killed while calls sleep in it takes them along. */
BED_TEST(death, with_a_call_asleep)
{
	struct bed *bed = BED(.ram = 8 * MIB);
	uint64_t args[] = { KERNEL, 7 * MIB };
	struct bed_result asleep, res;
	struct bed_err err;

	for (; args[1] > 0; args[1] -= 32 * KIB) {
		CHECK(bed_call_start(bed, BED_CALL_uvm_km_alloc, args, 2, &asleep, &err), "%s",
		    err.text);
		if (asleep.state == BED_STATE_BLOCKED || asleep.value != 0)
			break;
	}
	if (asleep.state == BED_STATE_DONE) /* it got nearly all: the next one sleeps */
		CHECK(bed_call_start(bed, BED_CALL_uvm_km_alloc, args, 2, &asleep, &err), "%s",
		    err.text);
	CHECK(asleep.state == BED_STATE_BLOCKED, "nobody sleeps");
	CHECK(!bed_call_try(bed, BED_CALL_die_panic, NULL, 0, &res, &err), "it lives");
	cr_expect(strstr(err.text, "die_panic") && strstr(err.text, "uvm_km_alloc"),
	    "the sleeping call is not in\n%s", err.text);
	cr_expect(!bed_call_wait(bed, asleep.slot, &res, &err) && err.class == BED_E_GUEST);
	bed_down(bed);
}
