/* SPDX-License-Identifier: ISC */
/*
 * uvm_map_protect(), uvm_map_pageable(), uvm_map_checkprot(), uvm_kernacc().
 */
#include "guest/pmap.h"
#include "guest/uvm/uvm_map.h"
#include "guest/uvm/uvm_object.h"
#include "tests/twin/check.h"

static vaddr_t va;

static void
setup(void)
{
	twin_boot(16 * MIB, 1 * GIB, 0);
	va = uvm_km_alloc(kernel_map, 10 << 12);
	cr_assert_neq(va, 0);
}

static vaddr_t
page(unsigned i)
{
	return va + ((vaddr_t)i << 12);
}

static struct vm_map_entry *
entry(unsigned i)
{
	struct vm_map_entry *e;

	cr_assert(uvm_map_lookup_entry(kernel_map, page(i), &e));
	return e;
}

/* property 29 88: kernel_map */
BED_TEST(map_protect, narrows_and_widens)
{
	uint64_t value, err;

	setup();
	cr_assert_eq(uvm_map_protect(kernel_map, page(3), page(5), PROT_READ, FALSE), 0);
	cr_assert_eq(entry(3)->start, page(3));
	cr_assert_eq(entry(3)->end, page(5));
	cr_assert_eq(entry(2)->protection, RW);
	cr_assert_eq(entry(5)->protection, RW);
	for (unsigned i = 0; i < 10; i++)
		cr_assert_eq((leaf_at(page(i)) & PTE_W) != 0, i < 3 || i >= 5);
	cr_assert_eq(twin_store(page(3), 1, &err), EFAULT);
	cr_assert_eq(twin_load(page(3), &value, &err), 0);
	cr_assert(uvm_map_checkprot(kernel_map, page(0), page(10), PROT_READ));
	cr_assert(!uvm_map_checkprot(kernel_map, page(0), page(10), RW));
	cr_assert(uvm_map_checkprot(kernel_map, page(5), page(10), RW));
	cr_assert(!uvm_map_checkprot(kernel_map, page(5), page(11), PROT_READ));
	cr_assert(uvm_kernacc(page(1) + 5, 4096, PROT_WRITE));
	cr_assert(!uvm_kernacc(page(2) + 5, 4096, PROT_WRITE));
	cr_assert(!uvm_kernacc(page(2), UINT64_MAX, PROT_READ));
	cr_assert_eq(uvm_map_protect(kernel_map, page(3), page(5), RW, FALSE), 0);
	cr_assert_eq(twin_store(page(3), 1, &err), 0);
	uvm_km_free(kernel_map, va, 10 << 12);
	check_pmap("end", 0);
}

/* property 29: kernel_map */
BED_TEST(map_protect, to_nothing_keeps_the_page)
{
	uint64_t value, err, npages = 0;

	setup();
	cr_assert_eq(twin_store(page(4), 42, &err), 0);
	npages = uvm_kernel_object.uo_npages;
	cr_assert_eq(uvm_map_protect(kernel_map, page(4), page(5), PROT_NONE, FALSE), 0);
	cr_assert_eq(leaf_at(page(4)), 0);
	cr_assert_eq(uvm_kernel_object.uo_npages, npages);
	cr_assert_eq(twin_load(page(4), &value, &err), EFAULT);
	cr_assert_eq(uvm_map_protect(kernel_map, page(4), page(5), PROT_READ, FALSE), 0);
	cr_assert_eq(twin_load(page(4), &value, &err), 0);
	cr_assert_eq(value, 42);
}

/* property 89: kernel_map */
BED_TEST(map_protect, maximum)
{
	setup();
	cr_assert_eq(uvm_map_protect(kernel_map, page(0), page(4), PROT_READ, TRUE), 0);
	cr_assert_eq(entry(0)->protection, PROT_READ);
	cr_assert_eq(entry(0)->max_protection, PROT_READ);
	cr_assert_eq(leaf_at(page(0)) & PTE_W, 0);
	/* Nothing changes when part of the range may not. */
	cr_assert_eq(uvm_map_protect(kernel_map, page(0), page(8), RW, FALSE), EACCES);
	cr_assert_eq(uvm_map_protect(kernel_map, page(8), page(0), PROT_READ, FALSE), EINVAL);
	cr_assert_eq(uvm_map_protect(
			 kernel_map, vm_map_min(kmem_map), vm_map_max(kmem_map), PROT_READ, FALSE),
	    EINVAL);
	cr_assert_eq(entry(0)->protection, PROT_READ);
	cr_assert_not_null(
	    TWIN_PANIC(uvm_map_protect(kernel_map, page(4), page(8), PROT_MASK, FALSE)));
}

/* property 85 87: kernel_map */
BED_TEST(map_protect, wires_and_unwires)
{
	uint64_t wired, n;

	setup();
	va = uvm_km_valloc(kernel_map, 10 << 12);
	wired = uvmexp.wired;
	n = uvm_kernel_object.uo_npages;
	cr_assert_eq(uvm_map_pageable(kernel_map, page(2), page(6), FALSE), 0);
	cr_assert_eq(uvmexp.wired, wired + 4);
	cr_assert_eq(uvm_kernel_object.uo_npages, n + 4);
	for (unsigned i = 0; i < 10; i++)
		cr_assert_eq(
		    (leaf_at(page(i)) & (PTE_P | PTE_SW_W)) == (PTE_P | PTE_SW_W), i >= 2 && i < 6);
	/* Twice in the middle: counted by entry, wired once. */
	cr_assert_eq(uvm_map_pageable(kernel_map, page(3), page(5), FALSE), 0);
	cr_assert_eq(uvmexp.wired, wired + 4);
	cr_assert_eq(entry(3)->wired_count, 2);
	cr_assert_eq(uvm_map_pageable(kernel_map, page(2), page(6), TRUE), 0);
	cr_assert_eq(uvmexp.wired, wired + 2);
	cr_assert_eq(uvm_map_pageable(kernel_map, page(2), page(6), TRUE), EINVAL);
	cr_assert_eq(uvm_map_pageable(kernel_map, page(3), page(5), TRUE), 0);
	cr_assert_eq(uvmexp.wired, wired);
	cr_assert_eq(uvm_kernel_object.uo_npages, n + 4);
	/* A free unwires. */
	cr_assert_eq(uvm_map_pageable(kernel_map, page(0), page(10), FALSE), 0);
	uvm_km_free(kernel_map, va, 10 << 12);
	cr_assert_eq(uvmexp.wired, wired);
	cr_assert_eq(uvm_kernel_object.uo_npages, n);
	check_pmap("end", 0);
}

/* property 86: kernel_map */
BED_TEST(map_protect, wiring_is_all_or_nothing)
{
	uint64_t wired;
	vaddr_t hole = 0;

	setup();
	va = uvm_km_valloc(kernel_map, 4 << 12);
	/* After it an entry that cannot be faulted: nothing stands behind it. */
	hole = va + (4 << 12);
	cr_assert_eq(uvm_map(kernel_map, &hole, 4096, NULL, UVM_UNKNOWN_OFFSET, 0,
			 UVM_MAPFLAG(RW, RW, MAP_INHERIT_NONE, MADV_RANDOM, UVM_FLAG_FIXED)),
	    0);
	wired = uvmexp.wired;
	cr_assert_eq(uvm_map_pageable(kernel_map, page(0), page(5), FALSE), EFAULT);
	cr_assert_eq(uvmexp.wired, wired);
	cr_assert_eq(entry(0)->wired_count, 0);
	cr_assert_eq(entry(4)->wired_count, 0);
	cr_assert_eq(kernel_map->state & (VM_MAP_BUSY | VM_MAP_WANTLOCK), 0);
	cr_assert_eq(uvm_map_pageable(kernel_map, page(0), page(9), FALSE), EINVAL);
	cr_assert_eq(uvm_map_pageable(kernel_map, page(7), page(9), FALSE), EFAULT);
	cr_assert_eq(
	    uvm_map_pageable(phys_map, vm_map_min(phys_map), vm_map_max(phys_map), FALSE), EINVAL);
	check_pmap("end", 0);
}
