/* SPDX-License-Identifier: ISC */
/*
 * pmap(9) for the kernel pmap, with the semantics of OpenBSD/amd64 of December 2019 and these changes:
 * shortage of table pages is an error (ENOMEM), never a panic; every operation on a range descends once
 * per table, not once per page; a range above the flush threshold is one full flush.
 *
 * Order that callers rely on: pmap_kremove() and pmap_remove() return only after the entries are clear
 * and no CPU can hold a stale translation; only then may pages or addresses be used again.
 */
#ifndef PMAP_H
#define PMAP_H

#include <machine/mmu.h>
#include <machine/param.h>

struct vm_page;

struct pmap {
	paddr_t pm_root; /* the L4 table */
	int pm_refs;
	uint64_t pm_resident; /* leaf entries present, pmap_enter and pmap_kenter_pa together */
	uint64_t pm_wired;    /* of these, with PTE_SW_W */
	uint64_t pm_ptps;     /* table pages below the L4, of kernel_map's part */
};
typedef struct pmap *pmap_t;

extern struct pmap kernel_pmap_store;
#define pmap_kernel() (&kernel_pmap_store)

#define PMAP_WIRED   0x10 /* pmap_enter flags; low bits: the access type */
#define PMAP_CANFAIL 0x20

struct bed_bootinfo;
void pmap_bootstrap(const struct bed_bootinfo *);

int pmap_kenter_pa(vaddr_t, paddr_t, vm_prot_t); /* 0 or ENOMEM (no table page) */
/* n pages at once: va.. gets the pages of the array, in order. All or nothing. */
int pmap_kenter_range(vaddr_t, struct vm_page *const *, unsigned n, vm_prot_t);
void pmap_kremove(vaddr_t, vsize_t);

int pmap_enter(pmap_t, vaddr_t, paddr_t, vm_prot_t, int flags); /* 0 or ENOMEM */
void pmap_remove(pmap_t, vaddr_t start, vaddr_t end);
void pmap_protect(pmap_t, vaddr_t start, vaddr_t end, vm_prot_t); /* only takes rights away */
void pmap_unwire(pmap_t, vaddr_t);
bool pmap_extract(pmap_t, vaddr_t, paddr_t *);	     /* direct map and 2 MiB leaves too */
void pmap_page_protect(struct vm_page *, vm_prot_t); /* PROT_NONE: remove every mapping */

/* Make tables so that [VM_MIN_KERNEL_ADDRESS, result) can be entered without needing one; the new end
 * (a multiple of 2 MiB), or 0 when table pages run out: then nothing was taken. Monotone. */
vaddr_t pmap_growkernel(vaddr_t);

/* Deferred work would be shipped here; every call above is synchronous, so it only marks the point. */
void pmap_update(pmap_t);

#endif
