/* SPDX-License-Identifier: ISC */
/*
 * Nothing left: of addresses, pages, table pages, map entries, in every kind of map, at every step of an
 * operation. A call that fails leaves no trace; a call that works can be undone.
 */
#include "tests/twin/prop.h"

#include <machine/thread.h>
#include <string.h>

#include "guest/uvm/km_alloc.h"
#include "guest/uvm/uvm_fault.h"

/* property 48: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_short, addresses)
{
	FOR_EACH_MAP(m, 0)
	{
		vaddr_t keep = prop_alloc(&m, P(3)), hold = prop_addresses(&m, P(2), 0), va;
		struct prop_state was;
		vsize_t hole;

		for (unsigned i = 0; i < 3; i++)
			prop_store(keep + P(i), 50 + i);
		while ((hole = uvm_map_largest_hole(m.map)) != 0)
			cr_assert_neq(prop_addresses(&m, hole, 0), 0);
		was = prop_state();
		cr_assert_eq(prop_alloc(&m, P(1)), 0, "%s", m.name);
		cr_assert_eq(prop_zalloc(&m, 1), 0);
		cr_assert_eq(prop_addresses(&m, P(1), 0), 0);
		cr_assert_eq(uvm_km_alloc(m.map, P(1)), 0);
		cr_assert_eq(uvm_km_valloc(m.map, P(1)), 0);
		cr_assert_eq(uvm_km_valloc_try(m.map, P(1)), 0);
		prop_unchanged(&was, m.name);
		for (unsigned i = 0; i < 3; i++)
			cr_assert_eq(prop_load(keep + P(i)), 50 + i);
		prop_free(&m, hold, P(1));
		va = prop_alloc(&m, P(1));
		cr_assert_eq(va, hold, "%s", m.name);
		cr_assert_eq(prop_alloc(&m, P(1)), 0);
		prop_check(m.name);
	}
}

/* One attempt each with k pages left; 0: it failed. What worked is handed back by undo(). */
struct attempt {
	const char *what;
	vaddr_t (*try)(const struct prop_map *);
	vsize_t size;
};

static vaddr_t
try_alloc(const struct prop_map *m)
{
	return prop_alloc(m, P(5));
}

static vaddr_t
try_zalloc(const struct prop_map *m)
{
	return prop_zalloc(m, P(5));
}

static vaddr_t
try_canfail(const struct prop_map *m)
{
	return uvm_km_kmemalloc(m->map, m->intrsafe ? NULL : KO, P(5), UVM_KMF_CANFAIL);
}

static vaddr_t
try_contiguous(const struct prop_map *m)
{
	return uvm_km_kmemalloc_pla(
	    m->map, m->intrsafe ? NULL : KO, P(5), 0, UVM_KMF_NOWAIT, 0, (paddr_t)-1, P(8), 0, 1);
}

static vaddr_t
try_addresses(const struct prop_map *m)
{
	return prop_addresses(m, P(5), P(4));
}

static vaddr_t
try_apart(const struct prop_map *m)
{
	vaddr_t va = 0;

	return prop_map_at(m, &va, P(5), UVM_FLAG_NOMERGE) == 0 ? va : 0;
}

static const struct attempt attempts[] = {
	{ "alloc", try_alloc, P(5) },
	{ "zalloc", try_zalloc, P(5) },
	{ "CANFAIL", try_canfail, P(5) },
	{ "one aligned segment", try_contiguous, P(5) },
	{ "addresses", try_addresses, P(5) },
	{ "an entry of its own", try_apart, P(5) },
};

/* The pool of entries is empty, so that entries, too, cost a page; nodes of object and index are not made. */
static void
attempt_with(enum prop_kind kind, const struct attempt *a, uint64_t left)
{
	struct prop_map m = prop_boot(kind, 0);
	struct vm_page *taken;
	struct prop_state was;
	vaddr_t va;

	prop_take_entries();
	taken = prop_take_pages(left);
	was = prop_state();
	prop_events_start();
	va = a->try(&m);
	prop_events_check(a->what);
	cr_assert(uvmexp.free >= uvmexp.reserve_pagedaemon || uvmexp.free == left,
	    "%s, %s, %lu pages: %lu left", m.name, a->what, left, uvmexp.free);
	if (va == 0)
		prop_unchanged(&was, a->what);
	prop_check_map(kernel_map, a->what);
	prop_give_pages(taken);
	if (va != 0) {
		/* In the order that needs most entries. */
		prop_free(&m, va + P(1), P(1));
		prop_free(&m, va + P(3), P(1));
		prop_free(&m, va, a->size);
	}
	/* The same once more, with memory: what failed has left nothing that is in the way. */
	va = a->try(&m);
	cr_assert_neq(va, 0, "%s, %s, after %lu pages", m.name, a->what, left);
	prop_free(&m, va, a->size);
	prop_check(a->what);
}

/* property 49 50 54 76: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_short, pages_at_every_step)
{
	for (unsigned kind = 0; kind < PROP_KINDS; kind++) {
		for (unsigned i = 0; i < nitems(attempts); i++) {
			for (uint64_t left = 4; left < 16; left++)
				attempt_with((enum prop_kind)kind, &attempts[i], left);
		}
	}
}

/* Without swap there is nothing CANFAIL could wait for: the same requests fail, with the same trace, none. */
/* property 50: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_short, canfail_is_nowait)
{
	FOR_EACH_MAP(m, 0)
	{
		struct uvm_object *obj = m.intrsafe ? NULL : KO;
		vaddr_t warm = prop_alloc(&m, P(100));

		prop_free(&m, warm, P(100));
		for (uint64_t left = 0; left < 40; left += 3) {
			struct vm_page *taken = prop_take_pages(left);
			struct prop_state was = prop_state();
			vaddr_t a = uvm_km_kmemalloc(m.map, obj, P(20), UVM_KMF_NOWAIT), b;

			if (a != 0)
				prop_free(&m, a, P(20));
			prop_same(&was, m.name);
			b = uvm_km_kmemalloc(m.map, obj, P(20), UVM_KMF_CANFAIL);
			cr_assert_eq(a, b, "%s: with %lu pages", m.name, left);
			cr_assert(a != 0 || left < 30, "%s: with %lu pages", m.name, left);
			cr_assert(a == 0 || left >= 24, "%s: with %lu pages", m.name, left);
			if (b != 0)
				prop_free(&m, b, P(20));
			prop_same(&was, m.name);
			prop_give_pages(taken);
		}
	}
}

/* An object's pages may come from the kernel's reserve, others not; the page daemon's is nobody else's. */
/* property 54: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_short, the_reserves)
{
	FOR_EACH_MAP(m, 0)
	{
		struct vm_page *taken;
		uint64_t n = 0;

		prop_free(&m, prop_alloc(&m, P(40)), P(40));
		taken = prop_take_pages(12);
		while (prop_alloc(&m, P(1)) != 0)
			n++;
		cr_assert_eq(
		    uvmexp.free, uvmexp.reserve_kernel, "%s: %lu pages left", m.name, uvmexp.free);
		if (!m.intrsafe) {
			/* uvm_km_alloc() is the kernel's own: down to the daemon's pages, then it sleeps. */
			cr_assert_neq(uvm_km_alloc(m.map, P(2)), 0, "%s", m.name);
			cr_assert_eq(uvmexp.free, uvmexp.reserve_pagedaemon, "%s", m.name);
		}
		cr_assert_gt(n, 0);
		prop_give_pages(taken);
		prop_check(m.name);
	}
}

/* property 81: kernel_map submap */
BED_TEST(prop_short, table_pages_at_every_step)
{
	static const int flags[] = { 0, VM_MAP_PAGEABLE, VM_MAP_INTRSAFE,
		VM_MAP_PAGEABLE | VM_MAP_GUARDPAGES };

	for (uint64_t left = 0; left < 8; left++) {
		struct prop_map m = prop_boot(PROP_KERNEL_MAP, 0);
		struct pmap *pm = pmap_kernel();
		paddr_t end = pm->pm_poolend;
		struct prop_state was;

		prop_free(&m, prop_alloc(&m, P(1)), P(1));
		was = prop_state();
		pm->pm_poolend = pm->pm_pool + P(left);
		/* One table more than there are: a place is found, the tables for it are not. */
		cr_assert_eq(
		    uvm_km_valloc(m.map, (left + 1) * 2 * MIB + P(1)), 0, "left %lu", left);
		cr_assert_eq(
		    uvm_km_kmemalloc(m.map, NULL, (left + 2) * 2 * MIB, UVM_KMF_VALLOC), 0);
		cr_assert_eq(uvm_km_alloc1(m.map, P(1), 32 * MIB, FALSE), 0);
		for (unsigned i = 0; i < nitems(flags); i++) {
			vaddr_t min = 0, max = 0;

			cr_assert_null(uvm_km_suballoc(
			    m.map, &min, &max, (left + 1) * 2 * MIB + P(1), flags[i], FALSE, NULL));
		}
		prop_unchanged(&was, "no table pages");
		/* As many as there are: it works, and then nothing is left. */
		if (left != 0) {
			vaddr_t va = uvm_km_valloc(m.map, left * 2 * MIB);

			cr_assert_neq(va, 0, "left %lu", left);
			prop_store(va + left * 2 * MIB - 8, 1);
			prop_free(&m, va, left * 2 * MIB);
		}
		prop_check("tables");
		pm->pm_poolend = end;
		cr_assert_neq(uvm_km_valloc(m.map, (left + 1) * 2 * MIB + P(1)), 0);
		prop_check("tables");
	}
}

/* A submap's tables are there from its start: it never fails for lack of one. */
/* property 81: kmem_map exec_map phys_map submap nested */
BED_TEST(prop_short, submaps_need_no_table_pages)
{
	FOR_EACH_MAP(m, 0)
	{
		vsize_t span = vm_map_max(m.map) - vm_map_min(m.map);
		vaddr_t va;

		if (m.parent == NULL)
			continue;
		pmap_kernel()->pm_poolend = pmap_kernel()->pm_pool;
		va = prop_addresses(&m, span, 0);
		cr_assert_eq(va, vm_map_min(m.map), "%s", m.name);
		prop_free(&m, va, span - P(2));
		prop_free(&m, va + span - P(2), P(2));
		cr_assert_neq(va = prop_alloc(&m, P(2)), 0, "%s", m.name);
		prop_check(m.name);
	}
}

struct comb {
	const struct prop_map *m;
	vaddr_t va;
	unsigned pages, done;
};

static void
free_every_second(void *arg)
{
	struct comb *c = arg;

	for (; c->done < c->pages; c->done += 2)
		prop_free(c->m, c->va + P(c->done + 1), P(1));
}

/* Each free in the middle makes an entry, and there is no memory but what the frees give back. */
/* property 39: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_short, a_free_needs_no_memory)
{
	FOR_EACH_MAP(m, 0)
	{
		struct comb c = { .m = &m, .pages = 280 };

		c.va = prop_alloc(&m, P(c.pages));
		cr_assert_neq(c.va, 0, "%s", m.name);
		prop_take_entries();
		prop_take_pages(0);
		cr_assert(twin_call(free_every_second, &c, NULL), "%s: asleep at page %u", m.name,
		    c.done);
		for (unsigned i = 0; i < c.pages; i++)
			cr_assert_eq(leaf_at(c.va + P(i)) == 0, i & 1, "%s: page %u", m.name, i);
		prop_check(m.name);
	}
}

/* A fault is served down to the page daemon's pages, and not from them. */
/* property 54: kernel_map */
BED_TEST(prop_short, faults_with_k_pages)
{
	for (uint64_t left = 4; left < 8; left++) {
		struct prop_map m = prop_boot(PROP_KERNEL_MAP, 0);
		vaddr_t va = uvm_km_valloc(m.map, P(4));
		struct vm_page *taken;
		uint64_t pages = 0;

		prop_load(va);
		taken = prop_take_pages(left);
		while (pages < 3 && uvmexp.free > uvmexp.reserve_pagedaemon) {
			pages++;
			cr_assert_eq(
			    uvm_fault(m.map, va + P(pages), VM_FAULT_INVALID, PROT_READ), 0);
		}
		cr_assert_eq(pages, left - 4 < 3 ? left - 4 : 3);
		prop_check("faults");
		prop_give_pages(taken);
	}
}

struct job {
	const struct prop_map *m;
	vsize_t size;
	vaddr_t va;
	bool done;
};

static void
wait_for_addresses(void *arg)
{
	struct job *j = arg;

	j->va = uvm_km_valloc_wait(j->m->map, j->size);
	j->done = true;
}

/* property 55 56 57 59 61: kernel_map exec_map phys_map submap nested */
BED_TEST(prop_short, waiting_for_addresses)
{
	FOR_EACH_MAP(m, 0)
	{
		vsize_t span = vm_map_max(m.map) - vm_map_min(m.map), hole;
		struct job w[3];
		struct thread *td;
		vaddr_t all;

		if (m.intrsafe)
			continue;
		cr_assert_eq(uvm_km_valloc_wait(m.map, span + 1), 0, "%s", m.name);
		hole = uvm_map_largest_hole(m.map);
		cr_assert(hole == span || m.parent == NULL);
		all = uvm_km_valloc_wait(m.map, hole);
		cr_assert_neq(all, 0, "%s", m.name);
		for (unsigned i = 0; i < nitems(w); i++) {
			w[i] = (struct job){ &m, P(2), 0, false };
			cr_assert_not(twin_call(wait_for_addresses, &w[i], &td));
			cr_assert(td->td_wchan == m.map && !strcmp(td->td_wmesg, "vallocwait"));
		}
		uvm_km_free(m.map, all, P(2));
		twin_run();
		cr_assert(!w[0].done && !w[1].done && !w[2].done, "%s: a plain free wakes", m.name);
		uvm_km_free_wakeup(m.map == exec_map ? phys_map : exec_map, 0, 0);
		twin_run();
		cr_assert(
		    !w[0].done && !w[1].done && !w[2].done, "%s: woken by another map", m.name);
		uvm_km_free_wakeup(m.map, vm_map_min(m.map), 0);
		twin_run();
		cr_assert_eq(w[0].done + w[1].done + w[2].done, 1, "%s", m.name);
		uvm_km_free_wakeup(m.map, all + P(10), P(4));
		twin_run();
		cr_assert(w[0].done && w[1].done && w[2].done, "%s", m.name);
		prop_check(m.name);
	}
}

/* property 55: kernel_map submap nested */
BED_TEST(prop_short, what_guards_make_impossible_is_not_waited_for)
{
	FOR_EACH_MAP(m, BED_BOOT_GUARDPAGES)
	{
		vsize_t span = vm_map_max(m.map) - vm_map_min(m.map);
		struct job w = { &m, span, 1, false };

		if (!m.guarded || m.intrsafe)
			continue;
		cr_assert(twin_call(wait_for_addresses, &w, NULL), "%s: asleep for ever", m.name);
		cr_assert_eq(w.va, 0);
		if (m.parent == NULL)
			continue;
		w.size -= P(1);
		cr_assert(twin_call(wait_for_addresses, &w, NULL), "%s", m.name);
		cr_assert_eq(w.va, vm_map_min(m.map));
	}
}

static vaddr_t freed_va;

static void
free_in_between(void *arg)
{
	const struct prop_map *m = arg;

	uvm_km_free_wakeup(m->map, freed_va, P(3));
}

/* property 58: kernel_map exec_map phys_map submap nested */
BED_TEST(prop_short, no_wakeup_is_lost)
{
	FOR_EACH_MAP(m, 0)
	{
		struct job w = { &m, P(3), 0, false };

		if (m.intrsafe)
			continue;
		freed_va = uvm_km_valloc(m.map, uvm_map_largest_hole(m.map));
		twin_stop_at(STOP_VALLOC_WAIT, free_in_between, &m);
		cr_assert(twin_call(wait_for_addresses, &w, NULL), "%s: asleep", m.name);
		cr_assert_eq(w.va, freed_va);
	}
}

static void
hold_lock(void *arg)
{
	struct vm_map *map = arg;

	vm_map_lock(map);
	tsleep_nsec(&freed_va, PVM, "hold", INFSLP);
	vm_map_unlock(map);
}

/* property 60: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_short, trylock)
{
	FOR_EACH_MAP(m, 0)
	{
		struct uvm_object *obj = m.intrsafe ? NULL : KO;
		struct kmem_va_mode kv = { .kv_map = &m.map };
		struct prop_state was;
		vaddr_t va;

		prop_free(&m, prop_alloc(&m, P(2)), P(2));
		was = prop_state();
		if (m.intrsafe)
			m.map->mtx.mtx_owner = &thread_pool[5]; /* as another CPU has it */
		else
			cr_assert_not(twin_call(hold_lock, m.map, NULL));
		cr_assert_eq(uvm_km_kmemalloc(m.map, obj, P(2), UVM_KMF_TRYLOCK | UVM_KMF_NOWAIT),
		    0, "%s", m.name);
		cr_assert_eq(
		    uvm_km_kmemalloc(m.map, obj, P(2), UVM_KMF_TRYLOCK | UVM_KMF_VALLOC), 0);
		cr_assert(m.intrsafe || uvm_km_valloc_try(m.map, P(2)) == 0);
		cr_assert_null(km_alloc(P(2), &kv, &kp_dirty, &kd_trylock));
		if (m.intrsafe)
			m.map->mtx.mtx_owner = NULL;
		wakeup(&freed_va);
		twin_run();
		prop_same(&was, m.name);
		va = uvm_km_kmemalloc(m.map, obj, P(2), UVM_KMF_TRYLOCK | UVM_KMF_NOWAIT);
		cr_assert_neq(va, 0, "%s: nobody has the lock", m.name);
		prop_free(&m, va, P(2));
		prop_same(&was, m.name);
	}
}

/* From where nobody may sleep; and no sleeping lock is taken on the way. */
/* property 69: kmem_map submap */
BED_TEST(prop_short, from_interrupts)
{
	FOR_EACH_MAP(m, 0)
	{
		struct mutex mtx = MUTEX_INITIALIZER(IPL_VM);
		struct prop_state was;
		vaddr_t va[20];

		if (!m.intrsafe)
			continue;
		was = prop_state();
		mtx_enter(&mtx);
		twin_events_clear();
		for (unsigned i = 0; i < nitems(va); i++)
			cr_assert_neq(va[i] = prop_alloc(&m, P(i % 4 + 1)), 0, "%s", m.name);
		for (unsigned i = 0; i < nitems(va); i += 2)
			prop_free(&m, va[i], P(i % 4 + 1));
		for (unsigned i = 1; i < nitems(va); i += 2)
			prop_free(&m, va[i], P(i % 4 + 1));
		for (uint64_t i = 0; i < twin_nevent; i++) {
			const struct bed_event *e = &twin_event[i];

			cr_assert(e->type != BED_EV_SLEEP, "%s: a sleep", m.name);
			cr_assert(e->type != BED_EV_LOCK || e->a[1] == LOCK_MUTEX,
			    "%s: a sleeping lock", m.name);
		}
		mtx_leave(&mtx);
		prop_same(&was, m.name);
	}
}
