/* SPDX-License-Identifier: ISC */
/*
 * The TLB sanitizer on a live guest: silent while the guest works, its log says the same when read again, and a
 * page-table entry changed behind the guest's back is noticed.
 */
#include "tests/bed/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/tlbsan/bed.h"
#include "vmm/tlbsan/log.h"

static void
work_a_while(struct bed *bed)
{
	for (unsigned n = 1; n <= 64; n *= 2) {
		gva_t a = bed_uvm_km_alloc(bed, KERNEL, n * PAGE);
		gva_t b = bed_uvm_km_zalloc(bed, KERNEL, 2 * PAGE);

		bed_uvm_km_free(bed, KERNEL, a, n * PAGE);
		a = bed_uvm_km_alloc(bed, KERNEL, n * PAGE);
		bed_uvm_km_free(bed, KERNEL, b, 2 * PAGE);
		bed_uvm_km_free(bed, KERNEL, a, n * PAGE);
	}
}

static bool
judge(void *arg, const struct tlb_event *ev, struct bed_err *err)
{
	return tlb_event(arg, ev, err);
}

BED_TEST(tlbsan, guest_is_clean_and_its_log_too)
{
	struct bed *bed = BED();
	char *text = NULL;
	size_t size;
	FILE *log = open_memstream(&text, &size), *in;
	struct bed_err err;
	struct tlbsan *s = tlbsan_attach(bed, NULL, log, &err);
	struct tlb_totals live, again;
	struct tlb *t = tlb_new(NULL, NULL, NULL, &err);

	CHECK(s != NULL && t != NULL, "%s", err.text);
	work_a_while(bed);
	CHECK(tlbsan_poll(s, &err), "%s", err.text);
	live = tlbsan_totals(s);
	tlbsan_detach(s);
	CHECK(live.obligations > 100 && live.open == 0, "%lu obligations, %lu open",
	    live.obligations, live.open);
	CHECK(live.found[TLB_USELESS] + live.found[TLB_REPEATED] == 0, "%lu useless invalidations",
	    live.found[TLB_USELESS] + live.found[TLB_REPEATED]);

	fclose(log);
	in = fmemopen(text, size, "r");
	CHECK(tlblog_read(in, "log", judge, t, &err), "%s", err.text);
	fclose(in);
	tlb_settle(t);
	again = tlb_totals(t);
	CHECK(memcmp(&live, &again, sizeof(live)) == 0, "the log tells another story");
	tlb_free(t);
	free(text);
	bed_down(bed);
}

BED_TEST(tlbsan, a_wild_store_is_found)
{
	struct bed *bed = BED();
	struct bed_err err;
	struct tlbsan *s = tlbsan_attach(bed, NULL, NULL, &err);
	gva_t va;

	CHECK(s != NULL, "%s", err.text);
	va = bed_uvm_km_alloc(bed, KERNEL, PAGE);
	CHECK(tlbsan_poll(s, &err), "%s", err.text);
	*bed_entry(bed, va, 1) ^= PTE_PWT;
	bed_uvm_km_free(bed, KERNEL, va, PAGE);
	CHECK(!tlbsan_poll(s, &err) && err.class == BED_E_FINDING,
	    "the entry changed and nobody said so");
	CHECK(strstr(err.text, "error: unlogged:") != NULL, "%s", err.text);
	CHECK(tlbsan_poll(s, &err), "said twice: %s", err.text);
	tlbsan_detach(s);
	bed_down(bed);
}

BED_TEST(tlbsan, the_release_flavour_is_refused)
{
	struct bed *bed = BED(.release = true);
	struct bed_err err;

	CHECK(tlbsan_attach(bed, NULL, NULL, &err) == NULL && err.class == BED_E_USAGE,
	    "attached to a guest that logs nothing");
	bed_down(bed);
}
