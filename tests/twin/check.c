/* SPDX-License-Identifier: ISC */
/*
 * What the twin's page-side tests share (check.h).
 */
#include "tests/twin/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "guest/twin/priv.h"
#include "guest/uvm/uvm_pmr_tree.h"
#include "tests/seed.h"

struct rnd
rnd_start(const char *test)
{
	uint64_t seed = test_seed(test);

	fprintf(stderr, "%s: BED_SEED=0x%lx\n", test, seed);
	return (struct rnd){ seed, seed };
}

/* splitmix64 */
uint64_t
rnd_next(struct rnd *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static const uint64_t *
table_of(uint64_t entry)
{
	return (const uint64_t *)(twin_ram + (entry & PTE_FRAME));
}

static const uint64_t *
l1_table_at(uint64_t va)
{
	const uint64_t *table = table_of(twin_info.root);

	for (int level = 4; level > 1; level--) {
		uint64_t entry = table[va >> (3 + 9 * level) & 511];

		if (!(entry & 1))
			return NULL;
		table = table_of(entry);
	}
	return table;
}

uint64_t
leaf_at(uint64_t va)
{
	const uint64_t *table = l1_table_at(va);

	return table != NULL && table[va >> 12 & 511] & 1 ? table[va >> 12 & 511] : 0;
}

uint64_t
count_leaves_of_map(uint64_t *wired, uint64_t *tables)
{
	const uint64_t *l3, *l2, *l1;
	uint64_t leaves = 0;

	*wired = 0;
	*tables = 1;
	l3 = table_of(table_of(twin_info.root)[256]);
	for (unsigned i = 0; i < 512; i++) {
		if (!(l3[i] & 1))
			continue;
		++*tables;
		l2 = table_of(l3[i]);
		for (unsigned j = 0; j < 512; j++) {
			if (!(l2[j] & 1))
				continue;
			++*tables;
			l1 = table_of(l2[j]);
			for (unsigned k = 0; k < 512; k++) {
				leaves += l1[k] & 1;
				*wired += l1[k] & 1 && l1[k] & PTE_SW_W;
				cr_assert((l1[k] & 1) || l1[k] == 0,
				    "entry not present, not zero: 0x%lx", l1[k]);
			}
		}
	}
	return leaves;
}

void
check_pmap(const char *when, uint64_t seed)
{
	const struct pmap *pm = pmap_kernel();
	uint64_t wired, tables, leaves = count_leaves_of_map(&wired, &tables), used = 0;

	for (uint64_t i = 0; i < pmap_steal_size() / sizeof(*pm->pm_l1); i++) {
		const struct pmap_l1 *l1 = &pm->pm_l1[i];
		const uint64_t *table = l1_table_at(KVA + i * 2 * MIB);

		cr_assert_eq(ptoa(l1->pl_frame), table == NULL ? 0 : PMAP_DIRECT_UNMAP(table));
		used += l1->pl_used;
	}
	cr_assert_eq(pm->pm_resident, leaves, "%s, seed 0x%lx: pm_resident %lu, leaves %lu", when,
	    seed, pm->pm_resident, leaves);
	cr_assert_eq(
	    used, leaves, "%s, seed 0x%lx: pl_used %lu, leaves %lu", when, seed, used, leaves);
	cr_assert_eq(pm->pm_wired, wired, "%s, seed 0x%lx: pm_wired %lu, wired leaves %lu", when,
	    seed, pm->pm_wired, wired);
	cr_assert_eq(pm->pm_ptps, tables, "%s, seed 0x%lx: pm_ptps %lu, tables %lu", when, seed,
	    pm->pm_ptps, tables);
	cr_assert_eq(twin_tlb_stale(), 0, "%s, seed 0x%lx: %lu translations left stale", when, seed,
	    twin_tlb_stale());
}

struct seen {
	uint64_t pages, runs;
	const struct vm_page *last; /* end of the previous run */
};

static uint32_t
check_tree(const struct vm_page *pg, const struct vm_page *parent, uint32_t state,
    struct seen *seen, const char *when, uint64_t seed)
{
	uint32_t max, left, right;

	if (pg == NULL)
		return 0;
	cr_assert_eq(pg->pmr_parent, parent, "%s, seed 0x%lx: parent", when, seed);
	cr_assert(parent == NULL || parent->pmr_prio >= pg->pmr_prio, "%s, seed 0x%lx: heap order",
	    when, seed);
	left = check_tree(pg->pmr_left, pg, state, seen, when, seed);

	cr_assert(seen->last == NULL || pg > seen->last,
	    "%s, seed 0x%lx: runs overlap, touch or are out of order at 0x%lx", when, seed,
	    VM_PAGE_TO_PHYS(pg));
	cr_assert_gt(pg->fpgsz, 0);
	cr_assert_eq(
	    pg[pg->fpgsz - 1].fpgsz, pg->fpgsz, "%s, seed 0x%lx: last page of a run", when, seed);
	for (uint32_t i = 0; i < pg->fpgsz; i++) {
		cr_assert_eq(pg[i].pg_flags, state, "%s, seed 0x%lx: flags 0x%x of free 0x%lx",
		    when, seed, pg[i].pg_flags, VM_PAGE_TO_PHYS(&pg[i]));
		cr_assert_null(pg[i].uobject);
	}
	cr_assert(pg[-1].pg_flags != state && pg[pg->fpgsz].pg_flags != state,
	    "%s, seed 0x%lx: run 0x%lx is not maximal", when, seed, VM_PAGE_TO_PHYS(pg));
	seen->pages += pg->fpgsz;
	seen->runs++;
	seen->last = pg + pg->fpgsz - 1;

	right = check_tree(pg->pmr_right, pg, state, seen, when, seed);
	max = left > right ? left : right;
	max = max > pg->fpgsz ? max : pg->fpgsz;
	cr_assert_eq(
	    pg->pmr_max, max, "%s, seed 0x%lx: pmr_max %u, is %u", when, seed, pg->pmr_max, max);
	return max;
}

static void
check_contents(const struct vm_page *pg, const char *when, uint64_t seed)
{
	const uint64_t *word = PMAP_DIRECT_MAP(VM_PAGE_TO_PHYS(pg));

	if (pg->pg_flags & PG_DIRTY) {
		cr_assert(
		    word[0] == UVM_POISON && word[256] == UVM_POISON && word[511] == UVM_POISON,
		    "%s, seed 0x%lx: free page 0x%lx was written", when, seed, VM_PAGE_TO_PHYS(pg));
		return;
	}
	for (unsigned i = 0; i < 512; i++)
		cr_assert_eq(word[i], 0, "%s, seed 0x%lx: page 0x%lx is not zero", when, seed,
		    VM_PAGE_TO_PHYS(pg));
}

void
check_free(const char *when, uint64_t seed, bool contents)
{
	static const uint32_t state[UVM_PMR_MEMTYPE_MAX] = { PG_DIRTY, 0 };
	uint64_t sum = 0, n = 0, free = 0;

	for (unsigned kind = 0; kind < UVM_PMR_MEMTYPE_MAX; kind++) {
		struct seen seen = { 0, 0, NULL };

		check_tree(uvm_pmr.tree[kind], NULL, state[kind], &seen, when, seed);
		cr_assert_eq(seen.pages, uvm_pmr.pages[kind],
		    "%s, seed 0x%lx: %lu of kind %u, not %lu", when, seed, seen.pages, kind,
		    uvm_pmr.pages[kind]);
		sum += seen.pages;
	}
	for (unsigned len = 0; len <= UVM_PMR_QUICK; len++) {
		for (const struct vm_page *pg = uvm_pmr.quick[len]; pg != NULL; pg = pg->pageq) {
			for (unsigned i = 0; i < len; i++)
				cr_assert_eq(pg[i].pg_flags, PG_DIRTY | PG_QUICK);
			n += len;
			cr_assert(len != 0 && n <= UVM_PMR_QUICK_PAGES);
		}
	}
	cr_assert_eq(n, uvm_pmr.nquick);
	cr_assert_eq(sum + n, uvmexp.free, "%s, seed 0x%lx: %lu + %lu free, uvmexp.free %lu", when,
	    seed, sum, n, uvmexp.free);
	for (unsigned i = 0; i < vm_nphysseg; i++) {
		for (const struct vm_page *pg = vm_physmem[i].pgs; pg < vm_physmem[i].lastpg;
		     pg++) {
			if (pg->pg_flags & PQ_INUSE)
				continue;
			free++;
			if (contents)
				check_contents(pg, when, seed);
		}
	}
	cr_assert_eq(free, uvmexp.free, "%s, seed 0x%lx: %lu pages look free, uvmexp.free %lu",
	    when, seed, free, uvmexp.free);
}

uint64_t
count_inuse(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < vm_nphysseg; i++) {
		for (const struct vm_page *pg = vm_physmem[i].pgs; pg < vm_physmem[i].lastpg; pg++)
			n += (pg->pg_flags & PQ_INUSE) != 0;
	}
	return n;
}
