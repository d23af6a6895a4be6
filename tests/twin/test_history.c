/* SPDX-License-Identifier: ISC */
/*
 * Defects of the December 2019 sources, and of the years before, that a kernel memory allocator had or could
 * have: each test is named after what it would have caught.
 */
#include <machine/thread.h>
#include <string.h>

#include "tests/twin/prop.h"

static struct prop_map m;

/* The page daemon runs out in the middle of uvm_km_alloc1(): a length was taken for an end, nothing was undone. */
static void
as_pagedaemon(void *arg)
{
	thread_set_pagedaemon(curthread);
	*(vaddr_t *)arg = uvm_km_alloc(m.map, P(40));
}

/* property 34 49: kernel_map exec_map submap nested */
BED_TEST(history, alloc1_undoes_all_of_it_for_the_page_daemon)
{
	FOR_EACH_MAP(each, 0)
	{
		struct prop_state was;
		vaddr_t va = 1;

		if (each.intrsafe || !each.pageable)
			continue;
		m = each;
		prop_free(&m, prop_alloc(&m, P(40)), P(40));
		prop_take_pages(20);
		was = prop_state();
		cr_assert(twin_call(as_pagedaemon, &va, NULL), "%s: it sleeps", m.name);
		cr_assert_eq(va, 0, "%s", m.name);
		prop_unchanged(&was, m.name);
		prop_check(m.name);
	}
}

/* The unwinding of a wiring that failed used the range of the wrong entry. */
/* property 86: kernel_map */
BED_TEST(history, a_failed_wiring_unwires_the_entries_before_it)
{
	struct prop_state was;
	vaddr_t va, hole;

	m = prop_boot(PROP_KERNEL_MAP, 0);
	/* Three entries: touched, read-only, and one that cannot be wired. */
	va = uvm_km_valloc(m.map, P(6));
	prop_store(va + P(1), 1);
	cr_assert_eq(uvm_map_protect(m.map, va + P(3), va + P(6), PROT_READ, FALSE), 0);
	hole = va + P(6);
	cr_assert_eq(uvm_map(m.map, &hole, P(2), NULL, UVM_UNKNOWN_OFFSET, 0,
			 UVM_MAPFLAG(RW, RW, MAP_INHERIT_NONE, MADV_RANDOM, UVM_FLAG_FIXED)),
	    0);
	was = prop_state();
	cr_assert_eq(uvm_map_pageable(m.map, va, va + P(8), FALSE), EFAULT);
	cr_assert(uvmexp.wired == was.wired && pmap_kernel()->pm_wired == was.pm_wired);
	for (struct vm_map_entry *e = m.map->header.next; e != &m.map->header; e = e->next)
		cr_assert_eq(e->wired_count, 0);
	for (unsigned i = 0; i < 6; i++) {
		struct vm_page *pg = uvm_pagelookup(KO, va + P(i) - KVA);

		cr_assert(pg == NULL || pg->wire_count == 0, "page %u is still wired", i);
	}
	prop_check("failed");
}

/* Pages of an interrupt-safe map were free before their entries were gone and flushed. */
/* property 36 38: kmem_map submap */
BED_TEST(history, intrsafe_pages_are_free_after_the_flush)
{
	FOR_EACH_MAP(each, 0)
	{
		vaddr_t va;

		if (!each.intrsafe)
			continue;
		m = each;
		for (unsigned n = 1; n < 80;
		     n = n * 2 + 1) { /* below and above the flush threshold */
			va = prop_alloc(&m, P(n));
			for (unsigned i = 0; i < n; i++)
				prop_store(va + P(i), i);
			prop_events_start();
			prop_free(&m, va, P(n));
			cr_assert_eq(prop_events_check(m.name).freed, n);
		}
	}
}

/* Growth had to reach every pmap by a walk nobody locked: here it changes nothing that could be copied. */
/* property 82: kernel_map */
BED_TEST(history, growth_changes_no_entry_of_the_root)
{
	const uint64_t *root;
	uint64_t slot;

	m = prop_boot(PROP_KERNEL_MAP, 0);
	root = PMAP_DIRECT_MAP(twin_info.root);
	slot = root[256] & ~(uint64_t)PTE_A;
	cr_assert_neq(slot, 0, "made when the first CPU is not running yet");
	cr_assert_neq(uvm_km_valloc(m.map, uvm_map_largest_hole(m.map)), 0);
	cr_assert_eq(uvm_maxkaddr, vm_map_max(m.map));
	cr_assert_eq(root[256] & ~(uint64_t)PTE_A, slot);
}

static void
lock_and_leave(void *arg)
{
	vm_map_lock(m.map);
	++*(unsigned *)arg;
	vm_map_unlock(m.map);
}

/* Who waited for a busy map looped with the lock in a state nobody could follow; its owner could not go on. */
BED_TEST(history, a_busy_map_keeps_others_out_and_its_owner_in)
{
	unsigned passed = 0;

	m = prop_boot(PROP_KERNEL_MAP, 0);
	vm_map_lock(m.map);
	vm_map_busy(m.map);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_not(twin_call(lock_and_leave, &passed, NULL));
	cr_assert_eq(passed, 0);
	cr_assert_eq(uvm_km_valloc_try(m.map, P(1)) != 0, true, "the owner writes");
	vm_map_lock(m.map);
	vm_map_unlock(m.map);
	twin_run();
	cr_assert_eq(passed, 0, "still busy");
	vm_map_unbusy(m.map);
	twin_run();
	cr_assert_eq(passed, 3);
	prop_check("not busy");
}

/* A request that could never fit made all page tables of kernel_map first, and they stayed. */
/* property 16 81: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(history, what_cannot_fit_makes_no_tables)
{
	FOR_EACH_MAP(each, 0)
	{
		struct prop_state was;
		vaddr_t min = 0, max = 0;

		m = each;
		prop_free(&m, prop_alloc(&m, P(1)), P(1));
		was = prop_state();
		cr_assert_eq(prop_addresses(&m, uvm_map_largest_hole(m.map) + P(1), 0), 0);
		cr_assert_eq(uvm_km_alloc(m.map, 20 * MIB), 0); /* fits the map, not memory */
		cr_assert_eq(prop_alloc(&m, 20 * MIB), 0);
		cr_assert_null(uvm_km_suballoc(
		    m.map, &min, &max, uvm_map_largest_hole(m.map) + P(1), 0, FALSE, NULL));
		prop_unchanged(&was, m.name);
	}
}

/* A size that rounds to 0 became an entry of no length, whose address the next caller got, too. */
/* property 15 16: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(history, a_size_that_wraps_is_no_allocation)
{
	static const vsize_t sizes[] = { 0, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 4094 };

	FOR_EACH_MAP(each, 0)
	{
		struct prop_state was = prop_state();
		vaddr_t min = 0, max = 0;

		m = each;
		for (unsigned i = 0; i < nitems(sizes); i++) {
			vaddr_t va = vm_map_min(m.map);

			cr_assert_eq(prop_addresses(&m, sizes[i], 0), 0, "%s", m.name);
			cr_assert_eq(prop_alloc(&m, sizes[i]), 0);
			cr_assert_neq(prop_map_at(&m, &va, sizes[i], 0), 0);
			cr_assert_neq(
			    prop_map_at(&m, &va, sizes[i] & ~PAGE_MASK, UVM_FLAG_FIXED), 0);
			cr_assert_null(
			    uvm_km_suballoc(m.map, &min, &max, sizes[i], 0, FALSE, NULL));
		}
		prop_unchanged(&was, m.name);
	}
}

/* First fit knew nothing of guard pages, so a guarded submap had none. */
/* property 74: submap nested */
BED_TEST(history, first_fit_leaves_room_for_guards)
{
	FOR_EACH_MAP(each, BED_BOOT_GUARDPAGES)
	{
		vaddr_t a, b;

		m = each;
		if (!m.guarded || m.best)
			continue;
		a = prop_alloc(&m, P(1));
		b = prop_alloc(&m, P(1));
		cr_assert_eq(b, a + P(2), "%s", m.name);
		cr_assert_eq(prop_fault(a + P(1), true), PF_W, "%s", m.name);
	}
}

/* The end of the page tables was written under whichever map's lock: growth through a submap took it back. */
/* property 79: kernel_map exec_map submap */
BED_TEST(history, the_end_of_the_tables_never_goes_back)
{
	struct vm_map *sub;
	vaddr_t min, max = 0, was, below;

	m = prop_boot(PROP_KERNEL_MAP, 0);
	/* One submap far up, whose tables nobody made yet, then work in maps below it. */
	min = vm_map_max(kernel_map) - 8 * MIB;
	sub = uvm_km_suballoc(kernel_map, &min, &max, 4 * MIB, VM_MAP_PAGEABLE, TRUE, NULL);
	cr_assert_not_null(sub);
	was = uvm_maxkaddr;
	cr_assert_geq(was, max);
	below = vm_map_max(phys_map);
	cr_assert_eq(prop_map_at(&m, &below, P(600), UVM_FLAG_FIXED), 0);
	cr_assert_neq(uvm_km_valloc(exec_map, P(600)), 0);
	cr_assert_eq(uvm_maxkaddr, was);
	cr_assert_neq(uvm_km_alloc(sub, P(600)), 0);
	cr_assert_eq(uvm_maxkaddr, was);
	prop_check("grown");
}

static vaddr_t wanted, had;

static void
wait_for_four(void *arg)
{
	wanted = uvm_km_valloc_wait(m.map, P(4));
	*(bool *)arg = true;
}

static void
free_four(void *arg)
{
	(void)arg;
	uvm_km_free_wakeup(m.map, had, P(4));
}

/* Without the big lock a wakeup between the failed search and the sleep was lost. */
/* property 56 58: exec_map phys_map submap nested */
BED_TEST(history, a_wakeup_before_the_sleep_counts)
{
	FOR_EACH_MAP(each, 0)
	{
		bool done = false;

		m = each;
		if (m.intrsafe || m.parent == NULL)
			continue;
		had = uvm_km_valloc(m.map, uvm_map_largest_hole(m.map));
		twin_stop_at(STOP_VALLOC_WAIT, free_four, NULL);
		cr_assert(twin_call(wait_for_four, &done, NULL), "%s: asleep", m.name);
		cr_assert(done && wanted == had, "%s", m.name);
		/* And a free that wakes nobody is made good by the next wakeup, whatever it frees. */
		done = false;
		cr_assert_not(twin_call(wait_for_four, &done, NULL), "%s", m.name);
		uvm_km_free(m.map, had, P(4));
		twin_run();
		cr_assert(!done, "%s", m.name);
		uvm_km_free_wakeup(m.map, had, 0);
		twin_run();
		cr_assert(done && wanted == had, "%s", m.name);
	}
}

/* A guard made by removing the entry of an object's page is none: it comes back. A guard must be the map's. */
/* property 26 32 74: kernel_map */
BED_TEST(history, a_guard_is_the_maps_business)
{
	vaddr_t stack, va;

	m = prop_boot(PROP_KERNEL_MAP, BED_BOOT_GUARDPAGES);
	stack = uvm_km_alloc(m.map, P(4));
	prop_store(stack, 42);
	pmap_remove(pmap_kernel(), stack, stack + P(1));
	cr_assert_eq(prop_load(stack), 42, "it is the object's page still");
	/* Addresses without an object, the lowest left out; a guard by rights; the map's own guard. */
	va = uvm_km_valloc(m.map, P(4));
	cr_assert_eq(uvm_map_protect(m.map, va, va + P(1), PROT_NONE, FALSE), 0);
	cr_assert_eq(uvm_map_pageable(m.map, va + P(1), va + P(4), FALSE), 0);
	prop_store(va + P(1), 1);
	prop_fault(va, true);
	prop_fault(va + P(4), true);
	cr_assert(leaf_at(va) == 0 && leaf_at(va + P(4)) == 0);
	prop_check("guards");
}
