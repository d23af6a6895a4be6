/* SPDX-License-Identifier: ISC */
/*
 * Physical pages: the segments and the array of vm_pages at boot, single pages afterwards.
 */
#include "pmap.h"

#include <machine/planted.h>
#include <machine/thread.h>

#include "uvm_object.h"
#include "uvm_page.h"
#include "uvm_pmemrange.h"

struct uvmexp uvmexp;
struct vm_physseg vm_physmem[VM_PHYSSEG_MAX];
unsigned vm_nphysseg;

static bool page_init_done;

static bool
overlaps(const struct vm_physseg *seg, paddr_t start, paddr_t end)
{
	return start < seg->end && seg->start < end;
}

void
uvm_page_physload(paddr_t start, paddr_t end, paddr_t avail_start, paddr_t avail_end, int flags)
{
	unsigned at = vm_nphysseg;

	if (page_init_done)
		panic("uvm_page_physload: after uvm_page_init");
	if (vm_nphysseg == VM_PHYSSEG_MAX)
		panic("uvm_page_physload: more than %d segments", VM_PHYSSEG_MAX);
	if (start >= end || avail_start < start || avail_end > end || avail_start > avail_end)
		panic("uvm_page_physload: bad segment 0x%lx..0x%lx", ptoa(start), ptoa(end));
	for (unsigned i = 0; i < vm_nphysseg; i++) {
		if (overlaps(&vm_physmem[i], start, end))
			panic("uvm_page_physload: 0x%lx..0x%lx overlaps a segment", ptoa(start),
			    ptoa(end));
	}
	while (at > 0 && vm_physmem[at - 1].end - vm_physmem[at - 1].start < end - start) {
		vm_physmem[at] = vm_physmem[at - 1];
		at--;
	}
	vm_physmem[at] = (struct vm_physseg){
		.start = start,
		.end = end,
		.avail_start = avail_start,
		.avail_end = avail_end,
		.flags = flags,
	};
	vm_nphysseg++;
}

/* The segment with the lowest address at or above `from`; NULL: none. */
static struct vm_physseg *
segment_from(paddr_t from)
{
	struct vm_physseg *lowest = NULL;

	for (struct vm_physseg *seg = vm_physmem; seg < &vm_physmem[vm_nphysseg]; seg++) {
		if (seg->start >= from && (lowest == NULL || seg->start < lowest->start))
			lowest = seg;
	}
	return lowest;
}

void *
uvm_page_steal(vsize_t size)
{
	uint64_t n = atop(round_page(size));

	if (page_init_done)
		panic("uvm_page_steal: after uvm_page_init");
	/* Low memory goes last in everything else: take it from there. */
	for (struct vm_physseg *seg = segment_from(0); seg != NULL;
	     seg = segment_from(seg->start + 1)) {
		paddr_t frame = seg->avail_start;

		if ((seg->flags & PHYSLOAD_DEVICE) ||
		    seg->avail_end - seg->avail_start <= n) /* none becomes empty */
			continue;
		/* Pages that never get a vm_page need none of the marks below. */
		if (seg->start == seg->avail_start)
			seg->start += n;
		seg->avail_start += n;
		return PMAP_DIRECT_MAP(ptoa(frame));
	}
	panic("uvm_page_steal: no segment has %lu free pages", n);
}

static void
mark_unavailable(struct vm_physseg *seg, paddr_t from, paddr_t to)
{
	for (; from < to; from++)
		seg->pgs[from - seg->start].pg_flags = PQ_INUSE;
}

void
uvm_page_init(void)
{
	struct vm_page *pg;
	uint64_t npages = 0;

	for (unsigned i = 0; i < vm_nphysseg; i++)
		npages += vm_physmem[i].end - vm_physmem[i].start;
	pmap_steal(uvm_page_steal(pmap_steal_size()));
	/* One page for each frame, and one that is never free around and between segments. */
	pg = uvm_page_steal((npages + vm_nphysseg + 1) * sizeof(*pg));
	page_init_done = true;

	mtx_init_rank(&uvm_pmr.fpageqlock, IPL_VM, RANK_PAGES);
	pg->pg_flags = PQ_INUSE;
	for (struct vm_physseg *seg = segment_from(0); seg != NULL;
	     seg = segment_from(seg->start + 1)) {
		seg->pgs = ++pg;
		pg += seg->end - seg->start;
		seg->lastpg = pg;
		pg->pg_flags = PQ_INUSE;
		if (seg->flags & PHYSLOAD_DEVICE) {
			mark_unavailable(seg, seg->start, seg->end);
			continue;
		}
		mark_unavailable(seg, seg->start, seg->avail_start);
		mark_unavailable(seg, seg->avail_end, seg->end);
		if (seg->avail_start == seg->avail_end)
			continue;
		uvm_pmr_addrun(
		    &seg->pgs[seg->avail_start - seg->start], seg->avail_end - seg->avail_start);
	}
	npages = uvmexp.npages = uvmexp.free;

	uvmexp.reserve_pagedaemon = 4;
	uvmexp.reserve_kernel = 6;
	uvmexp.freemin = npages / 30;
	if (uvmexp.freemin < uvmexp.reserve_kernel + 1)
		uvmexp.freemin = uvmexp.reserve_kernel + 1;
	uvmexp.freetarg = uvmexp.freemin * 4 / 3;
	uvmexp.wiredmax = npages / 3;
}

struct vm_page *
uvm_page_lookup_phys(paddr_t pa)
{
	paddr_t frame = atop(pa);

	for (unsigned i = 0; i < vm_nphysseg; i++) {
		struct vm_physseg *seg = &vm_physmem[i];

		if (frame - seg->start < seg->end - seg->start)
			return &seg->pgs[frame - seg->start];
	}
	return NULL;
}

paddr_t
uvm_page_phys_slow(const struct vm_page *pg)
{
	for (unsigned i = 0; i < vm_nphysseg; i++) {
		const struct vm_physseg *seg = &vm_physmem[i];

		if (pg >= seg->pgs && pg < seg->lastpg)
			return ptoa(
			    (PLANTED(LEAF_BAD_FRAME) ? 0 : seg->start) + (paddr_t)(pg - seg->pgs));
	}
	panic("VM_PAGE_TO_PHYS: %p is not a page", (const void *)pg);
}

struct vm_page *
uvm_pagealloc(struct uvm_object *obj, voff_t off, int flags)
{
	struct vm_page *pg;
	unsigned got;

	if (obj != NULL && UVM_OBJ_IS_KERN_OBJECT(obj))
		flags |= UVM_PGA_USERESERVE;
	pg = uvm_pmr_getrun(1, &got, flags);
	if (pg == NULL)
		return NULL;
	if ((flags & UVM_PGA_ZERO) && !(pg->pg_flags & PG_ZERO))
		pmap_zero_page(pg);
	pg_flags_set(pg, PQ_INUSE | PG_BUSY | PG_FAKE | (flags & UVM_PGA_ZERO ? 0 : PG_CLEAN));
	if (obj != NULL) {
		uint32_t keep = pg->pg_flags;

		uvm_obj_insert_run(obj, off, pg, 1);
		pg_flags_set(pg, pg->pg_flags | keep);
	}
	return pg;
}

void
uvm_pagefree(struct vm_page *pg)
{
	struct uvm_object *obj = pg->uobject;

	if (unlikely(!(pg->pg_flags & PQ_INUSE)))
		panic("uvm_pagefree: page 0x%lx is free", VM_PAGE_TO_PHYS(pg));
	if (obj != NULL) {
		mtx_enter(&obj->vmobjlock);
		uvm_obj_remove_page(pg);
		mtx_leave(&obj->vmobjlock);
	}
	if (pg->wire_count != 0) {
		pg->wire_count = 0;
		__atomic_fetch_sub(&uvmexp.wired, 1, __ATOMIC_RELAXED);
	}
	if (pg->pg_flags & PG_WANTED)
		wakeup(pg);
	uvm_pmr_putrun(pg, 1);
}

void
uvm_pagezero(struct vm_page *pg)
{
	pg_flags_set(pg, pg->pg_flags & ~(uint32_t)PG_CLEAN);
	pmap_zero_page(pg);
}

void
uvm_page_unbusy(struct vm_page *pg)
{
	struct uvm_object *obj = pg->uobject;
	uint32_t was;

	if (obj != NULL)
		mtx_enter(&obj->vmobjlock);
	was = pg->pg_flags;
	pg_flags_set(pg, was & ~(uint32_t)(PG_BUSY | PG_WANTED | PG_FAKE | PG_RELEASED));
	if (obj != NULL)
		mtx_leave(&obj->vmobjlock);
	if (was & PG_WANTED)
		wakeup(pg);
	if (was & PG_RELEASED)
		uvm_pagefree(pg);
}

void
uvm_pagewire(struct vm_page *pg)
{
	if (pg->wire_count++ == 0)
		__atomic_fetch_add(&uvmexp.wired, 1, __ATOMIC_RELAXED);
}

void
uvm_pageunwire(struct vm_page *pg)
{
	if (unlikely(pg->wire_count == 0))
		panic("uvm_pageunwire: page 0x%lx is not wired", VM_PAGE_TO_PHYS(pg));
	if (--pg->wire_count == 0 && !PLANTED(WIRED_COUNT_OFF))
		__atomic_fetch_sub(&uvmexp.wired, 1, __ATOMIC_RELAXED);
}
