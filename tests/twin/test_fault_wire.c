/* SPDX-License-Identifier: ISC */
/*
 * Wiring through faults on the twin: counts, the wired bit, exact undo of a failure in the middle.
 */
#include "tests/twin/check.h"

#include <machine/thread.h>
#include <string.h>

#include "guest/uvm/uvm_fault.h"
#include "guest/uvm/uvm_map.h"
#include "guest/uvm/uvm_object.h"

#define KO (&uvm_kernel_object)

static void
boot_small(void)
{
	twin_boot(16 * MIB, 64 * MIB, 0);
}

static int
wire(vaddr_t va, unsigned n)
{
	int error;

	vm_map_lock(kernel_map);
	vm_map_busy(kernel_map);
	error = uvm_fault_wire(kernel_map, va, va + n * PAGE_SIZE, RW);
	vm_map_unbusy(kernel_map);
	return error;
}

static struct vm_page *
page_at(vaddr_t va)
{
	return uvm_pagelookup(KO, va - KVA);
}

/* The page is wired `count` times, and its mapping, if there is one, says the same. */
static void
wired_is(vaddr_t va, unsigned count)
{
	uint64_t leaf = leaf_at(va);

	cr_assert_eq(
	    page_at(va)->wire_count, count, "0x%lx: wired %u times", va, page_at(va)->wire_count);
	if (leaf != 0)
		cr_assert_eq((leaf & PTE_SW_W) != 0, count != 0, "0x%lx: leaf 0x%lx", va, leaf);
}

/* property 85: kernel_map */
BED_TEST(fault_wire, brings_and_wires)
{
	uint64_t wired, free;
	vaddr_t va;

	boot_small();
	va = uvm_km_valloc(kernel_map, 20 * PAGE_SIZE);
	kva_write(va + 3 * PAGE_SIZE, 33);
	wired = uvmexp.wired;
	free = uvmexp.free;
	cr_assert_eq(wire(va, 20), 0);
	cr_assert_eq(uvmexp.wired, wired + 20);
	cr_assert_eq(uvmexp.free, free - 19);
	for (unsigned i = 0; i < 20; i++) {
		cr_assert_neq(leaf_at(va + i * PAGE_SIZE), 0);
		wired_is(va + i * PAGE_SIZE, 1);
	}
	cr_assert_eq(kva_read(va + 3 * PAGE_SIZE), 33);
	cr_assert_eq(pmap_kernel()->pm_wired, 20);
	check_pmap("wired", 0);

	cr_assert_eq(wire(va + PAGE_SIZE, 1), 0);
	wired_is(va + PAGE_SIZE, 2);
	uvm_fault_unwire(kernel_map, va, va + 20 * PAGE_SIZE);
	cr_assert_eq(uvmexp.wired, wired + 1);
	cr_assert_eq(uvmexp.free, free - 19);
	for (unsigned i = 0; i < 20; i++) {
		cr_assert_neq(leaf_at(va + i * PAGE_SIZE), 0);
		wired_is(va + i * PAGE_SIZE, i == 1);
	}
	uvm_fault_unwire(kernel_map, va + PAGE_SIZE, va + 2 * PAGE_SIZE);
	wired_is(va + PAGE_SIZE, 0);
	cr_assert_eq(uvmexp.wired, wired);
	cr_assert_eq(kernel_map->lock.rwl_owner, 0);
	check_pmap("unwired", 0);
}

/* A plain fault on a wired page leaves it wired. */
BED_TEST(fault_wire, survives_a_fault)
{
	vaddr_t va;

	boot_small();
	va = uvm_km_valloc(kernel_map, PAGE_SIZE);
	cr_assert_eq(wire(va, 1), 0);
	cr_assert_eq(uvm_fault(kernel_map, va, VM_FAULT_INVALID, PROT_READ), 0);
	wired_is(va, 1);
	pmap_remove(pmap_kernel(), va, va + PAGE_SIZE);
	kva_write(va, 1);
	wired_is(va, 1);
	cr_assert_neq(leaf_at(va), 0);
	pmap_remove(pmap_kernel(), va, va + PAGE_SIZE);
	uvm_fault_unwire(kernel_map, va, va + PAGE_SIZE); /* no mapping to change */
	wired_is(va, 0);
	cr_assert_eq(leaf_at(va), 0);
	check_pmap("end", 0);
}

/* property 87: kernel_map */
BED_TEST(fault_wire, freed_while_wired)
{
	uint64_t wired, free, npages;
	vaddr_t va;

	boot_small();
	uvm_km_free(kernel_map, uvm_km_alloc(kernel_map, 8 * PAGE_SIZE), 8 * PAGE_SIZE);
	wired = uvmexp.wired;
	npages = KO->uo_npages;
	va = uvm_km_valloc(kernel_map, 8 * PAGE_SIZE);
	free = uvmexp.free;
	cr_assert_eq(wire(va, 8), 0);
	uvm_km_free(kernel_map, va, 8 * PAGE_SIZE);
	cr_assert_eq(uvmexp.wired, wired);
	cr_assert_eq(uvmexp.free, free);
	cr_assert_eq(KO->uo_npages, npages);
	cr_assert_eq(pmap_kernel()->pm_wired, 0);
	check_pmap("freed", 0);
	check_free("freed", 0, true);
}

/*
 * A range that fails at page `bad`: everything before it is as it was, wirings made earlier included, and
 * nothing behind it was touched.
 */
static void
fails_at(unsigned bad)
{
	vaddr_t va = KVA + 32 * MIB, at = va + bad * PAGE_SIZE;
	unsigned flags = UVM_MAPFLAG(RW, RW, MAP_INHERIT_NONE, MADV_RANDOM, UVM_FLAG_FIXED);
	uint64_t wired;

	boot_small();
	cr_assert_eq(uvm_map(kernel_map, &va, 10 * PAGE_SIZE, KO, UVM_UNKNOWN_OFFSET, 0, flags), 0);
	uvm_unmap(kernel_map, at, at + PAGE_SIZE);
	cr_assert_eq(uvm_map(kernel_map, &at, PAGE_SIZE, NULL, UVM_UNKNOWN_OFFSET, 0, flags), 0);
	kva_write(va, 7);
	if (bad > 2)
		cr_assert_eq(wire(va + 2 * PAGE_SIZE, 1), 0);
	wired = uvmexp.wired;

	cr_assert_eq(wire(va, 10), EFAULT);
	cr_assert_eq(uvmexp.wired, wired);
	for (unsigned i = 0; i < 10; i++) {
		if (i < bad)
			wired_is(va + i * PAGE_SIZE, bad > 2 && i == 2);
		else if (i > 0)
			cr_assert_eq(leaf_at(va + i * PAGE_SIZE), 0, "page %u", i);
	}
	cr_assert_eq(kva_read(va), 7);
	cr_assert_eq(kernel_map->state & VM_MAP_BUSY, 0);
	check_pmap("failed", bad);
	uvm_km_free(kernel_map, va, 10 * PAGE_SIZE);
	cr_assert_eq(uvmexp.wired, 0);
	check_free("freed", bad, true);
}

/* property 86: kernel_map */
BED_TEST(fault_wire, failure_leaves_nothing_wired)
{
	for (unsigned bad = 1; bad < 10; bad++)
		fails_at(bad);
}

/* Through uvm_map_pageable(): entries that allow no access are counted but not faulted. */
BED_TEST(fault_wire, of_an_entry_without_rights)
{
	uint64_t wired;
	vaddr_t va;

	boot_small();
	va = uvm_km_valloc(kernel_map, 4 * PAGE_SIZE);
	kva_write(va + PAGE_SIZE, 1);
	cr_assert_eq(uvm_map_protect(kernel_map, va, va + 2 * PAGE_SIZE, PROT_NONE, FALSE), 0);
	wired = uvmexp.wired;
	cr_assert_eq(uvm_map_pageable(kernel_map, va, va + 4 * PAGE_SIZE, FALSE), 0);
	cr_assert_eq(uvmexp.wired, wired + 2);
	cr_assert_eq(leaf_at(va + PAGE_SIZE), 0);
	wired_is(va + 2 * PAGE_SIZE, 1);
	cr_assert_eq(uvm_map_protect(kernel_map, va, va + 2 * PAGE_SIZE, RW, FALSE), 0);
	cr_assert_eq(kva_read(va + PAGE_SIZE), 1);
	cr_assert_eq(uvm_map_pageable(kernel_map, va, va + 4 * PAGE_SIZE, TRUE), 0);
	cr_assert_eq(uvmexp.wired, wired);
	wired_is(va + PAGE_SIZE, 0);
	check_pmap("end", 0);
}

struct job {
	vaddr_t va;
	unsigned n;
	int error;
};

static void
wire_job(void *arg)
{
	struct job *j = arg;

	j->error = wire(j->va, j->n);
}

static void
touch(void *arg)
{
	kva_write((vaddr_t)arg, 1);
}

static void
write_lock(void *arg)
{
	vm_map_lock(kernel_map);
	*(bool *)arg = true;
	vm_map_unlock(kernel_map);
}

/* Short of pages in the middle: readers (faults) get on, writers wait, then all completes. */
BED_TEST(fault_wire, sleeps_with_the_map_busy)
{
	struct vm_page *list = NULL, *pg;
	struct thread *td, *writer;
	struct job j = { 0, 6, -1 };
	bool locked = false;

	boot_small();
	j.va = uvm_km_valloc(kernel_map, 8 * PAGE_SIZE);
	kva_write(j.va, 1);
	while ((pg = uvm_pagealloc(NULL, 0, UVM_PGA_USERESERVE)) != NULL) {
		pg->pageq = list;
		list = pg;
	}
	for (unsigned i = 0; i < 2; i++) {
		pg = list;
		list = pg->pageq;
		uvm_pagefree(pg);
	}
	cr_assert_not(twin_call(wire_job, &j, &td));
	cr_assert_eq(td->td_wchan, (void *)&uvmexp.free);
	wired_is(j.va + 2 * PAGE_SIZE, 1);
	cr_assert_null(page_at(j.va + 3 * PAGE_SIZE));
	cr_assert(twin_call(touch, (void *)j.va, NULL));
	cr_assert_not(twin_call(write_lock, &locked, &writer));
	cr_assert_eq(writer->td_wchan, (void *)&kernel_map->state);
	while (list != NULL) {
		pg = list;
		list = pg->pageq;
		uvm_pagefree(pg);
	}
	twin_run();
	cr_assert_eq(td->td_state, THREAD_FREE);
	cr_assert_eq(j.error, 0);
	cr_assert(locked);
	for (unsigned i = 0; i < 6; i++)
		wired_is(j.va + i * PAGE_SIZE, 1);
	cr_assert_null(page_at(j.va + 6 * PAGE_SIZE));
	check_pmap("end", 0);
}

#define PAGES_IN_MODEL 24

/* Touches, removals by hand and wirings in random order against a model of each page. */
BED_TEST(fault_wire, random_against_a_model)
{
	struct rnd r = rnd_start("fault_wire random_against_a_model");
	struct {
		uint64_t pa, value;
		unsigned wired;
		bool mapped;
	} m[PAGES_IN_MODEL] = { 0 };
	uint64_t free;
	vaddr_t va;

	boot_small();
	uvm_km_free(kernel_map, uvm_km_alloc(kernel_map, 256 * PAGE_SIZE), 256 * PAGE_SIZE);
	va = uvm_km_valloc(kernel_map, PAGES_IN_MODEL * PAGE_SIZE);
	free = uvmexp.free;
	for (unsigned step = 0; step < 4000; step++) {
		unsigned at = (unsigned)rnd_below(&r, PAGES_IN_MODEL), pages = 0, wired = 0;
		unsigned n = 1 + (unsigned)rnd_below(&r, PAGES_IN_MODEL - at),
			 op = rnd_next(&r) % 4;
		vaddr_t start = va + at * PAGE_SIZE, end = start + n * PAGE_SIZE;
		bool all_wired = true;

		for (unsigned i = at; i < at + n; i++)
			all_wired &= m[i].wired != 0;
		if (op == 0) {
			cr_assert_eq(kva_read(start), m[at].value);
			kva_write(start, m[at].value = rnd_next(&r));
			m[at].mapped = true;
		} else if (op == 1) {
			pmap_remove(pmap_kernel(), start, end);
		} else if (op == 2 || !all_wired) {
			cr_assert_eq(wire(start, n), 0);
		} else {
			uvm_fault_unwire(kernel_map, start, end);
		}
		for (unsigned i = 0; i < PAGES_IN_MODEL; i++) {
			vaddr_t v = va + i * PAGE_SIZE;
			bool in = op != 0 && i >= at && i < at + n;

			if (in && op == 1)
				m[i].mapped = false;
			else if (in && (op == 2 || !all_wired))
				m[i].mapped = true, m[i].wired++;
			else if (in)
				m[i].wired--;
			cr_assert_eq(
			    leaf_at(v) != 0, m[i].mapped, "step %u, seed 0x%lx", step, r.seed);
			if (page_at(v) == NULL) {
				cr_assert(!m[i].mapped && m[i].pa == 0);
				continue;
			}
			if (m[i].pa == 0)
				m[i].pa = VM_PAGE_TO_PHYS(page_at(v));
			cr_assert_eq(VM_PAGE_TO_PHYS(page_at(v)), m[i].pa);
			cr_assert(!m[i].mapped || (leaf_at(v) & PTE_FRAME) == m[i].pa);
			wired_is(v, m[i].wired);
			pages++;
			wired += m[i].wired != 0;
		}
		cr_assert_eq(uvmexp.free, free - pages, "step %u, seed 0x%lx", step, r.seed);
		cr_assert_eq(uvmexp.wired, wired, "step %u, seed 0x%lx", step, r.seed);
	}
	check_pmap("end", r.seed);
	uvm_km_free(kernel_map, va, PAGES_IN_MODEL * PAGE_SIZE);
	cr_assert_eq(uvmexp.free, free);
	cr_assert_eq(uvmexp.wired, 0);
	check_free("end", r.seed, true);
}
