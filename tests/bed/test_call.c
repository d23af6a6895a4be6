/* SPDX-License-Identifier: ISC */
/*
 * Calls: what one costs, what is refused, programs, the guest's own accesses.
 */
#include <string.h>

#include "shared/pattern.h"
#include "tests/bed/inside.h"
#include "vmm/bed/batch.h"

BED_TEST(call, null_is_one_exit_and_few_instructions)
{
	struct bed *bed = BED(.release = true);
	struct work w;

	bed_null(bed);
	DELTA(bed, w = WORK(bed, bed_null(bed)));
	CHECK(w.exits == 1, "%lu exits", w.exits);
	CHECK(w.count.pte_set + w.count.pte_clear + w.count.invlpg + w.count.tlb_full == 0,
	    "it did paging work");
	w = WORK(bed, {
		for (unsigned i = 0; i < 100; i++)
			bed_null(bed);
	});
	CHECK(w.exits == 100, "%lu exits", w.exits);
	if (w.has_insns)
		CHECK(w.insns <= 100 * 60, "%lu instructions for 100 null calls", w.insns);
	bed_down(bed);
}

/* A refused call changes nothing, says who refused what, and leaves the guest alive. */
BED_TEST(call, refusals)
{
	static const struct {
		unsigned id, nargs;
		const char *says;
	} row[] = {
		{ 0, 0, "call 0" },
		{ 15, 0, "call 15" },
		{ 127, 0, "call 127" },
		{ 128, 0, "call 128" },
		{ 0xffff, 0, "call 65535" },
		{ BED_CALL_null, 1, "null" },
		{ BED_CALL_uvm_km_alloc, 0, "uvm_km_alloc" },
		{ BED_CALL_uvm_km_alloc, 1, "uvm_km_alloc" },
		{ BED_CALL_uvm_km_alloc, 3, "uvm_km_alloc" },
		{ BED_CALL_uvm_km_free, BED_ARGS_MAX, "uvm_km_free" },
		{ BED_CALL_null, BED_ARGS_MAX + 1, "more than" },
		{ BED_CALL_null, UINT32_MAX, "more than" },
	};
	struct bed *bed = BED();
	uint64_t args[BED_ARGS_MAX] = { KERNEL, PAGE };
	struct bed_result res;
	struct bed_err err;

	for (size_t i = 0; i < COUNT_OF(row); i++) {
		bool ok;

		DELTA(bed, ok = bed_call_try(bed, row[i].id, args, row[i].nargs, &res, &err));
		CHECK(!ok, "row %zu is accepted", i);
		CHECK(err.class == BED_E_USAGE && strstr(err.text, row[i].says), "row %zu: %s", i,
		    err.text);
	}
	CHECK(bed_report(bed) == NULL, "dead");
	bed_null(bed);
	CHECK(!bed_call_wait(bed, 0, &res, &err) && !bed_call_wait(bed, 99, &res, &err),
	    "nothing is in flight");
	bed_down(bed);
}

/* An id beyond the contract's range is not truncated to one inside. */
BED_TEST(call, an_id_does_not_wrap)
{
	struct bed *bed = BED();
	struct bed_result res;
	struct bed_err err;

	CHECK(!bed_call_try(bed, (enum bed_call_id)(0x10000 + BED_CALL_null), NULL, 0, &res, &err),
	    "call 0x10001 ran as call 1");
	bed_null(bed);
	bed_down(bed);
}

struct program {
	struct bed *bed;
	struct bed_prog *p;
	struct bed_err err;
	uint64_t done;
};

static struct program
program(struct bed *bed)
{
	struct program pr = { .bed = bed };

	pr.p = bed_prog_new(bed, &pr.err);
	CHECK(pr.p != NULL, "%s", pr.err.text);
	return pr;
}

#define ADD(pr, call, ...)                                                 \
	bed_prog_add((pr).p, BED_CALL_##call, (uint64_t[]){ __VA_ARGS__ }, \
	    sizeof((uint64_t[]){ __VA_ARGS__ }) / 8)

BED_TEST(call, program_with_references)
{
	struct bed *bed = BED();
	struct program pr = program(bed);
	unsigned a = ADD(pr, uvm_km_alloc, KERNEL, 3 * PAGE);
	unsigned fill = ADD(pr, fill, 0, 3, 0x77);
	unsigned verify = ADD(pr, verify, 0, 3, 0x77);
	unsigned load = ADD(pr, load, 0);
	unsigned value = ADD(pr, store, 0, 0); /* what `a` returned, stored into its second page */
	unsigned gone, again;
	struct work w;
	uint64_t va;

	bed_prog_use(pr.p, fill, 0, a);
	bed_prog_use(pr.p, verify, 0, a);
	bed_prog_use(pr.p, load, 0, a);
	bed_prog_plus(pr.p, load, 0, 2 * PAGE);
	bed_prog_use(pr.p, value, 0, a);
	bed_prog_use(pr.p, value, 1, a);
	bed_prog_plus(pr.p, value, 0, PAGE + 8);
	w = WORK(bed, CHECK(bed_prog_run(pr.p, 1, &pr.done, &pr.err), "%s", pr.err.text));
	CHECK(pr.done == 5 && w.exits == 1, "%lu operations, %lu exits", pr.done, w.exits);
	va = bed_prog_result(pr.p, a)->result;
	CHECK(bed_prog_result(pr.p, verify)->result == 0, "not as filled");
	CHECK(bed_prog_result(pr.p, load)->result2 == bed_pattern(va + 2 * PAGE, 0x77), "load");
	CHECK(*HOST(bed, GVA(va + PAGE + 8)) == va, "the reference as a value");
	bed_uvm_km_free(bed, KERNEL, GVA(va), 3 * PAGE);

	/* Allocate and free over and over: each round gets the same address, and nothing stays. */
	bed_prog_clear(pr.p);
	a = ADD(pr, uvm_km_alloc, KERNEL, 2 * PAGE);
	gone = ADD(pr, uvm_km_free, KERNEL, 0, 2 * PAGE);
	again = ADD(pr, load, 0);
	bed_prog_use(pr.p, gone, 1, a);
	bed_prog_use(pr.p, again, 0, a);
	DELTA(bed,
	    w = WORK(bed, CHECK(bed_prog_run(pr.p, 20, &pr.done, &pr.err), "%s", pr.err.text)));
	CHECK(pr.done == 60, "%lu", pr.done);
	CHECK(w.count.pte_set == 40 && w.count.pte_clear == 40, "%lu set, %lu cleared",
	    w.count.pte_set, w.count.pte_clear);
	CHECK(bed_prog_result(pr.p, a)->result == va, "another address");
	CHECK(bed_prog_result(pr.p, again)->result == BED_EFAULT, "touch after free");
	bed_prog_free(pr.p);
	bed_down(bed);
}

/* References forward, to oneself, to nowhere; sums on an argument that is not there. */
BED_TEST(call, program_with_bad_references)
{
	struct bed *bed = BED();
	struct program pr = program(bed);
	static const struct {
		unsigned op, arg, of;
	} row[] = { { 0, 0, 0 }, { 0, 0, 1 }, { 1, 0, 1 }, { 0, 9, 0 }, { 1, 1, 0 },
		{ 1, 0, UINT32_MAX }, { 7, 0, 0 } };

	for (size_t i = 0; i < COUNT_OF(row); i++) {
		bed_prog_clear(pr.p);
		ADD(pr, load, BED_DIRECT_BASE);
		ADD(pr, load, BED_DIRECT_BASE);
		bed_prog_use(pr.p, row[i].op, row[i].arg, row[i].of);
		CHECK(!bed_prog_run(pr.p, 1, &pr.done, &pr.err), "row %zu runs", i);
		CHECK(pr.err.class == BED_E_USAGE, "row %zu: %s", i, pr.err.text);
	}
	bed_prog_clear(pr.p);
	ADD(pr, load, BED_DIRECT_BASE);
	bed_prog_plus(pr.p, 0, 1, 8);
	CHECK(!bed_prog_run(pr.p, 1, &pr.done, &pr.err), "a sum on an argument it has not");
	bed_prog_free(pr.p);
	bed_down(bed);
}

/* The guest checks programs for itself: the host may be wrong, too. */
BED_TEST(call, guest_distrusts_programs)
{
	struct bed *bed = BED(.ram = 8 * MIB);
	struct bed_op *op = bed_ptr(bed, GPA(BED_PROG_PA), 4 * sizeof(*op));
	const struct bed_op good = {
		.call = BED_CALL_load, .nargs = 1, .arg = { BED_DIRECT_BASE }
	};
	struct bed_op bad[] = { good, good, good, good, good, good };

	bad[0].call = 127;
	bad[1].call = BED_CALL_batch;
	bad[2].nargs = 2;
	bad[3].ref = 1, bad[3].arg[0] = 1;                 /* itself */
	bad[4].add = 8, bad[4].addarg = 1;                 /* no such argument */
	bad[5].ref = 1, bad[5].arg[0] = UINT64_MAX - 1000; /* nowhere */
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		op[0] = good;
		op[1] = bad[i];
		op[2] = good;
		CHECK(bed_batch(bed, GPA(BED_PROG_PA), 3, 1) == 1, "row %zu", i);
	}
	op[1] = good;
	CHECK(bed_batch(bed, GPA(BED_PROG_PA), 3, 2) == 6, "all good");
	CHECK(bed_batch(bed, GPA(BED_PROG_PA), 3, 0) == 0, "no repetition");
	CHECK(bed_batch(bed, GPA(BED_PROG_PA), 0, 5) == 0, "no operation");
	CHECK(bed_batch(bed, GPA(BED_PROG_PA + 4), 1, 1) == 0, "not aligned");
	CHECK(bed_batch(bed, GPA(8 * MIB - 8), 1, 1) == 0, "reaches over the end of RAM");
	CHECK(bed_batch(bed, GPA(8 * MIB), 1, 1) == 0, "beyond RAM");
	CHECK(bed_batch(bed, GPA(UINT64_MAX & ~UINT64_C(7)), 1, 1) == 0, "wraps");
	CHECK(bed_batch(bed, GPA(BED_PROG_PA), UINT64_C(1) << 60, 1) == 0, "size wraps");
	bed_down(bed);
}

/* Loads, stores and jumps of the guest, and the code of the fault that ends each. */
BED_TEST(call, accesses)
{
	struct bed *bed = BED();
	uint64_t ifetch = bed_view(bed).nx ? PF_I : 0, code;
	gva_t direct = GVA(BED_DIRECT_BASE + bed_bootinfo(bed)->ram_bytes - PAGE);
	gva_t nowhere = GVA(BED_KVA_BASE + GIB);
	gva_t noncanonical = GVA(0x8000000000000000);

	GUEST_STORE(bed, direct, 0x1122334455667788);
	CHECK(*HOST(bed, direct) == 0x1122334455667788, "the host sees %#lx", *HOST(bed, direct));
	*HOST(bed, direct) = 77;
	CHECK(GUEST_LOAD(bed, direct) == 77, "the guest sees %#lx", bed_result2(bed));
	EXPECT_FAULT(bed, nowhere, LOAD, 0);
	EXPECT_FAULT(bed, nowhere, STORE, PF_W);
	EXPECT_FAULT(bed, nowhere, EXEC, ifetch);
	EXPECT_FAULT(bed, direct, EXEC, PF_P | ifetch);
	/* Not a page fault: a general-protection fault, 13, says so in the upper half. */
	CHECK(bed_faults(bed, noncanonical, LOAD, &code) && code >> 32 == 13, "code %#lx", code);
	bed_down(bed);
}

/* `fill` and `verify` are the same on both sides, and a single wrong word is seen. */
BED_TEST(call, fill_and_verify)
{
	struct bed *bed = BED();
	gva_t va = bed_uvm_km_alloc(bed, KERNEL, 5 * PAGE);

	CHECK(bed_fill(bed, va, 5, 42) == 0, "fill");
	for (unsigned i = 0; i < 5; i++)
		CHECK(
		    *HOST(bed, page_of(va, i)) == bed_pattern(page_of(va, i).v, 42), "page %u", i);
	CHECK(bed_verify(bed, va, 5, 42) == 0, "as filled");
	CHECK(bed_verify(bed, va, 5, 43) == 5, "another seed");
	*HOST(bed, page_of(va, 3)) ^= 1;
	CHECK(bed_verify(bed, va, 5, 42) == 1, "one bit");
	bed_uvm_km_free(bed, KERNEL, page_of(va, 1), PAGE);
	CHECK(bed_verify(bed, va, 5, 42) == 2, "an absent page does not verify");
	CHECK(bed_fill(bed, va, 5, 1) == BED_EFAULT, "filling stops at the absent page");
	CHECK(*HOST(bed, va) == bed_pattern(va.v, 1), "and did what was before it");
	CHECK(*HOST(bed, page_of(va, 2)) == bed_pattern(page_of(va, 2).v, 42), "and no more");
	CHECK(bed_fill(bed, va, 0, 9) == 0 && bed_verify(bed, va, 0, 9) == 0, "nothing");
	bed_down(bed);
}
