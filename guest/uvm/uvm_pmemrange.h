/* SPDX-License-Identifier: ISC */
/*
 * Free physical memory. It consists of runs: maximal stretches of free pages of one kind, DIRTY
 * (contents unknown) or ZERO (known to be zero). Each kind has a tree of its runs in address order that
 * knows the largest run of every subtree; so a run of a size is found, or known not to exist, in
 * O(log n). In front of the trees stand stacks of short dirty runs, one for each length: what was freed
 * last in one piece is given out again in one piece, without any search.
 *
 * Placement is deterministic: the run of that very length that was freed last, if there is one; else the
 * end of the highest run that is large enough. Low memory, which devices may need, goes last.
 *
 * A run is never cut by the end of its segment: a page that is never free stands between any two.
 */
#ifndef UVM_PMEMRANGE_H
#define UVM_PMEMRANGE_H

#include <machine/lock.h>

#include "uvm_page.h"

#define UVM_PMR_MEMTYPE_DIRTY 0
#define UVM_PMR_MEMTYPE_ZERO  1
#define UVM_PMR_MEMTYPE_MAX   2

#define UVM_PMR_QUICK       32  /* longest run on a stack, in pages */
#define UVM_PMR_QUICK_PAGES 128 /* most pages on all stacks together */

/* Written to the first, the middle and the last word of a dirty page when it is freed (checked). */
#define UVM_POISON UINT64_C(0xdeafbeefdeadbeef) /* not canonical */

/* A sleeper whose request has constraints; woken when a page that may help is freed. */
struct uvm_pmalloc {
	struct uvm_pmalloc *pm_next;
	paddr_t pm_low, pm_high; /* frames, inclusive */
	bool pm_failok;          /* may be told that the page daemon could not help */
	bool pm_gaveup;          /* has been told */
};

struct uvm_pmemrange {
	struct mutex fpageqlock; /* guards all of this and uvmexp.free */
	struct vm_page *tree[UVM_PMR_MEMTYPE_MAX];
	uint64_t pages[UVM_PMR_MEMTYPE_MAX];      /* in the trees */
	struct vm_page *quick[UVM_PMR_QUICK + 1]; /* by length; linked by pageq */
	uint64_t nquick;                          /* pages on all of them */
	uint64_t waiters;                         /* threads asleep on &uvmexp.free, at most */
	struct uvm_pmalloc *allocs;
};
extern struct uvm_pmemrange uvm_pmr;

/* Boot: n pages from pg on, never touched so far, are free. */
void uvm_pmr_addrun(struct vm_page *pg, uint64_t n);

/*
 * Up to `want` physically contiguous pages, at least one; *got says how many. NULL: the reserve is
 * reached. flags: UVM_PGA_*. All of the run is of one kind: it has PG_ZERO if it was known to be zero
 * (nothing is zeroed here). Pages have PQ_INUSE and belong to no object.
 */
struct vm_page *uvm_pmr_getrun(unsigned want, unsigned *got, int flags);
/* Give n contiguous pages back: no mapping left, in no object. Wakes those who wait for pages. */
void uvm_pmr_putrun(struct vm_page *, unsigned n);

/* Undo uvm_pmr_getrun(): nobody has touched the pages since, so known zeroes stay known. */
void uvm_pmr_unget(struct vm_page *, unsigned n);

/* uvm_pglistalloc flags */
#define UVM_PLA_WAITOK     0x01
#define UVM_PLA_NOWAIT     0x02
#define UVM_PLA_ZERO       0x04 /* contents zero */
#define UVM_PLA_TRYCONTIG  0x08 /* one run if there is one, whatever nsegs says */
#define UVM_PLA_FAILOK     0x10 /* WAITOK: give up when the page daemon does */
#define UVM_PLA_NOWAKE     0x20 /* do not wake the page daemon */
#define UVM_PLA_USERESERVE 0x40 /* leave reserve_pagedaemon pages, not one more */

/*
 * round_page(size) bytes of pages in [low, high] (bytes; high inclusive, (paddr_t)-1: any), in at most
 * nsegs physically contiguous segments (0: any number), each starting at a multiple of alignment (0:
 * page) and crossing no multiple of boundary (0: none; else >= size / nsegs). All or nothing: 0; ENOMEM;
 * EINVAL for size 0 or parameters that no memory can satisfy. Exactly one of WAITOK and NOWAIT; WAITOK
 * sleeps unless the request is larger than memory.
 * The list's runs are maximal per kind: a segment may be two runs that touch.
 */
int uvm_pglistalloc(psize_t size, paddr_t low, paddr_t high, paddr_t alignment, paddr_t boundary,
    struct pglist *, int nsegs, int flags);
void uvm_pglistfree(struct pglist *);

/* Sleep until a page may be had; returns at once if one is there already. */
void uvm_wait(const char *wmesg);
bool uvm_pmr_isfree(const struct vm_page *);

/* Put the stacks of short runs into the trees; fpageqlock held. */
void uvm_pmr_drain(void);

/*
 * The page daemon: runs the hooks when memory is short. A hook gives back what it can and returns how
 * many pages that was; it must not sleep for pages.
 */
#define UVM_RECLAIM_MAX 8
void uvm_pageout(void *); /* the thread; never returns */
void uvm_reclaim_register(uint64_t (*hook)(void *), void *arg);
void uvm_pagedaemon_wake(void); /* fpageqlock not held */

#endif
