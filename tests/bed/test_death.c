/* SPDX-License-Identifier: ISC */
/*
 * Every way a guest can die ends in a report that says what, where and what to do, within the time
 * limit, and leaves a bed that can be looked at but not called.
 */
#include <stdlib.h>
#include <string.h>

#include "shared/layout.h"
#include "tests/bedtest.h"
#include "vmm/bed/call.h"

static struct bed *
boot(unsigned timeout_ms)
{
	struct bed_config cfg;
	struct bed_err err;
	struct bed *bed;

	bed_config_init(&cfg);
	bed = bed_create(&cfg, &err);
	cr_assert(bed != NULL, "%s", err.text);
	bed_set_timeout(bed, timeout_ms);
	return bed;
}

/* Die of a call; the report must hold all of the words, which end with NULL. */
static void
dies(enum bed_call_id id, uint64_t arg, unsigned nargs, const char *const *words)
{
	struct bed *bed = boot(1000);
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
	DIES(die_triple, 0, 0, "triple fault", "slot 0: die_triple()", "IDT");
}

BED_TEST(death, hang)
{
	DIES(die_hang, 0, 0, "guest hangs", "1000 ms", "call_die_hang", "timeout_ms");
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

BED_TEST(death, page_fault)
{
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
	DIES(nop_exits, UINT64_MAX, 1, "guest hangs", "nop_exits");
}

/* The time of one bed's call is not charged to the next, and no limit means none. */
BED_TEST(death, the_limit_is_per_call)
{
	struct bed *bed = boot(300), *other = boot(10000);
	struct bed_result res;
	struct bed_err err;
	uint64_t count = 40;

	for (int i = 0; i < 400; i++)
		cr_assert(
		    bed_call_try(bed, BED_CALL_nop_exits, &count, 1, &res, &err), "%s", err.text);
	bed_set_timeout(bed, 200);
	cr_expect(!bed_call_try(bed, BED_CALL_die_hang, NULL, 0, &res, &err));
	cr_expect(bed_call_try(other, BED_CALL_nop_exits, &count, 1, &res, &err), "%s", err.text);
	bed_set_timeout(other, 0);
	cr_expect(bed_call_try(other, BED_CALL_nop_exits, &count, 1, &res, &err), "%s", err.text);
	bed_destroy(other);
	bed_destroy(bed);
}
