/* SPDX-License-Identifier: ISC */
/*
 * The pmap by physical page: find the mappings of a page, take rights from them, read and clear their A
 * and D bits.
 *
 * Where a page is mapped is known without a list: a page of a kernel object belongs at one address, and
 * vm_page.pv_va remembers the last other address it was entered at. Both are candidates only: the entry
 * there says whether it maps the page. PG_PMAPMULTI marks a page that may have more.
 */
#include <machine/assert.h>
#include <machine/kva.h>

#include "pmap_page.h"
#include "pmap_table.h"
#include "uvm/uvm_object.h"
#include "uvm/uvm_page.h"

/* The managed leaf that maps pa at va; NULL: none. */
static pt_entry_t *
mapping_at(paddr_t pa, vaddr_t va)
{
	pt_entry_t *pte = pmap_leaf(va), opte;

	if (pte == NULL)
		return NULL;
	opte = pte_get(pte);
	return (opte & PTE_P) && (opte & PTE_SW_M) && (opte & PTE_FRAME) == pa ? pte : NULL;
}

/* The address at which a page of a kernel object belongs; 0: of no such object. */
static vaddr_t
home_of(const struct vm_page *pg)
{
	if (pg->uobject == NULL || !UVM_OBJ_IS_KERN_OBJECT(pg->uobject))
		return 0;
	return VM_MIN_KERNEL_ADDRESS + pg->offset;
}

void
pmap_page_enter(struct vm_page *pg, vaddr_t va)
{
	if (va == home_of(pg))
		return;
	if (pg->pv_va != va && mapping_at(VM_PAGE_TO_PHYS(pg), pg->pv_va) != NULL)
		pg_flags_set(pg, pg->pg_flags | PG_PMAPMULTI);
	pg->pv_va = va;
}

pt_entry_t
pmap_page_narrow(pt_entry_t *pte, pt_entry_t off, pt_entry_t on)
{
	pt_entry_t npte = (pte_get(pte) & ~off) | on;
	pt_entry_t opte = pte_swap(pte, npte);
	pt_entry_t late = opte & ~npte & ~off & (PTE_A | PTE_D);

	if (late != 0)
		pte_swap(pte, npte | late);
	return opte;
}

/* Calls fn for each managed mapping of pg; true if any call said so. */
static bool
each_mapping(struct vm_page *pg, bool (*fn)(pt_entry_t *, vaddr_t, pt_entry_t), pt_entry_t arg)
{
	const pmap_t pm = pmap_kernel();
	const vaddr_t where[2] = { home_of(pg), pg->pv_va };
	paddr_t pa = VM_PAGE_TO_PHYS(pg);
	pt_entry_t *pte;
	bool any = false;

	if (!(pg->pg_flags & PG_PMAPMULTI)) {
		for (unsigned i = 0; i < nitems(where); i++) {
			if (i > 0 && where[i] == where[0])
				continue;
			pte = mapping_at(pa, where[i]);
			if (pte != NULL)
				any |= fn(pte, where[i], arg);
		}
		return any;
	}
	for (vaddr_t va = VM_MIN_KERNEL_ADDRESS; va < pm->pm_limit; va += L1_SPAN) {
		if (pmap_l1_used(pmap_l1(va)) == 0)
			continue;
		pte = pmap_l1_leaf(pmap_l1(va), va);
		for (unsigned i = 0; i < PT_ENTRIES; i++) {
			if (mapping_at(pa, va + i * PAGE_SIZE) != NULL)
				any |= fn(&pte[i], va + i * PAGE_SIZE, arg);
		}
	}
	return any;
}

static bool
remove_mapping(pt_entry_t *pte __unused_arg, vaddr_t va, pt_entry_t arg __unused_arg)
{
	pmap_remove(pmap_kernel(), va, va + PAGE_SIZE);
	return true;
}

static bool
narrow_mapping(pt_entry_t *pte __unused_arg, vaddr_t va, pt_entry_t prot)
{
	pmap_protect(pmap_kernel(), va, va + PAGE_SIZE, (vm_prot_t)prot);
	return true;
}

static bool
test_bit(pt_entry_t *pte, vaddr_t va __unused_arg, pt_entry_t bit)
{
	return (pte_get(pte) & bit) != 0;
}

/* A CPU that holds the translation with the bit set would not set it again: invalidate. */
static bool
clear_bit(pt_entry_t *pte, vaddr_t va, pt_entry_t bit)
{
	struct pmap_inval iv;

	if (!(pte_get(pte) & bit))
		return false;
	pmap_inval_init(&iv);
	pmap_page_narrow(pte, bit, 0);
	COUNT(pte_change, 1);
	pmap_inval_add(&iv, va, 1);
	pmap_inval_done(&iv);
	return true;
}

void
pmap_page_protect(struct vm_page *pg, vm_prot_t prot)
{
	if ((prot & PROT_MASK) == PROT_NONE)
		each_mapping(pg, remove_mapping, 0);
	else
		each_mapping(pg, narrow_mapping, (pt_entry_t)prot);
}

bool
pmap_is_modified(struct vm_page *pg)
{
	return each_mapping(pg, test_bit, PTE_D);
}

bool
pmap_is_referenced(struct vm_page *pg)
{
	return each_mapping(pg, test_bit, PTE_A);
}

bool
pmap_clear_modify(struct vm_page *pg)
{
	return each_mapping(pg, clear_bit, PTE_D);
}

bool
pmap_clear_reference(struct vm_page *pg)
{
	return each_mapping(pg, clear_bit, PTE_A);
}

void
pmap_zero_page(struct vm_page *pg)
{
	kva_zero((vaddr_t)PMAP_DIRECT_MAP(VM_PAGE_TO_PHYS(pg)), PAGE_SIZE);
	COUNT(page_zero, 1);
}
