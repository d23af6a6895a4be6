/* SPDX-License-Identifier: ISC */
/*
 * The random programs of tests/race/program.h.
 */
#include <inttypes.h>
#include <machine/ipi.h>
#include <machine/kva.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "guest/pmap.h"
#include "guest/twin/twin.h"
#include "guest/uvm/km_alloc.h"
#include "guest/uvm/uvm_extern.h"
#include "guest/uvm/uvm_map.h"
#include "guest/uvm/uvm_object.h"
#include "guest/uvm/uvm_page.h"
#include "guest/uvm/uvm_pmemrange.h"
#include "tests/race/program.h"

#define MIB      (UINT64_C(1) << 20)
#define OWN      12 /* allocations a CPU holds at most */
#define CELLS    8  /* through which they change hands */
#define MOST     24 /* pages of an allocation */
#define SUBMAP   (2 * MIB)
#define PROT_RW  (PROT_READ | PROT_WRITE)
#define WORD_END (PAGE_SIZE - 8)

enum kind { ALLOC, ZALLOC, KMEMALLOC, VALLOC, INTRSAFE, KM_ALLOC, DIRECT, SHARED, PRIVATE, NKIND };

struct memory {
	vaddr_t va;
	struct vm_map *map;
	unsigned pages, kind;
	uint32_t touched; /* VALLOC: pages that carry a mark */
	uint64_t mark;
};

static struct {
	const struct race *how;
	uint64_t rounds; /* of each CPU */
	struct vm_map *shared, *private[BED_CPU_MAX];
	struct memory pool[BED_CPU_MAX * OWN];
	struct memory *cell[CELLS];
	uint64_t marks, moved, ops, failed;
	char text[sizeof(((struct race_result *)0)->text)];
} all;

struct cpu {
	unsigned id;
	uint64_t random;
	struct memory *own[OWN], *spare[BED_CPU_MAX * OWN];
	unsigned nown, nspare;
};

static void __printf(1, 2) fail(const char *fmt, ...)
{
	va_list ap;

	if (__atomic_exchange_n(&all.failed, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	va_start(ap, fmt);
	vsnprintf(all.text, sizeof(all.text), fmt, ap);
	va_end(ap);
}

static bool
failed(void)
{
	return __atomic_load_n(&all.failed, __ATOMIC_RELAXED) != 0;
}

static uint64_t
pick(struct cpu *c, uint64_t n)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return (c->random >> 11) % n;
}

static uint64_t
mark_of(const struct memory *m, unsigned page)
{
	return m->mark << 16 | (m->kind << 8) | page;
}

static bool
has_page(const struct memory *m, unsigned page)
{
	return m->kind != VALLOC || (m->touched & 1u << page) != 0;
}

static void
put_marks(struct memory *m)
{
	m->mark = __atomic_add_fetch(&all.marks, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < m->pages; i++) {
		if (!has_page(m, i))
			continue;
		kva_write(m->va + ptoa(i), mark_of(m, i));
		kva_write(m->va + ptoa(i) + WORD_END, mark_of(m, i));
	}
}

static void
check_marks(const struct cpu *c, const struct memory *m)
{
	for (unsigned i = 0; i < m->pages; i++) {
		vaddr_t va = m->va + ptoa(i);
		uint64_t first, last;

		if (!has_page(m, i))
			continue;
		first = kva_read(va);
		last = kva_read(va + WORD_END);
		if (first != mark_of(m, i) || last != mark_of(m, i))
			fail("CPU %u: page 0x%" PRIx64 " of kind %u carries 0x%" PRIx64
			     " and 0x%" PRIx64 ", its owner wrote 0x%" PRIx64,
			    c->id, va, m->kind, first, last, mark_of(m, i));
	}
}

static void
check_zero(const struct cpu *c, const struct memory *m, unsigned page)
{
	vaddr_t va = m->va + ptoa(page);

	for (vaddr_t w = va; w < va + PAGE_SIZE; w += 512 - 8) {
		if (kva_read(w) != 0)
			fail("CPU %u: 0x%" PRIx64 " is not zero but 0x%" PRIx64, c->id, w,
			    kva_read(w));
	}
}

static vaddr_t
get(const struct memory *m)
{
	vsize_t size = ptoa(m->pages);

	switch (m->kind) {
	case ALLOC:
	case SHARED:
	case PRIVATE:
		return uvm_km_alloc(m->map, size);
	case ZALLOC:
		return uvm_km_zalloc(m->map, size);
	case KMEMALLOC:
		return uvm_km_kmemalloc(m->map, &uvm_kernel_object, size, UVM_KMF_NOWAIT);
	case VALLOC:
		return uvm_km_valloc(m->map, size);
	case INTRSAFE:
		return uvm_km_kmemalloc(m->map, NULL, size, UVM_KMF_NOWAIT);
	case KM_ALLOC:
		return (vaddr_t)km_alloc(size, &kv_any, &kp_dirty, &kd_nowait);
	default:
		return (vaddr_t)km_alloc(PAGE_SIZE, &kv_page, &kp_dirty, &kd_nowait);
	}
}

static void
give_back(struct cpu *c, struct memory *m)
{
	check_marks(c, m);
	if (m->kind == KM_ALLOC)
		km_free((void *)m->va, ptoa(m->pages), &kv_any, &kp_dirty);
	else if (m->kind == DIRECT)
		km_free((void *)m->va, PAGE_SIZE, &kv_page, &kp_dirty);
	else if (pick(c, 8) == 0)
		uvm_km_free_wakeup(m->map, m->va, ptoa(m->pages));
	else
		uvm_km_free(m->map, m->va, ptoa(m->pages));
	c->spare[c->nspare++] = m;
}

static void
allocate(struct cpu *c)
{
	struct memory *m;

	if (c->nspare == 0 || c->nown == OWN)
		return;
	m = c->spare[c->nspare - 1];
	m->kind = (unsigned)pick(c, NKIND);
	m->pages = m->kind == DIRECT ? 1 : 1 + (unsigned)pick(c, pick(c, 4) == 0 ? MOST : 4);
	m->touched = 0;
	m->map = m->kind == SHARED     ? all.shared
	         : m->kind == PRIVATE  ? all.private[c->id]
	         : m->kind == INTRSAFE ? kmem_map
	                               : kernel_map;
	m->va = get(m);
	if (m->va == 0)
		return;
	c->nspare--;
	c->own[c->nown++] = m;
	if (m->kind == ZALLOC)
		check_zero(c, m, m->pages - 1);
	put_marks(m);
}

static struct memory *
take(struct cpu *c)
{
	unsigned i = (unsigned)pick(c, c->nown);
	struct memory *m = c->own[i];

	c->own[i] = c->own[--c->nown];
	return m;
}

/* Into a cell goes one's own, out comes what another put there. */
static void
exchange(struct cpu *c)
{
	struct memory **cell = &all.cell[pick(c, CELLS)];
	struct memory *mine = c->nown != 0 && pick(c, 4) != 0 ? take(c) : NULL;
	struct memory *theirs = __atomic_exchange_n(cell, mine, __ATOMIC_ACQ_REL);

	if (theirs == NULL)
		return;
	__atomic_fetch_add(&all.moved, 1, __ATOMIC_RELAXED);
	check_marks(c, theirs);
	if (c->nown == OWN || pick(c, 2) == 0)
		give_back(c, theirs);
	else
		c->own[c->nown++] = theirs;
}

/* A first touch of a page that was not there. */
static void
touch(struct cpu *c, struct memory *m)
{
	unsigned page = (unsigned)pick(c, m->pages);

	if (m->kind != VALLOC || has_page(m, page))
		return;
	check_zero(c, m, page);
	m->touched |= 1u << page;
	kva_write(m->va + ptoa(page), mark_of(m, page));
	kva_write(m->va + ptoa(page) + WORD_END, mark_of(m, page));
}

/* Give back the last pages, or the first. */
static void
cut(struct cpu *c, struct memory *m)
{
	unsigned n;

	if (m->pages < 2 || m->kind >= INTRSAFE)
		return;
	check_marks(c, m);
	n = 1 + (unsigned)pick(c, m->pages - 1);
	if (pick(c, 2) == 0) {
		m->pages -= n;
		uvm_km_free(m->map, m->va + ptoa(m->pages), ptoa(n));
		return;
	}
	uvm_km_free(m->map, m->va, ptoa(n));
	m->va += ptoa(n);
	m->pages -= n;
	m->touched >>= n;
	put_marks(m);
}

/* Read only: stores fail and loads do not. Then as before. */
static void
narrow(struct cpu *c, struct memory *m)
{
	uint64_t err;
	unsigned page = (unsigned)pick(c, m->pages);

	if (m->kind >= INTRSAFE || !has_page(m, page))
		return;
	if (uvm_map_protect(m->map, m->va, m->va + ptoa(m->pages), PROT_READ, FALSE) != 0) {
		fail("CPU %u: protect of 0x%" PRIx64 " refused", c->id, m->va);
		return;
	}
	if (twin_store(m->va + ptoa(page), 0, &err) == 0)
		fail("CPU %u: 0x%" PRIx64 " is read-only and was written", c->id,
		    m->va + ptoa(page));
	check_marks(c, m);
	uvm_map_protect(m->map, m->va, m->va + ptoa(m->pages), PROT_RW, FALSE);
	put_marks(m);
}

static void
wire(struct cpu *c, struct memory *m)
{
	if (m->kind != VALLOC || m->map == all.shared)
		return;
	if (uvm_map_pageable(m->map, m->va, m->va + ptoa(m->pages), FALSE) != 0)
		return;
	check_marks(c, m);
	uvm_map_pageable(m->map, m->va, m->va + ptoa(m->pages), TRUE);
	for (unsigned i = 0; i < m->pages; i++)
		m->touched |= 1u << i;
	put_marks(m);
}

static void
look_without_lock(void)
{
	static volatile uint64_t sink;

	sink += uvm_pmr.nquick;
}

static void
one(struct cpu *c)
{
	unsigned what = (unsigned)pick(c, 100);
	struct memory *m = c->nown != 0 ? c->own[pick(c, c->nown)] : NULL;

	if (all.how->unlocked && c->id == 1)
		look_without_lock();
	if (what < 30 || m == NULL)
		allocate(c);
	else if (what < 50)
		give_back(c, take(c));
	else if (what < 70)
		exchange(c);
	else if (what < 80)
		touch(c, m);
	else if (what < 85)
		cut(c, m);
	else if (what < 89)
		narrow(c, m);
	else if (what < 91)
		wire(c, m);
	else
		check_marks(c, m);
}

static void
run(void *arg __unused_arg, unsigned id)
{
	struct cpu c = { .id = id,
		.random = (all.how->seed + id) * UINT64_C(0x9e3779b97f4a7c15) + 1 };

	for (unsigned i = 0; i < OWN; i++)
		c.spare[c.nspare++] = &all.pool[id * OWN + i];
	for (uint64_t i = 0; i < all.rounds && !failed(); i++)
		one(&c);
	while (c.nown != 0 && !failed())
		give_back(&c, take(&c));
	__atomic_fetch_add(&all.ops, all.rounds, __ATOMIC_RELAXED);
}

/* What a map and the page queues must come back to. */
struct level {
	uint64_t pages, object, size[4], entries;
};

static struct level
level_now(void)
{
	struct level l = { .pages = uvmexp.free + uvmexp.kernpages,
		.object = uvm_kernel_object.uo_npages,
		.size = { kernel_map->size, kmem_map->size, exec_map->size, all.shared->size } };

	return l;
}

static struct vm_map *
submap(unsigned flags)
{
	vaddr_t min = 0, max;

	return uvm_km_suballoc(kernel_map, &min, &max, SUBMAP, (int)flags, FALSE, NULL);
}

static void
boot(const struct race *how)
{
	const struct twin_config cfg = {
		.ram = how->ram != 0 ? how->ram : 32 * MIB, .kva = 64 * MIB, .ncpu = how->ncpu
	};

	twin_boot_config(&cfg);
	memset(&all, 0, sizeof(all));
	all.how = how;
	all.rounds = how->rounds / how->ncpu;
	all.shared = submap(VM_MAP_PAGEABLE);
	for (unsigned i = 0; i < how->ncpu; i++)
		all.private[i] = submap(VM_MAP_PAGEABLE);
	twin_tlb_deaf = how->deaf ? CPU_MASK(1) : 0;
}

bool
race_run(const struct race *how, struct race_result *r)
{
	struct cpu last = { .id = 0, .random = how->seed | 1 };
	struct level before, after;

	boot(how);
	before = level_now();
	twin_run_cpus((cpumask_t)((1u << how->ncpu) - 1), run, NULL);
	for (unsigned i = 0; i < CELLS && !failed(); i++) {
		last.nspare = 0;
		if (all.cell[i] != NULL)
			give_back(&last, all.cell[i]);
	}
	after = level_now();
	if (!failed() && all.ops != all.rounds * how->ncpu)
		fail("a CPU did not come to its end: %" PRIu64 " operations", all.ops);
	if (!failed() && memcmp(&before, &after, sizeof(before)) != 0)
		fail("afterwards %" PRIu64 " pages are free or the allocator's, before %" PRIu64
		     "; pages in kernel_object %" PRIu64 ", before %" PRIu64 "; kernel_map %" PRIu64
		     " bytes, before %" PRIu64,
		    after.pages, before.pages, after.object, before.object, after.size[0],
		    before.size[0]);
	*r = (struct race_result){ .ops = all.ops, .moved = all.moved };
	for (unsigned i = 0; i < how->ncpu; i++) {
		r->ipi += twin_count_of(i)->ipi;
		r->invlpg += twin_count_of(i)->invlpg;
		r->tlb_full += twin_count_of(i)->tlb_full;
	}
	memcpy(r->text, all.text, sizeof(r->text));
	return !failed();
}
