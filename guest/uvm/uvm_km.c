/* SPDX-License-Identifier: ISC */
/*
 * Kernel memory: uvm_km_alloc(9). Addresses from uvm_map(), pages from the free lists in physically
 * contiguous runs, each run entered into the object and the page tables at once.
 *
 * The order of an allocation is: addresses, places in the object, all pages, and only then mappings. Each
 * step undoes the ones before when it fails, so nobody ever sees a range that is mapped in part; and the
 * only sleep, for pages, happens with no lock and no page held.
 */
#include "uvm_km.h"

#include <machine/kva.h>
#include <machine/thread.h>

#include "pmap.h"
#include "uvm_map_impl.h"
#include "uvm_object.h"
#include "uvm_pmemrange.h"

struct vm_map *kernel_map, *kmem_map, *exec_map, *phys_map;

#define PROT_RW  (PROT_READ | PROT_WRITE)
#define PROT_RWX (PROT_RW | PROT_EXEC)

/* What to put behind a range of addresses. */
struct backing {
	struct uvm_object *obj; /* NULL: unmanaged mappings */
	unsigned pga;           /* UVM_PGA_* for the pages */
	bool zero;
	bool wait;
};

/* The rounded size, or 0 when the request is refused: nothing, wrapped, or more than the map. */
static inline vsize_t
checked_size(const struct vm_map *map, vsize_t size)
{
	vsize_t rounded = round_page(size);

	return rounded < size || rounded > map->max_offset - map->min_offset ? 0 : rounded;
}

static inline vaddr_t
map_range(struct vm_map *map, vsize_t size, struct uvm_object *obj, vsize_t align,
    vm_prot_t maxprot, unsigned flags)
{
	vaddr_t va = map->min_offset;

	if (uvm_map(map, &va, size, obj, UVM_UNKNOWN_OFFSET, align,
		UVM_MAPFLAG(PROT_RW, maxprot, MAP_INHERIT_NONE, MADV_RANDOM, flags)) != 0)
		return 0;
	return va;
}

static inline bool
may_wait(void)
{
	return !thread_is_pagedaemon(curthread) && !cpu_cannot_sleep();
}

/* Places in the object for the whole range; sleeps for the pages this takes, if it may. */
static int
reserve_object(const struct backing *bk, voff_t offset, vsize_t size)
{
	while (uvm_obj_reserve(bk->obj, offset, atop(size)) != 0) {
		if (!bk->wait || !may_wait())
			return ENOMEM;
		uvm_wait("km_allocob");
	}
	return 0;
}

static void
enter_run(const struct backing *bk, vaddr_t va, struct vm_page *pg, unsigned n)
{
	bool zero = bk->zero && (pg->pg_flags & PG_ZERO) == 0;
	paddr_t pa = VM_PAGE_TO_PHYS(pg);

	if (bk->obj != NULL) {
		uvm_obj_insert_run(bk->obj, va - VM_MIN_KERNEL_ADDRESS, pg, n);
		pmap_enter_run(va, pa, n, PROT_RW, PROT_RW | PMAP_WIRED);
	} else {
		pmap_kenter_run(va, pa, n, PROT_RW);
	}
	if (zero)
		kva_zero(va, ptoa(n));
}

static void
enter_list(const struct backing *bk, vaddr_t va, struct pglist *pgl)
{
	struct vm_page *run, *next;

	for (run = pgl->first; run != NULL; run = next) {
		unsigned n = run->fpgsz;

		next = run->pageq;
		enter_run(bk, va, run, n);
		va += ptoa(n);
	}
}

/*
 * The pages that remain after a first run that was too short, or that could not be had at all. In a
 * shortage everything goes back before the sleep: two that want most of memory do not starve each other.
 */
static int
gather_pages(
    const struct backing *bk, vsize_t size, struct vm_page *pg, unsigned got, struct pglist *pgl)
{
	unsigned n = (unsigned)atop(size);

	pglist_init(pgl);
	while (pg != NULL) {
		pglist_add(pgl, pg, got);
		n -= got;
		if (n == 0)
			return 0;
		pg = uvm_pmr_getrun(n, &got, (int)bk->pga);
	}
	if (pgl->first != NULL)
		uvm_pglistfree(pgl);
	if (!bk->wait || !may_wait())
		return ENOMEM;
	pglist_init(pgl);
	return uvm_pglistalloc(size, 0, (paddr_t)-1, 0, 0, pgl, 0,
	    UVM_PLA_WAITOK | (bk->pga & UVM_PGA_USERESERVE ? UVM_PLA_USERESERVE : 0));
}

/* Put pages behind [va, va + size), all or none. */
static int
populate(const struct backing *bk, vaddr_t va, vsize_t size)
{
	struct pglist pgl;
	struct vm_page *pg;
	unsigned got;
	int error;

	if (bk->obj != NULL && reserve_object(bk, va - VM_MIN_KERNEL_ADDRESS, size) != 0)
		return ENOMEM;
	pg = uvm_pmr_getrun((unsigned)atop(size), &got, (int)bk->pga);
	if (likely(pg != NULL && got == atop(size))) {
		enter_run(bk, va, pg, got);
		return 0;
	}
	error = gather_pages(bk, size, pg, got, &pgl);
	if (error == 0)
		enter_list(bk, va, &pgl);
	return error;
}

/* uvm_km_alloc1() when the pages are not one free run at hand; the addresses are there. */
static __noinline vaddr_t
alloc1_slowly(struct vm_map *map, vaddr_t va, vsize_t size, boolean_t zeroit)
{
	const struct backing bk = {
		.obj = &uvm_kernel_object,
		.pga = UVM_PGA_USERESERVE | (zeroit ? UVM_PGA_ZERO : 0),
		.zero = zeroit,
		.wait = true,
	};

	if (populate(&bk, va, size) == 0)
		return va;
	uvm_unmap(map, va, va + size);
	return 0;
}

vaddr_t
uvm_km_alloc1(struct vm_map *map, vsize_t size, vsize_t align, boolean_t zeroit)
{
	vaddr_t va = map->min_offset;
	struct vm_page *pg;
	unsigned got;
	bool zero;

	size = checked_size(map, size);
	/* What memory could never hold is refused before the map makes page tables for it. */
	if (unlikely(
		size == 0 || size > ptoa(uvmexp.npages) || (map->flags & VM_MAP_INTRSAFE) != 0))
		return 0;
	if (unlikely(uvm_map(map, &va, size, &uvm_kernel_object, UVM_UNKNOWN_OFFSET, align,
			 UVM_MAPFLAG(PROT_RW, PROT_RWX, MAP_INHERIT_NONE, MADV_RANDOM, 0)) != 0))
		return 0;
	if (unlikely(
		uvm_obj_reserve(&uvm_kernel_object, va - VM_MIN_KERNEL_ADDRESS, atop(size)) != 0))
		return alloc1_slowly(map, va, size, zeroit);
	pg = uvm_pmr_getrun((unsigned)atop(size), &got,
	    zeroit ? UVM_PGA_USERESERVE | UVM_PGA_ZERO : UVM_PGA_USERESERVE);
	if (unlikely(pg == NULL))
		return alloc1_slowly(map, va, size, zeroit);
	if (unlikely(got != atop(size))) {
		uvm_pmr_unget(pg, got);
		return alloc1_slowly(map, va, size, zeroit);
	}
	zero = zeroit && (pg->pg_flags & PG_ZERO) == 0;
	uvm_obj_insert_run(&uvm_kernel_object, va - VM_MIN_KERNEL_ADDRESS, pg, got);
	pmap_enter_run(va, VM_PAGE_TO_PHYS(pg), got, PROT_RW, PROT_RW | PMAP_WIRED);
	if (unlikely(zero))
		kva_zero(va, size);
	return va;
}

vaddr_t
uvm_km_kmemalloc_pla(struct vm_map *map, struct uvm_object *obj, vsize_t size, vsize_t valign,
    int flags, paddr_t low, paddr_t high, paddr_t alignment, paddr_t boundary, int nsegs)
{
	bool intrsafe = (map->flags & VM_MAP_INTRSAFE) != 0;
	bool valloc = (flags & UVM_KMF_VALLOC) != 0;
	const struct backing bk = {
		.obj = obj,
		.pga = flags & UVM_KMF_ZERO ? UVM_PGA_ZERO : 0,
		.zero = (flags & UVM_KMF_ZERO) != 0,
		.wait = (flags & (UVM_KMF_NOWAIT | UVM_KMF_CANFAIL)) == 0,
	};
	bool anywhere = low == 0 && high == (paddr_t)-1 && alignment <= PAGE_SIZE &&
	                boundary == 0 && nsegs == 0;
	struct pglist pgl;
	vaddr_t va;
	int error;

	size = checked_size(map, size);
	if (size == 0 || (valloc ? (flags & UVM_KMF_ZERO) != 0 : size > ptoa(uvmexp.npages)))
		return 0;
	/* Only these can be freed again: pages of an object by the object, others by an INTRSAFE map. */
	if (obj != NULL ? obj != &uvm_kernel_object || intrsafe : !intrsafe && !valloc)
		return 0;
	va = map_range(map, size, obj, valign, PROT_RW, (unsigned)flags & UVM_KMF_TRYLOCK);
	if (va == 0 || valloc)
		return va;

	if (anywhere) {
		error = populate(&bk, va, size);
	} else {
		pglist_init(&pgl);
		error = obj == NULL ? 0 : reserve_object(&bk, va - VM_MIN_KERNEL_ADDRESS, size);
		if (error == 0)
			error = uvm_pglistalloc(size, low, high, alignment, boundary, &pgl, nsegs,
			    bk.wait && may_wait() ? UVM_PLA_WAITOK : UVM_PLA_NOWAIT);
		if (error == 0)
			enter_list(&bk, va, &pgl);
	}
	if (unlikely(error != 0)) {
		uvm_unmap(map, va, va + size);
		return 0;
	}
	return va;
}

/* The pages that [addr, addr + size) touches; false if it wraps. */
static bool
touched_pages(struct vm_map *map, vaddr_t addr, vsize_t size, vaddr_t *start, vaddr_t *end)
{
	*start = trunc_page(addr);
	*end = round_page(addr + size);
	if (likely(addr + size >= addr && *end >= *start))
		return true;
	uvm_map_misuse(&uvm_misuse.free_wraps, "wraps", map, addr, addr + size);
	return false;
}

void
uvm_km_free(struct vm_map *map, vaddr_t addr, vsize_t size)
{
	vaddr_t start, end;

	if (touched_pages(map, addr, size, &start, &end))
		uvm_unmap(map, start, end);
}

void
uvm_km_free_wakeup(struct vm_map *map, vaddr_t addr, vsize_t size)
{
	vaddr_t start, end;

	if (!touched_pages(map, addr, size, &start, &end))
		start = end = map->min_offset;
	uvm_unmap_wakeup(map, start, end);
}

void
uvm_km_pgremove_intrsafe(vaddr_t start, vaddr_t end)
{
	struct vm_page *run = NULL;
	struct pglist pgl;
	paddr_t pa;

	/* All pages are gathered first and freed last: free implies unmapped, at every moment. */
	pglist_init(&pgl);
	for (vaddr_t va = start; va < end; va += PAGE_SIZE) {
		struct vm_page *pg;

		if (!pmap_extract(pmap_kernel(), va, &pa))
			continue;
		pg = PHYS_TO_VM_PAGE(pa);
		if (pg == NULL)
			panic(
			    "uvm_km_pgremove_intrsafe: no page for 0x%llx", (unsigned long long)pa);
		if (run != NULL && pg == run + run->fpgsz) {
			run->fpgsz++;
			continue;
		}
		run = pg;
		pglist_add(&pgl, run, 1);
	}
	pmap_kremove(start, end - start);
	if (pgl.first != NULL)
		uvm_pglistfree(&pgl);
}
