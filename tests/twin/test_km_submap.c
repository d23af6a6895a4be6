/* SPDX-License-Identifier: ISC */
/*
 * Submaps, and waiting for address space.
 */
#include <machine/thread.h>

#include "guest/pmap.h"
#include "guest/uvm/uvm_map.h"
#include "guest/uvm/uvm_object.h"
#include "tests/twin/check.h"

#define P(n) ((vsize_t)(n) << 12)

static struct vm_map *
sub(struct vm_map *parent, vsize_t size, int flags)
{
	vaddr_t min = 0, max = 0;
	struct vm_map *map = uvm_km_suballoc(parent, &min, &max, size, flags, FALSE, NULL);

	if (map != NULL)
		cr_assert(vm_map_min(map) == min && vm_map_max(map) == max &&
			  max == min + round_page(size));
	return map;
}

/* property 19 63 64 66 71: submap */
BED_TEST(submap, made_used_and_unmade)
{
	struct vm_map *map;
	uint64_t free, entries, size;
	vaddr_t a, b, got[8];

	twin_boot(16 * MIB, 1 * GIB, 0);
	uvm_km_free(kernel_map, uvm_km_alloc(kernel_map, P(20)), P(20));
	map = sub(kernel_map, P(8), VM_MAP_PAGEABLE);
	cr_assert_eq(uvm_km_subfree(kernel_map, map), 0);
	free = uvmexp.free;
	entries = kernel_map->nentries;
	size = kernel_map->size;

	map = sub(kernel_map, P(8) - 7, VM_MAP_PAGEABLE);
	cr_assert_eq(map->ref_count, 2);
	for (unsigned i = 0; i < 8; i++) {
		got[i] = uvm_km_alloc(map, P(1));
		cr_assert_eq(got[i], vm_map_min(map) + P(i));
		cr_assert_eq(PHYS_TO_VM_PAGE(leaf_at(got[i]) & PTE_FRAME)->offset, got[i] - KVA);
	}
	cr_assert_eq(uvm_km_alloc(map, P(1)), 0);
	a = uvm_km_alloc(kernel_map, P(1));
	cr_assert(a != 0 && (a < vm_map_min(map) || a >= vm_map_max(map)));
	/* The parent's range is taken. */
	b = vm_map_min(map);
	cr_assert_eq(uvm_map(kernel_map, &b, P(1), NULL, UVM_UNKNOWN_OFFSET, 0,
			 UVM_MAPFLAG(RW, RW, MAP_INHERIT_NONE, MADV_RANDOM, UVM_FLAG_FIXED)),
	    ENOMEM);
	cr_assert_eq(uvm_km_subfree(kernel_map, map), EBUSY);
	uvm_km_free(kernel_map, a, P(1));
	uvm_km_free(map, got[3], P(1));
	uvm_km_free(map, got[5], P(2));
	cr_assert_eq(uvm_km_alloc(map, P(1)), got[3]); /* first fit */
	cr_assert_eq(uvm_km_alloc(map, P(2)), got[5]);
	uvm_km_free(map, vm_map_min(map), P(8));
	cr_assert_eq(uvm_km_subfree(kernel_map, map), 0);
	cr_assert_eq(uvmexp.free, free);
	cr_assert_eq(kernel_map->nentries, entries);
	cr_assert_eq(kernel_map->size, size);
	check_pmap("end", 0);
}

/* property 66: nested */
BED_TEST(submap, nests)
{
	struct vm_map *one, *two, *three;
	vaddr_t va;

	twin_boot(16 * MIB, 1 * GIB, 0);
	one = sub(kernel_map, P(100), VM_MAP_PAGEABLE);
	two = sub(one, P(50), VM_MAP_PAGEABLE);
	three = sub(two, P(20), VM_MAP_PAGEABLE);
	va = uvm_km_valloc(three, P(20));
	cr_assert_eq(va, vm_map_min(three));
	for (unsigned i = 0; i < 20; i++) {
		uint64_t value, err;

		cr_assert_eq(twin_load(va + P(i), &value, &err), 0);
		cr_assert_eq(
		    PHYS_TO_VM_PAGE(leaf_at(va + P(i)) & PTE_FRAME)->offset, va + P(i) - KVA);
	}
	cr_assert_eq(uvm_km_subfree(one, two), EBUSY);
	uvm_km_free(three, va, P(20));
	cr_assert_eq(uvm_km_subfree(two, three), 0);
	cr_assert_eq(uvm_km_subfree(one, two), 0);
	cr_assert_eq(uvm_km_subfree(kernel_map, one), 0);
}

/* property 62 65 70: submap */
BED_TEST(submap, refused)
{
	struct vm_map *map;
	vaddr_t min, max = 0, a;
	uint64_t entries;

	twin_boot(16 * MIB, 1 * GIB, 0);
	uvm_misuse_panic = false;
	a = uvm_km_alloc(kernel_map, P(4));
	entries = kernel_map->nentries;
	min = a + P(2);
	cr_assert_null(uvm_km_suballoc(kernel_map, &min, &max, P(4), 0, TRUE, NULL)); /* taken */
	min = vm_map_max(kernel_map);
	cr_assert_null(uvm_km_suballoc(kernel_map, &min, &max, P(4), 0, TRUE, NULL)); /* outside */
	min = a + P(10) + 1;
	cr_assert_null(
	    uvm_km_suballoc(kernel_map, &min, &max, P(4), 0, TRUE, NULL)); /* unaligned */
	cr_assert_null(sub(kernel_map, 0, 0));
	cr_assert_null(sub(kernel_map, UINT64_MAX, 0));
	cr_assert_null(sub(kmem_map, P(4), 0));
	cr_assert_eq(kernel_map->nentries, entries);

	min = a + P(10);
	map = uvm_km_suballoc(kernel_map, &min, &max, P(4), VM_MAP_PAGEABLE, TRUE, NULL);
	cr_assert(map != NULL && min == a + P(10) && max == a + P(14));
	cr_assert_neq(uvm_km_alloc(map, P(2)), 0);
	/* Through the parent: whole or in part, with or without neighbours. */
	uvm_km_free(kernel_map, min, P(4));
	uvm_km_free(kernel_map, min + P(1), P(1));
	uvm_km_free(kernel_map, a, P(11));
	cr_assert_eq(uvm_misuse.free_submap, 3);
	cr_assert_eq(kernel_map->nentries, entries + 1);
	cr_assert_neq(leaf_at(a), 0);
	cr_assert_neq(leaf_at(min), 0);
}

struct waiter {
	struct vm_map *map;
	vsize_t size;
	vaddr_t va;
	bool done;
};

static void
wait_for_space(void *arg)
{
	struct waiter *w = arg;

	w->va = uvm_km_valloc_wait(w->map, w->size);
	w->done = true;
}

/* property 55 56 57 59 61: submap */
BED_TEST(valloc_wait, sleeps_until_woken)
{
	struct vm_map *map;
	struct waiter w[3];
	vaddr_t va;

	twin_boot(16 * MIB, 1 * GIB, 0);
	map = sub(kernel_map, P(4), VM_MAP_PAGEABLE);
	va = uvm_km_valloc_wait(map, P(4));
	cr_assert_neq(va, 0);
	cr_assert_eq(uvm_km_valloc_wait(map, P(5)), 0);
	for (unsigned i = 0; i < 3; i++) {
		w[i] = (struct waiter){ map, P(1), 0, false };
		cr_assert(!twin_call(wait_for_space, &w[i], NULL));
	}
	uvm_km_free(map, va, P(1)); /* does not wake */
	twin_run();
	cr_assert(!w[0].done && !w[1].done && !w[2].done);
	uvm_km_free_wakeup(exec_map, vm_map_min(exec_map), 0); /* nor does another map */
	twin_run();
	cr_assert(!w[0].done && !w[1].done && !w[2].done);
	uvm_km_free_wakeup(map, va, 0); /* nothing to free: it wakes all the same */
	twin_run();
	cr_assert_eq(w[0].done + w[1].done + w[2].done, 1);
	uvm_km_free_wakeup(map, va + P(1), P(2));
	twin_run();
	cr_assert(w[0].done && w[1].done && w[2].done);
	cr_assert(w[0].va != 0 && w[1].va != 0 && w[2].va != 0);
}

static vaddr_t race_va;
static struct vm_map *race_map;

static void
free_in_between(void *arg)
{
	(void)arg;
	uvm_km_free_wakeup(race_map, race_va, P(4));
}

/* The range becomes free after the search has failed and before the sleep. */
/* property 58: submap */
BED_TEST(valloc_wait, loses_no_wakeup)
{
	struct waiter w;

	twin_boot(16 * MIB, 1 * GIB, 0);
	race_map = sub(kernel_map, P(4), VM_MAP_PAGEABLE);
	race_va = uvm_km_valloc(race_map, P(4));
	twin_stop_at(STOP_VALLOC_WAIT, free_in_between, NULL);
	w = (struct waiter){ race_map, P(4), 0, false };
	cr_assert(twin_call(wait_for_space, &w, NULL), "asleep although there is space");
	cr_assert_eq(w.va, race_va);
}
