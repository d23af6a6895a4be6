/* SPDX-License-Identifier: ISC */
/*
 * Page faults on the twin that have to sleep: for a map's lock, for pages, for a busy page; what they hold
 * meanwhile, that no wakeup is lost, and that they begin anew afterwards.
 */
#include "tests/twin/check.h"

#include <machine/thread.h>
#include <string.h>

#include "tests/twin/access.h"
#include "guest/uvm/uvm_fault.h"
#include "guest/uvm/uvm_map.h"
#include "guest/uvm/uvm_object.h"

#define KO (&uvm_kernel_object)

static void
touch(void *arg)
{
	store((vaddr_t)arg, 1);
}

static void
alloc_page(void *arg)
{
	*(vaddr_t *)arg = uvm_km_alloc(kernel_map, PAGE_SIZE);
}

/* A thread that faults in a submap waits for the submap's lock with the parent unlocked. */
/* property 67: exec_map */
BED_TEST(fault_sleep, holds_one_map_at_a_time)
{
	struct thread *td;
	vaddr_t va, other;

	boot_small();
	va = uvm_km_valloc(exec_map, PAGE_SIZE);
	vm_map_lock(exec_map);
	cr_assert_not(twin_call(touch, (void *)va, &td));
	cr_assert_eq(td->td_wchan, (void *)&exec_map->lock);
	cr_assert_eq(kernel_map->lock.rwl_owner, 0);
	cr_assert(twin_call(alloc_page, &other, NULL)); /* not by the test, which has a lock */
	cr_assert_neq(other, 0);
	cr_assert_eq(exec_map->ref_count, 3); /* so that it cannot go away meanwhile */
	vm_map_unlock(exec_map);
	twin_run();
	cr_assert_eq(td->td_state, THREAD_FREE);
	cr_assert_eq(load(va), 1);
	cr_assert_eq(exec_map->ref_count, 2);
}

static struct vm_page *
take_all(void)
{
	struct vm_page *list = NULL, *pg;

	while ((pg = uvm_pagealloc(NULL, 0, UVM_PGA_USERESERVE)) != NULL) {
		pg->pageq = list;
		list = pg;
	}
	return list;
}

static struct vm_page *
give_one(struct vm_page *list)
{
	struct vm_page *next = list->pageq;

	uvm_pagefree(list);
	return next;
}

/* property 30: kernel_map */
BED_TEST(fault_sleep, sleeps_for_a_page_holding_nothing)
{
	struct vm_page *list;
	struct thread *td;
	vaddr_t va, other;

	boot_small();
	va = uvm_km_valloc(kernel_map, 4 * PAGE_SIZE);
	other = uvm_km_valloc(kernel_map, 4 * PAGE_SIZE);
	load(va); /* the object's node exists */
	list = take_all();
	cr_assert_eq(uvmexp.free, uvmexp.reserve_pagedaemon);
	cr_assert_not(twin_call(touch, (void *)(va + PAGE_SIZE), &td));
	cr_assert_eq(td->td_wchan, (void *)&uvmexp.free);
	cr_assert_eq(kernel_map->lock.rwl_owner, 0);
	cr_assert_eq(KO->vmobjlock.mtx_owner, NULL);
	uvm_km_free(kernel_map, other, 4 * PAGE_SIZE); /* others get on; no page comes of it */
	twin_run();
	cr_assert_eq(td->td_wchan, (void *)&uvmexp.free);
	list = give_one(list);
	twin_run();
	cr_assert_eq(td->td_state, THREAD_FREE);
	cr_assert_eq(load(va + PAGE_SIZE), 1);
	cr_assert_eq(uvmexp.free, uvmexp.reserve_pagedaemon);
	check_pmap("end", 0);
}

/* The last free page is one that only the page daemon may have, whatever the fault needs it for. */
/* property 30: kernel_map */
BED_TEST(fault_sleep, shortage_of_a_node)
{
	struct vm_page *list;
	struct thread *td;
	vaddr_t va;

	boot_small();
	va = uvm_km_valloc(kernel_map, 40 * MIB) + 30 * MIB; /* no node for this 2 MiB */
	list = take_all();
	for (unsigned i = 0; i < 2; i++) {
		cr_assert_not(i == 0 ? twin_call(touch, (void *)va, &td) : false);
		cr_assert_eq(td->td_wchan, (void *)&uvmexp.free);
		list = give_one(list); /* one for the node, one for the page */
		twin_run();
	}
	cr_assert_eq(td->td_state, THREAD_FREE);
	cr_assert_eq(load(va), 1);
}

struct forced {
	struct vm_page **list;
	unsigned done;
};

static void
free_now(void *arg)
{
	struct forced *f = arg;

	*f->list = give_one(*f->list);
	f->done++;
}

/* A page is freed between the failed search and the sleep. */
/* property 30: kernel_map */
BED_TEST(fault_sleep, no_lost_wakeup_of_a_page)
{
	struct vm_page *list;
	struct thread *td;
	struct forced f = { &list, 0 };
	vaddr_t va;

	boot_small();
	va = uvm_km_valloc(kernel_map, 1024 * PAGE_SIZE);
	cr_assert_eq(uvm_obj_reserve(KO, va - KVA, 1024), 0); /* only pages are short */
	list = take_all();
	for (unsigned i = 0; i < 1024; i++) {
		twin_stop_at(STOP_PAGE_WAIT, free_now, &f);
		cr_assert(twin_call(touch, (void *)(va + i * PAGE_SIZE), &td));
	}
	cr_assert_eq(f.done, 1024);
	cr_assert_eq(faults(), 1024);
}

struct outcome {
	vaddr_t va;
	int error;
};

static void
fault_at(void *arg)
{
	struct outcome *o = arg;

	o->error = uvm_fault(kernel_map, o->va, VM_FAULT_INVALID, PROT_WRITE);
}

/* What the map said before the sleep does not count after it. */
BED_TEST(fault_sleep, range_freed_while_asleep)
{
	struct outcome o = { 0, -1 };
	struct vm_page *list;
	struct thread *td;
	uint64_t npages;

	boot_small();
	o.va = uvm_km_valloc(kernel_map, PAGE_SIZE);
	load(o.va);
	o.va = uvm_km_valloc(kernel_map, PAGE_SIZE);
	npages = KO->uo_npages;
	list = take_all();
	cr_assert_not(twin_call(fault_at, &o, &td));
	uvm_km_free(kernel_map, o.va, PAGE_SIZE);
	give_one(list);
	twin_run();
	cr_assert_eq(td->td_state, THREAD_FREE);
	cr_assert_eq(o.error, EFAULT);
	cr_assert_eq(KO->uo_npages, npages);
	cr_assert_eq(leaf_at(o.va), 0);
}

BED_TEST(fault_sleep, range_becomes_read_only_while_asleep)
{
	struct outcome o = { 0, -1 };
	struct vm_page *list;

	boot_small();
	o.va = uvm_km_valloc(kernel_map, PAGE_SIZE);
	load(o.va);
	o.va = uvm_km_valloc(kernel_map, PAGE_SIZE);
	list = take_all();
	cr_assert_not(twin_call(fault_at, &o, NULL));
	list = give_one(list); /* for the bookkeeping of protect, if any */
	cr_assert_eq(uvm_map_protect(kernel_map, o.va, o.va + PAGE_SIZE, PROT_READ, FALSE), 0);
	give_one(list);
	twin_run();
	cr_assert_eq(o.error, EACCES);
	cr_assert_eq(leaf_at(o.va), 0);
}

/* property 25: kernel_map */
BED_TEST(fault_sleep, waits_for_a_busy_page)
{
	struct vm_page *pg = NULL;
	struct thread *td, *td2;
	uint64_t free, npages;
	vaddr_t va;

	boot_small();
	va = uvm_km_valloc(kernel_map, PAGE_SIZE);
	cr_assert_eq(
	    uao_get(KO, va - KVA, &pg), 0); /* as another CPU has it in the middle of a fault */
	free = uvmexp.free;
	npages = KO->uo_npages;
	cr_assert_not(twin_call(touch, (void *)va, &td));
	cr_assert_not(twin_call(touch, (void *)(va + 8), &td2));
	cr_assert_eq(td->td_wchan, (void *)pg);
	cr_assert_eq(td2->td_wchan, (void *)pg);
	cr_assert_eq(kernel_map->lock.rwl_owner, 0);
	cr_assert_eq(leaf_at(va), 0);
	uvm_page_unbusy(pg);
	twin_run();
	cr_assert_eq(td->td_state, THREAD_FREE);
	cr_assert_eq(td2->td_state, THREAD_FREE);
	cr_assert_eq(leaf_at(va) & PTE_FRAME, VM_PAGE_TO_PHYS(pg));
	cr_assert_eq(load(va), 1);
	cr_assert_eq(load(va + 8), 1);
	cr_assert_eq(uvmexp.free, free);
	cr_assert_eq(KO->uo_npages, npages);
}
