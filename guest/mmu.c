/* SPDX-License-Identifier: ISC */
/*
 * The parts of <machine/mmu.h> that are not inline, and guest/mmu.h.
 */
#include <machine/planted.h>
#include "guest/mmu.h"

#define CR4_PGE (UINT64_C(1) << 7)

#ifdef BED_CHECKED_BUILD
void
tlb_load_root(paddr_t root)
{
	uint64_t begin __unused_arg = event_ticket();

	__asm__ volatile("movq %0, %%cr3" ::"r"(root) : "memory");
	EVENT(CR3, root, begin, 0);
}
#endif

/*
 * Any change of CR4.PGE drops all translations, global ones and paging-structure caches included. Both
 * stores change it whatever it was, also in an interrupt between the two stores of the interrupted code.
 */
void
tlb_flush_full(void)
{
	uint64_t begin __unused_arg = event_ticket(), cr4;

	if (PLANTED(CR3_FOR_GLOBAL)) {
		uint64_t cr3;

		__asm__ volatile("movq %%cr3, %0" : "=r"(cr3));
		tlb_load_root(cr3);
		return;
	}
	__asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
	if (PLANTED(PGE_LEFT_OFF))
		cr4 &= ~CR4_PGE;
	__asm__ volatile("movq %0, %%cr4" ::"r"(cr4 ^ CR4_PGE) : "memory");
	__asm__ volatile("movq %0, %%cr4" ::"r"(cr4) : "memory");
	COUNT(tlb_full, 1);
	EVENT(TLB_FULL, 0, begin, 0);
}

pt_entry_t *
mmu_leaf(vaddr_t va)
{
	uint64_t table;

	__asm__ volatile("movq %%cr3, %0" : "=r"(table));
	for (int level = PT_LEVELS; level > 1; level--) {
		pt_entry_t *entry = PMAP_DIRECT_MAP(table & PTE_FRAME);

		table = pte_get(&entry[pt_index(va, level)]);
		if ((table & (PTE_P | PTE_PS)) != PTE_P)
			return NULL;
	}
	return (pt_entry_t *)PMAP_DIRECT_MAP(table & PTE_FRAME) + pt_index(va, 1);
}
