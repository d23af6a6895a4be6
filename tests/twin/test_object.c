/* SPDX-License-Identifier: ISC */
/*
 * Memory objects on the twin.
 */
#include "tests/twin/check.h"

#include <machine/thread.h>
#include <string.h>

#include "guest/uvm/uvm_object.h"

#define NODE (UVM_OBJ_NODE_PAGES * PAGE_SIZE)

static struct uvm_object *const kobj = &uvm_kernel_object;

static void
boot(void)
{
	twin_boot(0, 0, PAGES);
	cr_assert_eq(uvm_obj_init(kobj, BED_KVA_DEFAULT, UVM_OBJ_KERN), 0);
}

/* A run of exactly n pages. */
static struct vm_page *
run_of(unsigned n)
{
	unsigned got;
	struct vm_page *pg = uvm_pmr_getrun(n, &got, UVM_PGA_USERESERVE);

	cr_assert_eq(got, n);
	return pg;
}

/* Directory and nodes agree with the pages. */
static void
check_object(const struct uvm_object *obj, const char *when, uint64_t seed)
{
	uint64_t pages = 0;

	for (uint64_t i = 0; i < obj->uo_ndir; i++) {
		const struct uvm_objdir *dir = &obj->uo_dir[i];
		uint64_t used = 0;

		for (unsigned j = 0; dir->uod_page != NULL && j < UVM_OBJ_NODE_PAGES; j++) {
			const struct vm_page *pg = dir->uod_page[j];

			if (pg == NULL)
				continue;
			used++;
			cr_assert_eq(pg->uobject, obj, "%s, seed 0x%lx", when, seed);
			cr_assert_eq(
			    pg->offset, i * NODE + j * PAGE_SIZE, "%s, seed 0x%lx", when, seed);
			cr_assert_eq(pg->pg_flags & (PQ_INUSE | PG_TABLED), PQ_INUSE | PG_TABLED,
			    "%s, seed 0x%lx", when, seed);
		}
		cr_assert_eq(dir->uod_used, used, "%s, seed 0x%lx: node %lu", when, seed, i);
		pages += used;
	}
	cr_assert_eq(obj->uo_npages, pages, "%s, seed 0x%lx", when, seed);
}

BED_TEST(object, reserve_makes_the_nodes_of_the_range)
{
	uint64_t free;

	boot();
	cr_assert_eq(kobj->uo_ndir, BED_KVA_DEFAULT / NODE);
	cr_assert_eq(uvmexp.kernpages, 8, "the directory: 16 bytes for each 2 MiB");
	free = uvmexp.free;
	cr_assert_eq(uvm_obj_reserve(kobj, 0, 0), 0);
	cr_assert_eq(uvmexp.free, free);
	cr_assert_eq(uvm_obj_reserve(kobj, NODE - PAGE_SIZE, 1), 0);
	cr_assert_eq(uvmexp.free, free - 1);
	cr_assert_eq(uvm_obj_reserve(kobj, NODE - PAGE_SIZE, 2), 0);
	cr_assert_eq(uvmexp.free, free - 2);
	cr_assert_eq(uvm_obj_reserve(kobj, 0, 1024), 0);
	cr_assert_eq(uvmexp.free, free - 2, "they stay");
	cr_assert_eq(uvmexp.kernpages, 10);
	cr_assert_eq(uvm_obj_reserve(kobj, BED_KVA_DEFAULT - PAGE_SIZE, 1), 0);
	cr_assert_eq(twin_count()->page_zero, 0, "all of this was known to be zero");
	check_object(kobj, "reserved", 0);
	check_free("reserved", 0, true);
}

BED_TEST(object, reserve_without_memory)
{
	unsigned got;
	uint64_t kern;

	boot();
	while (uvm_pmr_getrun(4096, &got, UVM_PGA_USERESERVE) != NULL)
		continue;
	kern = uvmexp.kernpages;
	cr_assert_eq(uvm_obj_reserve(kobj, 0, 1), ENOMEM);
	cr_assert_eq(uvmexp.kernpages, kern);
	cr_assert_null(uvm_pagelookup(kobj, 0));
	check_object(kobj, "failed", 0);
}

BED_TEST(object, run_in_and_out)
{
	struct vm_page *pg;
	uint64_t free;

	boot();
	uvm_obj_reserve(kobj, 0, 1024);
	free = uvmexp.free;
	pg = run_of(100);
	uvm_obj_insert_run(kobj, NODE - 50 * PAGE_SIZE, pg, 100);
	cr_assert_eq(kobj->uo_npages, 100);
	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(uvm_pagelookup(kobj, NODE - 50 * PAGE_SIZE + i * PAGE_SIZE), &pg[i]);
	cr_assert_null(uvm_pagelookup(kobj, NODE - 51 * PAGE_SIZE));
	cr_assert_null(uvm_pagelookup(kobj, NODE + 50 * PAGE_SIZE));
	cr_assert_null(uvm_pagelookup(kobj, 8 * NODE), "no node");
	cr_assert_null(uvm_pagelookup(kobj, BED_KVA_DEFAULT), "beyond the object");
	cr_assert_eq(pg->pg_flags, PQ_INUSE | PG_TABLED);
	check_object(kobj, "inserted", 0);

	/* The middle; then everything, with the hole in it. */
	cr_assert_eq(uvm_obj_remove_range(kobj, NODE - 10 * PAGE_SIZE, NODE + 10 * PAGE_SIZE), 20);
	check_object(kobj, "middle removed", 0);
	check_free("middle removed", 0, true);
	cr_assert_eq(uvm_obj_remove_range(kobj, 0, BED_KVA_DEFAULT), 80);
	cr_assert_eq(uvm_obj_remove_range(kobj, 0, BED_KVA_DEFAULT), 0);
	check_object(kobj, "all removed", 0);
	check_free("all removed", 0, true);
	cr_assert_eq(uvmexp.free, free);
	cr_assert(uvm_pmr_isfree(pg));
	cr_assert_null(pg->uobject);
}

BED_TEST(object, wiring_ends_with_the_page)
{
	struct vm_page *pg;

	boot();
	uvm_obj_reserve(kobj, 0, 8);
	pg = run_of(8);
	uvm_obj_insert_run(kobj, 0, pg, 8);
	uvm_pagewire(&pg[3]);
	uvm_pagewire(&pg[3]);
	cr_assert_eq(uvm_obj_remove_range(kobj, 0, 8 * PAGE_SIZE), 8);
	cr_assert_eq(uvmexp.wired, 0);
	cr_assert_eq(pg[3].wire_count, 0);
}

BED_TEST(object, single_pages)
{
	struct vm_page *pg;

	boot();
	uvm_obj_reserve(kobj, 0, 8);
	pg = uvm_pagealloc(kobj, 3 * PAGE_SIZE, UVM_PGA_ZERO);
	cr_assert_eq(pg->pg_flags, PQ_INUSE | PG_TABLED | PG_BUSY | PG_FAKE);
	cr_assert_eq(uvm_pagelookup(kobj, 3 * PAGE_SIZE), pg);
	check_object(kobj, "one page", 0);
	uvm_pagefree(pg);
	cr_assert_null(uvm_pagelookup(kobj, 3 * PAGE_SIZE));
	cr_assert_eq(kobj->uo_npages, 0);
	check_object(kobj, "freed", 0);
	check_free("freed", 0, true);
}

BED_TEST(object, misuse_panics)
{
	struct vm_page *pg;

	boot();
	cr_assert_not_null(TWIN_PANIC(uvm_obj_insert_run(kobj, 0, run_of(1), 1)), "no node");
	boot();
	uvm_obj_reserve(kobj, 0, 1);
	uvm_obj_insert_run(kobj, 0, run_of(1), 1);
	pg = run_of(1);
	cr_assert_not_null(TWIN_PANIC(uvm_obj_insert_run(kobj, 0, pg, 1)), "place is taken");
	boot();
	uvm_obj_reserve(kobj, 0, 1);
	pg = run_of(1);
	uvm_obj_insert_run(kobj, 0, pg, 1);
	cr_assert_not_null(TWIN_PANIC(uvm_pmr_putrun(pg, 1)), "still in the object");
}

BED_TEST(object, get_fills_with_zero)
{
	struct vm_page *pg, *again, *dirty;
	unsigned got;

	boot();
	cr_assert_eq(uao_get(kobj, 5 * PAGE_SIZE, &pg), 0);
	cr_assert_eq(pg->pg_flags & (PG_BUSY | PG_TABLED), PG_BUSY | PG_TABLED);
	cr_assert_eq(uao_get(kobj, 5 * PAGE_SIZE, &again), EBUSY);
	uvm_page_unbusy(pg);
	cr_assert_eq(uao_get(kobj, 5 * PAGE_SIZE, &again), 0);
	cr_assert_eq(again, pg);
	uvm_page_unbusy(pg);
	cr_assert_eq(kobj->uo_npages, 1);

	/* With only dirty pages left, they are made zero. */
	dirty = uvm_pmr_getrun(64, &got, 0);
	for (unsigned i = 0; i < got; i++)
		memset(PMAP_DIRECT_MAP(VM_PAGE_TO_PHYS(&dirty[i])), 0x99, PAGE_SIZE);
	while (uvm_pmr_getrun(4096, &got, UVM_PGA_USERESERVE) != NULL)
		continue;
	cr_assert_eq(uao_get(kobj, 6 * PAGE_SIZE, &pg), ENOMEM);
	cr_assert_eq(uao_get(kobj, NODE, &pg), ENOMEM, "not even a node");
	uvm_pmr_putrun(dirty, 64);
	for (unsigned i = 0; i < 10; i++) {
		cr_assert_eq(uao_get(kobj, (10 + i) * PAGE_SIZE, &pg), 0);
		for (unsigned w = 0; w < 512; w++)
			cr_assert_eq(((uint64_t *)PMAP_DIRECT_MAP(VM_PAGE_TO_PHYS(pg)))[w], 0);
	}
	check_object(kobj, "after all", 0);
}

static void
remove_thread(void *arg)
{
	*(uint64_t *)arg = uvm_obj_remove_range(kobj, 0, 16 * PAGE_SIZE);
}

static void
wait_thread(void *arg)
{
	uvm_obj_wait(kobj, 4 * PAGE_SIZE, "testobj");
	*(bool *)arg = true;
}

BED_TEST(object, removal_waits_for_busy_pages)
{
	struct vm_page *pg;
	struct thread *td, *tw;
	uint64_t removed = 0;
	bool waited = false;

	boot();
	uvm_obj_reserve(kobj, 0, 16);
	pg = run_of(16);
	uvm_obj_insert_run(kobj, 0, pg, 16);
	pg[4].pg_flags |= PG_BUSY;
	pg[9].pg_flags |= PG_BUSY;
	cr_assert_not(twin_call(wait_thread, &waited, &tw));
	cr_assert_not(twin_call(remove_thread, &removed, &td));
	cr_assert_eq(td->td_wchan, &pg[4]);
	cr_assert_eq(kobj->uo_npages, 12);
	check_object(kobj, "waiting", 0);
	uvm_page_unbusy(&pg[4]);
	twin_run();
	cr_assert(waited);
	cr_assert_eq(td->td_wchan, &pg[9]);
	uvm_page_unbusy(&pg[9]);
	twin_run();
	cr_assert_eq(td->td_state, THREAD_FREE);
	cr_assert_eq(removed, 16);
	check_object(kobj, "removed", 0);
	check_free("removed", 0, true);
}

BED_TEST(object, pages_are_found_where_they_belong)
{
	struct vm_page *pg;
	uint64_t err;

	boot();
	uvm_obj_reserve(kobj, 0, 1024);
	pmap_growkernel(KVA + 4 * MIB);
	pg = run_of(64);
	uvm_obj_insert_run(kobj, NODE - 32 * PAGE_SIZE, pg, 64);
	pmap_enter_run(KVA + NODE - 32 * PAGE_SIZE, VM_PAGE_TO_PHYS(pg), 64, RW, RW | PMAP_WIRED);
	pmap_page_protect(&pg[40], PROT_READ);
	cr_assert_eq(twin_store(KVA + NODE + 8 * PAGE_SIZE, 1, &err), EFAULT);
	pmap_page_protect(&pg[40], PROT_NONE);
	cr_assert_eq(leaf_at(KVA + NODE + 8 * PAGE_SIZE), 0);
	cr_assert_eq(pmap_kernel()->pm_resident, 63);
	cr_assert_not(pmap_is_modified(&pg[41]));
	kva_write(KVA + NODE + 9 * PAGE_SIZE, 1);
	cr_assert(pmap_is_modified(&pg[41]));
	/* At its place and elsewhere. */
	pmap_enter(pmap_kernel(), KVA, VM_PAGE_TO_PHYS(&pg[41]), RW, 0);
	pmap_page_protect(&pg[41], PROT_NONE);
	cr_assert_eq(leaf_at(KVA), 0);
	cr_assert_eq(leaf_at(KVA + NODE + 9 * PAGE_SIZE), 0);
	check_pmap("after all", 0);
}

BED_TEST(object, destroy_gives_everything_back)
{
	struct uvm_object obj;
	uint64_t free, kern;

	boot();
	free = uvmexp.free;
	kern = uvmexp.kernpages;
	cr_assert_eq(uvm_obj_init(&obj, 3 * NODE + 1, 1), 0);
	cr_assert_eq(obj.uo_ndir, 4);
	cr_assert_eq(uvm_obj_reserve(&obj, 0, 3 * UVM_OBJ_NODE_PAGES), 0);
	uvm_obj_insert_run(&obj, NODE, run_of(5), 5);
	cr_assert_eq(uvmexp.free, free - 1 - 3 - 5);
	uvm_obj_destroy(&obj);
	cr_assert_eq(uvmexp.free, free);
	cr_assert_eq(uvmexp.kernpages, kern);
	check_free("destroyed", 0, true);
}

#define WINDOW 1400

BED_TEST(object, random_operations)
{
	const voff_t base = 3 * NODE - 400 * PAGE_SIZE;
	struct rnd r = rnd_start("object::random_operations");
	static struct vm_page *model[WINDOW];
	uint64_t free, expect;

	boot();
	uvm_obj_reserve(kobj, base, WINDOW);
	free = uvmexp.free;
	for (unsigned step = 0; step < 1500; step++) {
		unsigned first = (unsigned)rnd_below(&r, WINDOW);
		unsigned n = 1 + (unsigned)rnd_below(&r, rnd_below(&r, 3) ? 12 : 700), got;
		voff_t off = base + first * PAGE_SIZE;

		n = n < WINDOW - first ? n : WINDOW - first;
		expect = 0;
		for (unsigned i = first; i < first + n; i++)
			expect += model[i] != NULL;
		if (expect == 0) {
			for (unsigned done = 0; done < n; done += got) {
				struct vm_page *pg =
				    uvm_pmr_getrun(n - done, &got, (int)rnd_below(&r, 4));

				cr_assert_not_null(pg);
				uvm_obj_insert_run(kobj, off + done * PAGE_SIZE, pg, got);
				for (unsigned i = 0; i < got; i++)
					model[first + done + i] = &pg[i];
			}
		} else {
			cr_assert_eq(uvm_obj_remove_range(kobj, off, off + n * PAGE_SIZE), expect,
			    "seed 0x%lx step %u", r.seed, step);
			for (unsigned i = first; i < first + n; i++)
				model[i] = NULL;
		}
		for (unsigned i = 0; i < WINDOW; i++)
			cr_assert_eq(uvm_pagelookup(kobj, base + i * PAGE_SIZE), model[i],
			    "seed 0x%lx step %u page %u", r.seed, step, i);
		cr_assert_eq(uvmexp.free, free - kobj->uo_npages, "seed 0x%lx", r.seed);
		if (step % 50 == 0) {
			check_object(kobj, "random", r.seed);
			check_free("random", r.seed, false);
		}
	}
	uvm_obj_remove_range(kobj, base, base + WINDOW * PAGE_SIZE);
	cr_assert_eq(uvmexp.free, free);
	check_object(kobj, "empty", r.seed);
	check_free("empty", r.seed, true);
}
