/* SPDX-License-Identifier: ISC */
/*
 * pmap(9) on the twin: the exact bits, the exact number of stores and invalidations, their order, and
 * the edges of tables.
 */
#include "tests/twin/check.h"

#include "guest/twin/priv.h"

#define FRAME (UINT64_C(0x1400000)) /* some RAM frames for mappings that nobody owns */

static struct bed_counters
work(void)
{
	return *twin_count();
}

static vaddr_t
grow(vaddr_t end)
{
	vaddr_t got = pmap_growkernel(end);

	cr_assert_geq(got, end);
	return got;
}

static struct vm_page *
a_page(void)
{
	struct vm_page *pg = uvm_pagealloc(NULL, 0, 0);

	cr_assert_not_null(pg);
	return pg;
}

/* property 5: tables */
BED_TEST(pmap, bits_of_leaves)
{
	struct vm_page *pg;
	uint64_t pa;

	twin_boot(0, 0, PAGES);
	pg = a_page();
	pa = VM_PAGE_TO_PHYS(pg);
	grow(KVA + 2 * MIB);

	cr_assert_eq(pmap_kenter_pa(KVA, FRAME, RW), 0);
	cr_assert_eq(leaf_at(KVA), FRAME | 0x8000000000000103);
	cr_assert_eq(pmap_kenter_pa(KVA + 0x1000, FRAME, PROT_READ), 0);
	cr_assert_eq(leaf_at(KVA + 0x1000), FRAME | 0x8000000000000101);
	cr_assert_eq(pmap_kenter_pa(KVA + 0x2000, FRAME, PROT_READ | PROT_EXEC), 0);
	cr_assert_eq(leaf_at(KVA + 0x2000), FRAME | 0x101);

	cr_assert_eq(pmap_enter(pmap_kernel(), KVA + 0x3000, pa, RW, RW), 0);
	cr_assert_eq(leaf_at(KVA + 0x3000), pa | 0x8000000000000503);
	pmap_remove(pmap_kernel(), KVA + 0x3000, KVA + 0x4000);
	cr_assert_eq(pmap_enter(pmap_kernel(), KVA + 0x3000, pa, RW, RW | PMAP_WIRED), 0);
	cr_assert_eq(leaf_at(KVA + 0x3000), pa | 0x8000000000000703);
	/* Not a managed page: not a managed mapping. */
	cr_assert_eq(pmap_enter(pmap_kernel(), KVA + 0x4000, twin_info.root, PROT_READ, 0), 0);
	cr_assert_eq(leaf_at(KVA + 0x4000), twin_info.root | 0x8000000000000101);
	check_pmap("after all", 0);
}

BED_TEST(pmap, upper_entries_are_p_w_nx)
{
	const uint64_t *l3, *l2;

	twin_boot(0, 0, PAGES);
	grow(KVA + 4 * MIB);
	l3 = PMAP_DIRECT_MAP(((uint64_t *)PMAP_DIRECT_MAP(twin_info.root))[256] & PTE_FRAME);
	l2 = PMAP_DIRECT_MAP(l3[0] & PTE_FRAME);
	cr_assert_eq(l3[0] & ~PTE_FRAME, PTE_P | PTE_W | PTE_NX);
	cr_assert_eq(l2[0] & ~PTE_FRAME, PTE_P | PTE_W | PTE_NX);
	cr_assert_eq(l2[1] & ~PTE_FRAME, PTE_P | PTE_W | PTE_NX);
	cr_assert_eq(l2[2], 0);
}

/* n pages: n stores and nothing else; removing them: n stores and n INVLPG, or one full flush. */
static void
one_run(vaddr_t va, unsigned n)
{
	struct bed_counters before = work(), after;

	pmap_kenter_run(va, FRAME, n, RW);
	after = work();
	cr_assert_eq(after.pte_set - before.pte_set, n);
	cr_assert_eq(after.pte_clear + after.pte_change + after.invlpg + after.tlb_full,
	    before.pte_clear + before.pte_change + before.invlpg + before.tlb_full);
	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(leaf_at(va + i * PAGE_SIZE) & PTE_FRAME, FRAME + i * PAGE_SIZE);
	cr_assert_eq(leaf_at(va - PAGE_SIZE), 0);
	cr_assert_eq(leaf_at(va + n * PAGE_SIZE), 0);
	check_pmap("entered", n);

	before = after;
	pmap_kremove(va, n * PAGE_SIZE);
	after = work();
	cr_assert_eq(after.pte_clear - before.pte_clear, n);
	cr_assert_eq(after.invlpg - before.invlpg, n <= 32 ? n : 0, "%u pages: %lu INVLPG", n,
	    after.invlpg - before.invlpg);
	cr_assert_eq(after.tlb_full - before.tlb_full, n <= 32 ? 0 : 1);
	cr_assert_eq(after.pte_set, before.pte_set);
	check_pmap("removed", n);
	cr_assert_eq(pmap_kernel()->pm_resident, 0);
}

/* property 93 95: tables */
BED_TEST(pmap, exact_work_at_edges)
{
	static const vaddr_t at[] = { 2 * MIB - PAGE_SIZE, 2 * MIB, 4 * MIB - 5 * PAGE_SIZE,
		GIB - PAGE_SIZE, GIB, GIB - 2 * MIB };
	static const unsigned size[] = { 1, 2, 3, 31, 32, 33, 511, 512, 513, 1024, 1500 };

	twin_boot(0, 0, PAGES);
	grow(KVA + GIB + 8 * MIB);
	for (unsigned i = 0; i < nitems(at); i++) {
		for (unsigned j = 0; j < nitems(size); j++)
			one_run(KVA + at[i], size[j]);
	}
}

BED_TEST(pmap, flush_threshold_of_boot)
{
	const struct twin_config cfg = { .flush_threshold = 100, .flags = PAGES };
	struct bed_counters before;

	twin_boot_config(&cfg);
	grow(KVA + 2 * MIB);
	before = work();
	/* Single pages: more runs than a batch holds. */
	for (unsigned i = 0; i < 100; i++)
		pmap_kenter_pa(KVA + 2 * i * PAGE_SIZE, FRAME, RW);
	pmap_kremove(KVA, 2 * MIB);
	cr_assert_eq(work().invlpg - before.invlpg, 100);
	cr_assert_eq(work().tlb_full, before.tlb_full);
	check_pmap("100 of 100", 0);
	for (unsigned i = 0; i < 101; i++)
		pmap_kenter_pa(KVA + 2 * i * PAGE_SIZE, FRAME, RW);
	pmap_kremove(KVA, 2 * MIB);
	cr_assert_eq(work().tlb_full - before.tlb_full, 1);
	check_pmap("101 of 100", 0);
}

BED_TEST(pmap, sparse_range_costs_what_is_there)
{
	struct bed_counters before;

	twin_boot(0, 0, PAGES);
	grow(KVA + GIB);
	pmap_kenter_pa(KVA, FRAME, RW);
	pmap_kenter_pa(KVA + 3 * MIB, FRAME, RW);
	pmap_kenter_pa(KVA + GIB - PAGE_SIZE, FRAME, RW);
	before = work();
	pmap_kremove(KVA, GIB);
	cr_assert_eq(work().pte_clear - before.pte_clear, 3);
	cr_assert_eq(work().invlpg - before.invlpg, 3);
	cr_assert_eq(work().tlb_full, before.tlb_full);
	pmap_kremove(KVA, GIB);
	cr_assert_eq(work().pte_clear - before.pte_clear, 3);
	cr_assert_eq(work().invlpg - before.invlpg, 3);
	check_pmap("after all", 0);
}

/* Every clearing store of a page is older than the invalidation that covers it. */
BED_TEST(pmap, cleared_then_invalidated)
{
	unsigned cleared = 0, flushed = 0;

	twin_boot(0, 0, PAGES);
	grow(KVA + 2 * MIB);
	pmap_kenter_run(KVA, FRAME, 8, RW);
	twin_events_clear();
	pmap_kremove(KVA, 8 * PAGE_SIZE);
	for (uint64_t i = 0; i < twin_nevent; i++) {
		if (twin_event[i].type == BED_EV_PTE_STORE) {
			cr_assert_eq(twin_event[i].a[2], 0);
			cr_assert_eq(twin_event[i].a[1] & PTE_FRAME, FRAME + cleared * PAGE_SIZE);
			cleared++;
		} else if (twin_event[i].type == BED_EV_INVLPG) {
			cr_assert_eq(twin_event[i].a[0], KVA + flushed * PAGE_SIZE);
			flushed++;
			cr_assert_leq(flushed, cleared);
		}
	}
	cr_assert_eq(cleared, 8);
	cr_assert_eq(flushed, 8);
}

/* property 79: tables */
BED_TEST(pmap, growth)
{
	struct pmap *pm = pmap_kernel();
	uint64_t pool;

	twin_boot(0, 0, PAGES);
	pool = pm->pm_pool;
	cr_assert_eq(pm->pm_end, KVA);
	cr_assert_eq(pmap_growkernel(KVA), KVA);
	cr_assert_eq(pmap_growkernel(KVA + 1), KVA + 2 * MIB);
	cr_assert_eq(pm->pm_ptps, 3); /* L3 from boot, L2, L1 */
	cr_assert_eq(pmap_growkernel(KVA + 1), KVA + 2 * MIB);
	cr_assert_eq(pmap_growkernel(KVA + 2 * MIB), KVA + 2 * MIB);
	cr_assert_eq(pm->pm_ptps, 3);
	cr_assert_eq(pmap_growkernel(KVA + 2 * MIB + 1), KVA + 4 * MIB);
	cr_assert_eq(pm->pm_ptps, 4);
	cr_assert_eq(pmap_growkernel(KVA + GIB + 1), KVA + GIB + 2 * MIB);
	cr_assert_eq(pm->pm_ptps, 1 + 2 + 513);
	cr_assert_eq(pm->pm_pool - pool, (pm->pm_ptps - 1) * PAGE_SIZE);
	cr_assert_eq(twin_count()->ptp_alloc, pm->pm_ptps - 1);
	cr_assert_eq(pmap_growkernel(KVA + 4 * GIB + 1), 0); /* beyond kernel_map */
	cr_assert_eq(pmap_growkernel(KVA - 1), 0);
	cr_assert_eq(pm->pm_end, KVA + GIB + 2 * MIB);
	cr_assert_eq(twin_count()->invlpg + twin_count()->tlb_full, 0);
	check_pmap("after all", 0);
}

/* One page of the pool too few: nothing is taken, and a smaller step still works. */
/* property 81: tables */
BED_TEST(pmap, growth_is_all_or_nothing)
{
	struct pmap *pm = pmap_kernel();
	uint64_t left, pool;

	twin_boot(0, 0, PAGES);
	left = (pm->pm_poolend - pm->pm_pool) / PAGE_SIZE;
	cr_assert_eq(pmap_growkernel(KVA + 10 * MIB), KVA + 10 * MIB);
	left -= 6;
	pool = pm->pm_pool;
	cr_assert_eq(left * PAGE_SIZE, pm->pm_poolend - pool);
	/* left - 1 more L1 tables within the first GiB and one L2 would be one too many for `left`. */
	cr_assert(left > 507 && left < 1018, "the test is made for a pool of this size: %lu", left);
	cr_assert_eq(pmap_growkernel(KVA + 10 * MIB + left * 2 * MIB), 0);
	cr_assert_eq(pm->pm_pool, pool);
	cr_assert_eq(pm->pm_end, KVA + 10 * MIB);
	check_pmap("after the failure", 0);
	cr_assert_neq(pmap_growkernel(KVA + 10 * MIB + (left - 1) * 2 * MIB), 0);
	cr_assert_eq(pm->pm_pool, pm->pm_poolend);
	cr_assert_eq(pmap_growkernel(pm->pm_end + 1), 0);
	check_pmap("after the last page", 0);
}

/* Not even a level-3 table, and just enough pages for what [KVA, KVA + 4 MiB) takes. */
BED_TEST(pmap, growth_from_nothing)
{
	struct pmap *pm = pmap_kernel();

	twin_reset();
	((uint64_t *)PMAP_DIRECT_MAP(twin_info.root))[256] = 0;
	uvm_page_physload(0xb00, 0xc00, 0xb00, 0xc00, 0);
	uvm_page_init();
	cr_assert_eq(pm->pm_ptps, 0);
	pm->pm_poolend = pm->pm_pool + 4 * PAGE_SIZE;
	cr_assert_eq(pmap_growkernel(KVA + 4 * MIB + 1), 0);
	cr_assert_eq(pm->pm_ptps, 0);
	cr_assert_eq(pmap_growkernel(KVA + 4 * MIB), KVA + 4 * MIB);
	cr_assert_eq(pm->pm_ptps, 4);
	check_pmap("grown", 0);

	twin_reset();
	((uint64_t *)PMAP_DIRECT_MAP(twin_info.root))[256] = 0;
	uvm_page_physload(0xb00, 0xc00, 0xb00, 0xc00, 0);
	uvm_page_init();
	pm->pm_poolend = pm->pm_pool + (1 + 2 + 513) * PAGE_SIZE;
	cr_assert_eq(pmap_growkernel(KVA + GIB + 2 * MIB), KVA + GIB + 2 * MIB);
	cr_assert_eq(pm->pm_pool, pm->pm_poolend);
	check_pmap("grown by more", 0);
}

/* A mapping made where nothing has grown brings its own tables; growth then makes only the others. */
BED_TEST(pmap, kenter_beyond_growth)
{
	struct pmap *pm = pmap_kernel();

	twin_boot(0, 0, PAGES);
	cr_assert_eq(pmap_kenter_pa(KVA + GIB + 6 * MIB, FRAME, RW), 0);
	cr_assert_eq(pm->pm_ptps, 3);
	cr_assert_eq(pm->pm_end, KVA);
	cr_assert_eq(pmap_growkernel(KVA + GIB + 8 * MIB), KVA + GIB + 8 * MIB);
	cr_assert_eq(pm->pm_ptps, 1 + 2 + 512 + 4);
	cr_assert_eq(leaf_at(KVA + GIB + 6 * MIB) & PTE_FRAME, FRAME);
	check_pmap("after all", 0);
}

/* property 81: tables */
BED_TEST(pmap, shortage_of_tables)
{
	struct pmap *pm = pmap_kernel();
	uint64_t tables;

	twin_boot(0, 0, PAGES);
	pm->pm_poolend = pm->pm_pool + 2 * PAGE_SIZE; /* one path */
	cr_assert_eq(pmap_kenter_pa(KVA + GIB, FRAME, RW), 0);
	tables = pm->pm_ptps;
	cr_assert_eq(pmap_kenter_pa(KVA, FRAME, RW), ENOMEM);
	cr_assert_eq(pmap_enter(pm, KVA, FRAME, RW, PMAP_CANFAIL), ENOMEM);
	cr_assert_eq(pm->pm_ptps, tables);
	cr_assert_eq(pmap_kenter_pa(KVA + 4 * GIB, FRAME, RW), EINVAL);
	cr_assert_eq(pmap_kenter_pa(0x1000, FRAME, RW), EINVAL);
	check_pmap("after the failures", 0);
}

BED_TEST(pmap, kenter_range_is_all_or_nothing)
{
	struct pmap *pm = pmap_kernel();
	struct vm_page *page[8];

	twin_boot(0, 0, PAGES);
	for (unsigned i = 0; i < 8; i++)
		page[i] = a_page();
	cr_assert_eq(pmap_kenter_range(KVA + 2 * MIB - 4 * PAGE_SIZE, page, 8, RW), 0);
	for (unsigned i = 0; i < 8; i++)
		cr_assert_eq(leaf_at(KVA + 2 * MIB + i * PAGE_SIZE - 4 * PAGE_SIZE),
		    VM_PAGE_TO_PHYS(page[i]) | 0x8000000000000103);
	pm->pm_poolend = pm->pm_pool;
	cr_assert_eq(pmap_kenter_range(KVA + 4 * MIB - 4 * PAGE_SIZE, page, 8, RW), ENOMEM);
	cr_assert_eq(pm->pm_resident, 8);
	check_pmap("after the failure", 0);
}

BED_TEST(pmap, extract)
{
	paddr_t pa;

	twin_boot(0, 0, PAGES);
	grow(KVA + 2 * MIB);
	pmap_kenter_pa(KVA + 0x5000, FRAME, RW);
	cr_assert(pmap_extract(pmap_kernel(), KVA + 0x5123, &pa));
	cr_assert_eq(pa, FRAME + 0x123);
	cr_assert_not(pmap_extract(pmap_kernel(), KVA + 0x6000, &pa));
	cr_assert_not(pmap_extract(pmap_kernel(), KVA + GIB, &pa));
	cr_assert_not(pmap_extract(pmap_kernel(), 0x1000, &pa));
	cr_assert_not(pmap_extract(pmap_kernel(), UINT64_C(1) << 50, &pa));
	/* A large leaf, by the tables; the direct map, by arithmetic; the image, by 4 KiB leaves. */
	cr_assert(pmap_extract(pmap_kernel(), BED_DIRECT_BASE + 0x345678, &pa));
	cr_assert_eq(pa, 0x345678);
	cr_assert(pmap_extract(pmap_kernel(), (vaddr_t)PMAP_DIRECT_MAP(0x345678), &pa));
	cr_assert_eq(pa, 0x345678);
	cr_assert(pmap_extract(pmap_kernel(), BED_IMAGE_BASE + BED_IMAGE_PA + 7, &pa));
	cr_assert_eq(pa, BED_IMAGE_PA + 7);
}

BED_TEST(pmap, wrong_kind_of_removal)
{
	const char *msg;

	twin_boot(0, 0, PAGES);
	pmap_enter(pmap_kernel(), KVA, VM_PAGE_TO_PHYS(a_page()), RW, RW);
	msg = TWIN_PANIC(pmap_kremove(KVA, PAGE_SIZE));
	cr_assert_not_null(msg);
	cr_assert_not_null(strstr(msg, "managed"), "%s", msg);

	twin_boot(0, 0, PAGES);
	pmap_kenter_pa(KVA, VM_PAGE_TO_PHYS(a_page()), RW);
	msg = TWIN_PANIC(pmap_remove(pmap_kernel(), KVA, KVA + PAGE_SIZE));
	cr_assert_not_null(msg);
	cr_assert_not_null(strstr(msg, "unmanaged"), "%s", msg);

	twin_boot(0, 0, PAGES);
	cr_assert_not_null(TWIN_PANIC(pmap_remove(pmap_kernel(), KVA - PAGE_SIZE, KVA)));
	twin_boot(0, 0, PAGES);
	cr_assert_not_null(TWIN_PANIC(pmap_kenter_run(KVA, FRAME, 1, RW)), "no tables there");
}
