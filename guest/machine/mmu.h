/* SPDX-License-Identifier: ISC */
/*
 * The hardware below pmap(9): reach physical memory, store a page-table entry, invalidate. The only
 * place in the guest where INVLPG or a control-register write may stand. The twin has its own file of
 * this name, found first on its include path, with the same functions over an array and a software TLB.
 *
 * Every store of a leaf or table entry goes through pte_set()/pte_swap(), every invalidation through
 * tlb_*(): they are what the event log of the checked flavour consists of.
 */
#ifndef MACHINE_MMU_H
#define MACHINE_MMU_H

#include <machine/event.h>
#include <machine/param.h>

typedef uint64_t pt_entry_t;

#define PMAP_DIRECT_MAP(pa)   ((void *)((uint64_t)(pa) + BED_DIRECT_BASE))
#define PMAP_DIRECT_UNMAP(va) ((paddr_t)((uint64_t)(va)-BED_DIRECT_BASE))

static inline pt_entry_t
pte_get(const pt_entry_t *pte)
{
	return __atomic_load_n(pte, __ATOMIC_RELAXED);
}

/* Store to an entry that is not present: nothing to hand back. */
static inline void
pte_set(pt_entry_t *pte, pt_entry_t new)
{
#ifdef BED_CHECKED_BUILD
	pt_entry_t old = *pte;
#endif
	__atomic_store_n(pte, new, __ATOMIC_RELEASE);
	EVENT(PTE_STORE, PMAP_DIRECT_UNMAP(pte), old, new);
}

/* Replace an entry that may be in use; returns the old one with its last A and D bits. */
static inline pt_entry_t
pte_swap(pt_entry_t *pte, pt_entry_t new)
{
	pt_entry_t old = __atomic_exchange_n(pte, new, __ATOMIC_ACQ_REL);

	EVENT(PTE_STORE, PMAP_DIRECT_UNMAP(pte), old, new);
	return old;
}

static inline void
tlb_invlpg(vaddr_t va)
{
	uint64_t begin __unused_arg = event_ticket();

	__asm__ volatile("invlpg (%0)" ::"r"(va) : "memory");
	COUNT(invlpg, 1);
	EVENT(INVLPG, va, begin, 0);
}

/* n > 0 pages from va on. */
static inline void
tlb_invlpg_range(vaddr_t va, uint64_t n)
{
#ifdef BED_CHECKED_BUILD
	for (; n != 0; n--, va += BED_PAGE_SIZE)
		tlb_invlpg(va);
#else
	COUNT(invlpg, n);
	for (; n >= 4; n -= 4, va += 4 * BED_PAGE_SIZE)
		__asm__ volatile("invlpg (%0)\n\t"
				 "invlpg 0x1000(%0)\n\t"
				 "invlpg 0x2000(%0)\n\t"
				 "invlpg 0x3000(%0)" ::"r"(va)
				 : "memory");
	for (; n != 0; n--, va += BED_PAGE_SIZE)
		__asm__ volatile("invlpg (%0)" ::"r"(va) : "memory");
#endif
}

/* Everything on this CPU, global entries and paging-structure caches too: toggle CR4.PGE. */
void tlb_flush_full(void);

/* Another top-level table: translations and structure caches go, global entries stay. For planted bugs. */
void tlb_load_root(paddr_t root);

#endif
