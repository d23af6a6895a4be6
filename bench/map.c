/* SPDX-License-Identifier: ISC */
/*
 * Section "map": uvm_km_alloc + uvm_km_free of n pages, against the bare loop of page-table store, touch,
 * clear and INVLPG over the same addresses in the same guest.
 */
#include <math.h>
#include <stdio.h>

#include "bench/measure.h"
#include "shared/paging.h"
#include "vmm/bed/call.h"

static const unsigned sizes[] = { 1, 16, 256 };
#define NSIZES (sizeof(sizes) / sizeof(sizes[0]))

static struct bed_prog *
pair_program(struct bed *bed, unsigned pages, bool touch, struct bed_err *err)
{
	struct bed_prog *p = bed_prog_new(bed, err);
	uint64_t size = (uint64_t)pages * BED_PAGE_SIZE;
	unsigned alloc, op;

	if (p == NULL)
		return NULL;
	alloc = bed_prog_add(p, BED_CALL_uvm_km_alloc, (uint64_t[]){ BED_MAP_KERNEL, size }, 2);
	if (touch) {
		op = bed_prog_add(p, BED_CALL_fill, (uint64_t[]){ 0, pages, 1 }, 3);
		bed_prog_use(p, op, 0, alloc);
	}
	op = bed_prog_add(p, BED_CALL_uvm_km_free, (uint64_t[]){ BED_MAP_KERNEL, 0, size }, 3);
	bed_prog_use(p, op, 1, alloc);
	return p;
}

/* Rounds of the floor in one call, so that the call itself hardly counts. */
static unsigned
floor_rounds(unsigned pages)
{
	return pages < 128 ? 512 / pages : 4;
}

static struct bed_prog *
floor_program(struct bed *bed, uint64_t va, unsigned pages, struct bed_err *err)
{
	struct bed_prog *p = bed_prog_new(bed, err);

	if (p != NULL)
		bed_prog_add(p, BED_CALL_floor, (uint64_t[]){ va, pages, floor_rounds(pages) }, 3);
	return p;
}

static void
count_work(struct bench_result *r, const struct bench_work *w)
{
	bench_count(r, "PTE set", w->pte_set);
	bench_count(r, "clear", w->pte_clear);
	bench_count(r, "INVLPG", w->invlpg);
	bench_count(r, "full flush", w->tlb_full);
	bench_count(r, "exits", w->exits - 1); /* beyond the one that ends the batch */
	bench_count(r, "insns", w->insns);
}

/* One repetition of the program is `rounds` of what the row is about. */
static bool
measure(struct bed *bed, struct bed_prog *p, unsigned rounds, struct bench_work *w,
    struct bench_result *r, struct bed_err *err)
{
	struct bench_work once;
	double overhead;

	if (!bench_batch_overhead(bed, bed_prog_len(p), &overhead, err) ||
	    !bench_program_work(bed, p, 4, &once, err) || /* warm: tables made, first pages taken */
	    !bench_program_work(bed, p, 4, &once, err) || !bench_program_work(bed, p, 12, w, err) ||
	    !bench_program_time(p, r, err))
		return false;
	w->insns = ((w->insns * 12 - once.insns * 4) / 8 - overhead) / rounds;
	w->pte_set /= rounds;
	w->pte_clear /= rounds;
	w->invlpg /= rounds;
	w->tlb_full /= rounds;
	r->operations *= rounds;
	r->ns /= rounds;
	r->ns_min /= rounds;
	r->ns_max /= rounds;
	count_work(r, w);
	return true;
}

/* Exactly n stores to set, n to clear, no exit, at most n INVLPGs. */
static void
judge(struct bench_result *r, const struct bench_work *w, unsigned pages)
{
	snprintf(r->note, sizeof(r->note), "%u set, %u clear, no exit, INVLPG <= %u", pages, pages,
	    pages);
	r->missed =
	    w->pte_set != pages || w->pte_clear != pages || w->exits != 1 || w->invlpg > pages;
}

static bool
pair_row(struct bed *bed, unsigned pages, bool touch, uint64_t *va, struct bench_list *list,
    struct bed_err *err)
{
	struct bed_prog *p = pair_program(bed, pages, touch, err);
	struct bench_result *r =
	    bench_add(list, err, "map/alloc+%sfree %u", touch ? "touch+" : "", pages);
	struct bench_work w;
	bool ok = p != NULL && r != NULL;

	if (ok) {
		r->unit = "pair";
		ok = measure(bed, p, 1, &w, r, err);
	}
	if (ok) {
		judge(r, &w, pages);
		*va = bed_prog_result(p, 0)->result;
	}
	bed_prog_free(p);
	return ok;
}

static bool
floor_row(
    struct bed *bed, unsigned pages, uint64_t va, struct bench_list *list, struct bed_err *err)
{
	struct bed_prog *p = floor_program(bed, va, pages, err);
	struct bench_result *r = bench_add(list, err, "map/floor %u", pages);
	struct bench_work w;
	bool ok = p != NULL && r != NULL;

	if (ok) {
		r->unit = "round";
		ok = measure(bed, p, floor_rounds(pages), &w, r, err);
	}
	bed_prog_free(p);
	return ok;
}

static bool
one_size(struct bed *bed, unsigned pages, struct bench_list *list, struct bed_err *err)
{
	unsigned first = list->n;
	uint64_t va;

	if (!pair_row(bed, pages, false, &va, list, err) ||
	    !pair_row(bed, pages, true, &va, list, err) || !floor_row(bed, pages, va, list, err))
		return false;
	for (unsigned i = first; i < first + 2; i++)
		bench_count(
		    &list->result[i], "x floor", list->result[i].ns / list->result[first + 2].ns);
	return true;
}

bool
bench_map(const struct bed_config *cfg, struct bench_list *list, struct bed_err *err)
{
	struct bed *bed = bed_create(cfg, err);
	bool ok = bed != NULL;

	for (unsigned i = 0; ok && i < NSIZES; i++)
		ok = one_size(bed, sizes[i], list, err);
	bed_destroy(bed);
	return ok;
}
