/* SPDX-License-Identifier: ISC */
/*
 * The hardware below pmap(9) for the twin: physical memory is an array, and a software TLB (tlb.c)
 * holds every translation that real hardware might still hold. The model belongs to the checked flavour;
 * in the release flavour, which is there to be measured, these functions cost what they cost in the
 * guest.
 */
#ifndef TWIN_MACHINE_MMU_H
#define TWIN_MACHINE_MMU_H

#include <machine/event.h>
#include <machine/param.h>

typedef uint64_t pt_entry_t;

extern uint8_t *twin_ram; /* physical address 0 */

#define PMAP_DIRECT_MAP(pa)   ((void *)(twin_ram + (uint64_t)(pa)))
#define PMAP_DIRECT_UNMAP(va) ((paddr_t)((uintptr_t)(va) - (uintptr_t)twin_ram))

/* An entry has changed from old to new. */
#ifdef BED_CHECKED_BUILD
void twin_tlb_stored(const pt_entry_t *pte, pt_entry_t old, pt_entry_t new);
#else
#define twin_tlb_stored(pte, old, new) ((void)0)
#endif

static inline pt_entry_t
pte_get(const pt_entry_t *pte)
{
	return __atomic_load_n(pte, __ATOMIC_RELAXED);
}

static inline void
pte_set(pt_entry_t *pte, pt_entry_t new)
{
	pt_entry_t old __unused_arg = *pte;

	__atomic_store_n(pte, new, __ATOMIC_RELEASE);
	twin_tlb_stored(pte, old, new);
	EVENT(PTE_STORE, PMAP_DIRECT_UNMAP(pte), old, new);
}

static inline pt_entry_t
pte_swap(pt_entry_t *pte, pt_entry_t new)
{
	pt_entry_t old = __atomic_exchange_n(pte, new, __ATOMIC_ACQ_REL);

	twin_tlb_stored(pte, old, new);
	EVENT(PTE_STORE, PMAP_DIRECT_UNMAP(pte), old, new);
	return old;
}

#ifdef BED_CHECKED_BUILD
void tlb_invlpg(vaddr_t va);
void tlb_flush_full(void);
void tlb_load_root(paddr_t root);

static inline void
tlb_invlpg_range(vaddr_t va, uint64_t n)
{
	for (; n != 0; n--, va += BED_PAGE_SIZE)
		tlb_invlpg(va);
}
#else
static inline void
tlb_invlpg(vaddr_t va)
{
	__asm__ volatile("nop" ::"r"(va) : "memory");
	COUNT(invlpg, 1);
}

/* A nop in place of each INVLPG. */
static inline void
tlb_invlpg_range(vaddr_t va, uint64_t n)
{
	COUNT(invlpg, n);
	for (; n >= 4; n -= 4, va += 4 * BED_PAGE_SIZE)
		__asm__ volatile("nop\n\tnop\n\tnop\n\tnop" ::"r"(va) : "memory");
	for (; n != 0; n--, va += BED_PAGE_SIZE)
		__asm__ volatile("nop" ::"r"(va) : "memory");
}

static inline void
tlb_flush_full(void)
{
	COUNT(tlb_full, 1);
}
#endif

#endif
