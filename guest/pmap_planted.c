/* SPDX-License-Identifier: ISC */
/*
 * The planted bugs of the pmap (machine/planted.h) that take more than a line where they stand.
 */
#include <machine/assert.h>
#include <machine/planted.h>

#include "pmap_table.h"
#include "uvm/uvm_page.h"
#include "uvm/uvm_pmemrange.h"

#ifdef BED_CHECKED_BUILD

bool
pmap_planted_inval(vaddr_t *va, uint64_t *n)
{
	if (PLANTED(NO_INVLPG_ON_UNMAP))
		return true;
	if (PLANTED(INVLPG_WRONG_OPERAND))
		*va = atop(*va);
	if (PLANTED(INVLPG_FIRST_PAGE_ONLY))
		*n = 1;
	if (PLANTED(INVLPG_ONE_SHORT) && *n == pmap_flush_threshold)
		--*n;
	if (PLANTED(INVLPG_TWICE))
		tlb_invlpg_range(*va, *n);
	return false;
}

paddr_t
pmap_planted_table(void)
{
	pmap_t pm = pmap_kernel();
	struct vm_page *pg;

	mtx_leave(&pm->pm_mtx);
	pg = uvm_pagealloc(NULL, 0, UVM_PGA_ZERO);
	mtx_enter(&pm->pm_mtx);

	if (pg == NULL)
		panic("planted bug: no page for a table");
	return VM_PAGE_TO_PHYS(pg);
}

/* A copy of the top-level table up to its entry `last`. */
static paddr_t
copy_root(unsigned last)
{
	pmap_t pm = pmap_kernel();
	pt_entry_t *from = PMAP_DIRECT_MAP(pm->pm_root), *to = PMAP_DIRECT_MAP(pm->pm_pool);

	for (unsigned i = 0; i <= last; i++)
		to[i] = from[i];
	pm->pm_pool += PAGE_SIZE;
	return pm->pm_pool - PAGE_SIZE;
}

/* The direct map's first large leaf that is not there. */
static void
lengthen_direct_map(void)
{
	pt_entry_t *table = PMAP_DIRECT_MAP(kernel_pmap_store.pm_root), pte;
	unsigned i = 0;

	for (int level = PT_LEVELS; level > 2; level--)
		table =
		    PMAP_DIRECT_MAP(pte_get(&table[pt_index(BED_DIRECT_BASE, level)]) & PTE_FRAME);
	while (i < PT_ENTRIES - 1 && (pte_get(&table[i + 1]) & PTE_P))
		i++;
	pte = pte_get(&table[i]);
	if (i < PT_ENTRIES - 1)
		pte_set(&table[i + 1], pte + pt_span(2));
}

void
pmap_planted_grown(vaddr_t end)
{
	pmap_t pm = pmap_kernel();
	pt_entry_t *root = PMAP_DIRECT_MAP(pm->pm_root);

	if (PLANTED(TABLE_MAPPED))
		pmap_kenter_pa(end - PAGE_SIZE, ptoa(pmap_l1(end - 1)->pl_frame), PROT_READ);
	if (PLANTED(TOP_LEVEL_PS))
		pte_swap(&root[pt_index(end - 1, 4)], root[pt_index(end - 1, 4)] | PTE_PS);
	if (PLANTED(RECURSIVE_SLOT))
		pte_set(&root[510], pm->pm_root | PTE_P | PTE_W | PTE_NX);
	if (PLANTED(DIRECT_MAP_TOO_LONG))
		lengthen_direct_map();
	if (PLANTED(ROOT_NOT_LOADED))
		pm->pm_root = copy_root(PT_ENTRIES - 1);
	if (PLANTED(ROOT_IN_PART)) {
		pm->pm_root = copy_root(PT_ENTRIES - 2);
		tlb_load_root(pm->pm_root);
	}
}

void
pmap_planted_emptied(vaddr_t va)
{
	pmap_t pm = pmap_kernel();
	struct pmap_l1 *l1 = pmap_l1(va);
	paddr_t pa = ptoa(l1->pl_frame);
	pt_entry_t *table = PMAP_DIRECT_MAP(pm->pm_root);

	if (l1->pl_used != 0 || !(PLANTED(TABLE_FREED_UNFLUSHED) || PLANTED(TABLE_FREED_LINKED)))
		return;
	for (int level = PT_LEVELS; level > 2; level--)
		table = PMAP_DIRECT_MAP(pte_get(&table[pt_index(va, level)]) & PTE_FRAME);
	if (PLANTED(TABLE_FREED_UNFLUSHED)) {
		pte_swap(&table[pt_index(va, 2)], 0);
		l1->pl_frame = 0;
	}
	pm->pm_ptps--;
	EVENT(PTP_FREE, pa, 1, va);
}

void
pmap_planted_alias(paddr_t pa)
{
	pt_entry_t *table = PMAP_DIRECT_MAP(kernel_pmap_store.pm_root), *pte;
	vaddr_t va = BED_DIRECT_BASE + pa;

	if (!PLANTED(ALIAS_EXECUTABLE) && !PLANTED(ALIAS_REBUILT))
		return;
	for (int level = PT_LEVELS;; level--) {
		pte = &table[pt_index(va, level)];
		if (level == 1 || (pte_get(pte) & PTE_PS))
			break;
		table = PMAP_DIRECT_MAP(pte_get(pte) & PTE_FRAME);
	}
	if (PLANTED(ALIAS_EXECUTABLE))
		pte_swap(pte, pte_get(pte) & ~PTE_NX);
	else
		pte_swap(pte, pte_get(pte) & ~(PTE_A | PTE_D));
	tlb_flush_full();
}

void
pmap_planted_large(vaddr_t va, paddr_t pa)
{
	pt_entry_t *table = PMAP_DIRECT_MAP(kernel_pmap_store.pm_root);

	for (int level = PT_LEVELS; level > 2; level--)
		table = PMAP_DIRECT_MAP(pte_get(&table[pt_index(va, level)]) & PTE_FRAME);
	pte_swap(&table[pt_index(va, 2)], pa | PTE_P | PTE_W | PTE_NX | PTE_G | PTE_PS);
	tlb_flush_full();
}

pt_entry_t
pmap_planted_leaf(void)
{
	if (PLANTED(LEAF_BEYOND_RAM))
		return UINT64_C(1) << 35;
	if (PLANTED(LEAF_USER))
		return PTE_U;
	return PLANTED(LEAF_RESERVED_BIT) ? UINT64_C(1) << 51 : 0;
}

#endif
