/* SPDX-License-Identifier: ISC */
/*
 * km_alloc(9) on the twin: the sleeps, for addresses and for pages, and that no wakeup is lost.
 */
#include "tests/twin/check.h"

#include <machine/thread.h>
#include <string.h>

#include "guest/uvm/km_alloc.h"
#include "guest/uvm/uvm_map.h"
#include "guest/uvm/uvm_object.h"

#define NPAGES(n) ((n)*PAGE_SIZE)

static void
boot(void)
{
	twin_boot(24 * MIB, 64 * MIB, 0);
}

/* A map with no room left. */
static vaddr_t
fill_map(struct vm_map *map)
{
	vsize_t hole = uvm_map_largest_hole(map);
	vaddr_t va = uvm_km_valloc(map, hole);

	cr_assert_neq(va, 0);
	cr_assert_eq(uvm_map_largest_hole(map), 0);
	return va;
}

struct want {
	size_t size;
	const struct kmem_va_mode *kv;
	const struct kmem_pa_mode *kp;
	const struct kmem_dyn_mode *kd;
	void *v;
	bool done;
};

static void
want_it(void *arg)
{
	struct want *w = arg;

	w->v = km_alloc(w->size, w->kv, w->kp, w->kd);
	w->done = true;
}

/* property 56 57 103 104: exec_map */
BED_TEST(km_alloc_sleep, sleeps_for_addresses)
{
	struct want w[3];
	vaddr_t all;
	struct thread *td;
	uint64_t free;

	boot();
	all = fill_map(exec_map);
	free = uvmexp.free;
	for (unsigned i = 0; i < nitems(w); i++) {
		w[i] = (struct want){ NPAGES(2), &kv_exec, &kp_zero, &kd_waitok, NULL, false };
		cr_assert_not(twin_call(want_it, &w[i], &td));
		cr_assert_eq(td->td_wchan, (void *)exec_map);
		cr_assert_str_eq(td->td_wmesg, "km_allocva");
		cr_assert_eq(exec_map->lock.rwl_owner, 0);
	}
	cr_assert_eq(uvmexp.free, free - 6);   /* they keep their pages */
	uvm_km_free(exec_map, all, NPAGES(2)); /* wakes nobody */
	twin_run();
	cr_assert(!w[0].done && !w[1].done && !w[2].done);
	uvm_km_free_wakeup(exec_map, all + NPAGES(2), NPAGES(2));
	twin_run();
	cr_assert(w[0].done && w[1].done && !w[2].done);
	km_free(w[0].v, NPAGES(2), &kv_exec, &kp_zero); /* wakes */
	twin_run();
	cr_assert(w[2].done);
	cr_assert_eq(w[2].v, w[0].v);
	km_free(w[1].v, NPAGES(2), &kv_exec, &kp_zero);
	km_free(w[2].v, NPAGES(2), &kv_exec, &kp_zero);
	cr_assert_eq(uvmexp.free, free);

	/* More than the map can ever hold is not waited for. */
	cr_assert_null(km_alloc(vm_map_max(exec_map) - vm_map_min(exec_map) + PAGE_SIZE, &kv_exec,
	    &kp_none, &kd_waitok));
	check_pmap("end", 0);
}

struct release {
	vaddr_t next;
	unsigned done;
};

static void
release_now(void *arg)
{
	struct release *r = arg;

	uvm_km_free_wakeup(exec_map, r->next, PAGE_SIZE);
	r->next += PAGE_SIZE;
	r->done++;
}

/* Addresses are freed between the failed search and the sleep. */
/* property 58: exec_map */
BED_TEST(km_alloc_sleep, no_lost_wakeup_of_addresses)
{
	struct release r = { 0, 0 };
	struct want w;

	boot();
	r.next = fill_map(exec_map);
	for (unsigned i = 0; i < 500; i++) {
		w = (struct want){ PAGE_SIZE, &kv_exec, &kp_dirty, &kd_waitok, NULL, false };
		twin_stop_at(STOP_VALLOC_WAIT, release_now, &r);
		cr_assert(twin_call(want_it, &w, NULL), "round %u", i);
		cr_assert_not_null(w.v);
	}
	cr_assert_eq(r.done, 500);
}

BED_TEST(km_alloc_sleep, sleeps_for_pages)
{
	struct want w = { NPAGES(1), &kv_page, &kp_zero, &kd_waitok, NULL, false };
	struct vm_page *list = NULL, *pg;
	struct thread *td;
	int slow = 0;
	const struct kmem_dyn_mode slowly = { .kd_prefer = UVM_UNKNOWN_OFFSET,
		.kd_slowdown = &slow };

	boot();
	cr_assert_not_null(km_alloc(PAGE_SIZE, &kv_page, &kp_dirty, &slowly));
	cr_assert_eq(slow, 0);
	while ((pg = uvm_pagealloc(NULL, 0, UVM_PGA_USERESERVE)) != NULL) {
		pg->pageq = list;
		list = pg;
	}
	cr_assert_null(km_alloc(PAGE_SIZE, &kv_page, &kp_dirty, &slowly));
	cr_assert_eq(slow, 1);
	cr_assert_not(twin_call(want_it, &w, &td));
	cr_assert_eq(td->td_wchan, (void *)&uvmexp.free);
	for (unsigned i = 0; i < 4 && !w.done; i++) {
		pg = list;
		list = pg->pageq;
		uvm_pagefree(pg);
		twin_run();
	}
	cr_assert(w.done);
	cr_assert_not_null(w.v);
	cr_assert_eq(*(uint64_t *)w.v, 0);
	/* The page daemon is refused rather than asked to wait for itself. */
	thread_set_pagedaemon(curthread);
	while (km_alloc(PAGE_SIZE, &kv_page, &kp_dirty, &kd_nowait) != NULL)
		;
	cr_assert_null(km_alloc(PAGE_SIZE, &kv_page, &kp_dirty, &kd_waitok));
}
