/* SPDX-License-Identifier: ISC */
/*
 * Physical pages: struct vm_page, memory segments, and allocation of single pages. The host reads these
 * structures through this header, so they are plain LP64 data.
 *
 * A vm_page of zero bytes is a free page whose contents are zero. So the array of them needs no
 * initialisation on memory that starts as zero, whatever the amount of RAM; only the first and last page
 * of a free run carry more (uvm_pmemrange.h). Flags differ from BSD's where that asked for it: PQ_INUSE
 * is the inverse of PQ_FREE, PG_DIRTY of a free page's PG_ZERO.
 */
#ifndef UVM_PAGE_H
#define UVM_PAGE_H

#include <machine/assert.h>
#include <machine/param.h>

#include "uvmexp.h"

struct uvm_object;

struct vm_page {
	union {
		struct vm_page
		    *pageq; /* in use: next run of a pglist; PG_QUICK: next of the stack */
		struct vm_page *pmr_left; /* first page of a free run: its tree */
	};
	struct vm_page *pmr_right, *pmr_parent;
	uint32_t
	    fpgsz; /* pages in the run: first and last page of a free run, first of a pglist's */
	uint32_t pmr_max; /* largest run in this subtree */
	union {
		struct {
			uint32_t pg_flags;
			uint16_t wire_count;
			uint16_t pmr_prio; /* parent's >= children's */
		};
		uint64_t pg_state; /* of these, to look at several at once */
	};
	struct uvm_object *uobject; /* in use: object it belongs to, or NULL */
	voff_t offset; /* ... and its offset there; means nothing while uobject is NULL */
	vaddr_t pv_va; /* where pmap_enter() put it last; a hint, see pmap_page.c */
};
BED_ASSERT_SIZE(struct vm_page, 64);

/* vm_page.pg_state: someone must look at the page before it can be taken out of its object. */
#define PG_STATE_HELD (UINT64_C(0xffff) << 32 | PG_BUSY) /* wire_count, or busy */

/* vm_page.pg_flags */
#define PG_BUSY      0x00000001 /* someone works on it with the object unlocked */
#define PG_WANTED    0x00000002 /* someone sleeps on it until it is not busy */
#define PG_TABLED    0x00000004 /* in an object */
#define PG_CLEAN     0x00000008 /* not changed since it was filled */
#define PG_RELEASED  0x00000020 /* free it when it is not busy any more */
#define PG_FAKE      0x00000040 /* not filled yet */
#define PG_ZERO      0x00000100 /* just allocated: contents known to be zero */
#define PG_DIRTY     0x00000200 /* free: contents not known to be zero */
#define PG_QUICK     0x00000400 /* free: in a run on a stack of short runs, in no tree */
#define PG_PMAPMULTI 0x00001000 /* the pmap may map it managed at several addresses */
#define PQ_INUSE     0x00010000 /* not free */

/*
 * The flags of a page change under the lock of its object or, of a free one, under that of the page queues;
 * who frees its neighbour looks at them at any time, but only at whether it is free.
 */
static __always_inline uint32_t
pg_flags_get(const struct vm_page *pg)
{
	return __atomic_load_n(&pg->pg_flags, __ATOMIC_RELAXED);
}

static __always_inline void
pg_flags_set(struct vm_page *pg, uint32_t flags)
{
	__atomic_store_n(&pg->pg_flags, flags, __ATOMIC_RELAXED);
}

/* A list of runs: each `fpgsz` physically contiguous pages from its first on, linked by pageq. */
struct pglist {
	struct vm_page *first;
	struct vm_page **end;
};
#define PGLIST_INITIALIZER(l)    \
	{                        \
		NULL, &(l).first \
	}
#define PGLIST_FOREACH_RUN(run, l) for ((run) = (l)->first; (run) != NULL; (run) = (run)->pageq)

static inline void
pglist_init(struct pglist *l)
{
	l->first = NULL;
	l->end = &l->first;
}

/* Append the run of n pages that begins with pg. */
static inline void
pglist_add(struct pglist *l, struct vm_page *pg, unsigned n)
{
	pg->fpgsz = n;
	pg->pageq = NULL;
	*l->end = pg;
	l->end = &pg->pageq;
}

/*
 * Memory segments, the largest first, in page frames; pgs[0] is the page of frame `start`. The vm_pages of
 * all segments lie in one array in the order of their addresses.
 */
#define VM_PHYSSEG_MAX  16
#define PHYSLOAD_DEVICE 0x01 /* pages exist but are never free */

struct vm_physseg {
	paddr_t start, end;
	paddr_t avail_start, avail_end;
	struct vm_page *pgs, *lastpg; /* [pgs, lastpg) */
	int flags;
};
extern struct vm_physseg vm_physmem[VM_PHYSSEG_MAX];
extern unsigned vm_nphysseg;

/*
 * Boot. First uvm_page_physload() for each segment (frames; the available part is what may become free),
 * then uvm_page_init(), which takes the array of vm_pages out of the first segment that has room.
 * uvm_page_steal() gives zeroed memory for ever, before and within uvm_page_init() only.
 */
void uvm_page_physload(
    paddr_t start, paddr_t end, paddr_t avail_start, paddr_t avail_end, int flags);
void uvm_page_init(void);
void *uvm_page_steal(vsize_t);

struct vm_page *uvm_page_lookup_phys(paddr_t);

/* NULL: not managed. */
static inline struct vm_page *
PHYS_TO_VM_PAGE(paddr_t pa)
{
	const struct vm_physseg *seg = &vm_physmem[0];

	if (likely(atop(pa) - seg->start < seg->end - seg->start))
		return &seg->pgs[atop(pa) - seg->start];
	return uvm_page_lookup_phys(pa);
}

paddr_t uvm_page_phys_slow(const struct vm_page *);

/* In the largest segment, whose pages VM_PAGE_TO_PHYS() finds without a call. */
static __always_inline bool
uvm_page_is_near(const struct vm_page *pg)
{
	const struct vm_physseg *seg = &vm_physmem[0];

	return (uintptr_t)pg - (uintptr_t)seg->pgs < (uintptr_t)seg->lastpg - (uintptr_t)seg->pgs;
}

static inline paddr_t
VM_PAGE_TO_PHYS(const struct vm_page *pg)
{
	const struct vm_physseg *seg = &vm_physmem[0];

	if (likely(uvm_page_is_near(pg)))
		return ptoa(seg->start + (paddr_t)(pg - seg->pgs));
	return uvm_page_phys_slow(pg);
}

/* uvm_pagealloc flags */
#define UVM_PGA_USERESERVE 0x1 /* down to reserve_pagedaemon */
#define UVM_PGA_ZERO       0x2 /* contents zero; on uvm_pmr_getrun: prefer pages known to be zero */

/*
 * One page, busy and fake, in obj at off unless obj is NULL; NULL: no page. Never sleeps. The slot at
 * off must exist (uvm_obj_reserve) and be empty; obj must not be locked.
 */
struct vm_page *uvm_pagealloc(struct uvm_object *obj, voff_t off, int flags);
/* Take it out of its object, if any, and free it. No mapping may be left. */
void uvm_pagefree(struct vm_page *);
void uvm_pagezero(struct vm_page *);

/* Not busy any more: wake who waits, free it if it was released meanwhile. */
void uvm_page_unbusy(struct vm_page *);

void uvm_pagewire(struct vm_page *);
void uvm_pageunwire(struct vm_page *);

#endif
