/* SPDX-License-Identifier: ISC */
/*
 * km_alloc(9) on the twin: every combination of the predefined modes against what its modes promise,
 * what is refused and what is undone. The sleeps are test_km_alloc_sleep.c.
 */
#include "tests/twin/check.h"

#include <machine/thread.h>
#include <string.h>

#include "guest/uvm/km_alloc.h"
#include "guest/uvm/uvm_map.h"
#include "guest/uvm/uvm_object.h"

#define DMA_HIGH  (12 * MIB - 1)
#define KENTERED  (PTE_P | PTE_W | PTE_G | PTE_NX)
#define NPAGES(n) ((n)*PAGE_SIZE)

static const struct kmem_va_mode *const kv_modes[] = { &kv_any, &kv_intrsafe, &kv_page, &kv_exec };
static const struct kmem_pa_mode *const kp_modes[] = { &kp_dirty, &kp_zero, &kp_dma, &kp_dma_contig,
	&kp_dma_zero, &kp_pageable, &kp_none };
static const struct kmem_dyn_mode *const kd_modes[] = { &kd_waitok, &kd_nowait, &kd_trylock };

static void
boot(uint32_t flags)
{
	const struct twin_config cfg = {
		.ram = 24 * MIB, .kva = 64 * MIB, .dma_high = DMA_HIGH, .flags = flags
	};

	twin_boot_config(&cfg);
}

/* Everything a failed or undone call must leave as it was. */
struct state {
	uint64_t free, npages, resident, ptps;
	struct {
		vsize_t size;
		uint32_t nentries;
	} map[3];
};

static struct state
state(void)
{
	struct vm_map *const maps[] = { kernel_map, kmem_map, exec_map };
	struct state s = { .free = uvmexp.free,
		.npages = uvm_kernel_object.uo_npages,
		.resident = pmap_kernel()->pm_resident,
		.ptps = pmap_kernel()->pm_ptps };

	for (unsigned i = 0; i < nitems(maps); i++) {
		s.map[i].size = maps[i]->size;
		s.map[i].nentries = maps[i]->nentries;
	}
	return s;
}

static bool
same(struct state a)
{
	struct state b = state();

	return memcmp(&a, &b, sizeof(a)) == 0;
}

/* One use of everything, so that later calls need no bookkeeping pages. */
static void
warm_up(void)
{
	for (unsigned i = 0; i < nitems(kv_modes); i++) {
		void *v = km_alloc(PAGE_SIZE, kv_modes[i], &kp_zero, &kd_nowait);

		cr_assert_not_null(v);
		km_free(v, PAGE_SIZE, kv_modes[i], &kp_zero);
	}
	uvm_km_free(kernel_map, uvm_km_alloc(kernel_map, PAGE_SIZE), PAGE_SIZE);
}

static bool
direct(const struct kmem_va_mode *kv, const struct kmem_pa_mode *kp)
{
	return kv->kv_singlepage || kp->kp_maxseg == 1;
}

static bool
allowed(unsigned n, const struct kmem_va_mode *kv, const struct kmem_pa_mode *kp)
{
	if (kv->kv_singlepage)
		return n == 1 && !kp->kp_nomem && !kp->kp_pageable;
	return !(kp->kp_pageable && kv->kv_map == &kmem_map);
}

/* The frame behind page i of an allocation. */
static paddr_t
frame(const char *v, unsigned i, bool is_direct)
{
	if (is_direct)
		return PMAP_DIRECT_UNMAP(v + NPAGES(i));
	return leaf_at((vaddr_t)v + NPAGES(i)) & PTE_FRAME;
}

static void
check_memory(char *v, unsigned n, const struct kmem_va_mode *kv, const struct kmem_pa_mode *kp)
{
	bool is_direct = direct(kv, kp);
	paddr_t pa, previous = 0;

	for (unsigned i = 0; i < n; i++) {
		vaddr_t va = (vaddr_t)v + NPAGES(i);
		uint64_t leaf = is_direct ? 0 : leaf_at(va);

		if (kp->kp_nomem || kp->kp_pageable) {
			cr_assert_eq(leaf, 0);
			continue;
		}
		if (!is_direct)
			cr_assert_eq(leaf & ~PTE_FRAME, KENTERED, "leaf 0x%lx", leaf);
		pa = frame(v, i, is_direct);
		cr_assert_neq(PHYS_TO_VM_PAGE(pa), NULL);
		cr_assert_null(PHYS_TO_VM_PAGE(pa)->uobject);
		cr_assert(PHYS_TO_VM_PAGE(pa)->pg_flags & PQ_INUSE);
		if (kp->kp_constraint == &dma_constraint)
			cr_assert_leq(pa + PAGE_MASK, DMA_HIGH);
		if (kp->kp_maxseg == 1 && i > 0)
			cr_assert_eq(pa, previous + PAGE_SIZE);
		previous = pa;
		for (unsigned o = 0; kp->kp_zero && o < PAGE_SIZE; o += 8)
			cr_assert_eq(kva_read(va + o), 0);
		kva_write(va, va);
	}
	for (unsigned i = 0; !kp->kp_nomem && i < n; i++)
		cr_assert_eq(
		    kva_read((vaddr_t)v + NPAGES(i)), kp->kp_pageable ? 0 : (vaddr_t)v + NPAGES(i));
}

static void
combination(unsigned n, const struct kmem_va_mode *kv, const struct kmem_pa_mode *kp,
    const struct kmem_dyn_mode *kd)
{
	bool takes = !kp->kp_nomem && !kp->kp_pageable;
	struct state before = state();
	char *v = km_alloc(NPAGES(n), kv, kp, kd);

	cr_assert_eq(v != NULL, allowed(n, kv, kp));
	if (v == NULL) {
		cr_assert(same(before));
		return;
	}
	cr_assert_eq(uvmexp.free, before.free - (takes ? n : 0));
	if (direct(kv, kp)) {
		cr_assert_lt(PMAP_DIRECT_UNMAP(v), twin_ram_end);
		cr_assert_eq(pmap_kernel()->pm_resident, before.resident);
		cr_assert_eq(kernel_map->nentries, before.map[0].nentries);
		cr_assert_eq(kmem_map->nentries, before.map[1].nentries);
	} else {
		cr_assert((vaddr_t)v >= vm_map_min(*kv->kv_map) &&
			  (vaddr_t)v + NPAGES(n) <= vm_map_max(*kv->kv_map));
	}
	check_memory(v, n, kv, kp);
	km_free(v, NPAGES(n), kv, kp);
	cr_assert(same(before), "%u pages", n);
	if (!direct(kv, kp)) {
		for (unsigned i = 0; i < n; i++)
			cr_assert_eq(leaf_at((vaddr_t)v + NPAGES(i)), 0);
	}
}

static void
all_combinations(void)
{
	static const unsigned sizes[] = { 1, 2, 7, 600 };

	for (unsigned s = 0; s < nitems(sizes); s++)
		for (unsigned v = 0; v < nitems(kv_modes); v++)
			for (unsigned p = 0; p < nitems(kp_modes); p++)
				for (unsigned d = 0; d < nitems(kd_modes); d++)
					combination(
					    sizes[s], kv_modes[v], kp_modes[p], kd_modes[d]);
}

/* property 101 102: kernel_map kmem_map exec_map */
BED_TEST(km_alloc, every_combination_of_modes)
{
	boot(0);
	warm_up();
	/* Tables and nodes for the largest sizes, which stay. */
	km_free(
	    km_alloc(NPAGES(600), &kv_any, &kp_dirty, &kd_nowait), NPAGES(600), &kv_any, &kp_dirty);
	for (vaddr_t off = 0; off < 64 * MIB; off += 2 * MIB)
		cr_assert_eq(uvm_obj_reserve(&uvm_kernel_object, off, 1), 0);
	all_combinations();
	check_pmap("end", 0);
	check_free("end", 0, true);
}

static bool
is_refused(size_t sz, const struct kmem_va_mode *kv, const struct kmem_pa_mode *kp,
    const struct kmem_dyn_mode *kd)
{
	struct state before = state();

	return km_alloc(sz, kv, kp, kd) == NULL && same(before);
}

/* property 101: kernel_map kmem_map */
BED_TEST(km_alloc, refused)
{
	static struct uvm_object *ko = &uvm_kernel_object;
	const struct kmem_va_mode odd = { .kv_map = &kernel_map, .kv_align = 3 * PAGE_SIZE };
	const struct kmem_va_mode odd_page = { .kv_singlepage = 1, .kv_align = 3 * PAGE_SIZE };
	const struct kmem_va_mode no_map = { .kv_map = NULL };
	const struct kmem_pa_mode no_object = { .kp_pageable = 1 };
	const struct kmem_pa_mode both = { .kp_pageable = 1, .kp_nomem = 1, .kp_object = &ko };
	const struct kmem_pa_mode stray = { .kp_constraint = &no_constraint, .kp_object = &ko };
	const struct kmem_pa_mode bound = {
		.kp_constraint = &no_constraint, .kp_maxseg = 2, .kp_boundary = 2 * PAGE_SIZE
	};
	const struct kmem_dyn_mode prefer = { .kd_prefer = 0, .kd_waitok = 1 };
	vsize_t kva;

	boot(0);
	warm_up();
	kva = vm_map_max(kernel_map) - vm_map_min(kernel_map);
	cr_assert(is_refused(0, &kv_any, &kp_dirty, &kd_waitok));
	cr_assert(is_refused(0, &kv_page, &kp_dirty, &kd_waitok));
	cr_assert(is_refused(PAGE_SIZE + 1, &kv_any, &kp_dirty, &kd_waitok));
	cr_assert(is_refused(PAGE_SIZE - 1, &kv_page, &kp_dirty, &kd_waitok));
	cr_assert(is_refused(2 * PAGE_SIZE, &kv_page, &kp_dirty, &kd_waitok));
	cr_assert(is_refused(kva + PAGE_SIZE, &kv_any, &kp_none, &kd_waitok));
	cr_assert(is_refused((size_t)0 - PAGE_SIZE, &kv_any, &kp_dirty, &kd_waitok));
	cr_assert(is_refused((size_t)0 - PAGE_SIZE, &kv_any, &kp_dma_contig, &kd_waitok));
	cr_assert(is_refused(PAGE_SIZE, &kv_page, &kp_none, &kd_waitok));
	cr_assert(is_refused(PAGE_SIZE, &kv_page, &kp_pageable, &kd_waitok));
	cr_assert(is_refused(PAGE_SIZE, &kv_intrsafe, &kp_pageable, &kd_waitok));
	cr_assert(is_refused(PAGE_SIZE, &kv_any, &no_object, &kd_waitok));
	cr_assert(is_refused(PAGE_SIZE, &kv_any, &both, &kd_waitok));
	cr_assert(is_refused(PAGE_SIZE, &kv_any, &stray, &kd_waitok));
	cr_assert(is_refused(PAGE_SIZE, &kv_any, &kp_pageable, &prefer));
	cr_assert(is_refused(PAGE_SIZE, &odd, &kp_dirty, &kd_waitok));
	cr_assert(is_refused(PAGE_SIZE, &odd_page, &kp_dirty, &kd_waitok));
	cr_assert(is_refused(PAGE_SIZE, &no_map, &kp_dirty, &kd_waitok));
	cr_assert(is_refused(5 * PAGE_SIZE, &kv_any, &bound, &kd_waitok));
	check_free("end", 0, true);
}

/* property 77 101: kernel_map */
BED_TEST(km_alloc, constraints_and_alignment)
{
	const struct kmem_va_mode va64k = { .kv_map = &kernel_map, .kv_align = 16 * PAGE_SIZE };
	const struct kmem_va_mode page64k = { .kv_singlepage = 1, .kv_align = 16 * PAGE_SIZE };
	struct uvm_constraint_range below = { 8 * MIB, 9 * MIB - 1 };
	const struct kmem_pa_mode narrow = { .kp_constraint = &below,
		.kp_align = 4 * PAGE_SIZE,
		.kp_boundary = 8 * PAGE_SIZE,
		.kp_maxseg = 4 };
	struct state before;
	char *v, *w;
	unsigned segs = 0;

	boot(0);
	warm_up();
	before = state();
	v = km_alloc(NPAGES(3), &va64k, &kp_dirty, &kd_nowait);
	cr_assert_eq((vaddr_t)v % (16 * PAGE_SIZE), 0);
	w = km_alloc(PAGE_SIZE, &page64k, &kp_zero, &kd_nowait);
	cr_assert_eq(PMAP_DIRECT_UNMAP(w) % (16 * PAGE_SIZE), 0);
	km_free(v, NPAGES(3), &va64k, &kp_dirty);
	km_free(w, PAGE_SIZE, &page64k, &kp_zero);

	v = km_alloc(NPAGES(26), &kv_any, &narrow, &kd_nowait);
	cr_assert_not_null(v);
	for (unsigned i = 0; i < 26; i++) {
		paddr_t pa = frame(v, i, false);

		cr_assert(pa >= below.ucr_low && pa + PAGE_MASK <= below.ucr_high);
		if (i > 0 && pa == frame(v, i - 1, false) + PAGE_SIZE &&
		    pa % narrow.kp_boundary != 0)
			continue;
		cr_assert_eq(pa % narrow.kp_align, 0);
		segs++;
	}
	cr_assert_leq(segs, 4);
	km_free(v, NPAGES(26), &kv_any, &narrow);
	cr_assert(same(before));

	/* The DMA part of memory runs out, the rest does not. */
	while (km_alloc(NPAGES(16), &kv_any, &kp_dma_contig, &kd_nowait) != NULL)
		;
	cr_assert_null(km_alloc(NPAGES(16), &kv_any, &kp_dma_contig, &kd_nowait));
	cr_assert_not_null(km_alloc(NPAGES(16), &kv_any, &kp_dirty, &kd_nowait));
	check_free("end", 0, false);
}

BED_TEST(km_alloc, shortage_of_pages_undone)
{
	struct state before;

	boot(0);
	warm_up();
	before = state();
	cr_assert_null(km_alloc(ptoa(uvmexp.free), &kv_any, &kp_dirty, &kd_nowait));
	cr_assert_null(km_alloc(ptoa(uvmexp.free), &kv_any, &kp_zero, &kd_trylock));
	cr_assert_null(km_alloc(ptoa(uvmexp.npages + 1), &kv_any, &kp_dirty, &kd_waitok));
	cr_assert(same(before));
	check_free("end", 0, true);
}

/* A map with no room left. */
static vaddr_t
fill_map(struct vm_map *map)
{
	vsize_t hole = uvm_map_largest_hole(map);
	vaddr_t va = uvm_km_valloc(map, hole);

	cr_assert_neq(va, 0);
	cr_assert_eq(uvm_map_largest_hole(map), 0);
	return va;
}

static void
hold_lock(void *arg)
{
	vm_map_lock(kernel_map);
	tsleep_nsec(arg, PVM, "hold", INFSLP);
	vm_map_unlock(kernel_map);
}

/* property 60 104: kernel_map kmem_map exec_map */
BED_TEST(km_alloc, shortage_of_addresses_undone)
{
	struct state before;
	struct mutex *m;

	boot(0);
	warm_up();
	fill_map(exec_map);
	before = state();
	cr_assert_null(km_alloc(NPAGES(4), &kv_exec, &kp_zero, &kd_nowait));
	cr_assert_null(km_alloc(NPAGES(4), &kv_exec, &kp_zero, &kd_trylock));
	cr_assert_null(km_alloc(NPAGES(4), &kv_exec, &kp_none, &kd_nowait));
	cr_assert(same(before));

	/* TRYLOCK */
	cr_assert_not(twin_call(hold_lock, &m, NULL));
	cr_assert_null(km_alloc(NPAGES(4), &kv_any, &kp_zero, &kd_trylock));
	wakeup(&m);
	twin_run();
	cr_assert(same(before));
	m = &kmem_map->mtx;
	m->mtx_owner = &thread_pool[5]; /* as another CPU has it */
	cr_assert_null(km_alloc(NPAGES(4), &kv_intrsafe, &kp_zero, &kd_trylock));
	m->mtx_owner = NULL;
	cr_assert(same(before));
	check_free("end", 0, true);
}

/* property 43 44: kernel_map */
BED_TEST(km_alloc, free_of_what_is_not_its)
{
	const char *msg;
	uint64_t value;
	char *v;
	vaddr_t km;

	boot(0);
	warm_up();
	uvm_misuse_panic = false;
	v = km_alloc(NPAGES(4), &kv_any, &kp_zero, &kd_nowait);
	km = uvm_km_alloc(kernel_map, PAGE_SIZE);
	kva_write(km, 77);
	value = uvm_misuse.free_unmapped;
	km_free((void *)km, PAGE_SIZE, &kv_any, &kp_zero);                   /* an object's */
	km_free(v, NPAGES(4), &kv_any, &kp_pageable);                        /* other modes */
	km_free(v + 1, PAGE_SIZE, &kv_any, &kp_zero);                        /* unaligned */
	km_free(v, 0, &kv_any, &kp_zero);                                    /* nothing */
	km_free(v, (size_t)0 - PAGE_SIZE, &kv_any, &kp_zero);                /* wraps */
	km_free(v, NPAGES(4), &kv_exec, &kp_zero);                           /* another map */
	km_free((void *)vm_map_min(kmem_map), PAGE_SIZE, &kv_any, &kp_zero); /* a submap */
	cr_assert_eq(uvm_misuse.free_unmapped, value + 7);
	cr_assert_eq(kva_read(km), 77);
	cr_assert_eq(kva_read((vaddr_t)v + NPAGES(3)), 0);
	km_free(v, NPAGES(2), &kv_any, &kp_zero); /* a part */
	cr_assert_eq(leaf_at((vaddr_t)v + NPAGES(1)), 0);
	cr_assert_eq(kva_read((vaddr_t)v + NPAGES(2)), 0);
	km_free(v + NPAGES(2), NPAGES(2), &kv_any, &kp_zero);
	km_free(v, NPAGES(4), &kv_any, &kp_zero); /* twice */
	cr_assert_eq(uvm_misuse.free_unmapped, value + 8);
	check_pmap("end", 0);
	check_free("end", 0, true);

	v = km_alloc(PAGE_SIZE, &kv_page, &kp_dirty, &kd_nowait);
	km_free(v, PAGE_SIZE, &kv_page, &kp_dirty);
	msg = TWIN_PANIC(km_free(v, PAGE_SIZE, &kv_page, &kp_dirty));
	cr_assert_not_null(msg);
	cr_assert_not_null(strstr(msg, "free page"), "panic: %s", msg);

	boot(0);
	v = km_alloc(NPAGES(2), &kv_any, &kp_dma_contig, &kd_nowait);
	msg = TWIN_PANIC(km_free(v, NPAGES(2), &kv_page, &kp_dirty));
	cr_assert_not_null(msg);
	cr_assert_not_null(strstr(msg, "do not allocate that"), "panic: %s", msg);

	boot(0);
	msg = TWIN_PANIC(km_free((void *)kernel_map->min_offset, PAGE_SIZE, &kv_page, &kp_dirty));
	cr_assert_not_null(msg);
	cr_assert_not_null(strstr(msg, "no pages of the direct map"), "panic: %s", msg);
}

/* Translations are gone before the pages are free, on every path that has some. */
/* property 36 103: kernel_map kmem_map */
BED_TEST(km_alloc, pages_are_free_last)
{
	boot(0);
	warm_up();
	for (unsigned k = 0; k < 2; k++) {
		const struct kmem_va_mode *kv = k == 0 ? &kv_any : &kv_intrsafe;
		char *v = km_alloc(NPAGES(5), kv, &kp_dirty, &kd_nowait);
		uint64_t stores = 0, inval = 0, freed = 0, va_free = 0;

		for (unsigned i = 0; i < 5; i++)
			kva_write((vaddr_t)v + NPAGES(i), 1);
		twin_events_clear();
		km_free(v, NPAGES(5), kv, &kp_dirty);
		for (uint64_t i = 0; i < twin_nevent; i++) {
			const struct bed_event *e = &twin_event[i];

			if (e->type == BED_EV_PTE_STORE) {
				cr_assert_eq(inval + freed + va_free, 0);
				stores++;
			} else if (e->type == BED_EV_INVLPG) {
				cr_assert_eq(freed + va_free, 0);
				inval++;
			} else if (e->type == BED_EV_PAGE_FREE) {
				cr_assert_eq(inval, 5);
				cr_assert_eq(va_free, 0);
				freed += e->a[1];
			} else if (e->type == BED_EV_VA_FREE) {
				va_free++;
			}
		}
		cr_assert_eq(stores, 5);
		cr_assert_eq(inval, 5);
		cr_assert_eq(freed, 5);
		cr_assert_eq(va_free, 1);
	}
}

/* property 101: kernel_map */
BED_TEST(km_alloc, pageable_comes_by_fault)
{
	uint64_t free, npages;
	char *v;

	boot(0);
	warm_up();
	cr_assert_eq(uvm_obj_reserve(&uvm_kernel_object, 0, 64 * MIB / PAGE_SIZE), 0);
	free = uvmexp.free;
	npages = uvm_kernel_object.uo_npages;
	v = km_alloc(NPAGES(10), &kv_any, &kp_pageable, &kd_nowait);
	kva_write((vaddr_t)v + NPAGES(4), 1);
	cr_assert_eq(uvmexp.free, free - 1);
	cr_assert_eq(uvm_kernel_object.uo_npages, npages + 1);
	km_free(v, NPAGES(10), &kv_any, &kp_pageable);
	cr_assert_eq(uvmexp.free, free);
	cr_assert_eq(uvm_kernel_object.uo_npages, npages);
	check_pmap("end", 0);
}
