/* SPDX-License-Identifier: ISC */
/*
 * uvm_km_alloc(9): what is mapped, what is zero, what is refused, what is undone, and who wakes whom.
 */
#include <machine/thread.h>

#include "guest/pmap.h"
#include "guest/uvm/uvm_map.h"
#include "guest/uvm/uvm_object.h"
#include "tests/twin/check.h"

#define KO   (&uvm_kernel_object)
#define P(n) ((vsize_t)(n) << 12)

/*
 * Everything a call that fails, or an allocation that is freed, must leave as it was. Pages that keep
 * books (nodes of the index and of the object, entries) may stay; they count as free here.
 */
struct state {
	uint64_t free, npages, resident, entries, size, wired;
};

static struct state
state_of(struct vm_map *map)
{
	return (struct state){
		.free = uvmexp.free + uvmexp.kernpages,
		.npages = uvm_kernel_object.uo_npages,
		.resident = pmap_kernel()->pm_resident,
		.entries = map->nentries,
		.size = map->size,
		.wired = uvmexp.wired,
	};
}

static void
check_state(struct vm_map *map, struct state was)
{
	struct state is = state_of(map);

	cr_assert_eq(is.free, was.free);
	cr_assert_eq(is.npages, was.npages);
	cr_assert_eq(is.resident, was.resident);
	cr_assert_eq(is.entries, was.entries);
	cr_assert_eq(is.size, was.size);
	cr_assert_eq(is.wired, was.wired);
}

/* Every index, object and pool page that the test's addresses need is there. */
static void
warm(struct vm_map *map, vsize_t size)
{
	vaddr_t va = uvm_km_alloc(map, size);

	cr_assert_neq(va, 0);
	uvm_km_free(map, va, size);
}

static uint64_t
word(vaddr_t va)
{
	uint64_t value = 0, err;

	cr_assert_eq(twin_load(va, &value, &err), 0);
	return value;
}

static void
store(vaddr_t va, uint64_t value)
{
	uint64_t err;

	cr_assert_eq(twin_store(va, value, &err), 0);
}

/* property 3 4 5 8 33 34: kernel_map */
BED_TEST(km, alloc_maps_all_of_it_and_free_nothing_else)
{
	struct state was;
	uint64_t resident;
	vaddr_t va;

	twin_boot(16 * MIB, 1 * GIB, 0);
	warm(kernel_map, P(700));
	was = state_of(kernel_map);
	for (unsigned n = 1; n <= 600; n = n * 3 + 1) {
		va = uvm_km_alloc(kernel_map, P(n) - 5);
		cr_assert_neq(va, 0);
		resident = pmap_kernel()->pm_resident;
		cr_assert_eq(resident, was.resident + n);
		cr_assert_eq(uvm_kernel_object.uo_npages, was.npages + n);
		for (unsigned i = 0; i < n; i++) {
			uint64_t pte = leaf_at(va + P(i));
			struct vm_page *pg = PHYS_TO_VM_PAGE(pte & PTE_FRAME);

			cr_assert_eq(
			    pte & ~PTE_FRAME, PTE_P | PTE_W | PTE_G | PTE_SW_W | PTE_SW_M | PTE_NX);
			cr_assert_eq(pg->uobject, KO);
			cr_assert_eq(pg->offset, va + P(i) - KVA);
		}
		cr_assert_eq(leaf_at(va + P(n)), 0);
		cr_assert_eq(leaf_at(va - P(1)), 0);
		uvm_km_free(kernel_map, va, P(n) - 5);
		check_state(kernel_map, was);
		check_pmap("freed", n);
	}
}

/* property 10: kernel_map */
BED_TEST(km, zalloc_is_zero)
{
	vaddr_t va;

	twin_boot(16 * MIB, 1 * GIB, 0);
	for (int round = 0; round < 3; round++) {
		va = uvm_km_zalloc(kernel_map, P(30) - 100);
		for (vsize_t i = 0; i < P(30); i += 8)
			cr_assert_eq(word(va + i), 0);
		for (vsize_t i = 0; i < P(30); i += 8)
			store(va + i, ~i);
		uvm_km_free(kernel_map, va, P(30) - 100);
	}
}

/* property 13 14: kernel_map */
BED_TEST(km, alloc1_aligns)
{
	twin_boot(64 * MIB, 4 * GIB, 0);
	for (unsigned shift = 0; shift <= 26; shift++) {
		vaddr_t va = uvm_km_alloc1(kernel_map, P(3), UINT64_C(1) << shift, FALSE);

		cr_assert_neq(va, 0, "align 2^%u", shift);
		cr_assert_eq(va & (PAGE_MASK | ((UINT64_C(1) << shift) - 1)), 0);
	}
	cr_assert_eq(uvm_km_alloc1(kernel_map, P(1), 3 << 12, FALSE), 0);
	cr_assert_eq(uvm_km_alloc1(kernel_map, P(1), UINT64_C(1) << 63, FALSE), 0);
}

/* property 15 16: kernel_map */
BED_TEST(km, refused_at_once)
{
	static const vsize_t sizes[] = { 0, UINT64_MAX, UINT64_MAX - 4094, UINT64_MAX - 4095,
		UINT64_C(1) << 63, GIB + 4096 };
	struct state was;
	uint64_t ptps;

	twin_boot(16 * MIB, 1 * GIB, 0);
	warm(kernel_map, P(1));
	was = state_of(kernel_map);
	ptps = pmap_kernel()->pm_ptps;
	for (unsigned i = 0; i < nitems(sizes); i++) {
		cr_assert_eq(uvm_km_alloc(kernel_map, sizes[i]), 0);
		cr_assert_eq(uvm_km_zalloc(kernel_map, sizes[i]), 0);
		cr_assert_eq(uvm_km_kmemalloc(kernel_map, KO, sizes[i], UVM_KMF_NOWAIT), 0);
		cr_assert_eq(uvm_km_valloc(kernel_map, sizes[i]), 0);
		cr_assert_eq(uvm_km_valloc_wait(kernel_map, sizes[i]), 0);
	}
	cr_assert_eq(uvm_km_alloc(kmem_map, P(1)), 0);
	cr_assert_eq(uvm_km_valloc(kmem_map, P(1)), 0);
	cr_assert_eq(uvm_km_kmemalloc(kmem_map, KO, P(1), UVM_KMF_NOWAIT), 0);
	cr_assert_eq(uvm_km_kmemalloc(kernel_map, NULL, P(1), UVM_KMF_NOWAIT), 0);
	cr_assert_eq(uvm_km_kmemalloc(kernel_map, KO, P(1), UVM_KMF_VALLOC | UVM_KMF_ZERO), 0);
	cr_assert_eq(pmap_kernel()->pm_ptps, ptps);
	check_state(kernel_map, was);
}

/* property 3 5 8 10 33 34 39: kmem_map */
BED_TEST(km, kmemalloc_in_an_interrupt_safe_map)
{
	struct state was;
	vaddr_t va;

	twin_boot(16 * MIB, 1 * GIB, 0);
	va = uvm_km_kmemalloc(kmem_map, NULL, P(4), UVM_KMF_NOWAIT);
	uvm_km_free(kmem_map, va, P(4));
	was = state_of(kmem_map);
	va = uvm_km_kmemalloc(kmem_map, NULL, P(4), UVM_KMF_NOWAIT | UVM_KMF_ZERO);
	cr_assert(va >= vm_map_min(kmem_map) && va < vm_map_max(kmem_map));
	for (unsigned i = 0; i < 4; i++) {
		uint64_t pte = leaf_at(va + P(i));

		cr_assert_eq(pte & (PTE_P | PTE_W | PTE_G | PTE_SW_M | PTE_SW_W | PTE_NX),
		    PTE_P | PTE_W | PTE_G | PTE_NX);
		cr_assert_null(PHYS_TO_VM_PAGE(pte & PTE_FRAME)->uobject);
		cr_assert_eq(word(va + P(i)), 0);
	}
	uvm_km_free(kmem_map, va + P(1), P(1));
	cr_assert_eq(leaf_at(va + P(1)), 0);
	cr_assert_neq(leaf_at(va + P(2)), 0);
	uvm_km_free(kmem_map, va, P(4));
	check_state(kmem_map, was);
	check_pmap("freed", 0);
	check_free("freed", 0, true);
}

/* property 77: kernel_map */
BED_TEST(km, kmemalloc_pla_constrains)
{
	vaddr_t va;
	uint64_t first;

	twin_boot(64 * MIB, 1 * GIB, 0);
	va = uvm_km_kmemalloc_pla(
	    kernel_map, KO, P(8), 0, UVM_KMF_NOWAIT, 0, 32 * MIB - 1, 16 << 12, 0, 1);
	cr_assert_neq(va, 0);
	first = leaf_at(va) & PTE_FRAME;
	cr_assert_eq(first & ((16 << 12) - 1), 0);
	cr_assert_lt(first + P(8), 32 * MIB + 1);
	for (unsigned i = 0; i < 8; i++)
		cr_assert_eq(leaf_at(va + P(i)) & PTE_FRAME, first + P(i));
	cr_assert_eq(uvm_km_kmemalloc_pla(
			 kernel_map, KO, P(8), 0, UVM_KMF_NOWAIT, 65 * MIB, 66 * MIB, 0, 0, 1),
	    0);
	uvm_km_free(kernel_map, va, P(8));
	check_free("freed", 0, true);
}

/* property 49 50: kernel_map */
BED_TEST(km, shortage_undoes_everything)
{
	struct state was;
	vaddr_t hog, va;

	twin_boot(16 * MIB, 1 * GIB, 0);
	warm(kernel_map, 8 * MIB);
	hog = uvm_km_alloc(kernel_map, P(uvmexp.free - 40));
	cr_assert_neq(hog, 0);
	warm(kernel_map, P(1));
	was = state_of(kernel_map);
	cr_assert_eq(uvm_km_kmemalloc(kernel_map, KO, P(60), UVM_KMF_NOWAIT), 0);
	check_state(kernel_map, was);
	cr_assert_eq(uvm_km_kmemalloc(kernel_map, KO, P(60), UVM_KMF_CANFAIL), 0);
	check_state(kernel_map, was);
	/* More than there is at all: there is no point in waiting. */
	cr_assert_eq(uvm_km_alloc(kernel_map, 17 * MIB), 0);
	check_state(kernel_map, was);
	va = uvm_km_kmemalloc(kernel_map, KO, P(20), UVM_KMF_NOWAIT);
	cr_assert_neq(va, 0);
	uvm_km_free(kernel_map, va, P(20));
	check_state(kernel_map, was);
	uvm_km_free(kernel_map, hog, P(1));
}

/* With k pages left, for every k: an allocation works and frees cleanly, or fails and leaves no trace. */
/* property 49: kernel_map */
BED_TEST(km, every_amount_of_memory)
{
	for (uint64_t k = 0; k < 40; k++) {
		struct vm_page *taken = NULL, *pg;
		struct state was;
		vaddr_t va;
		uint64_t n = 0;

		twin_boot(16 * MIB, 1 * GIB, 0);
		while (
		    uvmexp.free > k && (pg = uvm_pagealloc(NULL, 0, UVM_PGA_USERESERVE)) != NULL) {
			pg->pageq = taken;
			taken = pg;
			n++;
		}
		cr_assert_gt(n, 0);
		was = state_of(kernel_map);
		va = uvm_km_kmemalloc(kernel_map, KO, P(5), UVM_KMF_NOWAIT);
		if (va == 0) {
			cr_assert_eq(state_of(kernel_map).entries, was.entries);
			cr_assert_eq(state_of(kernel_map).size, was.size);
			cr_assert_eq(state_of(kernel_map).resident, was.resident);
			cr_assert_eq(state_of(kernel_map).npages, was.npages);
		} else {
			/* In the worst order: each free but the last needs an entry. */
			uvm_km_free(kernel_map, va + P(1), P(1));
			uvm_km_free(kernel_map, va + P(3), P(1));
			uvm_km_free(kernel_map, va, P(5));
			cr_assert_eq(kernel_map->nentries, was.entries);
		}
		while ((pg = taken) != NULL) {
			taken = pg->pageq;
			uvm_pagefree(pg);
		}
		va = uvm_km_alloc(kernel_map, P(100));
		cr_assert_neq(va, 0);
		uvm_km_free(kernel_map, va, P(100));
		check_free("end", k, true);
		check_pmap("end", k);
	}
}

/* property 41 42 43: kernel_map */
BED_TEST(km, free_rounds_outward_and_refuses_to_wrap)
{
	vaddr_t va;

	twin_boot(16 * MIB, 1 * GIB, 0);
	uvm_misuse_panic = false;
	va = uvm_km_alloc(kernel_map, P(6));
	uvm_km_free(kernel_map, va, 0);
	cr_assert_neq(leaf_at(va), 0);
	uvm_km_free(kernel_map, va + 1, 0);
	cr_assert_eq(leaf_at(va), 0);
	uvm_km_free(kernel_map, va + P(2) - 1, 2);
	cr_assert_eq(leaf_at(va + P(1)), 0);
	cr_assert_eq(leaf_at(va + P(2)), 0);
	cr_assert_neq(leaf_at(va + P(3)), 0);
	uvm_km_free(kernel_map, va + P(3), UINT64_MAX);
	cr_assert_eq(uvm_misuse.free_wraps, 1);
	cr_assert_neq(leaf_at(va + P(3)), 0);
	uvm_km_free(exec_map, va + P(3), P(1)); /* the wrong map */
	cr_assert_eq(uvm_misuse.free_unmapped, 1);
	cr_assert_neq(leaf_at(va + P(3)), 0);
}

static void
alloc_six_mib(void *result)
{
	*(vaddr_t *)result = uvm_km_alloc(kernel_map, 6 * MIB);
}

/* Two that want most of memory: each finishes, one after the other, and neither holds what it got. */
/* property 52 53: kernel_map */
BED_TEST(km, waits_for_pages_without_holding_any)
{
	vaddr_t hog, a = 1, b = 1, small;
	struct thread *ta, *tb;
	uint64_t free;

	twin_boot(16 * MIB, 1 * GIB, 0);
	warm(kernel_map, 8 * MIB);
	hog = uvm_km_alloc(kernel_map, P(uvmexp.free - 200));
	free = uvmexp.free;
	cr_assert(!twin_call(alloc_six_mib, &a, &ta));
	cr_assert(!twin_call(alloc_six_mib, &b, &tb));
	cr_assert_geq(uvmexp.free + 16, free, "a sleeper holds pages");
	/* The map is not locked meanwhile. */
	small = uvm_km_alloc(kernel_map, P(2));
	cr_assert_neq(small, 0);
	uvm_km_free(kernel_map, hog, P(1));
	uvm_km_free(kernel_map, hog + P(1), P(1600));
	twin_run();
	cr_assert((a != 1) + (b != 1) == 1, "one of the two, a 0x%lx b 0x%lx", a, b);
	cr_assert_neq(a != 1 ? a : b, 0);
	uvm_km_free(kernel_map, a != 1 ? a : b, 6 * MIB);
	twin_run();
	cr_assert(a != 1 && b != 1 && a != 0 && b != 0);
	check_pmap("end", 0);
}

struct comb {
	vaddr_t va;
	unsigned pages, done;
};

static void
free_every_second_page(void *arg)
{
	struct comb *c = arg;

	for (; c->done < c->pages; c->done += 2)
		uvm_km_free(kernel_map, c->va + P(c->done + 1), P(1));
}

static struct vm_page *
take_all_pages(void)
{
	struct vm_page *pg, *taken = NULL;

	while ((pg = uvm_pagealloc(NULL, 0, UVM_PGA_USERESERVE)) != NULL) {
		pg->pageq = taken;
		taken = pg;
	}
	return taken;
}

/* Each free makes an entry, and there is no memory for entries but what the frees give back. */
/* property 39: kernel_map */
BED_TEST(km, free_needs_no_memory)
{
	struct comb c = { .pages = 1200 };

	twin_boot(16 * MIB, 1 * GIB, 0);
	c.va = uvm_km_alloc(kernel_map, P(c.pages));
	cr_assert_neq(take_all_pages(), NULL);
	cr_assert(twin_call(free_every_second_page, &c, NULL), "asleep at page %u", c.done);
	cr_assert_eq(leaf_at(c.va + P(601)), 0);
	cr_assert_neq(leaf_at(c.va + P(602)), 0);
	check_pmap("end", 0);
}

/* Where nothing stands behind the addresses, a free gives nothing back: it sleeps, and then goes on. */
BED_TEST(km, free_waits_for_an_entry)
{
	struct comb c = { .pages = 1200 };
	struct vm_page *taken, *next;
	uint64_t entries;

	twin_boot(16 * MIB, 1 * GIB, 0);
	c.va = uvm_km_valloc(kernel_map, P(c.pages));
	/* The index has what it needs for this range: it is entries that run out. */
	for (unsigned i = 32; i < c.pages; i += 64) {
		uvm_km_free(kernel_map, c.va + P(i), P(1));
		cr_assert_eq(uvm_km_valloc(kernel_map, P(1)), c.va + P(i));
	}
	entries = kernel_map->nentries;
	taken = take_all_pages();
	cr_assert(!twin_call(free_every_second_page, &c, NULL));
	cr_assert_gt(c.done, 100, "asleep at page %u although there is a stock", c.done);
	for (; taken != NULL; taken = next) {
		next = taken->pageq;
		uvm_pagefree(taken);
	}
	twin_run();
	cr_assert_eq(c.done, c.pages);
	/* The last cut is at the end of the range, and makes no entry. */
	cr_assert_eq(kernel_map->nentries, entries + c.pages / 2 - 1);
	uvm_km_free(kernel_map, c.va, P(c.pages));
	check_pmap("end", 0);
	check_free("end", 0, true);
}
