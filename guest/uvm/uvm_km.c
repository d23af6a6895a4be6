/* SPDX-License-Identifier: ISC */
/*
 * Kernel memory: uvm_km_alloc(9). Addresses from uvm_map(), pages from the free lists in physically
 * contiguous runs, each run entered into the object and the page tables at once.
 *
 * The order of an allocation is: addresses, places in the object, all pages, and only then mappings. When
 * memory is short, or sleep is not allowed, pages come before addresses: a call that fails for want of
 * pages must not have made page tables, which stay. Each step undoes the ones before when it fails, so
 * nobody ever sees a range that is mapped in part; and the only sleep, for pages, happens with no lock and
 * no page held.
 */
#include "uvm_km.h"

#include <machine/kva.h>
#include <machine/planted.h>
#include <machine/thread.h>

#include "pmap.h"
#include "uvm_km_pages.h"
#include "uvm_map_impl.h"
#include "uvm_object.h"
#include "uvm_pmemrange.h"

struct vm_map *kernel_map, *kmem_map, *exec_map, *phys_map;

#define PROT_RW  (PROT_READ | PROT_WRITE)
#define PROT_RWX (PROT_RW | PROT_EXEC)

/* Pages one operation on a map may take for its books. */
#define BOOK_PAGES 8

/* What to put behind a range of addresses. */
struct backing {
	struct uvm_object *obj; /* NULL: unmanaged mappings */
	unsigned pga;           /* UVM_PGA_* for the pages */
	bool zero;
	bool wait;
	bool anywhere; /* no constraint: what follows is not looked at by uvm_pmr_getrun() */
	paddr_t low, high, alignment, boundary;
	int nsegs;
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

/* Places in the object for the whole range; sleeps for the pages this takes, if it may, and says so. */
static int
reserve_object(const struct backing *bk, voff_t offset, vsize_t size, bool *slept)
{
	while (uvm_obj_reserve(bk->obj, offset, atop(size)) != 0) {
		if (!bk->wait || !may_wait())
			return ENOMEM;
		*slept = true;
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
	if (PLANTED(ZERO_TOO_FAR))
		n++;
	if (zero && !PLANTED(ZERO_SKIPPED))
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

static void
put_back(struct pglist *pgl)
{
	struct vm_page *run, *next;

	for (run = pgl->first; run != NULL; run = next) {
		next = run->pageq;
		uvm_pmr_unget(run, run->fpgsz);
	}
}

/* All pages of a request without a sleep, or ENOMEM, or EINVAL: no memory could satisfy it. */
static int
pages_now(const struct backing *bk, vsize_t size, struct pglist *pgl)
{
	unsigned n = (unsigned)atop(size), got;

	if (!bk->anywhere)
		return uvm_pglistalloc(size, bk->low, bk->high, bk->alignment, bk->boundary, pgl,
		    bk->nsegs, UVM_PLA_NOWAIT);
	pglist_init(pgl);
	for (; n != 0; n -= got) {
		struct vm_page *pg = NULL;

		if (n <= uvm_pages_free())
			pg = uvm_pmr_getrun(n, &got, (int)bk->pga);
		else
			uvm_pagedaemon_wake();
		if (pg == NULL) {
			put_back(pgl);
			return ENOMEM;
		}
		pglist_add(pgl, pg, got);
	}
	return 0;
}

/*
 * Put pages behind [va, va + size), all, or the addresses go back and it is 0. In a shortage no page is
 * held during the sleep: two that want most of memory do not starve each other. Meanwhile the addresses are
 * there, and a stray access of them brought a page in: it goes before the pages of the range come.
 */
static vaddr_t
back_range(struct vm_map *map, const struct backing *bk, vaddr_t va, vsize_t size)
{
	bool slept = false;
	struct pglist pgl;
	int error = 0;

	if (bk->obj != NULL)
		error = reserve_object(bk, va - VM_MIN_KERNEL_ADDRESS, size, &slept);
	if (error == 0) {
		error = pages_now(bk, size, &pgl);
		if (error == ENOMEM && bk->wait && may_wait()) {
			slept = true;
			error = uvm_pglistalloc(size, bk->low, bk->high, bk->alignment,
			    bk->boundary, &pgl, bk->nsegs,
			    UVM_PLA_WAITOK |
				(bk->pga & UVM_PGA_USERESERVE ? UVM_PLA_USERESERVE : 0));
		}
	}
	if (error != 0) {
		uvm_unmap(map, va, va + size);
		return 0;
	}
	if (slept && bk->obj != NULL)
		uvm_km_pgremove(bk->obj, va, va + size);
	enter_list(bk, va, &pgl);
	return va;
}

/*
 * For a request that may not sleep: that its object will have places once it has addresses. When memory is
 * so short that this is not plain, make them where the addresses are going to be.
 */
static bool
places_assured(struct vm_map *map, const struct backing *bk, vsize_t size, vsize_t align)
{
	vaddr_t va = map->min_offset;

	if (bk->obj == NULL || uvm_pages_free() >= uvmexp.reserve_pagedaemon +
						       size / (UVM_OBJ_NODE_PAGES * PAGE_SIZE) + 2 +
						       BOOK_PAGES)
		return true;
	return uvm_map(map, &va, size, bk->obj, UVM_UNKNOWN_OFFSET, align,
		   UVM_MAPFLAG(PROT_RW, PROT_RW, MAP_INHERIT_NONE, MADV_RANDOM, UVM_FLAG_QUERY)) ==
	           0 &&
	       uvm_obj_reserve(bk->obj, va - VM_MIN_KERNEL_ADDRESS, atop(size)) == 0;
}

/* A planted bug: the addresses of a request that failed, and half of its pages. */
static __noinline __unused_arg void
half_mapped(struct vm_map *map, const struct backing *bk, vsize_t size)
{
	vaddr_t va = map_range(map, size, bk->obj, 0, PROT_RW, 0);
	struct pglist pgl;

	if (va != 0 && pages_now(bk, size / 2, &pgl) == 0)
		enter_list(bk, va, &pgl);
}

/* Pages first, then addresses: a request that must fail for want of pages finds out in time. */
static __noinline vaddr_t
alloc_pages_first(struct vm_map *map, const struct backing *bk, vsize_t size, vsize_t align,
    vm_prot_t maxprot, unsigned flags)
{
	uint64_t left = uvmexp.reserve_pagedaemon + (bk->pga & UVM_PGA_USERESERVE ? 0 : 1);
	bool wait = bk->wait && may_wait(), have;
	struct pglist pgl;
	vaddr_t va = 0;
	int error;

	if (atop(size) + left > uvmexp.npages)
		return 0;
	error = pages_now(bk, size, &pgl);
	have = error == 0;
	if (PLANTED(FAILED_ALLOC_HALF_MAPPED) && error == ENOMEM)
		half_mapped(map, bk, size);
	if (!have && (error == EINVAL || !wait))
		return 0;
	if (wait || places_assured(map, bk, size, align))
		va = map_range(map, size, bk->obj, align, maxprot, flags);
	if (have &&
	    (va == 0 || (bk->obj != NULL && uvm_obj_reserve(bk->obj, va - VM_MIN_KERNEL_ADDRESS,
						atop(size)) != 0))) {
		put_back(&pgl);
		have = false;
	}
	if (va == 0)
		return 0;
	if (!have)
		return back_range(map, bk, va, size);
	enter_list(bk, va, &pgl);
	return va;
}

static const struct backing alloc1_backing[2] = {
	{ &uvm_kernel_object, UVM_PGA_USERESERVE, false, true, true, 0, (paddr_t)-1, 0, 0, 0 },
	{ &uvm_kernel_object, UVM_PGA_USERESERVE | UVM_PGA_ZERO, true, true, true, 0, (paddr_t)-1,
	    0, 0, 0 },
};

vaddr_t
uvm_km_alloc1(struct vm_map *map, vsize_t size, vsize_t align, boolean_t zeroit)
{
	vaddr_t va = map->min_offset;
	struct vm_page *pg;
	unsigned got;
	bool zero;

	size = checked_size(map, size);
	if (unlikely(size == 0 || (map->flags & VM_MAP_INTRSAFE) != 0))
		return 0;
	/* With this much free, pages and places are no matter of luck. */
	if (unlikely(2 * atop(size) + uvmexp.freemin + BOOK_PAGES > uvm_pages_free()))
		return alloc_pages_first(map, &alloc1_backing[!!zeroit], size, align, PROT_RWX, 0);
	if (unlikely(uvm_map(map, &va, size, &uvm_kernel_object, UVM_UNKNOWN_OFFSET, align,
			 UVM_MAPFLAG(PROT_RW, PROT_RWX, MAP_INHERIT_NONE, MADV_RANDOM, 0)) != 0))
		return 0;
	pg = uvm_pmr_getrun((unsigned)atop(size), &got,
	    zeroit ? UVM_PGA_USERESERVE | UVM_PGA_ZERO : UVM_PGA_USERESERVE);
	if (unlikely(pg == NULL))
		return back_range(map, &alloc1_backing[!!zeroit], va, size);
	zero = zeroit && (pg->pg_flags & PG_ZERO) == 0;
	if (unlikely(got != atop(size)) || unlikely(uvm_km_pgenter(va, pg, got) != 0)) {
		uvm_pmr_unget(pg, got);
		return back_range(map, &alloc1_backing[!!zeroit], va, size);
	}
	if (unlikely(zero) && !PLANTED(ZERO_SKIPPED))
		kva_zero(va, PLANTED(ZERO_TOO_FAR) ? size + PAGE_SIZE : size);
	if (PLANTED(GUARD_MAPPED))
		pmap_kenter_pa(va + size, VM_PAGE_TO_PHYS(uvm_pagealloc(NULL, 0, 0)), PROT_RW);
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
		.anywhere = low == 0 && high == (paddr_t)-1 && alignment <= PAGE_SIZE &&
		            boundary == 0 && nsegs == 0,
		.low = low,
		.high = high,
		.alignment = alignment,
		.boundary = boundary,
		.nsegs = nsegs,
	};

	size = checked_size(map, size);
	if (size == 0 || (valloc && (flags & UVM_KMF_ZERO) != 0))
		return 0;
	/* Only these can be freed again: pages of an object by the object, others by an INTRSAFE map. */
	if (obj != NULL ? obj != &uvm_kernel_object || intrsafe : !intrsafe && !valloc)
		return 0;
	flags &= UVM_KMF_TRYLOCK;
	return valloc ? map_range(map, size, obj, valign, PROT_RW, (unsigned)flags)
	              : alloc_pages_first(map, &bk, size, valign, PROT_RW, (unsigned)flags);
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
	if (PLANTED(PAGES_FREED_FIRST) && pgl.first != NULL)
		uvm_pglistfree(&pgl);
	pmap_kremove(start, end - start);
	if (pgl.first != NULL)
		uvm_pglistfree(&pgl);
}
