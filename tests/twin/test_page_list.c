/* SPDX-License-Identifier: ISC */
/*
 * Runs and lists of pages on the twin, against a brute-force reading of all pages.
 */
#include "tests/twin/request.h"

#include <string.h>

static void
boot_small(void)
{
	twin_boot(8 * MIB, 16 * MIB, PAGES);
}

/* The longest stretch of free pages of the kind (UVM_PMR_MEMTYPE_MAX: any), below `limit`. */
static uint64_t
longest_free(unsigned kind, uint64_t limit)
{
	uint64_t best = 0;

	for (unsigned i = 0; i < vm_nphysseg; i++) {
		uint64_t n = 0;

		for (const struct vm_page *pg = vm_physmem[i].pgs; pg < vm_physmem[i].lastpg;
		     pg++) {
			bool free = !(pg->pg_flags & PQ_INUSE);
			bool dirty = pg->pg_flags & PG_DIRTY;

			if (kind == UVM_PMR_MEMTYPE_DIRTY)
				free = free && dirty && !(pg->pg_flags & PG_QUICK);
			else if (kind == UVM_PMR_MEMTYPE_ZERO)
				free = free && !dirty;
			n = free ? n + 1 : 0;
			best = n > best ? n : best;
		}
	}
	return best < limit ? best : limit;
}

#define LONG (UVM_PMR_QUICK + 8) /* pages: too long for the stacks of short runs */

BED_TEST(page_list, placement_is_from_the_top)
{
	struct vm_page *a, *b, *c;
	unsigned got;

	boot_small();
	a = uvm_pmr_getrun(1, &got, 0);
	cr_assert_eq(VM_PAGE_TO_PHYS(a), 8 * MIB - PAGE_SIZE);
	b = uvm_pmr_getrun(LONG, &got, 0);
	cr_assert_eq(got, LONG);
	cr_assert_eq(VM_PAGE_TO_PHYS(b), 8 * MIB - (LONG + 1) * PAGE_SIZE);
	cr_assert_eq(b[LONG - 1].pg_flags, PQ_INUSE | PG_ZERO);
	uvm_pmr_putrun(b, LONG);
	c = uvm_pmr_getrun(8, &got, 0);
	cr_assert_eq(c, b + LONG - 8, "dirty pages first, from the end of their run");
	uvm_pmr_putrun(c, 8);
	cr_assert_eq(uvm_pmr_getrun(LONG + 1, &got, 0), a - LONG - (LONG + 1), "as one run");
	cr_assert_eq(uvm_pmr_getrun(8, &got, 0), c, "what was freed last");
	uvm_pmr_putrun(a - LONG - (LONG + 1), LONG + 1);
	uvm_pmr_putrun(c, 8);
	uvm_pmr_putrun(a, 1);
	check_free("all back", 0, true);
}

/* property 76: pages */
BED_TEST(page_list, freed_neighbours_become_one_run)
{
	static const unsigned order[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 },
		{ 2, 0, 1 }, { 2, 1, 0 } };
	unsigned got;

	boot_small();
	for (unsigned i = 0; i < nitems(order); i++) {
		struct vm_page *pg = uvm_pmr_getrun(3 * LONG, &got, 0);

		cr_assert_eq(got, 3 * LONG);
		for (unsigned j = 0; j < 3; j++) {
			uvm_pmr_putrun(pg + LONG * order[i][j], LONG);
			check_free("one part back", i, true);
		}
		cr_assert_eq(pg->fpgsz, 3 * LONG);
	}
}

BED_TEST(page_list, untouched_pages_stay_what_they_were)
{
	struct vm_page *pg, *dirty;
	uint64_t zero;
	unsigned got;

	boot_small();
	dirty = uvm_pmr_getrun(20, &got, 0);
	uvm_pmr_putrun(dirty, 20);
	zero = uvm_pmr.pages[UVM_PMR_MEMTYPE_ZERO];
	pg = uvm_pmr_getrun(50, &got, UVM_PGA_ZERO);
	uvm_pmr_unget(pg, 50);
	cr_assert_eq(uvm_pmr.pages[UVM_PMR_MEMTYPE_ZERO], zero);
	pg = uvm_pmr_getrun(20, &got, 0);
	cr_assert_eq(pg, dirty);
	uvm_pmr_unget(pg, 20);
	cr_assert_eq(uvm_pmr.pages[UVM_PMR_MEMTYPE_ZERO], zero);
	cr_assert_eq(uvm_pmr.pages[UVM_PMR_MEMTYPE_DIRTY], 20);
	check_free("all back", 0, true);
}

/* What uvm_pmr_getrun() promises, from the state before the call. */
static struct vm_page *
checked_getrun(unsigned want, int flags, unsigned *got, uint64_t seed)
{
	uint64_t free = uvmexp.free, reserve = flags & UVM_PGA_USERESERVE ? 4 : 6;
	uint64_t may = free > reserve ? free - reserve : 0, limit = want < may ? want : may;
	uint64_t zero = longest_free(UVM_PMR_MEMTYPE_ZERO, limit);
	uint64_t dirty = longest_free(UVM_PMR_MEMTYPE_DIRTY, limit);
	uint64_t most = flags & UVM_PGA_ZERO && zero != 0 ? zero : zero > dirty ? zero : dirty;
	struct vm_page *pg = uvm_pmr_getrun(want, got, flags);

	cr_assert_eq(pg != NULL, limit != 0, "seed 0x%lx: want %u, %lu free", seed, want, free);
	if (pg == NULL)
		return NULL;
	cr_assert_leq(*got, limit);
	cr_assert(*got >= most || uvm_pmr.nquick != 0 || most == 0,
	    "seed 0x%lx: got %u of %u, %lu in one run", seed, *got, want, most);
	cr_assert_eq(uvmexp.free, free - *got);
	cr_assert(!(flags & UVM_PGA_ZERO) || zero == 0 || pg->pg_flags & PG_ZERO,
	    "seed 0x%lx: known zeroes left aside", seed);
	for (unsigned i = 0; i < *got; i++)
		cr_assert_eq(pg[i].pg_flags, pg->pg_flags, "seed 0x%lx: one kind", seed);
	return pg;
}

#define HELD 64
static struct held {
	struct vm_page *pg;
	unsigned n;
} held[HELD];

/* Fill with something that is neither zero nor poison. */
static void
scribble(struct vm_page *pg, unsigned n)
{
	memset(PMAP_DIRECT_MAP(VM_PAGE_TO_PHYS(pg)), 0x77, n * PAGE_SIZE);
}

/* property 76: pages */
BED_TEST(page_list, random_runs)
{
	struct rnd r = rnd_start("page_list::random_runs");
	uint64_t before;

	boot_small();
	before = uvmexp.free;
	for (unsigned step = 0; step < 4000; step++) {
		struct held *h = &held[rnd_below(&r, HELD)];
		unsigned part;

		if (h->pg == NULL) {
			unsigned want = 1 + (unsigned)rnd_below(&r, rnd_below(&r, 3) ? 4 : 120);

			h->pg = checked_getrun(want, (int)rnd_below(&r, 4), &h->n, r.seed);
			if (h->pg != NULL)
				scribble(h->pg, h->n);
		} else {
			/* Some of it: from the front, or all. */
			part = 1 + (unsigned)rnd_below(&r, h->n);
			uvm_pmr_putrun(h->pg, part);
			h->pg = part == h->n ? NULL : h->pg + part;
			h->n -= part;
		}
		check_free("random", r.seed, step % 64 == 0);
	}
	for (unsigned i = 0; i < HELD; i++) {
		if (held[i].pg != NULL)
			uvm_pmr_putrun(held[i].pg, held[i].n);
	}
	check_free("all back", r.seed, true);
	cr_assert_eq(uvmexp.free, before, "seed 0x%lx", r.seed);
	uvm_pmr_drain();
	check_free("drained", r.seed, true);
	cr_assert_eq(uvm_pmr.nquick, 0);
}

static struct request
random_request(struct rnd *r)
{
	struct request q = { .pages = 1 + rnd_below(r, rnd_below(r, 2) ? 8 : 200),
		.high = ANY,
		.flags = UVM_PLA_NOWAIT | (rnd_below(r, 4) ? 0 : UVM_PLA_ZERO) };
	unsigned what = (unsigned)rnd_below(r, 16);

	if (what & 1)
		q.nsegs = 1 + (int)rnd_below(r, 5);
	if (what & 2)
		q.alignment = PAGE_SIZE << rnd_below(r, 6);
	if (what & 4) {
		q.low = rnd_below(r, 6 * MIB) & ~PAGE_MASK;
		q.high = q.low + (rnd_below(r, 7 * MIB) | PAGE_MASK);
	}
	if (what & 8) {
		q.boundary = PAGE_SIZE << rnd_below(r, 8);
		while (q.nsegs != 0 && q.boundary * (uint64_t)q.nsegs < ptoa(q.pages))
			q.boundary *= 2;
	}
	return q;
}

/* Memory like a sieve: a third of all pages in use, dirty and zero runs side by side. */
static void
fragment(struct rnd *r)
{
	struct vm_page *pg;
	unsigned got, n = 0;
	static struct vm_page *all[4096];

	while ((pg = uvm_pmr_getrun(1 + (unsigned)rnd_below(r, 9), &got, UVM_PGA_ZERO)) != NULL) {
		for (unsigned i = 0; i < got; i++)
			all[n++] = &pg[i];
		if (rnd_below(r, 4) == 0 && uvmexp.free < 300)
			break;
	}
	for (unsigned i = 0; i < n; i++) {
		if (rnd_below(r, 8) < 5) {
			scribble(all[i], 1);
			uvm_pmr_putrun(all[i], 1);
		}
	}
}

/* property 76 77 78: pages */
BED_TEST(page_list, random_constraints)
{
	struct rnd r = rnd_start("page_list::random_constraints");
	unsigned yes = 0, no = 0;

	for (unsigned round = 0; round < 40; round++) {
		boot_small();
		fragment(&r);
		for (unsigned step = 0; step < 60; step++) {
			struct request q = random_request(&r);
			bool can = uvmexp.free > 4 + q.pages && request_possible(&q);
			uint64_t free = uvmexp.free;
			struct pglist l;
			int error = request_try(&q, &l);

			cr_assert_eq(error, can ? 0 : ENOMEM,
			    "seed 0x%lx round %u step %u: %lu pages 0x%lx..0x%lx align 0x%lx "
			    "boundary 0x%lx nsegs %d: error %d",
			    r.seed, round, step, q.pages, q.low, q.high, q.alignment, q.boundary,
			    q.nsegs, error);
			if (error == 0) {
				request_check(&q, &l, r.seed);
				cr_assert_eq(uvmexp.free, free - q.pages);
				if (rnd_below(&r, 3) != 0) {
					struct vm_page *run;

					PGLIST_FOREACH_RUN(run, &l)
					scribble(run, run->fpgsz);
					uvm_pglistfree(&l);
				}
				yes++;
			} else {
				cr_assert_eq(uvmexp.free, free);
				no++;
			}
			check_free("after a request", r.seed, step % 16 == 0);
		}
	}
	cr_assert(yes > 100 && no > 100, "%u possible, %u impossible: not much of a test", yes, no);
}

/* property 77: pages */
BED_TEST(page_list, table_of_constraints)
{
	/* On 8 MiB just booted: [6 MiB pool 7 MiB), free up to 8 MiB; low memory from 0x40000 on. */
	static const struct {
		struct request q;
		int error;
		paddr_t first; /* 0: anywhere */
	} row[] = {
		{ { 1, 0, ANY, 0, 0, 1, 0 }, 0, 8 * MIB - PAGE_SIZE },
		{ { 1, 0, 8 * MIB - PAGE_SIZE - 1, 0, 0, 1, 0 }, 0, 8 * MIB - 2 * PAGE_SIZE },
		{ { 1, 8 * MIB - PAGE_SIZE, ANY, 0, 0, 1, 0 }, 0, 8 * MIB - PAGE_SIZE },
		{ { 2, 8 * MIB - PAGE_SIZE, ANY, 0, 0, 0, 0 }, ENOMEM, 0 },
		{ { 1, 8 * MIB, ANY, 0, 0, 1, 0 }, ENOMEM, 0 },
		{ { 1, 8 * MIB - PAGE_SIZE + 1, ANY, 0, 0, 1, 0 }, ENOMEM, 0 }, /* rounded up */
		{ { 1, 0, 8 * MIB - 2, 0, 0, 1, 0 }, 0, 8 * MIB - 2 * PAGE_SIZE },
		{ { 256, 7 * MIB, ANY, 0, 0, 1, 0 }, 0, 7 * MIB },
		{ { 257, 7 * MIB, ANY, 0, 0, 1, 0 }, ENOMEM, 0 },
		{ { 16, 0, ANY, 64 * 1024, 0, 1, 0 }, 0, 8 * MIB - 64 * 1024 },
		{ { 17, 0, ANY, 64 * 1024, 0, 1, 0 }, 0, 8 * MIB - 128 * 1024 },
		{ { 2, 0, ANY, 0, 8192, 1, 0 }, 0, 8 * MIB - 8192 },
		{ { 3, 0, ANY, 0, 8192, 1, 0 }, EINVAL, 0 },
		{ { 3, 0, ANY, 0, 8192, 2, 0 }, 0, 0 },
		{ { 3, 0, ANY, 0, 16384, 1, 0 }, 0, 8 * MIB - 3 * PAGE_SIZE },
		{ { 1, 0, ANY, 3 * PAGE_SIZE, 0, 1, 0 }, EINVAL, 0 },
		{ { 1, 0, ANY, 0, 3 * PAGE_SIZE, 1, 0 }, EINVAL, 0 },
		{ { 1, 0, ANY, 0, 2048, 1, 0 }, EINVAL, 0 },
		{ { 0, 0, ANY, 0, 0, 1, 0 }, EINVAL, 0 },
		{ { 1, 0, 0xffe, 0, 0, 1, 0 }, EINVAL, 0 },
		{ { 1, 0x2000, 0x1fff, 0, 0, 1, 0 }, EINVAL, 0 },
		{ { 1, UINT64_MAX - 1, ANY, 0, 0, 1, 0 }, EINVAL, 0 },
		{ { 1, 0, ANY, UINT64_C(1) << 63, 0, 1, 0 }, ENOMEM, 0 },
		{ { 300, 0, ANY, 0, 0, 1, 0 }, 0, 0 }, /* low memory has it */
		{ { 100000, 0, ANY, 0, 0, 0, 0 }, ENOMEM, 0 },
		{ { 8, 0, ANY, 0, PAGE_SIZE, 8, 0 }, 0, 0 },
		{ { 8, 0, ANY, 0, PAGE_SIZE, 0, UVM_PLA_TRYCONTIG }, 0, 0 },
	};

	for (unsigned i = 0; i < nitems(row); i++) {
		struct request q = row[i].q;
		struct pglist l;
		uint64_t free;

		boot_small();
		free = uvmexp.free;
		q.flags |= UVM_PLA_NOWAIT;
		cr_assert_eq(request_try(&q, &l), row[i].error, "row %u", i);
		if (row[i].error == 0) {
			request_check(&q, &l, i);
			if (row[i].first != 0)
				cr_assert_eq(VM_PAGE_TO_PHYS(l.first), row[i].first, "row %u", i);
			uvm_pglistfree(&l);
		}
		cr_assert_eq(uvmexp.free, free, "row %u", i);
		check_free("table", i, true);
	}
}

/* A dirty and a zero run that touch, and single pages: together the only place for a long segment. */
/* property 78: pages */
BED_TEST(page_list, one_segment_of_both_kinds)
{
	struct request q = { .pages = 100, .high = ANY, .nsegs = 1, .flags = UVM_PLA_NOWAIT };
	struct vm_page *pg, *run;
	struct pglist l;
	unsigned got, kinds = 0;

	boot_small();
	pg = uvm_pmr_getrun(256, &got, 0);
	cr_assert_eq(got, 256);
	cr_assert_eq(VM_PAGE_TO_PHYS(pg), 7 * MIB);
	while (uvm_pmr_getrun(99, &got, 0) != NULL && uvmexp.free > 80)
		continue;
	/* 60 dirty pages, two single ones above them, zero ones nowhere near: 62 in a row. */
	uvm_pmr_putrun(pg, 60);
	uvm_pmr_putrun(pg + 60, 1);
	uvm_pmr_putrun(pg + 61, 1);
	q.pages = 62;
	cr_assert_eq(request_try(&q, &l), 0);
	request_check(&q, &l, 0);
	uvm_pglistfree(&l);
	q.pages = 63;
	cr_assert_eq(request_try(&q, &l), ENOMEM);
	check_free("dirty", 0, true);

	boot_small();
	pg = uvm_pmr_getrun(40, &got, 0);
	uvm_pmr_putrun(pg, 40); /* dirty, and right below it zero */
	q.low = 7 * MIB;
	q.pages = 256;
	cr_assert_eq(request_try(&q, &l), 0);
	request_check(&q, &l, 0);
	PGLIST_FOREACH_RUN(run, &l)
	kinds |= run->pg_flags & PG_ZERO ? 1 : 2;
	cr_assert_eq(kinds, 3);
	uvm_pglistfree(&l);
	check_free("both", 0, true);
}

BED_TEST(page_list, segments_never_join_memory_segments)
{
	struct request q = { .pages = 0, .high = ANY, .nsegs = 1, .flags = UVM_PLA_NOWAIT };
	struct pglist l;

	twin_reset();
	uvm_page_physload(0xb00, 0xc00, 0xb00, 0xc00, 0);
	uvm_page_physload(0xc00, 0xd00, 0xc00, 0xd00, 0);
	uvm_page_init();
	q.pages = 0x100;
	cr_assert_eq(request_try(&q, &l), 0);
	uvm_pglistfree(&l);
	q.pages = 0x101;
	cr_assert_eq(request_try(&q, &l), ENOMEM);
	check_free("adjacent segments", 0, false);
}
