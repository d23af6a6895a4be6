/* SPDX-License-Identifier: ISC */
/*
 * uvm_map() and uvm_unmap(): merging, splitting, guards, fixed addresses, and what is refused. Placement
 * at random is test_addr.c.
 */
#include <stdio.h>

#include "guest/pmap.h"
#include "guest/uvm/uvm_object.h"
#include "tests/twin/map_model.h"

#define KO      (&uvm_kernel_object)
#define UNKNOWN UVM_UNKNOWN_OFFSET

static struct vm_map map;
static vaddr_t base;

static void
setup(uint64_t pages, int flags, enum uvm_addr_fit fit)
{
	twin_boot(16 * MIB, 1 * GIB, 0);
	uvm_misuse_panic = false;
	base = KVA + 512 * MIB;
	uvm_map_setup(&map, pmap_kernel(), base, base + (pages << 12), flags, fit, "test");
	uvm_maxkaddr = base + (pages << 12);
}

static vaddr_t
at(uint64_t page)
{
	return base + (page << 12);
}

/* Takes n pages; at: a page number, or -1 for wherever they go. The page number, or -errno. */
static long
take(long where, uint64_t n, struct uvm_object *obj, unsigned flags)
{
	vaddr_t va = where < 0 ? 0 : at((uint64_t)where);
	int error = uvm_map(&map, &va, n << 12, obj, UNKNOWN, 0,
	    UVM_MAPFLAG(
		RW, RW, MAP_INHERIT_NONE, MADV_RANDOM, flags | (where < 0 ? 0 : UVM_FLAG_FIXED)));

	return error != 0 ? -error : (long)((va - base) >> 12);
}

static void
drop(uint64_t page, uint64_t n)
{
	uvm_unmap(&map, at(page), at(page + n));
}

/* The entries as text: "0+3 5+1g1" is pages 0..2, then page 5 with a guard page. */
static const char *
shape(void)
{
	static char text[256];
	int len = 0;

	text[0] = '\0';
	for (struct vm_map_entry *e = map.header.next; e != &map.header; e = e->next) {
		len += snprintf(text + len, sizeof(text) - (size_t)len, "%s%lu+%lu",
		    len != 0 ? " " : "", (e->start - base) >> 12, (e->end - e->start) >> 12);
		if (e->guard != 0)
			len +=
			    snprintf(text + len, sizeof(text) - (size_t)len, "g%u", e->guard >> 12);
	}
	return text;
}

#define SHAPE(want) cr_assert_str_eq(shape(), want)

BED_TEST(map, merges_with_equal_neighbours)
{
	setup(100, VM_MAP_PAGEABLE, UVM_ADDR_BESTFIT);
	cr_assert_eq(take(-1, 3, KO, 0), 0);
	cr_assert_eq(take(-1, 2, KO, 0), 3);
	SHAPE("0+5");
	cr_assert_eq(take(7, 2, KO, 0), 7);
	SHAPE("0+5 7+2");
	cr_assert_eq(take(6, 1, KO, 0), 6); /* with the next one */
	SHAPE("0+5 6+3");
	cr_assert_eq(take(5, 1, KO, 0), 5); /* with both */
	SHAPE("0+9");
	cr_assert_eq(map.size, 9 << 12);
	drop(0, 9);
	SHAPE("");
	cr_assert_eq(map.size, 0);
}

/* property 88: map */
BED_TEST(map, does_not_merge_what_differs)
{
	vaddr_t va = 0;

	setup(100, VM_MAP_PAGEABLE, UVM_ADDR_BESTFIT);
	cr_assert_eq(take(-1, 1, KO, 0), 0);
	cr_assert_eq(take(-1, 1, NULL, 0), 1);
	cr_assert_eq(take(-1, 1, KO, UVM_FLAG_NOMERGE), 2);
	cr_assert_eq(take(-1, 1, KO, UVM_FLAG_NOMERGE), 3);
	cr_assert_eq(take(-1, 1, KO, 0), 4); /* nor with a NOMERGE one */
	cr_assert_eq(take(-1, 1, NULL, UVM_FLAG_HOLE), 5);
	cr_assert_eq(uvm_map(&map, &va, 4096, KO, UNKNOWN, 0,
			 UVM_MAPFLAG(PROT_READ, RW, MAP_INHERIT_NONE, MADV_RANDOM, 0)),
	    0);
	cr_assert_eq(uvm_map(&map, &va, 4096, KO, UNKNOWN, 0,
			 UVM_MAPFLAG(RW, PROT_MASK, MAP_INHERIT_NONE, MADV_RANDOM, 0)),
	    0);
	cr_assert_eq(uvm_map(&map, &va, 4096, KO, UNKNOWN, 0,
			 UVM_MAPFLAG(RW, PROT_MASK, MAP_INHERIT_COPY, MADV_RANDOM, 0)),
	    0);
	cr_assert_eq(uvm_map(&map, &va, 4096, KO, UNKNOWN, 0,
			 UVM_MAPFLAG(RW, PROT_MASK, MAP_INHERIT_COPY, MADV_NORMAL, 0)),
	    0);
	SHAPE("0+1 1+1 2+1 3+1 4+1 5+1 6+1 7+1 8+1 9+1");
	cr_assert_eq(map.size, 9 << 12); /* the HOLE does not count */
	drop(0, 10);
	SHAPE("");
	cr_assert_eq(map.size, 0);
	cr_assert_eq(uvm_map_largest_hole(&map), 100 << 12);
}

/* property 39 40: map */
BED_TEST(map, splits)
{
	setup(100, VM_MAP_PAGEABLE, UVM_ADDR_BESTFIT);
	cr_assert_eq(take(-1, 20, KO, 0), 0);
	drop(5, 1);
	SHAPE("0+5 6+14");
	drop(0, 2);
	SHAPE("2+3 6+14");
	drop(18, 2);
	SHAPE("2+3 6+12");
	drop(4, 4); /* tail, hole, head */
	SHAPE("2+2 8+10");
	cr_assert_eq(take(30, 2, NULL, 0), 30);
	cr_assert_eq(take(40, 2, KO, 0), 40);
	drop(3, 38); /* tail, three entries, head */
	SHAPE("2+1 41+1");
	cr_assert_eq(uvm_misuse.free_unmapped, 0);
}

/* property 74 75: map */
BED_TEST(map, guards)
{
	setup(12, VM_MAP_PAGEABLE | VM_MAP_GUARDPAGES, UVM_ADDR_BESTFIT);
	cr_assert_eq(take(-1, 2, KO, 0), 0);
	cr_assert_eq(take(-1, 3, KO, 0), 3);
	SHAPE("0+2g1 3+3g1");
	drop(3, 3);
	SHAPE("0+2g1");
	cr_assert_eq(take(-1, 7, KO, 0), 3); /* two pages are left: both become guard */
	SHAPE("0+2g1 3+7g2");
	cr_assert_eq(take(-1, 1, KO, 0), -ENOMEM);
	cr_assert_eq(uvm_map_largest_hole(&map), 0);
	drop(9, 1); /* the tail goes, and the guard with it */
	SHAPE("0+2g1 3+6");
	cr_assert_eq(uvm_map_largest_hole(&map), 3 << 12);
	cr_assert_eq(take(2, 1, NULL, 0), 2); /* a fixed address may take a guard */
	SHAPE("0+2 2+1 3+6");
	cr_assert_eq(take(-1, 12, KO, 0), -ENOMEM);
	/* The right part keeps the guard; the left one has none, whatever its struct was before. */
	drop(3, 6);
	drop(2, 1);
	cr_assert_eq(take(-1, 6, KO, 0), 2);
	cr_assert_eq(take(-1, 1, KO, 0), 9);
	drop(9, 1);
	drop(4, 2);
	SHAPE("0+4 6+2g1");
}

BED_TEST(map, fixed)
{
	setup(50, VM_MAP_PAGEABLE, UVM_ADDR_BESTFIT);
	cr_assert_eq(take(10, 5, KO, 0), 10);
	cr_assert_eq(take(12, 1, KO, 0), -ENOMEM);
	cr_assert_eq(take(8, 3, KO, 0), -ENOMEM);
	cr_assert_eq(take(14, 3, KO, 0), -ENOMEM);
	cr_assert_eq(take(48, 3, KO, 0), -ENOMEM);
	cr_assert_eq(take(50, 1, KO, 0), -ENOMEM);
	SHAPE("10+5");
	cr_assert_eq(take(12, 4, NULL, UVM_FLAG_UNMAP), 12);
	SHAPE("10+2 12+4");
	cr_assert_eq(take(11, 2, NULL, UVM_FLAG_UNMAP), 11);
	SHAPE("10+1 11+5");
	cr_assert_eq(take(30, 2, KO, UVM_FLAG_QUERY), 30);
	cr_assert_eq(take(-1, 2, KO, UVM_FLAG_QUERY), 0);
	cr_assert_eq(take(11, 2, KO, UVM_FLAG_QUERY | UVM_FLAG_UNMAP), -ENOMEM);
	SHAPE("10+1 11+5");
}

/* property 14 15 16 89: map */
BED_TEST(map, refuses)
{
	vaddr_t va = 0;
	unsigned rw = UVM_MAPFLAG(RW, RW, MAP_INHERIT_NONE, MADV_RANDOM, 0);

	setup(50, VM_MAP_PAGEABLE, UVM_ADDR_BESTFIT);
	cr_assert_eq(uvm_map(&map, &va, 0, KO, UNKNOWN, 0, rw), EINVAL);
	cr_assert_eq(uvm_map(&map, &va, 4095, KO, UNKNOWN, 0, rw), EINVAL);
	cr_assert_eq(uvm_map(&map, &va, 51 << 12, KO, UNKNOWN, 0, rw), ENOMEM);
	cr_assert_eq(uvm_map(&map, &va, -UINT64_C(4096), KO, UNKNOWN, 0, rw), ENOMEM);
	cr_assert_eq(uvm_map(&map, &va, 4096, KO, UNKNOWN, 3 << 12, rw), EINVAL);
	cr_assert_eq(uvm_map(&map, &va, 4096, KO, UNKNOWN, UINT64_C(1) << 63, rw), ENOMEM);
	cr_assert_eq(uvm_map(&map, &va, 4096, KO, 0, 0, rw), EINVAL);
	cr_assert_eq(
	    uvm_map(&map, &va, 4096, KO, UNKNOWN, 0, UVM_MAPFLAG(RW, PROT_READ, 2, 1, 0)), EACCES);
	va = base + 1;
	cr_assert_eq(uvm_map(&map, &va, 4096, KO, UNKNOWN, 0, rw | UVM_FLAG_FIXED), EINVAL);
	cr_assert_eq(map.nentries, 0);
	cr_assert_not_null(TWIN_PANIC(
	    uvm_map(&map, &va, 4096, KO, UNKNOWN, 0, UVM_MAPFLAG(PROT_MASK, PROT_MASK, 2, 1, 0))));
}

/* property 44: map */
BED_TEST(map, misuse)
{
	setup(50, VM_MAP_PAGEABLE, UVM_ADDR_BESTFIT);
	cr_assert_eq(take(10, 5, KO, 0), 10);
	drop(20, 5);
	cr_assert_eq(uvm_misuse.free_unmapped, 1);
	uvm_unmap(&map, at(60), at(70)); /* not in this map */
	cr_assert_eq(uvm_misuse.free_unmapped, 2);
	uvm_unmap(&map, at(12), at(12)); /* nothing asked for */
	cr_assert_eq(uvm_misuse.free_unmapped, 2);
	drop(10, 5);
	drop(10, 5); /* twice */
	cr_assert_eq(uvm_misuse.free_unmapped, 3);
	uvm_misuse_panic = true;
	cr_assert_not_null(TWIN_PANIC(drop(10, 5)));
}

/* property 16 81: kernel_map */
BED_TEST(map, tables_grow_or_the_call_fails)
{
	struct twin_config small = { .ram = 16 * MIB, .kva = 4 * GIB, .ptpool = 24 << 12 };
	uint64_t free, ptps, entries;
	vaddr_t va = 0, was;

	twin_boot_config(&small);
	free = uvmexp.free;
	ptps = pmap_kernel()->pm_ptps;
	entries = kernel_map->nentries;
	was = uvm_maxkaddr;
	cr_assert_eq(uvm_km_valloc(kernel_map, GIB), 0);
	cr_assert_eq(uvm_km_valloc(kernel_map, 5 * GIB), 0);
	cr_assert_eq(pmap_kernel()->pm_ptps, ptps, "tables were made for what cannot be");
	cr_assert_eq(uvm_maxkaddr, was);
	cr_assert_eq(kernel_map->nentries, entries);
	cr_assert(uvmexp.free == free || uvmexp.free + 4 >= free); /* index nodes in stock */
	va = uvm_km_valloc(kernel_map, 8 * MIB);
	cr_assert_neq(va, 0);
	cr_assert_geq(uvm_maxkaddr, va + 8 * MIB);
	cr_assert_eq(uvm_maxkaddr, pmap_kernel()->pm_end);
}
