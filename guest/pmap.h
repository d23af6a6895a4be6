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

#include <machine/coldcall.h>
#include <machine/lock.h>
#include <machine/mmu.h>
#include <machine/param.h>
#include <machine/planted.h>

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

/*
 * Leaves in it, at some moment. Who owns addresses has made or seen made all leaves there are for them, so
 * 0 tells that there are none of its own.
 */
static inline uint32_t
pmap_l1_used(const struct pmap_l1 *l1)
{
	return __atomic_load_n(&l1->pl_used, __ATOMIC_RELAXED);
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
	return PTE_P | (PLANTED(LEAF_NOT_GLOBAL) ? 0 : PTE_G) | (prot & PROT_WRITE ? PTE_W : 0) |
	       (prot & PROT_EXEC ? 0 : PTE_NX);
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

/* What pmap_enter_run() stores, for wired pages. */
static inline pt_entry_t
pmap_wired_leaf(paddr_t pa, vm_prot_t prot)
{
	return pa | pmap_leaf_bits(prot) | PTE_SW_M | PTE_SW_W;
}

#ifdef BED_CHECKED_BUILD
void pmap_check_removed(vaddr_t va, pt_entry_t opte, bool managed);
#else
#define pmap_check_removed(va, opte, managed) ((void)(managed))
#endif

/* Fill four leaves, none of them present, with the same rights and one frame after the other. */
static __always_inline void
pmap_fill4(pt_entry_t *pte, pt_entry_t npte)
{
	KASSERT(
	    !((pte_get(&pte[0]) | pte_get(&pte[1]) | pte_get(&pte[2]) | pte_get(&pte[3])) & PTE_P));
	pte_set(&pte[0], npte);
	pte_set(&pte[1], npte + (PLANTED(FRAME_MAPPED_TWICE) ? 0 : PAGE_SIZE));
	pte_set(&pte[2], npte + 2 * PAGE_SIZE);
	pte_set(&pte[3], npte + 3 * PAGE_SIZE);
}

static __always_inline void
pmap_fill1(pt_entry_t *pte, pt_entry_t npte)
{
	KASSERT(!(pte_get(pte) & PTE_P));
	pte_set(pte, npte);
}

static __always_inline void
pmap_clear_leaf(pt_entry_t *pte, vaddr_t va __unused_arg, bool managed)
{
	pmap_check_removed(va, pte_get(pte), managed);
	if (PLANTED(ONLY_P_CLEARED)) {
		pte_set(pte, pte_get(pte) & ~PTE_P);
		return;
	}
	pte_set(pte, 0);
}

static __always_inline bool
pmap_none4(const pt_entry_t *pte)
{
	return ((pte_get(&pte[0]) | pte_get(&pte[1]) | pte_get(&pte[2]) | pte_get(&pte[3])) &
		   PTE_P) == 0;
}

static __always_inline bool
pmap_wired1(const pt_entry_t *pte)
{
	return (pte_get(pte) & (PTE_P | PTE_SW_W)) == (PTE_P | PTE_SW_W);
}

/* Four leaves, all present and wired, as uvm_km_alloc() makes them? */
static __always_inline bool
pmap_wired4(const pt_entry_t *pte)
{
	const pt_entry_t both = PTE_P | PTE_SW_W;

	return (pte_get(&pte[0]) & pte_get(&pte[1]) & pte_get(&pte[2]) & pte_get(&pte[3]) & both) ==
	       both;
}

static __always_inline void
pmap_clear4(pt_entry_t *pte, vaddr_t va __unused_arg, bool managed)
{
	pmap_clear_leaf(&pte[0], va, managed);
	pmap_clear_leaf(&pte[1], va, managed);
	pmap_clear_leaf(&pte[2], va, managed);
	pmap_clear_leaf(&pte[3], va, managed);
}

/*
 * Clear present leaves from *pte on, up to the first that is not present or to `last`. Returns where it
 * stopped; *wbits: sum of the wired bits. Entries are read, then cleared by a plain store: A or D that a
 * CPU sets in between is lost, and nobody asks for them after removal.
 */
static __always_inline pt_entry_t *
pmap_clear_run(
    pt_entry_t *pte, const pt_entry_t *last, vaddr_t va __unused_arg, bool managed, uint64_t *wbits)
{
	for (; last - pte >= 4 && pmap_wired4(pte); pte += 4) {
		pmap_clear4(pte, va, managed);
		*wbits += 4 * PTE_SW_W;
	}
	for (; pte != last; pte++) {
		pt_entry_t opte = pte_get(pte);

		if (!(opte & PTE_P))
			break;
		pmap_clear_leaf(pte, va, managed);
		*wbits += opte & PTE_SW_W;
	}
	return pte;
}

extern uint64_t pmap_flush_threshold;
extern bool pmap_smp; /* more than one CPU is configured; constant once there may be another */

__coldcall void pmap_shootdown_range(vaddr_t va, uint64_t n);

/* Wrong on purpose (machine/planted.h): pmap_planted.c. True: the invalidation is left out. */
bool pmap_planted_inval(vaddr_t *va, uint64_t *n);

/* The translations of n > 0 pages are gone, on every CPU, when this returns. */
static __always_inline void
pmap_inval_range(vaddr_t va, uint64_t n)
{
	if (PLANTED_ANY && pmap_planted_inval(&va, &n))
		return;
	if (unlikely(pmap_smp))
		COLD_CALL2(pmap_shootdown_range, va, n);
	else if (n == 1 || likely(n <= pmap_flush_threshold))
		tlb_invlpg_range(va, n);
	else
		tlb_flush_full();
}

/* n > 0 leaves of one table were filled, all of them wired. */
static __always_inline void
pmap_entered(struct pmap_l1 *l1, uint64_t n)
{
	pmap_count_leaves(l1, n, n);
	COUNT(pte_set, n);
}

/* n > 0 leaves of one table, from va's on, were cleared, `wired` of them wired. */
static __always_inline void
pmap_removed(struct pmap_l1 *l1, vaddr_t va, uint64_t n, uint64_t wired)
{
	pmap_count_leaves(l1, -n, -wired);
	COUNT(pte_clear, n);
	if (PLANTED(FREE_BEFORE_INVLPG))
		return; /* the caller, when the pages are free */
	pmap_inval_range(va, n);
}

/* The first n leaves from va's on, wired and of one table, were cleared; now the rest of [va, end). */
void pmap_remove_rest(struct pmap_l1 *, vaddr_t va, uint64_t n, vaddr_t end);

/* pmap_remove() of n > 0 pages of one table, up to the first that is not there; how many were. */
static __always_inline uint64_t
pmap_remove_in(struct pmap_l1 *l1, vaddr_t va, uint64_t n)
{
	pt_entry_t *pte = pmap_l1_leaf(l1, va);
	uint64_t wbits = 0;

	n = (uint64_t)(pmap_clear_run(pte, pte + n, va, true, &wbits) - pte);
	if (likely(n != 0))
		pmap_removed(l1, va, n, wbits / PTE_SW_W);
	return n;
}

/* Deferred work would be shipped here; every call above is synchronous, so it only marks the point. */
void pmap_update(pmap_t);

#endif
