/* SPDX-License-Identifier: ISC */
/*
 * A call that fails leaves no page-table page behind: what cannot succeed is found out before the map
 * makes tables for it, and they are made when it does succeed.
 */
#include <machine/thread.h>

#include "guest/pmap.h"
#include "guest/uvm/uvm_km.h"
#include "guest/uvm/uvm_map.h"
#include "guest/uvm/uvm_object.h"
#include "tests/twin/check.h"

#define KO   (&uvm_kernel_object)
#define P(n) ((vsize_t)(n) << 12)

/* What a failed call must leave alone. */
struct tables {
	uint64_t ptps;
	vaddr_t end, maxkaddr;
	vsize_t size;
	uint64_t free;
};

static struct tables
tables_now(void)
{
	return (struct tables){
		.ptps = pmap_kernel()->pm_ptps,
		.end = pmap_kernel()->pm_end,
		.maxkaddr = uvm_maxkaddr,
		.size = kernel_map->size,
		.free = uvmexp.free + uvmexp.kernpages,
	};
}

static void
check_tables(struct tables was)
{
	struct tables is = tables_now();

	cr_assert_eq(is.ptps, was.ptps);
	cr_assert_eq(is.end, was.end);
	cr_assert_eq(is.maxkaddr, was.maxkaddr);
	cr_assert_eq(is.size, was.size);
	cr_assert_eq(is.free, was.free);
}

BED_TEST(km, more_than_memory_makes_no_tables)
{
	static const int flags[] = { 0, UVM_KMF_NOWAIT, UVM_KMF_CANFAIL, UVM_KMF_ZERO };
	struct tables was;

	twin_boot(16 * MIB, 1 * GIB, 0);
	was = tables_now();
	for (vsize_t size = 128 * MIB; size > ptoa(uvmexp.npages); size /= 2) {
		cr_assert_eq(uvm_km_alloc(kernel_map, size), 0);
		cr_assert_eq(uvm_km_zalloc(kernel_map, size), 0);
		for (unsigned i = 0; i < nitems(flags); i++)
			cr_assert_eq(uvm_km_kmemalloc(kernel_map, KO, size, flags[i]), 0);
	}
	/* The page daemon's reserve is nobody else's. */
	cr_assert_eq(
	    uvm_km_alloc(kernel_map, ptoa(uvmexp.npages - uvmexp.reserve_pagedaemon + 1)), 0);
	check_tables(was);
	cr_assert_neq(uvm_km_kmemalloc(kernel_map, KO, 4 * MIB, UVM_KMF_NOWAIT), 0);
	cr_assert_gt(pmap_kernel()->pm_ptps, was.ptps);
}

BED_TEST(km, more_than_is_free_makes_no_tables)
{
	struct tables was;

	twin_boot(16 * MIB, 1 * GIB, 0);
	cr_assert_neq(uvm_km_alloc(kernel_map, 6 * MIB), 0);
	was = tables_now();
	for (uint64_t n = uvmexp.free - uvmexp.reserve_kernel + 1; n < uvmexp.npages - 10;
	     n += 300) {
		cr_assert_eq(uvm_km_kmemalloc(kernel_map, KO, P(n), UVM_KMF_NOWAIT), 0);
		cr_assert_eq(
		    uvm_km_kmemalloc(kernel_map, KO, P(n), UVM_KMF_CANFAIL | UVM_KMF_ZERO), 0);
		check_tables(was);
	}
}

/* No such pages, or never any; the second kind is refused even to those who would wait. */
BED_TEST(km, constraints_that_fail_make_no_tables)
{
	struct tables was;

	twin_boot(16 * MIB, 1 * GIB, 0);
	was = tables_now();
	cr_assert_eq(uvm_km_kmemalloc_pla(
			 kernel_map, KO, 4 * MIB, 0, UVM_KMF_NOWAIT, 0, 2 * MIB - 1, 0, 0, 0),
	    0);
	cr_assert_eq(uvm_km_kmemalloc_pla(kernel_map, KO, 4 * MIB, 0, UVM_KMF_NOWAIT, 64 * MIB,
			 (paddr_t)-1, 0, 0, 0),
	    0);
	cr_assert_eq(uvm_km_kmemalloc_pla(
			 kernel_map, KO, 4 * MIB, 0, 0, 0, (paddr_t)-1, 3 * PAGE_SIZE, 0, 0),
	    0);
	cr_assert_eq(
	    uvm_km_kmemalloc_pla(kernel_map, KO, 4 * MIB, 0, 0, 0, (paddr_t)-1, 0, 2 * MIB, 1), 0);
	cr_assert_eq(
	    uvm_km_kmemalloc_pla(kernel_map, KO, 4 * MIB, 0, 0, 8 * MIB, 4 * MIB, 0, 0, 0), 0);
	check_tables(was);
}

/*
 * With k pages left, for every k: where the object has no places yet, and none can be made after the
 * pages are taken, the call finds out before there are tables.
 */
BED_TEST(km, every_amount_of_memory_without_tables)
{
	unsigned worked = 0, failed = 0;

	for (uint64_t k = 0; k < 60; k++) {
		struct vm_page *pg;
		struct tables was;
		vaddr_t fill;

		twin_boot(16 * MIB, 1 * GIB, 0);
		/* The next address is the first without a table. */
		fill = uvm_km_valloc(kernel_map, P(1));
		cr_assert_neq(fill, 0);
		cr_assert_neq(uvm_km_valloc(kernel_map, uvm_maxkaddr - fill - P(1)), 0);
		while (uvmexp.free > k) {
			pg = uvm_pagealloc(NULL, 0, UVM_PGA_USERESERVE);
			if (pg == NULL)
				break;
		}
		was = tables_now();
		if (uvm_km_kmemalloc(kernel_map, KO, P(5), UVM_KMF_NOWAIT) == 0) {
			check_tables(was);
			failed++;
		} else {
			cr_assert_gt(pmap_kernel()->pm_ptps, was.ptps);
			worked++;
		}
	}
	cr_assert_gt(worked, 20);
	cr_assert_gt(failed, 5);
}

BED_TEST(map, refusals_make_no_tables)
{
	vaddr_t min = 0, max = 0, va, over;
	struct vm_map *sub;
	struct vm_page *pg;
	struct tables was;

	twin_boot(16 * MIB, 1 * GIB, 0);
	/* FIXED and UNMAP across a submap, beyond the tables there are. */
	sub = uvm_km_suballoc(kernel_map, &min, &max, P(4), 0, FALSE, NULL);
	cr_assert_not_null(sub);
	was = tables_now();
	va = over = min;
	cr_assert_eq(uvm_map(kernel_map, &va, 16 * MIB, KO, UVM_UNKNOWN_OFFSET, 0,
			 UVM_MAPFLAG(PROT_READ, PROT_READ, MAP_INHERIT_NONE, MADV_RANDOM,
			     UVM_FLAG_FIXED | UVM_FLAG_UNMAP)),
	    EINVAL);
	cr_assert_eq(va, over);
	check_tables(was);

	/* A submap whose own storage is not to be had. */
	min = vm_map_min(kernel_map);
	while ((pg = uvm_pagealloc(NULL, 0, UVM_PGA_USERESERVE)) != NULL)
		;
	was = tables_now();
	cr_assert_null(uvm_km_suballoc(kernel_map, &min, &max, 32 * MIB, 0, FALSE, NULL));
	check_tables(was);
}
