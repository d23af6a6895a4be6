/* SPDX-License-Identifier: ISC */
/*
 * Kernel page faults on the twin: what a touch brings, what is refused and with which error, submaps, table
 * pages. Faults that sleep are test_fault_sleep.c, wiring is test_fault_wire.c.
 */
#include "tests/twin/check.h"

#include <machine/thread.h>
#include <string.h>

#include "tests/twin/access.h"
#include "guest/uvm/uvm_fault.h"
#include "guest/uvm/uvm_map.h"
#include "guest/uvm/uvm_object.h"

#define KO (&uvm_kernel_object)

/* A faulted leaf: present, managed, global, not executable; D after a write. */
#define FAULTED (PTE_P | PTE_W | PTE_A | PTE_G | PTE_SW_M | PTE_NX)

/* A range with attributes of its own. */
static vaddr_t
map_with(struct vm_map *map, vsize_t size, struct uvm_object *obj, vm_prot_t prot, unsigned flags)
{
	vaddr_t va = vm_map_min(map);

	cr_assert_eq(uvm_map(map, &va, size, obj, UVM_UNKNOWN_OFFSET, 0,
			 UVM_MAPFLAG(prot, RW, MAP_INHERIT_NONE, MADV_RANDOM, flags)),
	    0);
	return va;
}

static struct vm_map *
new_submap(struct vm_map *parent, vsize_t size, int flags)
{
	vaddr_t min = 0, max = 0;
	struct vm_map *map = uvm_km_suballoc(parent, &min, &max, size, flags, FALSE, NULL);

	cr_assert_not_null(map);
	return map;
}

/* property 20: kernel_map */
BED_TEST(fault, valloc_maps_nothing)
{
	uint64_t free, npages, resident;
	vaddr_t va;

	boot_small();
	free = uvmexp.free;
	npages = KO->uo_npages;
	resident = pmap_kernel()->pm_resident;
	va = uvm_km_valloc(kernel_map, 8 * PAGE_SIZE);
	cr_assert_neq(va, 0);
	cr_assert_eq(KO->uo_npages, npages);
	cr_assert_eq(pmap_kernel()->pm_resident, resident);
	cr_assert_geq(uvmexp.free + 2, free); /* bookkeeping at most */
	for (unsigned i = 0; i < 8; i++)
		cr_assert_eq(leaf_at(va + i * PAGE_SIZE), 0);
}

/* property 21: kernel_map */
BED_TEST(fault, first_read_brings_one_zeroed_page)
{
	uint64_t free, npages, leaf;
	struct vm_page *pg;
	vaddr_t va, soiled;

	boot_small();
	/* Free pages with rubbish in them, and a node for the object. */
	soiled = uvm_km_alloc(kernel_map, 64 * PAGE_SIZE);
	for (unsigned i = 0; i < 64 * PAGE_SIZE; i += 8)
		store(soiled + i, 0x5a5a5a5a5a5a5a5a);
	uvm_km_free(kernel_map, soiled, 64 * PAGE_SIZE);

	va = uvm_km_valloc(kernel_map, 3 * PAGE_SIZE);
	free = uvmexp.free;
	npages = KO->uo_npages;
	cr_assert_eq(load(va + PAGE_SIZE), 0);
	cr_assert_eq(faults(), 1);
	cr_assert_eq(uvmexp.faults, 1);
	cr_assert_eq(uvmexp.free, free - 1);
	cr_assert_eq(KO->uo_npages, npages + 1);
	for (unsigned i = 0; i < PAGE_SIZE; i += 8)
		cr_assert_eq(load(va + PAGE_SIZE + i), 0);
	cr_assert_eq(leaf_at(va), 0);
	cr_assert_eq(leaf_at(va + 2 * PAGE_SIZE), 0);

	leaf = leaf_at(va + PAGE_SIZE);
	cr_assert_eq(leaf & ~PTE_FRAME, FAULTED, "leaf 0x%lx", leaf);
	pg = PHYS_TO_VM_PAGE(leaf & PTE_FRAME);
	cr_assert_eq(pg->uobject, KO);
	cr_assert_eq(pg->offset, va + PAGE_SIZE - KVA);
	cr_assert_eq(pg->wire_count, 0);
	cr_assert_eq(
	    pg->pg_flags & (PQ_INUSE | PG_TABLED | PG_BUSY | PG_FAKE), PQ_INUSE | PG_TABLED);

	uvm_km_free(kernel_map, va, 3 * PAGE_SIZE);
	cr_assert_eq(uvmexp.free, free);
	cr_assert_eq(KO->uo_npages, npages);
	check_pmap("freed", 0);
	check_free("freed", 0, true);
}

/* property 22: kernel_map */
BED_TEST(fault, first_write_sets_modified)
{
	vaddr_t va;

	boot_small();
	va = uvm_km_valloc(kernel_map, PAGE_SIZE);
	store(va + 8, 7);
	cr_assert_eq(leaf_at(va) & ~PTE_FRAME, FAULTED | PTE_D);
	cr_assert_eq(load(va), 0);
	cr_assert_eq(load(va + 8), 7);
	cr_assert_eq(load(va + 16), 0);
	cr_assert_eq(faults(), 1);
}

/* property 23: kernel_map */
BED_TEST(fault, one_fault_a_page_in_any_order)
{
	struct rnd r = rnd_start("fault one_fault_a_page_in_any_order");
	unsigned order[600];
	vaddr_t va;

	boot_small();
	va = uvm_km_valloc(kernel_map, nitems(order) * PAGE_SIZE); /* over a table boundary */
	for (unsigned i = 0; i < nitems(order); i++) {
		unsigned j = (unsigned)rnd_below(&r, i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (unsigned i = 0; i < nitems(order); i++) {
		store(va + order[i] * PAGE_SIZE, order[i]);
		cr_assert_eq(faults(), i + 1);
	}
	for (unsigned i = 0; i < nitems(order); i++)
		cr_assert_eq(load(va + i * PAGE_SIZE), i);
	cr_assert_eq(faults(), nitems(order));
	check_pmap("touched", r.seed);
	uvm_km_free(kernel_map, va, nitems(order) * PAGE_SIZE);
	check_pmap("freed", r.seed);
	check_free("freed", r.seed, true);
}

/* uvm_fault() itself, and an access, at an address where nothing can be. */
static void
refused(vaddr_t va, vm_prot_t access, int error)
{
	uint64_t value, err = 0, free = uvmexp.free, npages = KO->uo_npages, before = leaf_at(va);

	cr_assert_eq(uvm_fault(kernel_map, va, VM_FAULT_INVALID, access), error, "at 0x%lx", va);
	if (access == PROT_READ)
		cr_assert_eq(twin_load(va, &value, &err), EFAULT);
	else
		cr_assert_eq(twin_store(va, 1, &err), EFAULT);
	cr_assert_eq(err & PF_W, access == PROT_WRITE ? PF_W : 0);
	cr_assert_eq(uvmexp.free, free);
	cr_assert_eq(KO->uo_npages, npages);
	cr_assert_eq(leaf_at(va), before);
	cr_assert_eq(kernel_map->lock.rwl_owner, 0);
}

/* property 26: kernel_map kmem_map exec_map */
BED_TEST(fault, nothing_there)
{
	vaddr_t va, none, freed, hole, never;

	twin_boot(16 * MIB, 64 * MIB, BED_BOOT_GUARDPAGES);
	va = uvm_km_valloc(kernel_map, PAGE_SIZE);
	none = uvm_km_kmemalloc(kernel_map, NULL, PAGE_SIZE, UVM_KMF_VALLOC);
	freed = uvm_km_alloc(kernel_map, PAGE_SIZE);
	hole = map_with(kernel_map, PAGE_SIZE, NULL, RW, UVM_FLAG_HOLE);
	never = map_with(kernel_map, PAGE_SIZE, KO, RW, UVM_FLAG_NOFAULT);
	uvm_km_free(kernel_map, freed, PAGE_SIZE);

	refused(va + PAGE_SIZE, PROT_READ, EFAULT); /* the guard */
	refused(none, PROT_READ, EFAULT);           /* addresses alone */
	refused(none, PROT_WRITE, EFAULT);
	refused(freed, PROT_WRITE, EFAULT);
	refused(hole, PROT_READ, EFAULT);
	refused(never, PROT_READ, EFAULT);
	refused(vm_map_max(kernel_map), PROT_READ, EFAULT);
	refused(vm_map_min(kernel_map) - PAGE_SIZE, PROT_READ, EFAULT);
	refused(vm_map_max(kernel_map) - PAGE_SIZE, PROT_WRITE, EFAULT);
	refused(vm_map_min(exec_map), PROT_READ, EFAULT); /* a hole of a submap */
	refused(vm_map_min(kmem_map), PROT_READ, EFAULT);
	cr_assert_eq(exec_map->ref_count, 2);
	cr_assert_eq(load(va), 0);
}

BED_TEST(fault, rights_of_the_entry)
{
	vaddr_t ro, none;

	boot_small();
	ro = map_with(kernel_map, PAGE_SIZE, KO, PROT_READ, 0);
	none = map_with(kernel_map, PAGE_SIZE, KO, PROT_NONE, 0);
	refused(ro, PROT_WRITE, EACCES); /* before there is a page */
	cr_assert_eq(load(ro), 0);
	cr_assert_eq(leaf_at(ro) & ~PTE_FRAME, FAULTED & ~(uint64_t)PTE_W);
	refused(ro, PROT_WRITE, EACCES); /* and after */
	cr_assert_eq(uvm_fault(kernel_map, ro, VM_FAULT_INVALID, PROT_EXEC), EACCES);
	refused(none, PROT_READ, EACCES);
	cr_assert_eq(uvm_fault(kernel_map, none, VM_FAULT_INVALID, PROT_NONE), EACCES);
	cr_assert_eq(leaf_at(none), 0);
}

/* property 29: kernel_map */
BED_TEST(fault, rights_taken_and_given_back)
{
	vaddr_t va;
	uint64_t pa;

	boot_small();
	va = uvm_km_valloc(kernel_map, PAGE_SIZE);
	store(va, 99);
	pa = leaf_at(va) & PTE_FRAME;
	cr_assert_eq(uvm_map_protect(kernel_map, va, va + PAGE_SIZE, PROT_READ, FALSE), 0);
	cr_assert_eq(load(va), 99);
	refused(va, PROT_WRITE, EACCES);
	cr_assert_eq(uvm_map_protect(kernel_map, va, va + PAGE_SIZE, RW, FALSE), 0);
	store(va + 8, 1);
	cr_assert_eq(load(va), 99);
	cr_assert_eq(leaf_at(va) & PTE_FRAME, pa);
	cr_assert_eq(uvm_map_protect(kernel_map, va, va + PAGE_SIZE, PROT_NONE, FALSE), 0);
	cr_assert_eq(leaf_at(va), 0);
	refused(va, PROT_READ, EACCES);
	cr_assert_eq(uvm_map_protect(kernel_map, va, va + PAGE_SIZE, RW, FALSE), 0);
	cr_assert_eq(load(va), 99);
	cr_assert_eq(leaf_at(va) & PTE_FRAME, pa);
	check_pmap("end", 0);
}

/* property 32: kernel_map */
BED_TEST(fault, mapping_removed_by_hand_comes_back)
{
	uint64_t free, npages, pa;
	vaddr_t va;

	boot_small();
	va = uvm_km_alloc(kernel_map, PAGE_SIZE);
	store(va, 0x1234);
	pa = leaf_at(va) & PTE_FRAME;
	free = uvmexp.free;
	npages = KO->uo_npages;
	pmap_remove(pmap_kernel(), va, va + PAGE_SIZE);
	cr_assert_eq(load(va), 0x1234);
	cr_assert_eq(leaf_at(va) & PTE_FRAME, pa);
	cr_assert_eq(uvmexp.free, free);
	cr_assert_eq(KO->uo_npages, npages);
	cr_assert_eq(
	    uvm_fault(kernel_map, va, VM_FAULT_INVALID, PROT_WRITE), 0); /* already mapped */
	cr_assert_eq(leaf_at(va) & PTE_FRAME, pa);
	cr_assert_eq(uvmexp.free, free);
	check_pmap("end", 0);
}

/* property 27: kmem_map phys_map */
BED_TEST(fault, non_pageable_map_panics)
{
	uint64_t value, err;
	const char *msg;
	vaddr_t va;

	boot_small();
	va = uvm_km_valloc(phys_map, PAGE_SIZE);
	cr_assert_neq(va, 0);
	msg = TWIN_PANIC(twin_load(va, &value, &err));
	cr_assert_not_null(msg);
	cr_assert_not_null(strstr(msg, "fault on non-pageable map phys_map"), "panic: %s", msg);

	boot_small();
	va = uvm_km_kmemalloc(kmem_map, NULL, PAGE_SIZE, UVM_KMF_VALLOC);
	cr_assert_neq(va, 0);
	msg = TWIN_PANIC(twin_store(va, 1, &err));
	cr_assert_not_null(msg);
	cr_assert_not_null(strstr(msg, "fault on non-pageable map kmem_map"), "panic: %s", msg);
}

/* property 31: kernel_map */
BED_TEST(fault, with_a_mutex_held)
{
	struct mutex m = MUTEX_INITIALIZER(IPL_VM);
	uint64_t value, err;
	const char *msg;
	vaddr_t va;

	boot_small();
	va = uvm_km_valloc(kernel_map, PAGE_SIZE);
	mtx_enter(&m);
	cr_assert_eq(twin_load(va, &value, &err), EFAULT); /* the trap does not even try */
	mtx_leave(&m);
	cr_assert_eq(load(va), 0);
	mtx_enter(&m);
	msg = TWIN_PANIC(uvm_fault(kernel_map, va, VM_FAULT_INVALID, PROT_READ));
	cr_assert_not_null(msg);
	cr_assert_not_null(strstr(msg, "cpu_cannot_sleep"), "panic: %s", msg);
}

/* property 66: nested */
BED_TEST(fault, through_submaps)
{
	struct vm_map *map[4] = { 0 };
	uint64_t entries, free, npages;
	vaddr_t va;

	boot_small();
	free = uvmexp.free;
	npages = KO->uo_npages;
	map[0] = kernel_map;
	for (unsigned i = 1; i < nitems(map); i++)
		map[i] = new_submap(map[i - 1], (nitems(map) - i) * 4 * MIB, VM_MAP_PAGEABLE);
	entries = kernel_map->nentries;
	va = uvm_km_valloc(map[3], 2 * PAGE_SIZE);
	cr_assert(va >= vm_map_min(map[3]) && va < vm_map_max(map[3]));
	store(va + PAGE_SIZE, 5);
	cr_assert_eq(
	    PHYS_TO_VM_PAGE(leaf_at(va + PAGE_SIZE) & PTE_FRAME)->offset, va + PAGE_SIZE - KVA);
	cr_assert_eq(kernel_map->nentries, entries);
	for (unsigned i = 0; i < nitems(map); i++) {
		cr_assert_eq(map[i]->lock.rwl_owner, 0);
		cr_assert_eq(map[i]->ref_count, i == 0 ? 1 : 2);
	}
	uvm_km_free(map[3], va, 2 * PAGE_SIZE);
	for (unsigned i = nitems(map) - 1; i > 0; i--)
		cr_assert_eq(uvm_km_subfree(map[i - 1], map[i]), 0);
	cr_assert_eq(KO->uo_npages, npages);
	cr_assert_leq(uvmexp.free, free);
	check_free("end", 0, true);
}

/* The entry of level 2 for va, as a host pointer. */
static uint64_t *
entry_at(vaddr_t va)
{
	uint64_t *table = (uint64_t *)(twin_ram + twin_info.root);

	for (int level = 4; level > 2; level--)
		table = (uint64_t *)(twin_ram + (table[va >> (3 + 9 * level) & 511] & PTE_FRAME));
	return &table[va >> 21 & 511];
}

/* property 81: kernel_map */
BED_TEST(fault, no_table_page_left)
{
	struct pmap *pm = pmap_kernel();
	uint64_t free, npages, *l2, saved;
	struct pmap_l1 l1, *known;
	paddr_t pool;
	vaddr_t va;

	boot_small();
	va = uvm_km_valloc(kernel_map, 20 * MIB) + 10 * MIB;
	cr_assert_eq(uvm_obj_reserve(KO, va - KVA, 1), 0);
	/* As if the table had never been made, and could not be. */
	l2 = entry_at(va);
	saved = *l2;
	*l2 = 0;
	known = &pm->pm_l1[(va - KVA) / (2 * MIB)];
	l1 = *known;
	*known = (struct pmap_l1){ 0 };
	pool = pm->pm_pool;
	pm->pm_pool = pm->pm_poolend;
	free = uvmexp.free;
	npages = KO->uo_npages;
	cr_assert_eq(uvm_fault(kernel_map, va, VM_FAULT_INVALID, PROT_WRITE), ENOMEM);
	cr_assert_eq(uvmexp.free, free);
	cr_assert_eq(KO->uo_npages, npages);
	cr_assert_null(uvm_pagelookup(KO, va - KVA));

	*l2 = saved;
	*known = l1;
	pm->pm_pool = pool;
	store(va, 3);
	cr_assert_eq(load(va), 3);
	check_pmap("end", 0);
	check_free("end", 0, true);
}
