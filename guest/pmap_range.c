/* SPDX-License-Identifier: ISC */
/*
 * Leaf entries by address: enter, remove, narrow. The loops here are the hot path of every allocation
 * and every free: one descent and one update of the counters per table, then a few instructions a page.
 */
#include <machine/assert.h>

#include "pmap_page.h"
#include "pmap_table.h"
#include "uvm/uvm_page.h"

static inline vaddr_t
table_end(vaddr_t va, vaddr_t end)
{
	vaddr_t next = (va | (L1_SPAN - 1)) + 1;

	return next - va < end - va ? next : end;
}

static void __attribute__((__noinline__, __cold__)) no_table(vaddr_t va)
{
	panic("pmap: no table for 0x%lx (pm_end 0x%lx)", va, pmap_kernel()->pm_end);
}

static inline void
set_run(vaddr_t va, uint64_t n, pt_entry_t npte)
{
	vaddr_t end = va + n * PAGE_SIZE, next;

	COUNT(pte_set, n);
	do {
		struct pmap_l1 *l1 = pmap_l1(va);
		pt_entry_t *pte;

		if (unlikely(l1->pl_frame == 0))
			no_table(va);
		pte = pmap_l1_leaf(l1, va);
		next = table_end(va, end);
		n = (next - va) / PAGE_SIZE;
		pmap_count_leaves(l1, n, npte & PTE_SW_W ? n : 0);
		for (; n >= 4; n -= 4, pte += 4, npte += 4 * PAGE_SIZE)
			pmap_fill4(pte, npte);
		for (; n != 0; n--, npte += PAGE_SIZE)
			pmap_fill1(pte++, npte);
		va = next;
	} while (va != end);
}

void
pmap_enter_run(vaddr_t va, paddr_t pa, unsigned n, vm_prot_t prot, int flags)
{
	pt_entry_t bits = pmap_leaf_bits(prot) | PTE_SW_M | (flags & PMAP_WIRED ? PTE_SW_W : 0);

	if (PLANTED(LEAF_PRESET_DIRTY))
		bits |= PTE_D;
	set_run(va, n, pa | bits);
	if (PLANTED_ANY)
		pmap_planted_alias(pa);
	if (PLANTED(LEAF_2M) && n == PT_ENTRIES)
		pmap_planted_large(va, pa);
}

void
pmap_kenter_run(vaddr_t va, paddr_t pa, unsigned n, vm_prot_t prot)
{
	set_run(va, n, pa | pmap_leaf_bits(prot));
	if (PLANTED(INVLPG_AFTER_MAP))
		tlb_invlpg_range(va, n);
}

static void
invalidate_one(vaddr_t va)
{
	struct pmap_inval iv;

	pmap_inval_init(&iv);
	pmap_inval_add(&iv, va, 1);
	pmap_inval_done(&iv);
}

/*
 * Store one leaf, whatever was there. A change of frame goes through not-present, so that no two CPUs
 * ever see the address at two frames.
 */
static void
store_leaf(pt_entry_t *pte, vaddr_t va, pt_entry_t npte)
{
	pt_entry_t opte = pte_get(pte);
	uint64_t wired =
	    (npte & PTE_SW_W ? 1u : 0u) - (uint64_t)(opte & PTE_P && opte & PTE_SW_W ? 1 : 0);
	struct pmap_l1 *l1 = pmap_l1(va);

	if ((opte & PTE_P) && ((opte ^ npte) & PTE_FRAME) != 0) {
		pte_swap(pte, 0);
		COUNT(pte_clear, 1);
		invalidate_one(va);
		pte_set(pte, npte);
		COUNT(pte_set, 1);
		pmap_count_leaves(l1, 0, wired);
	} else if (opte & PTE_P) {
		npte |= opte & (PTE_A | PTE_D);
		if (opte == npte)
			return;
		pte_swap(pte, npte);
		COUNT(pte_change, 1);
		if ((opte ^ npte) & (PTE_W | PTE_NX | PTE_G))
			invalidate_one(va);
		pmap_count_leaves(l1, 0, wired);
	} else {
		if (PLANTED(STORED_TWICE)) {
			pte_set(pte, npte);
			pte_swap(pte, 0);
			COUNT(pte_set, 1);
			COUNT(pte_clear, 1);
		}
		pte_set(pte, npte);
		COUNT(pte_set, 1);
		pmap_count_leaves(l1, 1, wired);
		if (PLANTED(L1_COUNT_OFF))
			l1->pl_used--;
	}
}

/* The leaf for va, with tables made if need be; NULL with *error set. */
static pt_entry_t *
leaf_for(vaddr_t va, int *error)
{
	pt_entry_t *pte = pmap_leaf(va);

	if (pte != NULL)
		return pte;
	*error = EINVAL;
	if (!pmap_inside(va))
		return NULL;
	*error = ENOMEM;
	return pmap_make_tables(va) ? pmap_leaf(va) : NULL;
}

int
pmap_kenter_pa(vaddr_t va, paddr_t pa, vm_prot_t prot)
{
	int error;
	pt_entry_t *pte = leaf_for(va, &error);

	if (pte == NULL)
		return error;
	store_leaf(pte, trunc_page(va),
	    (pa & PTE_FRAME) | pmap_leaf_bits(prot) | (PLANTED(LEAF_UNCACHED) ? PTE_PCD : 0));
	return 0;
}

int
pmap_kenter_range(vaddr_t va, struct vm_page *const *pages, unsigned n, vm_prot_t prot)
{
	pt_entry_t bits = pmap_leaf_bits(prot), *pte = NULL;
	int error;

	/* A table made for a range that then fails stays: it is empty and will be used. */
	for (unsigned i = 0; i < n; i++) {
		vaddr_t v = va + i * PAGE_SIZE;

		if ((i == 0 || pt_index(v, 1) == 0) && leaf_for(v, &error) == NULL)
			return error;
	}
	for (unsigned i = 0; i < n; i++, va += PAGE_SIZE) {
		pte = i == 0 || pt_index(va, 1) == 0 ? pmap_leaf(va) : pte + 1;
		store_leaf(pte, va, VM_PAGE_TO_PHYS(pages[i]) | bits);
	}
	return 0;
}

int
pmap_enter(pmap_t pm __unused_arg, vaddr_t va, paddr_t pa, vm_prot_t prot, int flags)
{
	struct vm_page *pg = PHYS_TO_VM_PAGE(pa);
	int error;
	pt_entry_t npte, *pte = leaf_for(va, &error);

	if (pte == NULL)
		return error;
	va = trunc_page(va);
	npte = (pa & PTE_FRAME) | pmap_leaf_bits(prot) | (flags & PMAP_WIRED ? PTE_SW_W : 0);
	if (pg != NULL) {
		npte |= PTE_SW_M;
		pmap_page_enter(pg, va);
	}
	if (PLANTED_ANY)
		npte |= pmap_planted_leaf();
	store_leaf(pte, va, npte);
	return 0;
}

#ifdef BED_CHECKED_BUILD
void
pmap_check_removed(vaddr_t va, pt_entry_t opte, bool managed)
{
	if (!managed && (opte & PTE_SW_M))
		panic("pmap_kremove: 0x%lx is a managed mapping (pte 0x%lx)", va, opte);
	if (managed && !(opte & PTE_SW_M) && PHYS_TO_VM_PAGE(opte & PTE_FRAME) != NULL)
		panic("pmap_remove: 0x%lx is an unmanaged mapping of a managed page (pte 0x%lx)",
		    va, opte);
}
#endif

/*
 * Clear the present ones of the leaves [pte, last) of one table, the first of which translates va, and
 * stop early once none is left in the table.
 */
static void
clear_table(struct pmap_l1 *l1, pt_entry_t *pte, const pt_entry_t *last, vaddr_t va, bool managed,
    struct pmap_inval *iv)
{
	uint64_t cleared = 0, wbits = 0, used = pmap_l1_used(l1);

	while (pte != last && cleared != used) {
		pt_entry_t *run = pte;
		uint64_t n;

		if (!(pte_get(pte) & PTE_P)) {
			n = last - pte >= 4 && pmap_none4(pte) ? 4 : 1;
			if (PLANTED(ABSENT_CLEARED))
				COUNT(pte_clear, n);
			pte += n;
			va += n * PAGE_SIZE;
			continue;
		}
		pte = pmap_clear_run(run, last, va, managed, &wbits);
		n = (uint64_t)(pte - run);
		cleared += n;
		pmap_inval_add(iv, va, n);
		va += n * PAGE_SIZE;
	}
	if (cleared != 0)
		pmap_count_leaves(l1, -cleared, -(wbits / PTE_SW_W));
}

/* Any range, after the first `done` pages before va have been cleared already. */
static __attribute__((__noinline__)) void
remove_sparse(vaddr_t va, vaddr_t end, uint64_t done, bool managed)
{
	struct pmap_inval iv;
	vaddr_t next;

	pmap_inval_init(&iv);
	if (done != 0)
		pmap_inval_add(&iv, va - done * PAGE_SIZE, done);
	for (; va != end; va = next) {
		struct pmap_l1 *l1 = pmap_l1(va);
		pt_entry_t *pte;

		next = table_end(va, end);
		if (pmap_l1_used(l1) == 0)
			continue;
		pte = pmap_l1_leaf(l1, va);
		clear_table(l1, pte, pte + (next - va) / PAGE_SIZE, va, managed, &iv);
	}
	COUNT(pte_clear, iv.pages);
	pmap_inval_done(&iv);
}

void
pmap_remove_rest(struct pmap_l1 *l1, vaddr_t va, uint64_t n, vaddr_t end)
{
	pmap_count_leaves(l1, -n, -n);
	remove_sparse(va + n * PAGE_SIZE, end, n, true);
}

static void __attribute__((__noinline__, __cold__))
bad_range(const char *who, vaddr_t va, vaddr_t end)
{
	panic("%s: [0x%lx, 0x%lx) is not all kernel_map", who, va, end);
}

/* Most ranges are of one table and all present: then no list of what to invalidate is needed. */
static inline void
remove_range(vaddr_t va, vaddr_t end, bool managed)
{
	uint64_t size, n = 0, wbits = 0;
	struct pmap_l1 *l1;

	va = trunc_page(va);
	end = round_page(end);
	size = end - va;
	if (unlikely(va >= end))
		return;
	if (unlikely(!pmap_inside(va) || size > kernel_pmap_store.pm_limit - va))
		bad_range("pmap_remove", va, end);
	l1 = pmap_l1(va);
	if (likely(pmap_l1_used(l1) != 0)) {
		pt_entry_t *pte = pmap_l1_leaf(l1, va);

		n = (table_end(va, end) - va) / PAGE_SIZE;
		n = (uint64_t)(pmap_clear_run(pte, pte + n, va, managed, &wbits) - pte);
		pmap_count_leaves(l1, -n, -(wbits / PTE_SW_W));
	}
	if (unlikely(n * PAGE_SIZE != size)) {
		remove_sparse(va + n * PAGE_SIZE, end, n, managed);
		return;
	}
	COUNT(pte_clear, n);
	pmap_inval_range(va, n);
	if (PLANTED_ANY)
		pmap_planted_emptied(va);
}

void
pmap_remove(pmap_t pm __unused_arg, vaddr_t start, vaddr_t end)
{
	remove_range(start, end, true);
}

void
pmap_kremove(vaddr_t va, vsize_t len)
{
	remove_range(va, va + len, false);
}

void
pmap_protect(pmap_t pm, vaddr_t start, vaddr_t end, vm_prot_t prot)
{
	struct pmap_inval iv;
	pt_entry_t off = prot & PROT_WRITE ? 0 : PTE_W, on = prot & PROT_EXEC ? 0 : PTE_NX;
	uint64_t changed = 0;
	vaddr_t va = trunc_page(start);

	if ((prot & PROT_MASK) == PROT_NONE) {
		pmap_remove(pm, start, end);
		return;
	}
	end = round_page(end);
	if (PLANTED(PROTECT_ONE_PAGE_LESS))
		end -= PAGE_SIZE;
	if (va >= end)
		return;
	if (unlikely(!pmap_inside(va) || !pmap_inside(end - 1)))
		bad_range("pmap_protect", va, end);
	if (PLANTED(NX_LOST_ON_PROTECT)) {
		off |= PTE_NX;
		on = 0;
	}
	pmap_inval_init(&iv);
	for (vaddr_t next; va != end; va = next) {
		pt_entry_t *pte;

		next = table_end(va, end);
		if (pmap_l1_used(pmap_l1(va)) == 0)
			continue;
		pte = pmap_l1_leaf(pmap_l1(va), va);
		for (vaddr_t v = va; v != next; v += PAGE_SIZE, pte++) {
			pt_entry_t opte = pte_get(pte);

			if (!(opte & PTE_P) || ((opte & ~off) | on) == opte)
				continue;
			pmap_page_narrow(pte, off, on);
			changed++;
			pmap_inval_add(&iv, v, 1);
		}
	}
	COUNT(pte_change, changed);
	if (PLANTED(NO_INVLPG_ON_PROTECT))
		return;
	pmap_inval_done(&iv);
}

void
pmap_unwire(pmap_t pm __unused_arg, vaddr_t va)
{
	pt_entry_t *pte = pmap_leaf(va);

	if (pte == NULL || (pte_get(pte) & (PTE_P | PTE_SW_W)) != (PTE_P | PTE_SW_W))
		return;
	if (PLANTED(UNLOGGED_STORE))
		*(volatile pt_entry_t *)pte &= ~PTE_SW_W;
	else
		pmap_page_narrow(pte, PTE_SW_W, 0);
	COUNT(pte_change, 1);
	if (PLANTED(PMAP_WIRED_OFF))
		return;
	pmap_count_leaves(pmap_l1(va), 0, (uint64_t)-1);
}
