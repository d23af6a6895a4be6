/* SPDX-License-Identifier: ISC */
/*
 * Stale translations, seen by the guest itself. Each program runs without leaving the guest, because an exit can
 * flush what is stale. Where ring 0 is interpreted there is no TLB that could be stale: nothing here
 * could fail, and the verdict is vacuous; the counted invalidations of the other suites speak there.
 */
#include "tests/bed/fixture.h"
#include "vmm/bed/batch.h"

#define ROUNDS 50

struct program {
	struct bed_prog *p;
	struct bed_err err;
	uint64_t done;
};

static struct program
program(struct bed *bed)
{
	struct program pr = { 0 };

	if (engine_class() == ENGINE_INTERP)
		bedtest_vacuous("ring 0 is interpreted: a stale translation never shows");
	pr.p = bed_prog_new(bed, &pr.err);
	CHECK(pr.p != NULL, "%s", pr.err.text);
	return pr;
}

static void
run(struct program *pr)
{
	CHECK(bed_prog_run(pr->p, ROUNDS, &pr->done, &pr->err), "%s", pr->err.text);
	CHECK(pr->done == ROUNDS * bed_prog_len(pr->p), "%lu operations", pr->done);
}

#define ADD(pr, call, ...)                                                 \
	bed_prog_add((pr).p, BED_CALL_##call, (uint64_t[]){ __VA_ARGS__ }, \
	    sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

/* Property 35: touch, free, touch. Below and above the flush threshold. */
/* property 35: kernel_map */
BED_TEST(tlb, freed_pages_fault_at_once)
{
	static const uint64_t sizes[] = { 1, 7, 64 };
	struct bed *bed = BED();
	struct program pr = program(bed);

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		unsigned a, used, gone, first, last;

		bed_prog_clear(pr.p);
		a = ADD(pr, uvm_km_alloc, KERNEL, sizes[i] * PAGE);
		used = ADD(pr, fill, 0, sizes[i], 1);
		gone = ADD(pr, uvm_km_free, KERNEL, 0, sizes[i] * PAGE);
		first = ADD(pr, load, 0);
		last = ADD(pr, store, 0, 1);
		bed_prog_use(pr.p, used, 0, a);
		bed_prog_use(pr.p, gone, 1, a);
		bed_prog_use(pr.p, first, 0, a);
		bed_prog_use(pr.p, last, 0, a);
		bed_prog_plus(pr.p, last, 0, (sizes[i] - 1) * PAGE);
		run(&pr);
		CHECK(bed_prog_result(pr.p, first)->result == BED_EFAULT &&
			  bed_prog_result(pr.p, last)->result == BED_EFAULT,
		    "%lu pages: a freed page could be touched", sizes[i]);
	}
	bed_prog_free(pr.p);
	bed_down(bed);
}

/* An address that gets another frame shows that one; one that lost its right to be written is not. */
/* property 94 95: tables */
BED_TEST(tlb, changed_entries_count_at_once)
{
	struct bed *bed = BED();
	struct program pr = program(bed);
	gva_t va = GVA(BED_KVA_BASE + 64 * MIB);
	gpa_t one = bed_uvm_pagealloc(bed), two = bed_uvm_pagealloc(bed);
	const uint64_t ro = BED_PROT_READ, rw = BED_PROT_READ | BED_PROT_WRITE;
	unsigned first, second, denied;

	*(uint64_t *)bed_ptr(bed, one, 8) = 111;
	*(uint64_t *)bed_ptr(bed, two, 8) = 222;
	ADD(pr, pmap_kenter_pa, va.v, one.v, rw);
	first = ADD(pr, load, va.v);
	ADD(pr, pmap_kenter_pa, va.v, two.v, rw);
	second = ADD(pr, load, va.v);
	ADD(pr, store, va.v, 222);
	ADD(pr, pmap_kenter_pa, va.v, two.v, ro);
	denied = ADD(pr, store, va.v, 333);
	run(&pr);
	CHECK(bed_prog_result(pr.p, first)->result2 == 111, "%lu",
	    bed_prog_result(pr.p, first)->result2);
	CHECK(bed_prog_result(pr.p, second)->result2 == 222, "%lu",
	    bed_prog_result(pr.p, second)->result2);
	CHECK(bed_prog_result(pr.p, denied)->result == BED_EFAULT, "the right to write stayed");
	bed_prog_free(pr.p);
	bed_down(bed);
}
