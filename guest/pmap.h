/* SPDX-License-Identifier: ISC */
/*
 * pmap(9) for the kernel pmap, with the semantics of OpenBSD/amd64 of December 2019 and these changes:
 * shortage of table pages is an error (ENOMEM), never a panic; every operation on a range descends once
 * per table, not once per page; a range above the flush threshold is one full flush.
 *
 * Order that callers rely on: pmap_kremove() and pmap_remove() return only after the entries are clear
 * and no CPU can hold a stale translation; only then may pages or addresses be used again.
 *
 * Addresses given here lie in kernel_map, [VM_MIN_KERNEL_ADDRESS, VM_MIN_KERNEL_ADDRESS + boot.kva_size),
 * but for pmap_extract(), which takes any. Two CPUs may work on different addresses at the same time;
 * whoever owns an address (its map entry) keeps others from it.
 *
 * Leaf entries, by how they were made (shared/paging.h names the bits):
 *	pmap_kenter_pa, pmap_kenter_run	P G, W if PROT_WRITE, NX unless PROT_EXEC
 *	pmap_enter, pmap_enter_run	the same and SW_M; SW_W if PMAP_WIRED
 * A and D are never set by software. Entries above the leaves: P W NX.
 */
#ifndef PMAP_H
#define PMAP_H

#include <machine/lock.h>
#include <machine/mmu.h>
#include <machine/param.h>

struct vm_page;

/* An L1 table, as the tables above it say. */
struct pmap_l1 {
	uint32_t pl_frame; /* its page frame; 0: there is none */
	uint32_t pl_used;  /* present leaves in it */
};

struct pmap {
	paddr_t pm_root; /* the L4 table */
	int pm_refs;
	uint64_t pm_resident; /* leaf entries present, pmap_enter and pmap_kenter_pa together */
	uint64_t pm_wired;    /* of these, with PTE_SW_W */
	uint64_t pm_ptps;     /* table pages below the L4, of kernel_map's part */
	vaddr_t pm_end;       /* tables exist for all of [VM_MIN_KERNEL_ADDRESS, pm_end) */
	vaddr_t pm_limit;     /* end of kernel_map's address space */
	paddr_t pm_pool,
	    pm_poolend; /* table pages not used yet: zero bytes; used ones never return */
	/* For each 2 MiB of kernel_map, so that an operation reaches a table in one step. */
	struct pmap_l1 *pm_l1;
	struct mutex
	    pm_mtx; /* guards growth: pm_ptps, pm_end, pm_pool and entries above the leaves */
};
typedef struct pmap *pmap_t;

extern struct pmap kernel_pmap_store;
#define pmap_kernel() (&kernel_pmap_store)

#define PMAP_WIRED   0x10 /* pmap_enter flags; low bits: the access type */
#define PMAP_CANFAIL 0x20

struct bed_bootinfo;
/* Takes over the tables the VMM made. Costs nothing that grows with RAM. */
void pmap_bootstrap(const struct bed_bootinfo *);
/* Called once by uvm_page_init(): zeroed memory for pm_l1, of that many bytes. */
vsize_t pmap_steal_size(void);
void pmap_steal(void *);

/* 0, ENOMEM (no table page) or EINVAL (not an address of kernel_map). */
int pmap_kenter_pa(vaddr_t, paddr_t, vm_prot_t);
/* n pages at once: va.. gets the pages of the array, in order. All or nothing. */
int pmap_kenter_range(vaddr_t, struct vm_page *const *, unsigned n, vm_prot_t);
void pmap_kremove(vaddr_t, vsize_t);

/* As pmap_kenter_pa; a page that is not PHYS_TO_VM_PAGE's is mapped unmanaged. */
int pmap_enter(pmap_t, vaddr_t, paddr_t, vm_prot_t, int flags);
void pmap_remove(pmap_t, vaddr_t start, vaddr_t end);
void pmap_protect(pmap_t, vaddr_t start, vaddr_t end, vm_prot_t); /* only takes rights away */
void pmap_unwire(pmap_t, vaddr_t);
bool pmap_extract(pmap_t, vaddr_t, paddr_t *); /* direct map and large leaves too */

/*
 * n physically contiguous pages at pa to n pages at va, below pm_end (grow first), none of them mapped.
 * pmap_enter_run() is for pages already in kernel_object at offset va - VM_MIN_KERNEL_ADDRESS: from that
 * their reverse mapping is found.
 */
void pmap_enter_run(vaddr_t, paddr_t, unsigned n, vm_prot_t, int flags);
void pmap_kenter_run(vaddr_t, paddr_t, unsigned n, vm_prot_t);

/*
 * By page: all managed mappings of it. A kernel page has one, so its address is found without a list:
 * by the page's place in kernel_object, else by vm_page.pv_va; a page that was entered twice
 * (PG_PMAPMULTI) costs a search of all tables.
 */
void pmap_page_protect(struct vm_page *, vm_prot_t); /* PROT_NONE: remove every mapping */
bool pmap_is_modified(struct vm_page *); /* D of its present mappings; removal forgets it */
bool pmap_is_referenced(struct vm_page *);
bool pmap_clear_modify(struct vm_page *); /* was it set? */
bool pmap_clear_reference(struct vm_page *);
void pmap_zero_page(struct vm_page *);

/*
 * Make tables so that [VM_MIN_KERNEL_ADDRESS, result) can be entered without needing one; the new end
 * (a multiple of 2 MiB), or 0 when table pages run out or the address is beyond kernel_map: then nothing
 * was taken. Monotone: an end already reached is returned as it is.
 */
vaddr_t pmap_growkernel(vaddr_t);

/*
 * What the hot paths need inline: where a table is, and one page of kernel_object in and out.
 */
#define PMAP_L1_SPAN (PAGE_SIZE * PT_ENTRIES) /* bytes mapped by one L1 table: 2 MiB */

static inline bool
pmap_inside(vaddr_t va)
{
	return va - VM_MIN_KERNEL_ADDRESS < kernel_pmap_store.pm_limit - VM_MIN_KERNEL_ADDRESS;
}

/* The L1 table for va, an address of kernel_map. */
static inline struct pmap_l1 *
pmap_l1(vaddr_t va)
{
	return &kernel_pmap_store.pm_l1[(va - VM_MIN_KERNEL_ADDRESS) / PMAP_L1_SPAN];
}

/* The leaf for va in the table, which exists. */
static inline pt_entry_t *
pmap_l1_leaf(const struct pmap_l1 *l1, vaddr_t va)
{
	return (pt_entry_t *)PMAP_DIRECT_MAP(ptoa(l1->pl_frame)) + pt_index(va, 1);
}

static inline pt_entry_t
pmap_leaf_bits(vm_prot_t prot)
{
	return PTE_P | PTE_G | (prot & PROT_WRITE ? PTE_W : 0) | (prot & PROT_EXEC ? 0 : PTE_NX);
}

/* Account for entries of one L1 table: `set` more present ones, `wired` more wired ones. */
static inline void
pmap_count_leaves(struct pmap_l1 *l1, uint64_t set, uint64_t wired)
{
	__atomic_fetch_add(&l1->pl_used, (uint32_t)set, __ATOMIC_RELAXED);
	__atomic_fetch_add(&kernel_pmap_store.pm_resident, set, __ATOMIC_RELAXED);
	if (wired != 0)
		__atomic_fetch_add(&kernel_pmap_store.pm_wired, wired, __ATOMIC_RELAXED);
}

#ifdef BED_CHECKED_BUILD
void pmap_check_removed(vaddr_t va, pt_entry_t opte, bool managed);
#else
#define pmap_check_removed(va, opte, managed) ((void)(managed))
#endif

/* pmap_enter_run() of one page, wired; l1, the table of va, exists. */
static __always_inline void
pmap_enter_one(struct pmap_l1 *l1, vaddr_t va, paddr_t pa, vm_prot_t prot)
{
	pt_entry_t *pte = pmap_l1_leaf(l1, va);

	KASSERT(!(pte_get(pte) & PTE_P));
	pte_set(pte, pa | pmap_leaf_bits(prot) | PTE_SW_M | PTE_SW_W);
	pmap_count_leaves(l1, 1, 1);
	COUNT(pte_set, 1);
}

/* pmap_remove() of one page, in whose table, l1, something is present. */
static __always_inline void
pmap_remove_one(struct pmap_l1 *l1, vaddr_t va)
{
	pt_entry_t *pte = pmap_l1_leaf(l1, va), opte = pte_get(pte);

	if (unlikely(!(opte & PTE_P)))
		return;
	pmap_check_removed(va, opte, true);
	pte_set(pte, 0);
	pmap_count_leaves(l1, (uint64_t)-1, opte & PTE_SW_W ? (uint64_t)-1 : 0);
	COUNT(pte_clear, 1);
	tlb_invlpg_range(va, 1);
}

/* Deferred work would be shipped here; every call above is synchronous, so it only marks the point. */
void pmap_update(pmap_t);

#endif
