/* SPDX-License-Identifier: ISC */
/*
 * What an allocation is, in every kind of map: placed, mapped, owned, zeroed, aligned, refused.
 */
#include "tests/twin/prop.h"

#include <string.h>

#include "guest/twin/priv.h"

static const vsize_t sizes[] = { 1, 4095, 4096, 4097, P(5), P(33) - 7, P(70) };

/* Each page at [va, va + size) is there with the bits and the owner of its kind, and nothing beside it. */
static void
check_range(const struct prop_map *m, vaddr_t va, vsize_t size)
{
	unsigned n = (unsigned)atop(round_page(size));

	cr_assert(
	    va >= vm_map_min(m->map) && va + P(n) <= vm_map_max(m->map) && (va & PAGE_MASK) == 0,
	    "%s: %lu bytes at 0x%lx", m->name, size, va);
	for (unsigned i = 0; i < n; i++) {
		uint64_t leaf = leaf_at(va + P(i));
		struct vm_page *pg = PHYS_TO_VM_PAGE(leaf & PTE_FRAME);

		cr_assert_eq(leaf & ~(PTE_FRAME | PTE_A | PTE_D), prop_leaf(m),
		    "%s: page %u of %u: leaf 0x%lx", m->name, i, n, leaf);
		cr_assert(pg != NULL && (pg->pg_flags & PQ_INUSE) && !uvm_pmr_isfree(pg));
		cr_assert_eq(pg->uobject, m->intrsafe ? NULL : KO);
		cr_assert(m->intrsafe || pg->offset == va + P(i) - KVA);
		cr_assert_eq(pg->wire_count, 0);
	}
	cr_assert_eq(leaf_at(va - P(1)), 0, "%s: the page before", m->name);
	cr_assert_eq(leaf_at(va + P(n)), 0, "%s: the page after", m->name);
}

/* A word of each page, through the mapping and through the direct map. */
static void
check_words(vaddr_t va, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		prop_store(va + P(i) + 8 * i, ~(va + i));
	for (unsigned i = 0; i < n; i++) {
		paddr_t pa = (leaf_at(va + P(i)) & PTE_FRAME) + 8 * i;

		cr_assert_eq(*(uint64_t *)PMAP_DIRECT_MAP(pa), ~(va + i));
		*(uint64_t *)PMAP_DIRECT_MAP(pa) = i;
	}
	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(prop_load(va + P(i) + 8 * i), i);
}

/* property 1 2 3 4 5 8 9 12 33 34 35: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_alloc, of_every_size_in_every_map)
{
	FOR_EACH_MAP(m, 0)
	{
		struct prop_state was = prop_state();

		for (unsigned i = 0; i < nitems(sizes); i++) {
			vaddr_t va = prop_alloc(&m, sizes[i]);
			unsigned n = (unsigned)atop(round_page(sizes[i]));
			struct prop_state is;

			cr_assert_neq(va, 0, "%s: %lu bytes", m.name, sizes[i]);
			check_range(&m, va, sizes[i]);
			is = prop_state();
			cr_assert_eq(is.free, was.free - n);
			cr_assert_eq(is.npages, was.npages + (m.intrsafe ? 0 : n));
			check_words(va, n);
			prop_store(va + P(n) - 8, 1); /* beyond what was asked for */
			prop_free(&m, va, sizes[i]);
			for (unsigned k = 0; k < n; k++) {
				cr_assert_eq(leaf_at(va + P(k)), 0);
				cr_assert_eq(prop_fault(va + P(k), k & 1), k & 1 ? PF_W : 0);
			}
			prop_same(&was, m.name);
		}
		prop_check(m.name);
	}
}

/* property 6 7 9 72 73: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_alloc, no_frame_twice_and_none_that_is_not_its)
{
	FOR_EACH_MAP(m, 0)
	{
		vaddr_t va[8];

		for (unsigned i = 0; i < nitems(va); i++)
			va[i] = prop_alloc(&m, P(3 * i + 1));
		prop_check(m.name);
		for (unsigned i = 0; i < nitems(va); i += 2)
			prop_free(&m, va[i], P(3 * i + 1));
		for (unsigned i = 0; i < nitems(va); i += 2)
			cr_assert_neq(prop_alloc(&m, P(i + 1)), 0);
		prop_check(m.name);
	}
}

static void
soil(const struct prop_map *m, unsigned n)
{
	vaddr_t va = prop_alloc(m, P(n));

	cr_assert_neq(va, 0);
	for (vsize_t i = 0; i < P(n); i += 8)
		prop_store(va + i, 0xa5a5a5a5a5a5a5a5);
	prop_free(m, va, P(n));
}

/*
 * Known zeroes are used up but for a few, so that soiled pages must be zeroed: by stores through the new
 * mapping, which D shows; pages known to be zero are left alone, as are all pages of a plain allocation.
 */
/* property 10 11: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_alloc, zeroed_and_only_then_written)
{
	FOR_EACH_MAP(m, 0)
	{
		bool known[40] = { false };
		unsigned zeroed = 0;
		vaddr_t va;

		soil(&m, 60);
		while (uvm_pmr.pages[UVM_PMR_MEMTYPE_ZERO] > 12)
			cr_assert_not_null(uvm_pagealloc(NULL, 0, UVM_PGA_ZERO));
		/* Which pages come is the free lists' business: what they were like is seen by poison. */
		for (unsigned i = 0; i < vm_nphysseg; i++) {
			for (struct vm_page *pg = vm_physmem[i].pgs; pg < vm_physmem[i].lastpg;
			     pg++) {
				uint64_t *w = PMAP_DIRECT_MAP(VM_PAGE_TO_PHYS(pg));

				if (uvm_pmr_isfree(pg) && (pg->pg_flags & PG_DIRTY))
					w[7] = 0x77;
			}
		}
		va = prop_zalloc(&m, P(40) - 100);
		cr_assert_neq(va, 0, "%s", m.name);
		for (unsigned i = 0; i < 40; i++) {
			known[i] = !(leaf_at(va + P(i)) & PTE_D);
			zeroed += !known[i];
			for (vsize_t o = 0; o < PAGE_SIZE; o += 8)
				cr_assert_eq(prop_load(va + P(i) + o), 0, "%s: page %u", m.name, i);
		}
		cr_assert_gt(zeroed, 0, "%s: no page was soiled: this proves nothing", m.name);
		prop_free(&m, va, P(40));
		va = prop_alloc(&m, P(40));
		for (unsigned i = 0; i < 40; i++)
			cr_assert_eq(leaf_at(va + P(i)) & (PTE_A | PTE_D), 0, "%s", m.name);
		prop_store(va, 1);
		cr_assert_eq(leaf_at(va) & (PTE_A | PTE_D), PTE_A | PTE_D);
		prop_load(va + P(1));
		cr_assert_eq(leaf_at(va + P(1)) & (PTE_A | PTE_D), PTE_A);
	}
}

/* property 10 11: kernel_map */
BED_TEST(prop_alloc, known_zeroes_are_not_written)
{
	struct prop_map m = prop_boot(PROP_KERNEL_MAP, 0);
	uint64_t zeroed = twin_count()->page_zero;
	vaddr_t va = uvm_km_zalloc(m.map, P(20));

	for (unsigned i = 0; i < 20; i++)
		cr_assert_eq(leaf_at(va + P(i)) & (PTE_A | PTE_D), 0);
	cr_assert_eq(twin_count()->page_zero, zeroed);
	for (vsize_t o = 0; o < P(20); o += 8)
		cr_assert_eq(prop_load(va + o), 0);
}

/* property 13 14: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_alloc, alignment)
{
	static const vsize_t odd[] = { 3, 4097, P(3), P(1) + 1, UINT64_MAX,
		UINT64_MAX - PAGE_MASK };

	FOR_EACH_MAP(m, 0)
	{
		struct prop_state was;

		for (unsigned shift = 0; shift < 64; shift++) {
			vsize_t align = UINT64_C(1) << shift,
				span = vm_map_max(m.map) - vm_map_min(m.map);
			vaddr_t va = prop_addresses(&m, P(2), align);

			cr_assert_eq(va & PAGE_MASK, 0);
			cr_assert_eq(va & (align - 1), 0, "%s: 2^%u: 0x%lx", m.name, shift, va);
			/* A map holds an aligned place for sure if it is twice that long. */
			cr_assert(va != 0 || align > span / 4, "%s: 2^%u", m.name, shift);
			cr_assert(shift < 63 || va == 0);
		}
		was = prop_state();
		for (unsigned i = 0; i < nitems(odd); i++) {
			cr_assert_eq(
			    prop_addresses(&m, P(1), odd[i]), 0, "%s: 0x%lx", m.name, odd[i]);
			cr_assert(m.intrsafe || uvm_km_alloc1(m.map, P(1), odd[i], FALSE) == 0);
		}
		prop_unchanged(&was, m.name);
		prop_check(m.name);
	}
}

/* property 15 16: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_alloc, sizes_that_cannot_be)
{
	FOR_EACH_MAP(m, 0)
	{
		vsize_t span = vm_map_max(m.map) - vm_map_min(m.map);
		const vsize_t bad[] = { 0, UINT64_MAX, UINT64_MAX - 4094, UINT64_MAX - 4095,
			UINT64_C(1) << 63, (UINT64_C(1) << 63) + 1, span + P(1), span + 1,
			UINT64_C(1) << 40 };
		struct prop_state was;
		uint64_t free;

		prop_free(&m, prop_alloc(&m, P(1)), P(1));
		was = prop_state();
		free = uvmexp.free;
		for (unsigned i = 0; i < nitems(bad); i++) {
			cr_assert_eq(prop_alloc(&m, bad[i]), 0, "%s: 0x%lx", m.name, bad[i]);
			cr_assert_eq(prop_zalloc(&m, bad[i]), 0);
			cr_assert_eq(prop_addresses(&m, bad[i], 0), 0);
			cr_assert_eq(uvm_km_alloc(m.map, bad[i]), 0);
			cr_assert_eq(uvm_km_zalloc(m.map, bad[i]), 0);
			cr_assert_eq(uvm_km_alloc1(m.map, bad[i], P(4), TRUE), 0);
			cr_assert_eq(uvm_km_valloc(m.map, bad[i]), 0);
			cr_assert_eq(uvm_km_valloc_try(m.map, bad[i]), 0);
			cr_assert_eq(uvm_km_valloc_wait(m.map, bad[i]), 0);
			prop_unchanged(&was, m.name);
		}
		cr_assert_eq(uvmexp.free, free);
	}
}

/* property 17: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_alloc, the_largest_hole_to_the_page)
{
	FOR_EACH_MAP(m, 0)
	{
		vsize_t hole;
		vaddr_t va[9];

		/* Holes of 1 to 4 pages, walls between them, and what is left at the end. */
		for (unsigned i = 0; i < nitems(va); i++)
			cr_assert_neq(va[i] = prop_addresses(&m, P(i / 2 + 1), 0), 0);
		for (unsigned i = 0; i + 1 < nitems(va); i += 2)
			prop_free(&m, va[i], P(i / 2 + 1));
		for (unsigned round = 0; round < 6; round++) {
			struct prop_state was = prop_state();

			hole = uvm_map_largest_hole(m.map);
			if (hole == 0)
				break;
			cr_assert_eq(prop_addresses(&m, hole + 1, 0), 0, "%s", m.name);
			prop_unchanged(&was, m.name);
			cr_assert_neq(prop_addresses(&m, hole, 0), 0, "%s: 0x%lx", m.name, hole);
		}
		cr_assert_eq(uvm_map_largest_hole(m.map), 0, "%s", m.name);
		prop_check(m.name);
	}
}

/* What the calls must not be used for: refused before anything happens, not when it is freed. */
BED_TEST(prop_alloc, pairs_of_map_and_object_that_cannot_be_freed)
{
	static struct uvm_object other;

	FOR_EACH_MAP(m, 0)
	{
		struct prop_state was = prop_state();

		if (m.intrsafe) {
			cr_assert_eq(uvm_km_alloc(m.map, P(1)), 0);
			cr_assert_eq(uvm_km_zalloc(m.map, P(1)), 0);
			cr_assert_eq(uvm_km_valloc(m.map, P(1)), 0);
			cr_assert_eq(uvm_km_valloc_wait(m.map, P(1)), 0);
			cr_assert_eq(uvm_km_kmemalloc(m.map, KO, P(1), UVM_KMF_NOWAIT), 0);
		} else {
			cr_assert_eq(uvm_km_kmemalloc(m.map, NULL, P(1), UVM_KMF_NOWAIT), 0);
		}
		cr_assert_eq(uvm_km_kmemalloc(m.map, &other, P(1), UVM_KMF_NOWAIT), 0);
		cr_assert_eq(uvm_km_kmemalloc(m.map, m.intrsafe ? NULL : KO, P(1),
				 UVM_KMF_VALLOC | UVM_KMF_ZERO),
		    0);
		prop_unchanged(&was, m.name);
	}
}
