/* SPDX-License-Identifier: ISC */
/*
 * Demand zero in every kind of map: addresses alone, pages by the first touch, and what no touch may bring.
 */
#include <machine/thread.h>
#include <string.h>

#include "guest/uvm/uvm_fault.h"
#include "tests/twin/prop.h"

#define FAULTED (PTE_P | PTE_W | PTE_A | PTE_G | PTE_SW_M | PTE_NX)

static bool
demand_zero(const struct prop_map *m)
{
	return m->pageable && !m->intrsafe;
}

/* A node of the object and table pages for the map's first addresses; rubbish in the free pages. */
static void
warm(const struct prop_map *m, unsigned n)
{
	vaddr_t va = prop_alloc(m, P(n));

	for (vsize_t o = 0; o < P(n); o += 8)
		prop_store(va + o, 0x1122334455667788);
	prop_free(m, va, P(n));
}

/* property 20: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_fault, addresses_cost_nothing)
{
	FOR_EACH_MAP(m, 0)
	{
		struct prop_state was;
		vaddr_t va;

		warm(&m, 60);
		was = prop_state();
		va = prop_addresses(&m, P(60), 0);
		cr_assert_neq(va, 0);
		for (unsigned i = 0; i < 60; i++)
			cr_assert_eq(leaf_at(va + P(i)), 0);
		cr_assert_eq(uvmexp.free + uvmexp.kernpages, was.free);
		cr_assert_eq(KO->uo_npages, was.npages);
		cr_assert_eq(pmap_kernel()->pm_resident, was.resident);
		prop_free(&m, va, P(60));
		prop_same(&was, m.name);
	}
}

/* property 21 22 23: kernel_map exec_map submap nested */
BED_TEST(prop_fault, a_touch_brings_one_zeroed_page)
{
	FOR_EACH_MAP(m, 0)
	{
		uint64_t free, npages, faults = twin_count()->fault;
		vaddr_t va;

		if (!demand_zero(&m))
			continue;
		warm(&m, 40);
		va = uvm_km_valloc(m.map, P(40));
		free = uvmexp.free;
		npages = KO->uo_npages;
		for (unsigned i = 0; i < 40; i++) {
			unsigned page = i * 23 % 40; /* each once, in no order */
			bool write = i & 1;
			vaddr_t at = va + P(page);

			if (write)
				prop_store(at + 16, 1);
			else
				cr_assert_eq(prop_load(at + 16), 0);
			cr_assert_eq(leaf_at(at) & ~PTE_FRAME, FAULTED | (write ? PTE_D : 0));
			cr_assert_eq(PHYS_TO_VM_PAGE(leaf_at(at) & PTE_FRAME)->offset, at - KVA);
			cr_assert_eq(uvmexp.free, free - i - 1);
			cr_assert_eq(KO->uo_npages, npages + i + 1);
			cr_assert_eq(twin_count()->fault, faults + i + 1);
			for (vsize_t o = 0; o < PAGE_SIZE; o += 8)
				cr_assert_eq(prop_load(at + o), write && o == 16);
		}
		for (unsigned i = 0; i < 40; i++)
			prop_store(va + P(i), i);
		cr_assert_eq(twin_count()->fault, faults + 40, "%s", m.name);
		prop_check(m.name);
		prop_free(&m, va, P(40));
		cr_assert_eq(uvmexp.free, free);
		cr_assert_eq(KO->uo_npages, npages);
	}
}

/* No page, no table, no change, and the code says what the access was. */
static void
refused(const struct prop_map *m, vaddr_t va, const char *what)
{
	struct prop_state was = prop_state();

	cr_assert_eq(prop_fault(va, false), 0, "%s: %s", m->name, what);
	cr_assert_eq(prop_fault(va, true), PF_W, "%s: %s", m->name, what);
	cr_assert_eq(uvm_fault(kernel_map, va, VM_FAULT_INVALID, PROT_READ), EFAULT, "%s: %s",
	    m->name, what);
	prop_unchanged(&was, what);
}

/* property 26: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_fault, where_nothing_can_be)
{
	FOR_EACH_MAP(m, BED_BOOT_GUARDPAGES)
	{
		vaddr_t va = prop_alloc(&m, P(2)), gone = prop_alloc(&m, P(2)), none, last;

		prop_alloc(&m, P(1)); /* so that `gone` is a hole between two */
		prop_free(&m, gone, P(2));
		refused(&m, va + P(2), m.guarded ? "a guard page" : "a hole");
		refused(&m, gone, "freed memory");
		last = vm_map_max(m.map) - P(1);
		refused(&m, last, "the end of the map");
		refused(&m, vm_map_min(kernel_map) - P(1), "below kernel_map");
		refused(&m, vm_map_max(kernel_map), "above kernel_map");
		if (!demand_zero(&m))
			continue;
		none = uvm_km_kmemalloc(m.map, NULL, P(1), UVM_KMF_VALLOC);
		refused(&m, none, "addresses with nothing behind them");
		cr_assert_eq(prop_map_at(&m, &none, P(1), UVM_FLAG_NOFAULT), 0);
		refused(&m, none, "an entry that is never faulted");
	}
}

/* property 27: kmem_map phys_map submap */
BED_TEST(prop_fault, in_a_map_that_has_none)
{
	FOR_EACH_MAP(m, 0)
	{
		uint64_t value, err;
		const char *msg;
		vaddr_t va;

		if (m.pageable)
			continue;
		va = prop_addresses(&m, P(1), 0);
		cr_assert_neq(va, 0);
		msg = TWIN_PANIC(twin_load(va, &value, &err));
		cr_assert(msg != NULL && strstr(msg, "non-pageable") && strstr(msg, m.map->name),
		    "%s: %s", m.name, msg);
	}
}

/* property 29 94: kernel_map exec_map submap nested */
BED_TEST(prop_fault, rights_go_and_come_back)
{
	FOR_EACH_MAP(m, 0)
	{
		uint64_t pa, free;
		vaddr_t va;

		if (!demand_zero(&m))
			continue;
		va = uvm_km_valloc(m.map, P(3)) + P(1);
		prop_store(va, 99);
		prop_store(va + P(1), 98);
		pa = leaf_at(va) & PTE_FRAME;
		prop_free(&m, prop_alloc(&m, P(1)), P(1));
		free = uvmexp.free + uvmexp.kernpages;
		prop_events_start();
		cr_assert_eq(uvm_map_protect(m.map, va, va + P(1), PROT_READ, FALSE), 0);
		cr_assert_eq(prop_events_check(m.name).narrowed, 1);
		cr_assert_eq(prop_fault(va, true), PF_W | PF_P);
		cr_assert_eq(prop_load(va), 99);
		prop_store(va + P(1), 97); /* the neighbour */
		cr_assert_eq(uvm_map_protect(m.map, va, va + P(1), RW, FALSE), 0);
		prop_store(va + 8, 1);
		cr_assert_eq(prop_load(va), 99);
		prop_events_start();
		cr_assert_eq(uvm_map_protect(m.map, va, va + P(1), PROT_NONE, FALSE), 0);
		cr_assert_eq(prop_events_check(m.name).cleared, 1);
		cr_assert_eq(leaf_at(va), 0);
		prop_fault(va, false);
		cr_assert_eq(uvmexp.free + uvmexp.kernpages, free, "%s: the page went", m.name);
		cr_assert_eq(uvm_map_protect(m.map, va, va + P(1), RW, FALSE), 0);
		cr_assert_eq(prop_load(va), 99);
		cr_assert_eq(leaf_at(va) & PTE_FRAME, pa);
		prop_check(m.name);
	}
}

/* property 32: kernel_map exec_map submap nested */
BED_TEST(prop_fault, an_entry_removed_by_hand_comes_back)
{
	FOR_EACH_MAP(m, 0)
	{
		struct prop_state was;
		uint64_t pa[3];
		vaddr_t va;

		if (!demand_zero(&m))
			continue;
		va = uvm_km_alloc(m.map, P(3));
		for (unsigned i = 0; i < 3; i++) {
			prop_store(va + P(i), 7 + i);
			pa[i] = leaf_at(va + P(i)) & PTE_FRAME;
		}
		was = prop_state();
		pmap_remove(pmap_kernel(), va, va + P(3));
		for (unsigned i = 3; i-- > 0;) {
			cr_assert_eq(prop_load(va + P(i)), 7 + i, "%s", m.name);
			cr_assert_eq(leaf_at(va + P(i)) & PTE_FRAME, pa[i], "%s", m.name);
		}
		cr_assert_eq(uvmexp.free + uvmexp.kernpages, was.free);
		cr_assert_eq(KO->uo_npages, was.npages);
		prop_check(m.name);
		prop_free(&m, va, P(3));
		prop_check(m.name);
	}
}

static void
touch(void *va)
{
	prop_store((vaddr_t)va, 1);
}

/* Two threads sleep in a fault on the same page; one page comes, and both have stored to it. */
/* property 25 30: kernel_map exec_map submap nested */
BED_TEST(prop_fault, two_at_the_same_page)
{
	FOR_EACH_MAP(m, 0)
	{
		struct thread *a, *b;
		struct vm_page *all;
		uint64_t npages;
		vaddr_t va;

		if (!demand_zero(&m))
			continue;
		va = uvm_km_valloc(m.map, P(2));
		prop_load(va + P(1)); /* the node is there */
		npages = KO->uo_npages;
		all = prop_take_pages(0);
		cr_assert_not(twin_call(touch, (void *)va, &a));
		cr_assert_not(twin_call(touch, (void *)(va + 8), &b));
		cr_assert(a->td_wchan == &uvmexp.free && b->td_wchan == &uvmexp.free, "%s", m.name);
		prop_give_pages(all);
		twin_run();
		cr_assert(a->td_state == THREAD_FREE && b->td_state == THREAD_FREE, "%s", m.name);
		cr_assert_eq(KO->uo_npages, npages + 1);
		cr_assert(prop_load(va) == 1 && prop_load(va + 8) == 1);
		prop_check(m.name);
	}
}

/* property 31: kernel_map exec_map submap nested */
BED_TEST(prop_fault, where_nobody_may_sleep)
{
	FOR_EACH_MAP(m, 0)
	{
		struct mutex mtx = MUTEX_INITIALIZER(IPL_VM);
		const char *msg;
		vaddr_t va;

		if (!demand_zero(&m))
			continue;
		va = uvm_km_valloc(m.map, P(1));
		mtx_enter(&mtx);
		prop_fault(va, true);
		cr_assert_eq(leaf_at(va), 0);
		msg = TWIN_PANIC(uvm_fault(kernel_map, va, VM_FAULT_INVALID, PROT_READ));
		cr_assert(msg != NULL && strstr(msg, "cpu_cannot_sleep"), "%s: %s", m.name, msg);
	}
}
