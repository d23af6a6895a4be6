/* SPDX-License-Identifier: ISC */
/*
 * pmap(9) on the twin: what accesses see. The first tests are of the twin's own TLB: it must show a
 * missing invalidation as wrong data, or none of the others could fail.
 */
#include "tests/twin/check.h"

#include "guest/twin/priv.h"

#define FRAME (UINT64_C(0x1400000))

static uint64_t *
word_at(paddr_t pa)
{
	return PMAP_DIRECT_MAP(pa);
}

/* The entry for va, to be changed behind the pmap's back. */
static pt_entry_t *
entry_of(vaddr_t va)
{
	pt_entry_t *table = PMAP_DIRECT_MAP(twin_info.root);

	for (int level = 4; level > 1; level--)
		table = PMAP_DIRECT_MAP(table[pt_index(va, level)] & PTE_FRAME);
	return &table[pt_index(va, 1)];
}

static void
boot_with_one_page(void)
{
	twin_boot(0, 0, PAGES);
	cr_assert_eq(pmap_kenter_pa(KVA, FRAME, RW), 0);
	*word_at(FRAME) = 0x01d;
	*word_at(FRAME + PAGE_SIZE) = 0x2ec;
}

BED_TEST(pmap_tlb, forgotten_invlpg_after_clear_shows)
{
	uint64_t value, err;

	boot_with_one_page();
	pte_swap(entry_of(KVA), 0);
	cr_assert_eq(twin_tlb_stale(), 1);
	cr_assert_eq(twin_load(KVA, &value, &err), 0, "a stale translation still works");
	cr_assert_eq(value, 0x01d);
	tlb_invlpg(KVA + 8);
	cr_assert_eq(twin_tlb_stale(), 0);
	cr_assert_eq(twin_load(KVA, &value, &err), EFAULT);
	cr_assert_eq(err, 0);
}

BED_TEST(pmap_tlb, forgotten_invlpg_after_reuse_shows)
{
	boot_with_one_page();
	pte_swap(entry_of(KVA), 0);
	pte_set(entry_of(KVA), (FRAME + PAGE_SIZE) | PTE_P | PTE_W | PTE_NX | PTE_G);
	cr_assert_eq(kva_read(KVA), 0x01d, "the oldest translation wins");
	kva_write(KVA, 5);
	cr_assert_eq(*word_at(FRAME), 5, "the store went to the old frame");
	cr_assert_eq(*word_at(FRAME + PAGE_SIZE), 0x2ec);
	tlb_flush_full();
	cr_assert_eq(kva_read(KVA), 0x2ec);
}

BED_TEST(pmap_tlb, forgotten_invlpg_after_narrowing_shows)
{
	uint64_t err;

	boot_with_one_page();
	pte_swap(entry_of(KVA), *entry_of(KVA) & ~PTE_W);
	cr_assert_eq(twin_store(KVA, 1, &err), 0, "the old right still works");
	tlb_invlpg(KVA);
	cr_assert_eq(twin_store(KVA, 2, &err), EFAULT);
	cr_assert_eq(err, PF_W | PF_P);
	cr_assert_eq(*word_at(FRAME), 1);
}

BED_TEST(pmap_tlb, invlpg_of_another_page_does_not_help)
{
	boot_with_one_page();
	pte_swap(entry_of(KVA), 0);
	tlb_invlpg(KVA + PAGE_SIZE);
	cr_assert_eq(twin_tlb_stale(), 1);
	cr_assert_eq(kva_read(KVA), 0x01d);
}

BED_TEST(pmap_tlb, widening_needs_nothing)
{
	uint64_t err;

	boot_with_one_page();
	pte_swap(entry_of(KVA), *entry_of(KVA) & ~PTE_W);
	tlb_invlpg(KVA);
	pte_swap(entry_of(KVA), *entry_of(KVA) | PTE_W);
	cr_assert_eq(twin_store(KVA, 9, &err), 0, "the fault on the old entry drops it");
	cr_assert_eq(*word_at(FRAME), 9);
}

/* property 95: tables */
BED_TEST(pmap_tlb, replaced_frame)
{
	uint64_t sets;

	boot_with_one_page();
	sets = twin_count()->pte_set;
	twin_events_clear();
	cr_assert_eq(pmap_kenter_pa(KVA, FRAME + PAGE_SIZE, RW), 0);
	cr_assert_eq(kva_read(KVA), 0x2ec);
	cr_assert_eq(twin_count()->pte_set - sets, 1);
	/* Not present in between, and flushed while it was. */
	cr_assert_eq(twin_nevent, 3);
	cr_assert_eq(twin_event[0].type, BED_EV_PTE_STORE);
	cr_assert_eq(twin_event[0].a[2], 0);
	cr_assert_eq(twin_event[1].type, BED_EV_INVLPG);
	cr_assert_eq(twin_event[2].type, BED_EV_PTE_STORE);
	check_pmap("replaced", 0);
	/* The same again is no work. */
	cr_assert_eq(pmap_kenter_pa(KVA, FRAME + PAGE_SIZE, RW), 0);
	cr_assert_eq(twin_nevent, 3);
}

BED_TEST(pmap_tlb, accessed_and_dirty)
{
	boot_with_one_page();
	cr_assert_eq(leaf_at(KVA) & (PTE_A | PTE_D), 0);
	kva_read(KVA);
	cr_assert_eq(leaf_at(KVA) & (PTE_A | PTE_D), PTE_A);
	kva_write(KVA, 1);
	cr_assert_eq(leaf_at(KVA) & (PTE_A | PTE_D), PTE_A | PTE_D);
	/* Entering it again keeps what the CPU noted. */
	pmap_kenter_pa(KVA, FRAME, PROT_READ);
	cr_assert_eq(leaf_at(KVA) & (PTE_A | PTE_D | PTE_W), PTE_A | PTE_D);
}

BED_TEST(pmap_tlb, attributes_by_page)
{
	struct vm_page *pg;

	twin_boot(0, 0, PAGES);
	pg = uvm_pagealloc(NULL, 0, 0);
	cr_assert_not(pmap_is_modified(pg));
	cr_assert_eq(pmap_enter(pmap_kernel(), KVA, VM_PAGE_TO_PHYS(pg), RW, RW), 0);
	cr_assert_not(pmap_is_referenced(pg));
	kva_write(KVA, 1);
	cr_assert(pmap_is_modified(pg));
	cr_assert(pmap_is_referenced(pg));
	cr_assert(pmap_clear_modify(pg));
	cr_assert_not(pmap_clear_modify(pg));
	cr_assert_not(pmap_is_modified(pg));
	cr_assert_eq(twin_tlb_stale(), 0);
	kva_write(KVA, 2);
	cr_assert(pmap_is_modified(pg), "a translation kept with D set would not set it again");
	cr_assert(pmap_clear_reference(pg));
	cr_assert_not(pmap_is_referenced(pg));
	check_pmap("after all", 0);
}

/* property 94: tables */
BED_TEST(pmap_tlb, protect)
{
	uint64_t err, value, changed;

	twin_boot(0, 0, PAGES);
	pmap_growkernel(KVA + 4 * MIB);
	pmap_kenter_run(KVA + 2 * MIB - 4 * PAGE_SIZE, FRAME, 8, RW);
	changed = twin_count()->pte_change;
	pmap_protect(
	    pmap_kernel(), KVA + 2 * MIB - 2 * PAGE_SIZE, KVA + 2 * MIB + 2 * PAGE_SIZE, PROT_READ);
	cr_assert_eq(twin_count()->pte_change - changed, 4);
	cr_assert_eq(twin_count()->invlpg, 4);
	for (unsigned i = 0; i < 8; i++) {
		vaddr_t va = KVA + 2 * MIB + i * PAGE_SIZE - 4 * PAGE_SIZE;

		cr_assert_eq(twin_store(va, i, &err), i < 2 || i >= 6 ? 0 : EFAULT);
		cr_assert_eq(twin_load(va, &value, &err), 0);
	}
	/* Rights are only taken: asking for more changes nothing. */
	pmap_protect(pmap_kernel(), KVA, KVA + 4 * MIB, RW);
	cr_assert_eq(twin_count()->pte_change - changed, 4);
	cr_assert_eq(twin_count()->invlpg, 4);
	check_pmap("narrowed", 0);
	pmap_kremove(KVA, 4 * MIB);
	pmap_kenter_pa(KVA, FRAME, PROT_READ | PROT_EXEC);
	pmap_protect(pmap_kernel(), KVA, KVA + PAGE_SIZE, PROT_READ);
	cr_assert(leaf_at(KVA) & PTE_NX);
	check_pmap("after all", 0);
}

BED_TEST(pmap_tlb, protect_none_removes)
{
	struct vm_page *pg;

	twin_boot(0, 0, PAGES);
	pg = uvm_pagealloc(NULL, 0, 0);
	pmap_enter(pmap_kernel(), KVA, VM_PAGE_TO_PHYS(pg), RW, RW | PMAP_WIRED);
	pmap_protect(pmap_kernel(), KVA, KVA + PAGE_SIZE, PROT_NONE);
	cr_assert_eq(leaf_at(KVA), 0);
	cr_assert_eq(pmap_kernel()->pm_wired, 0);
	check_pmap("removed", 0);
}

BED_TEST(pmap_tlb, unwire)
{
	struct vm_page *pg;
	uint64_t before;

	twin_boot(0, 0, PAGES);
	pg = uvm_pagealloc(NULL, 0, 0);
	pmap_enter(pmap_kernel(), KVA, VM_PAGE_TO_PHYS(pg), RW, RW | PMAP_WIRED);
	before = leaf_at(KVA);
	pmap_unwire(pmap_kernel(), KVA);
	cr_assert_eq(leaf_at(KVA), before & ~PTE_SW_W);
	cr_assert_eq(pmap_kernel()->pm_wired, 0);
	cr_assert_eq(twin_count()->invlpg, 0, "a software bit is not in any TLB");
	pmap_unwire(pmap_kernel(), KVA);
	pmap_unwire(pmap_kernel(), KVA + PAGE_SIZE);
	pmap_unwire(pmap_kernel(), KVA + GIB);
	check_pmap("after all", 0);
	pmap_enter(pmap_kernel(), KVA, VM_PAGE_TO_PHYS(pg), RW, RW | PMAP_WIRED);
	cr_assert_eq(pmap_kernel()->pm_wired, 1);
	check_pmap("wired again", 0);
}

BED_TEST(pmap_tlb, page_protect_finds_the_mapping)
{
	struct vm_page *pg;
	uint64_t err;

	twin_boot(0, 0, PAGES);
	pg = uvm_pagealloc(NULL, 0, 0);
	pmap_enter(pmap_kernel(), KVA + 7 * PAGE_SIZE, VM_PAGE_TO_PHYS(pg), RW, RW);
	pmap_page_protect(pg, PROT_READ);
	cr_assert_eq(twin_store(KVA + 7 * PAGE_SIZE, 1, &err), EFAULT);
	cr_assert_neq(leaf_at(KVA + 7 * PAGE_SIZE), 0);
	pmap_page_protect(pg, PROT_NONE);
	cr_assert_eq(leaf_at(KVA + 7 * PAGE_SIZE), 0);
	check_pmap("removed", 0);
	/* What pv_va remembers is no mapping of this page any more. */
	pmap_enter(
	    pmap_kernel(), KVA + 7 * PAGE_SIZE, VM_PAGE_TO_PHYS(uvm_pagealloc(NULL, 0, 0)), RW, RW);
	pmap_page_protect(pg, PROT_NONE);
	cr_assert_neq(leaf_at(KVA + 7 * PAGE_SIZE), 0);
}

BED_TEST(pmap_tlb, page_protect_finds_many_mappings)
{
	static const vaddr_t at[] = { KVA, KVA + 5 * PAGE_SIZE, KVA + 6 * MIB, KVA + GIB };
	struct vm_page *pg;

	twin_boot(0, 0, PAGES);
	pg = uvm_pagealloc(NULL, 0, 0);
	for (unsigned i = 0; i < nitems(at); i++)
		pmap_enter(pmap_kernel(), at[i], VM_PAGE_TO_PHYS(pg), RW, RW);
	cr_assert_eq(pmap_kernel()->pm_resident, nitems(at));
	pmap_page_protect(pg, PROT_NONE);
	for (unsigned i = 0; i < nitems(at); i++)
		cr_assert_eq(leaf_at(at[i]), 0);
	check_pmap("removed", 0);
}

/* Random operations against an array of what every page of a window should be. */
#define WINDOW 1536
static struct {
	uint64_t pte; /* expected leaf without A and D; 0: none */
} model[WINDOW];

static void
compare(vaddr_t base, unsigned step, uint64_t seed)
{
	uint64_t value, err;

	for (unsigned i = 0; i < WINDOW; i++) {
		vaddr_t va = base + i * PAGE_SIZE;
		uint64_t leaf = leaf_at(va) & ~(PTE_A | PTE_D);

		cr_assert_eq(leaf, model[i].pte, "seed 0x%lx step %u: 0x%lx is 0x%lx, want 0x%lx",
		    seed, step, va, leaf, model[i].pte);
		cr_assert_eq(twin_load(va, &value, &err), model[i].pte ? 0 : EFAULT,
		    "seed 0x%lx step %u: load of 0x%lx", seed, step, va);
		if (model[i].pte != 0)
			cr_assert_eq(value, model[i].pte & PTE_FRAME,
			    "seed 0x%lx step %u: 0x%lx reads frame 0x%lx, want 0x%lx", seed, step,
			    va, value, model[i].pte & PTE_FRAME);
	}
}

static void
model_clear(unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++)
		model[i].pte = 0;
}

static bool
model_empty(unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++) {
		if (model[i].pte != 0)
			return false;
	}
	return true;
}

BED_TEST(pmap_tlb, random_operations)
{
	/* The window lies across the end of a GiB, so across tables of two levels. */
	const vaddr_t base = KVA + GIB - 600 * PAGE_SIZE;
	struct rnd r = rnd_start("pmap_tlb::random_operations");
	struct vm_page *run;
	unsigned got;
	paddr_t pa;

	twin_boot(0, 0, PAGES);
	run = uvm_pmr_getrun(WINDOW, &got, 0);
	cr_assert_eq(got, WINDOW);
	pa = VM_PAGE_TO_PHYS(run);
	for (unsigned i = 0; i < WINDOW; i++)
		*word_at(pa + i * PAGE_SIZE) = pa + i * PAGE_SIZE;
	pmap_growkernel(base + WINDOW * PAGE_SIZE);

	for (unsigned step = 0; step < 600; step++) {
		unsigned first = (unsigned)rnd_below(&r, WINDOW);
		unsigned n = 1 + (unsigned)rnd_below(&r, rnd_below(&r, 4) ? 40 : WINDOW);
		unsigned frame = (unsigned)rnd_below(&r, WINDOW);
		vaddr_t va = base + first * PAGE_SIZE;
		bool write = rnd_below(&r, 2);

		n = n < WINDOW - first ? n : WINDOW - first;
		n = n < WINDOW - frame ? n : WINDOW - frame;
		switch (rnd_below(&r, 5)) {
		case 0:
			if (!model_empty(first, n))
				break;
			pmap_enter_run(
			    va, pa + frame * PAGE_SIZE, n, write ? RW : PROT_READ, PMAP_WIRED);
			for (unsigned i = 0; i < n; i++)
				model[first + i].pte = (pa + (frame + i) * PAGE_SIZE) | PTE_P |
				                       PTE_G | PTE_NX | PTE_SW_M | PTE_SW_W |
				                       (write ? PTE_W : 0);
			break;
		case 1:
		case 2:
			pmap_enter(
			    pmap_kernel(), va, pa + frame * PAGE_SIZE, write ? RW : PROT_READ, 0);
			model[first].pte = (pa + frame * PAGE_SIZE) | PTE_P | PTE_G | PTE_NX |
			                   PTE_SW_M | (write ? PTE_W : 0);
			break;
		case 3:
			pmap_remove(pmap_kernel(), va, va + n * PAGE_SIZE);
			model_clear(first, n);
			break;
		default:
			pmap_protect(pmap_kernel(), va, va + n * PAGE_SIZE, PROT_READ);
			for (unsigned i = first; i < first + n; i++)
				model[i].pte &= ~PTE_W;
			break;
		}
		if (step % 8 == 0)
			compare(base, step, r.seed);
		check_pmap("random", r.seed);
	}
	compare(base, 600, r.seed);
}
