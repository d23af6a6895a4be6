/* SPDX-License-Identifier: ISC */
/*
 * km_alloc(9) (km_alloc.h).
 *
 * Pages first, then addresses, then mappings: each step can be undone by giving back what the steps before
 * took. A free goes the other way round: mappings and their translations, pages, addresses.
 */
#include "km_alloc.h"

#include <machine/assert.h>
#include <machine/planted.h>
#include <machine/thread.h>

#include "pmap.h"
#include "shared/bootinfo.h"
#include "uvm_km.h"
#include "uvm_map_impl.h"
#include "uvm_object.h"
#include "uvm_pmemrange.h"

#define PROT_RW (PROT_READ | PROT_WRITE)

struct uvm_constraint_range dma_constraint = { 0, (paddr_t)-1 };
struct uvm_constraint_range no_constraint = { 0, (paddr_t)-1 };
static struct uvm_object *kernel_object = &uvm_kernel_object;

const struct kmem_va_mode kv_any = { .kv_map = &kernel_map };
const struct kmem_va_mode kv_intrsafe = { .kv_map = &kmem_map };
const struct kmem_va_mode kv_page = { .kv_singlepage = 1 };
const struct kmem_va_mode kv_exec = { .kv_map = &exec_map, .kv_wait = 1 };

const struct kmem_pa_mode kp_dirty = { .kp_constraint = &no_constraint };
const struct kmem_pa_mode kp_zero = { .kp_constraint = &no_constraint, .kp_zero = 1 };
const struct kmem_pa_mode kp_dma = { .kp_constraint = &dma_constraint };
const struct kmem_pa_mode kp_dma_contig = { .kp_constraint = &dma_constraint, .kp_maxseg = 1 };
const struct kmem_pa_mode kp_dma_zero = { .kp_constraint = &dma_constraint, .kp_zero = 1 };
const struct kmem_pa_mode kp_pageable = { .kp_object = &kernel_object, .kp_pageable = 1 };
const struct kmem_pa_mode kp_none = { .kp_nomem = 1 };

const struct kmem_dyn_mode kd_waitok = { .kd_waitok = 1, .kd_prefer = UVM_UNKNOWN_OFFSET };
const struct kmem_dyn_mode kd_nowait = { .kd_prefer = UVM_UNKNOWN_OFFSET };
const struct kmem_dyn_mode kd_trylock = { .kd_trylock = 1, .kd_prefer = UVM_UNKNOWN_OFFSET };

void
km_alloc_init(const struct bed_bootinfo *bi)
{
	dma_constraint.ucr_high = bi->dma_high;
}

/* The caller gets pages now, rather than addresses alone. */
static inline bool
takes_pages(const struct kmem_pa_mode *kp)
{
	return !kp->kp_nomem && !kp->kp_pageable;
}

/* One segment: the direct map has it already. */
static inline bool
is_direct(const struct kmem_va_mode *kv, const struct kmem_pa_mode *kp)
{
	return kv->kv_singlepage || (kp->kp_maxseg == 1 && takes_pages(kp));
}

/* Combinations that make no sense (km_alloc.h). */
static bool
is_refused(size_t sz, const struct kmem_va_mode *kv, const struct kmem_pa_mode *kp,
    const struct kmem_dyn_mode *kd)
{
	const struct vm_map *map;

	if (sz == 0 || (sz & PAGE_MASK) != 0)
		return true;
	if (kv->kv_singlepage && (sz != PAGE_SIZE || !takes_pages(kp)))
		return true;
	if (likely(!kp->kp_pageable)) {
		if (kp->kp_object != NULL)
			return true;
	} else if (kp->kp_nomem || kp->kp_object == NULL || kd->kd_prefer != UVM_UNKNOWN_OFFSET) {
		return true;
	}
	if (is_direct(kv, kp))
		return false;
	if (kv->kv_map == NULL)
		return true;
	map = *kv->kv_map;
	return sz > map->max_offset - map->min_offset ||
	       (kp->kp_pageable && (map->flags & VM_MAP_INTRSAFE) != 0);
}

static void
zero_run(struct vm_page *pg, unsigned n)
{
	if ((pg->pg_flags & PG_ZERO) != 0)
		return;
	for (unsigned i = 0; i < n; i++)
		pmap_zero_page(&pg[i]);
}

/* n pages in one run from anywhere, if there is such a run; false: look again, with more care. */
static bool
get_run(uint64_t n, bool zero, struct pglist *pgl)
{
	struct vm_page *pg;
	unsigned got;

	if (n > uvmexp.npages)
		return false;
	pg = uvm_pmr_getrun((unsigned)n, &got, zero ? UVM_PGA_ZERO : 0);
	if (pg == NULL)
		return false;
	if (got != n) {
		uvm_pmr_putrun(pg, got);
		return false;
	}
	if (zero)
		zero_run(pg, got);
	pglist_init(pgl);
	pglist_add(pgl, pg, got);
	return true;
}

/* 0, or ENOMEM, or EINVAL; `align` is what the address asks of the pages. */
static int
get_pages(size_t sz, const struct kmem_pa_mode *kp, vsize_t align, bool wait, struct pglist *pgl)
{
	const struct uvm_constraint_range *range = kp->kp_constraint;

	if (range == NULL)
		range = &no_constraint;
	if (align < kp->kp_align)
		align = kp->kp_align;
	if (range == &no_constraint && (align | kp->kp_boundary) == 0 &&
	    get_run(atop(sz), kp->kp_zero, pgl))
		return 0;
	return uvm_pglistalloc(sz, range->ucr_low, range->ucr_high, align, kp->kp_boundary, pgl,
	    kp->kp_maxseg,
	    UVM_PLA_TRYCONTIG | (wait ? UVM_PLA_WAITOK : UVM_PLA_NOWAIT) |
		(kp->kp_zero ? UVM_PLA_ZERO : 0));
}

/* One page by its direct map address, any page will do, and nothing else is asked: most calls. */
static __always_inline bool
is_plain_page(size_t sz, const struct kmem_va_mode *kv, const struct kmem_pa_mode *kp,
    const struct kmem_dyn_mode *kd)
{
	return sz == PAGE_SIZE && kv->kv_singlepage && kp->kp_constraint == &no_constraint &&
	       (kv->kv_align | kp->kp_align | kp->kp_boundary | (uintptr_t)kp->kp_object |
		   (uintptr_t)kd->kd_slowdown) == 0 &&
	       takes_pages(kp);
}

static void *
alloc_direct(size_t sz, const struct kmem_va_mode *kv, const struct kmem_pa_mode *kp, bool wait)
{
	struct pglist pgl;

	if (get_pages(sz, kp, kv->kv_align, wait, &pgl) != 0)
		return NULL;
	return PMAP_DIRECT_MAP(VM_PAGE_TO_PHYS(pgl.first));
}

/*
 * Until addresses may have become free. `wakeups` was read before the search that failed; the count is
 * compared under the lock of the map, as is every wakeup counted, so none in between is missed.
 */
static void
wait_for_addresses(struct vm_map *map, uint64_t wakeups)
{
	bool asleep;

	stop_point(STOP_VALLOC_WAIT);
	vm_map_lock(map);
	asleep = map->wakeups == wakeups;
	if (asleep)
		sleep_setup(map, "km_allocva");
	vm_map_unlock(map);
	if (asleep)
		sleep_finish(INFSLP, true);
}

/* sz bytes of *kv_map; 0: none. */
static vaddr_t
get_addresses(size_t sz, const struct kmem_va_mode *kv, const struct kmem_pa_mode *kp,
    const struct kmem_dyn_mode *kd, bool wait)
{
	struct vm_map *map = *kv->kv_map;
	vsize_t guard = map->flags & VM_MAP_GUARDPAGES ? PAGE_SIZE : 0;
	unsigned flags = UVM_MAPFLAG(
	    PROT_RW, PROT_RW, MAP_INHERIT_NONE, MADV_RANDOM, kd->kd_trylock ? UVM_FLAG_TRYLOCK : 0);

	/* What the map can never hold is not waited for. */
	wait = wait && kv->kv_wait && !kd->kd_trylock &&
	       sz <= map->max_offset - map->min_offset - guard;
	for (;;) {
		uint64_t wakeups = __atomic_load_n(&map->wakeups, __ATOMIC_ACQUIRE);
		vaddr_t va = map->min_offset;
		int error = uvm_map(map, &va, sz, kp->kp_pageable ? *kp->kp_object : NULL,
		    UVM_UNKNOWN_OFFSET, kv->kv_align, flags);

		if (error == 0)
			return va;
		if (error != ENOMEM || !wait)
			return 0;
		wait_for_addresses(map, wakeups);
	}
}

static void *
alloc_mapped(size_t sz, const struct kmem_va_mode *kv, const struct kmem_pa_mode *kp,
    const struct kmem_dyn_mode *kd, bool wait)
{
	struct vm_page *run, *next;
	struct pglist pgl;
	vaddr_t va, at;

	pglist_init(&pgl);
	if (takes_pages(kp) && get_pages(sz, kp, 0, wait, &pgl) != 0)
		return NULL;
	va = get_addresses(sz, kv, kp, kd, wait);
	if (va == 0) {
		if (!PLANTED(PAGE_LEAKED_ON_FAILURE))
			uvm_pglistfree(&pgl);
		return NULL;
	}
	at = va;
	for (run = pgl.first; run != NULL; run = next) {
		next = run->pageq;
		pmap_kenter_run(at, VM_PAGE_TO_PHYS(run), run->fpgsz, PROT_RW);
		at += ptoa(run->fpgsz);
	}
	return (void *)va;
}

static __attribute__((__noinline__)) void *
alloc_any(size_t sz, const struct kmem_va_mode *kv, const struct kmem_pa_mode *kp,
    const struct kmem_dyn_mode *kd)
{
	bool wait = kd->kd_waitok && !thread_is_pagedaemon(curthread);
	void *v;

	if (is_refused(sz, kv, kp, kd))
		return NULL;
	v = is_direct(kv, kp) ? alloc_direct(sz, kv, kp, wait) : alloc_mapped(sz, kv, kp, kd, wait);
	if (kd->kd_slowdown != NULL && uvm_pages_free() < uvmexp.freemin)
		*kd->kd_slowdown = 1;
	return v;
}

void *
km_alloc(size_t sz, const struct kmem_va_mode *kv, const struct kmem_pa_mode *kp,
    const struct kmem_dyn_mode *kd)
{
	struct vm_page *pg;
	unsigned got;

	if (unlikely(!is_plain_page(sz, kv, kp, kd)))
		return alloc_any(sz, kv, kp, kd);
	pg = uvm_pmr_getrun(1, &got, kp->kp_zero ? UVM_PGA_ZERO : 0);
	if (unlikely(pg == NULL)) /* memory is short; what a plain page asks for is known */
		return alloc_any(PAGE_SIZE, &kv_page, kp, kd);
	if (kp->kp_zero)
		zero_run(pg, 1);
	return PMAP_DIRECT_MAP(VM_PAGE_TO_PHYS(pg));
}

static __always_inline void
free_direct(void *v, size_t sz)
{
	paddr_t pa = PMAP_DIRECT_UNMAP(v);
	struct vm_page *pg = PHYS_TO_VM_PAGE(pa);

	if (unlikely(((pa | sz) & PAGE_MASK) != 0) || unlikely(sz == 0) || unlikely(pg == NULL))
		panic("km_free: %p, %zu bytes: no pages of the direct map", v, sz);
	uvm_pmr_putrun(pg, (unsigned)atop(sz));
}

/* Is all of [start, end) of the kind that these modes make? Changes of rights may have cut its entry. */
static bool
is_ours(struct vm_map *map, vaddr_t start, vaddr_t end, const struct kmem_pa_mode *kp)
{
	struct vm_map_entry *e;
	bool ours;

	if (start >= end || ((start | end) & PAGE_MASK) != 0)
		return false;
	vm_map_lock_read(map);
	ours = uvm_map_lookup_entry(map, start, &e);
	for (; ours && start < end; start = e->end, e = e->next)
		ours = e != &map->header && e->start <= start && !UVM_ET_ISSUBMAP(e) &&
		       !UVM_ET_ISHOLE(e) && UVM_ET_ISOBJ(e) == (kp->kp_pageable != 0);
	vm_map_unlock_read(map);
	return ours;
}

static void
free_mapped(vaddr_t start, size_t sz, const struct kmem_va_mode *kv, const struct kmem_pa_mode *kp)
{
	struct vm_map *map = *kv->kv_map;
	vaddr_t end = start + sz;

	if (unlikely(!is_ours(map, start, end, kp))) {
		uvm_map_misuse(
		    &uvm_misuse.free_unmapped, "km_free: not allocated so", map, start, end);
		return;
	}
	if (takes_pages(kp))
		uvm_km_pgremove_intrsafe(start, end);
	if (kv->kv_wait)
		uvm_unmap_wakeup(map, start, end);
	else
		uvm_unmap(map, start, end);
}

static __attribute__((__noinline__)) void
free_any(void *v, size_t sz, const struct kmem_va_mode *kv, const struct kmem_pa_mode *kp)
{
	if (kv->kv_singlepage || (kv->kv_map == NULL && !is_direct(kv, kp)))
		panic("km_free: %p, %zu bytes: these modes do not allocate that", v, sz);
	if (is_direct(kv, kp))
		free_direct(v, sz);
	else
		free_mapped((vaddr_t)v, sz, kv, kp);
}

void
km_free(void *v, size_t sz, const struct kmem_va_mode *kv, const struct kmem_pa_mode *kp)
{
	if (likely(kv->kv_singlepage && sz == PAGE_SIZE))
		free_direct(v, PAGE_SIZE);
	else
		free_any(v, sz, kv, kp);
}
