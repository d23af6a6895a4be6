/* SPDX-License-Identifier: ISC */
/*
 * Random programs (ghost_gen.h).
 */
#include "tests/bed/ghost_gen.h"

#define BASE BED_KVA_BASE

static uint64_t
below(struct gen *g, uint64_t n)
{
	return rng_below(&g->rng, n);
}

static bool
one_in(struct gen *g, uint64_t n)
{
	return below(g, n) == 0;
}

static struct gen_call
call(enum bed_call_id id, unsigned nargs)
{
	return (struct gen_call){ .id = id, .nargs = nargs, .slot = GEN_SLOTS };
}

/* A slot of that kind, or GEN_SLOTS. */
static size_t
pick(struct gen *g, enum gen_kind kind)
{
	size_t from = below(g, GEN_SLOTS);

	for (size_t i = 0; i < GEN_SLOTS; i++) {
		size_t k = (from + i) % GEN_SLOTS;

		if (g->slot[k].kind == kind)
			return k;
	}
	return GEN_SLOTS;
}

/* Bytes: mostly a few pages, also nothing, part of a page, much, and nonsense. */
static uint64_t
size(struct gen *g)
{
	static const uint64_t odd[] = { 0, 1, PAGE + 1, UINT64_MAX, UINT64_MAX - PAGE, 1ULL << 40,
		1ULL << 63 };

	switch (below(g, 24)) {
	case 0:
		return odd[below(g, COUNT_OF(odd))];
	case 1:
		return below(g, 64 * PAGE);
	case 2:
		return (64 + below(g, 1500)) * PAGE;
	default:
		return (1 + below(g, 12)) * PAGE;
	}
}

static uint64_t
align(struct gen *g)
{
	return one_in(g, 12) ? below(g, 5000) : UINT64_C(1) << below(g, 24);
}

/* A map for ordinary memory: the standard ones, or a submap of the program's. */
static uint64_t
any_map(struct gen *g)
{
	size_t sub = one_in(g, 4) ? pick(g, GEN_SUBMAP) : GEN_SLOTS;

	if (sub != GEN_SLOTS)
		return g->slot[sub].handle;
	return one_in(g, 3) ? below(g, 4) : BED_MAP_KERNEL;
}

static struct gen_slot
memory(uint64_t map, uint64_t bytes, bool touchable)
{
	return (struct gen_slot){ .kind = GEN_MEMORY,
		.map = map,
		.size = (bytes + BED_PAGE_MASK) & ~BED_PAGE_MASK,
		.touchable = touchable };
}

static struct gen_call
alloc(struct gen *g, size_t slot)
{
	static const enum bed_call_id ids[] = { BED_CALL_uvm_km_alloc, BED_CALL_uvm_km_zalloc,
		BED_CALL_uvm_km_alloc1 };
	struct gen_call c = call(ids[below(g, 3)], 2);

	c.arg[0] = any_map(g);
	c.arg[1] = size(g);
	if (c.id == BED_CALL_uvm_km_alloc1) {
		c.nargs = 4;
		c.arg[2] = align(g);
		c.arg[3] = below(g, 2);
	}
	c.slot = slot;
	c.makes = memory(c.arg[0], c.arg[1], true);
	return c;
}

static struct gen_call
reserve(struct gen *g, size_t slot)
{
	static const enum bed_call_id ids[] = { BED_CALL_uvm_km_valloc, BED_CALL_uvm_km_valloc_try,
		BED_CALL_uvm_km_valloc_align, BED_CALL_uvm_km_valloc_wait };
	struct gen_call c = call(ids[below(g, 4)], 2);

	c.arg[0] = any_map(g);
	c.arg[1] = size(g);
	if (c.id == BED_CALL_uvm_km_valloc_align) {
		c.nargs = 4;
		c.arg[2] = align(g);
		c.arg[3] = one_in(g, 4) ? 0x100000 : 0;
	}
	c.slot = slot;
	/* Elsewhere a fault is a panic. */
	c.makes = memory(c.arg[0], c.arg[1], c.arg[0] == KERNEL || c.arg[0] == BED_MAP_EXEC);
	return c;
}

static struct gen_call
kmemalloc(struct gen *g, size_t slot)
{
	static const uint64_t flags[] = { 0, 1, 2, 4, 8, 9, 10, 0x100001 };
	bool pla = one_in(g, 2);
	struct gen_call c =
	    call(pla ? BED_CALL_uvm_km_kmemalloc_pla : BED_CALL_uvm_km_kmemalloc, pla ? 10 : 4);
	uint64_t f = flags[below(g, COUNT_OF(flags))];

	c.arg[0] = one_in(g, 2) ? BED_MAP_KMEM : any_map(g);
	c.arg[1] = one_in(g, 6) ? below(g, 2) : c.arg[0] != BED_MAP_KMEM;
	c.arg[2] = size(g);
	c.arg[3] = f;
	if (pla) {
		c.arg[3] = one_in(g, 2) ? 0 : align(g);
		c.arg[4] = f;
		c.arg[5] = one_in(g, 3) ? below(g, 16 * MIB) : 0;
		c.arg[6] = one_in(g, 3) ? below(g, 32 * MIB) : UINT64_MAX;
		c.arg[7] = one_in(g, 2) ? 0 : PAGE << below(g, 5);
		c.arg[8] = one_in(g, 3) ? PAGE << below(g, 8) : 0;
		c.arg[9] = one_in(g, 2) ? 0 : 1 + below(g, 6);
	}
	c.slot = slot;
	c.makes = memory(c.arg[0], c.arg[2],
	    (f & 2) == 0 || (c.arg[1] != 0 && (c.arg[0] == KERNEL || c.arg[0] == BED_MAP_EXEC)));
	return c;
}

static struct gen_call
km_alloc(struct gen *g, size_t slot)
{
	struct gen_call c = call(BED_CALL_km_alloc, 4);

	c.arg[1] = below(g, BED_KV_LIMIT);
	c.arg[2] = below(g, BED_KP_LIMIT);
	c.arg[3] = below(g, BED_KD_LIMIT);
	c.arg[0] = c.arg[1] == BED_KV_page && !one_in(g, 8) ? PAGE : size(g) & ~BED_PAGE_MASK;
	if (one_in(g, 20))
		c.arg[below(g, 4)] = 1 + below(g, 20);
	c.slot = slot;
	c.makes = (struct gen_slot){ .kind = GEN_KM,
		.size = c.arg[0],
		.kv = c.arg[1],
		.kp = c.arg[2],
		.touchable = c.arg[2] != BED_KP_none };
	return c;
}

static struct gen_call
map(struct gen *g, size_t slot)
{
	static const uint64_t flags[] = { 0, 0, 0x40000, 0x200000, 0x400000, 0x800000, 0x100000 };
	struct gen_call c = call(BED_CALL_uvm_map, 6);
	uint64_t handle = one_in(g, 3) ? BED_MAP_EXEC : KERNEL;
	size_t old = pick(g, GEN_MEMORY);

	c.arg[0] = handle;
	c.arg[2] = one_in(g, 10) ? size(g) : (1 + below(g, 6)) * PAGE;
	c.arg[3] = below(g, 2);
	c.arg[4] = one_in(g, 2) ? 0 : align(g);
	c.arg[5] = flags[below(g, COUNT_OF(flags))];
	if (one_in(g, 3)) {
		c.arg[1] = BASE + below(g, g->kva_size / PAGE) * PAGE + (one_in(g, 20) ? 1 : 0);
		c.arg[5] |= 0x10000;
	}
	if (c.arg[5] & 0x200000)
		c.arg[3] = 0;
	c.makes = memory(handle, c.arg[2], c.arg[3] != 0 && (c.arg[5] & 0xa00000) == 0);
	/* Over something of its own: clears it away first, or is refused. */
	if (one_in(g, 4) && old != GEN_SLOTS && g->slot[old].size <= 64 * PAGE) {
		c.arg[0] = c.makes.map = g->slot[old].map;
		c.arg[1] = g->slot[old].va;
		c.arg[2] = c.makes.size = g->slot[old].size;
		c.arg[3] = g->slot[old].map != BED_MAP_KMEM && (c.arg[5] & 0x200000) == 0;
		c.arg[5] |= 0x10000 | (one_in(g, 3) ? 0 : 0x1000000);
		slot = old;
		c.makes.touchable = false;
	} else if (c.arg[3] == 0 && (c.arg[5] & 0x600000) == 0 && c.arg[0] == KERNEL) {
		c.makes.kind = GEN_BARE;
	}
	c.slot = slot;
	if (c.arg[5] & 0x400000) /* a query makes nothing */
		c.slot = GEN_SLOTS;
	return c;
}

static struct gen_call
suballoc(struct gen *g, size_t slot)
{
	static const uint64_t flags[] = { 0, 1, 2, 0x20, 0x21, 0x22 };
	struct gen_call c = call(BED_CALL_uvm_km_suballoc, 5);

	c.arg[0] = one_in(g, 4) ? any_map(g) : KERNEL;
	c.arg[2] = one_in(g, 8) ? size(g) : (16 + below(g, 200)) * PAGE;
	c.arg[3] = flags[below(g, COUNT_OF(flags))];
	if (one_in(g, 3)) {
		c.arg[1] = BASE + below(g, g->kva_size / PAGE) * PAGE;
		c.arg[4] = 1;
	}
	c.slot = slot;
	c.makes = (struct gen_slot){ .kind = GEN_SUBMAP, .map = c.arg[0], .size = c.arg[2] };
	return c;
}

/* Something new in an empty slot. */
static struct gen_call
make(struct gen *g, size_t slot)
{
	struct gen_call c;

	switch (below(g, 16)) {
	case 0 ... 4:
		return alloc(g, slot);
	case 5 ... 7:
		return reserve(g, slot);
	case 8 ... 9:
		return kmemalloc(g, slot);
	case 10 ... 11:
		return km_alloc(g, slot);
	case 12 ... 13:
		return map(g, slot);
	case 14:
		return suballoc(g, slot);
	default:
		c = call(BED_CALL_uvm_pagealloc, 0);
		c.slot = slot;
		c.makes = (struct gen_slot){ .kind = GEN_PAGE };
		return c;
	}
}

/* A leaf by hand in bare addresses, or out again. */
static struct gen_call
by_hand(struct gen *g, size_t slot)
{
	struct gen_slot *s = &g->slot[slot];
	size_t page = pick(g, GEN_PAGE);
	struct gen_call c;

	if (s->hand) {
		c = call(one_in(g, 2) ? BED_CALL_pmap_kremove : BED_CALL_pmap_kremove, 2);
		c.arg[0] = s->va;
		c.arg[1] = PAGE;
		s->hand = false;
		g->slot[s->page].hand = false;
		return c;
	}
	if (page == GEN_SLOTS || g->slot[page].hand)
		return call(BED_CALL_null, 0);
	c = call(BED_CALL_pmap_kenter_pa, 3);
	c.arg[0] = s->va;
	c.arg[1] = g->slot[page].va;
	c.arg[2] = BED_PROT_READ | (one_in(g, 2) ? BED_PROT_WRITE : 0);
	s->hand = g->slot[page].hand = true;
	s->page = page;
	return c;
}

/* All of it, or the end of it; a page that is mapped by hand must go first. */
static struct gen_call
give(struct gen *g, size_t slot)
{
	struct gen_slot *s = &g->slot[slot];
	uint64_t keep = s->size > PAGE && one_in(g, 3) ? below(g, s->size / PAGE) * PAGE : 0;
	struct gen_call c;

	if (s->hand)
		return s->kind == GEN_BARE ? by_hand(g, slot) : call(BED_CALL_null, 0);
	if (s->kind == GEN_SUBMAP) {
		c = call(BED_CALL_uvm_km_subfree, 2);
		c.arg[0] = s->map;
		c.arg[1] = s->handle;
		c.slot = slot;
		return c;
	}
	if (s->kind == GEN_PAGE) {
		c = call(BED_CALL_uvm_pagefree, 1);
		c.arg[0] = s->va;
		s->kind = GEN_NOTHING;
		return c;
	}
	if (s->kind == GEN_KM) {
		c = call(BED_CALL_km_free, 4);
		c.arg[0] = s->va + keep;
		c.arg[1] = s->size - keep;
		c.arg[2] = s->kv;
		c.arg[3] = s->kp;
	} else {
		c = call(one_in(g, 3)   ? BED_CALL_uvm_km_free_wakeup
			 : one_in(g, 4) ? BED_CALL_uvm_unmap
					: BED_CALL_uvm_km_free,
		    3);
		c.arg[0] = s->map;
		c.arg[1] = s->va + keep;
		c.arg[2] = s->size - keep;
	}
	s->size = keep;
	if (keep == 0)
		s->kind = GEN_NOTHING;
	return c;
}

static struct gen_call
touch(struct gen *g, const struct gen_slot *s)
{
	static const enum bed_call_id ids[] = { BED_CALL_load, BED_CALL_store, BED_CALL_fill,
		BED_CALL_verify, BED_CALL_uvm_fault, BED_CALL_exec };
	struct gen_call c = call(ids[below(g, COUNT_OF(ids))], 1);
	uint64_t page = below(g, s->size / PAGE), left = s->size / PAGE - page;

	c.arg[0] = s->va + page * PAGE;
	switch (c.id) {
	case BED_CALL_load:
		c.arg[0] += below(g, PAGE - 8);
		break;
	case BED_CALL_store:
		c.arg[0] += below(g, PAGE - 8);
		c.arg[1] = rng_next(&g->rng);
		c.nargs = 2;
		break;
	case BED_CALL_uvm_fault:
		c.arg[1] = c.arg[0];
		c.arg[0] = KERNEL;
		c.arg[2] = BED_PROT_READ << below(g, 2);
		c.nargs = 3;
		/* Of a direct map address, or a map that does not take faults, that is no question. */
		if (s->kind == GEN_KM || (s->map != KERNEL && s->map != BED_MAP_EXEC))
			return call(BED_CALL_null, 0);
		break;
	case BED_CALL_exec:
		if (s->kind != GEN_MEMORY || (s->map != KERNEL && s->map != BED_MAP_EXEC))
			return call(BED_CALL_null, 0);
		break;
	default:
		c.arg[1] = 1 + below(g, left < 8 ? left : 8);
		c.arg[2] = below(g, 4);
		c.nargs = 3;
	}
	return c;
}

static struct gen_call
change(struct gen *g, struct gen_slot *s)
{
	uint64_t page = below(g, s->size / PAGE), n = 1 + below(g, s->size / PAGE - page);
	struct gen_call c;

	if (one_in(g, 2)) {
		c = call(BED_CALL_uvm_map_pageable, 4);
		c.arg[3] = below(g, 2);
	} else if (one_in(g, 2)) {
		c = call(BED_CALL_uvm_map_checkprot, 4);
		c.arg[3] = below(g, 8);
	} else {
		c = call(BED_CALL_uvm_map_protect, 5);
		c.arg[3] = below(g, 4);
		c.arg[4] = one_in(g, 12);
		/* Unmanaged leaves must be removed by who made them. */
		if (s->kind != GEN_MEMORY)
			c.arg[3] |= BED_PROT_READ;
		/* Where a fault is a panic, what is touched stays as it is. */
		if (s->map != KERNEL && s->map != BED_MAP_EXEC)
			c.arg[3] = BED_PROT_READ | BED_PROT_WRITE;
	}
	c.arg[0] = s->kind == GEN_KM ? (uint64_t)BED_MAP_EXEC : s->map;
	c.arg[1] = s->va + page * PAGE;
	c.arg[2] = n * PAGE;
	return c;
}

/* Calls that need nothing. */
static struct gen_call
anything(struct gen *g)
{
	uint64_t va = BASE + below(g, g->kva_size / PAGE) * PAGE;
	struct gen_call c;

	switch (below(g, 8)) {
	case 0:
		c = call(BED_CALL_pmap_extract, 1);
		c.arg[0] = one_in(g, 4) ? BED_DIRECT_BASE + below(g, 64 * MIB) : va;
		return c;
	case 1:
		c = call(BED_CALL_pmap_growkernel, 1);
		c.arg[0] = one_in(g, 4) ? va : BASE + below(g, 64 * MIB);
		return c;
	case 2:
		c = call(BED_CALL_uvm_map_checkprot, 4);
		c.arg[1] = va;
		c.arg[2] = size(g);
		c.arg[3] = below(g, 8);
		return c;
	case 3:
		c = call(one_in(g, 2) ? BED_CALL_load : BED_CALL_exec, 1);
		c.arg[0] =
		    one_in(g, 3) ? BED_DIRECT_BASE + below(g, 8 * MIB) : rng_next(&g->rng) >> 17;
		if (c.id == BED_CALL_exec)
			c.arg[0] = va | UINT64_C(1) << 46;
		return c;
	case 4:
		/* Nothing, or a misuse. */
		c = call(BED_CALL_uvm_km_free, 3);
		c.arg[1] = va;
		if (g->misuse && one_in(g, 2)) {
			c.arg[1] = UINT64_MAX - below(g, 2 * PAGE);
			c.arg[2] = size(g);
		}
		return c;
	default:
		return call(BED_CALL_null, 0);
	}
}

/* A wrong free: what is not there, of a submap's addresses, of another kind. */
static struct gen_call
wrong(struct gen *g)
{
	size_t sub = pick(g, GEN_SUBMAP), mem = pick(g, GEN_MEMORY);
	struct gen_call c = call(BED_CALL_uvm_km_free, 3);

	if (sub != GEN_SLOTS && one_in(g, 2)) {
		c.arg[0] = g->slot[sub].map;
		c.arg[1] = g->slot[sub].va;
		c.arg[2] = PAGE;
		return c;
	}
	if (mem != GEN_SLOTS && g->slot[mem].map == KERNEL) {
		c = call(BED_CALL_km_free, 4);
		c.arg[0] = g->slot[mem].va + 1;
		c.arg[1] = PAGE;
		c.arg[2] = BED_KV_any;
		c.arg[3] = BED_KP_dirty;
		return one_in(g, 2) ? c : call(BED_CALL_null, 0);
	}
	c.arg[0] = BED_MAP_PHYS;
	c.arg[1] = BASE;
	c.arg[2] = PAGE;
	return c;
}

struct gen_call
gen_next(struct gen *g)
{
	size_t slot = below(g, GEN_SLOTS);
	struct gen_slot *s = &g->slot[slot];

	if (one_in(g, 12))
		return anything(g);
	if (g->misuse && one_in(g, 30))
		return wrong(g);
	if (s->kind == GEN_NOTHING)
		return make(g, slot);
	if (s->kind == GEN_BARE && one_in(g, 2))
		return by_hand(g, slot);
	if (s->size >= PAGE && s->touchable && one_in(g, 2))
		return touch(g, s);
	if (s->size >= PAGE && (s->kind == GEN_MEMORY || s->kind == GEN_KM) && one_in(g, 3) &&
	    (s->kind == GEN_MEMORY || s->kv == BED_KV_exec))
		return change(g, s);
	return give(g, slot);
}

bool
gen_give(struct gen *g, struct gen_call *c)
{
	size_t from = below(g, GEN_SLOTS);

	for (size_t i = 0; i < GEN_SLOTS; i++) {
		size_t k = (from + i) % GEN_SLOTS;

		if (g->slot[k].kind == GEN_NOTHING || g->slot[k].kind == GEN_SUBMAP)
			continue;
		*c = give(g, k);
		return true;
	}
	return false;
}

void
gen_done(struct gen *g, const struct gen_call *c, const struct bed_result *r)
{
	struct gen_slot *s;

	if (c->slot == GEN_SLOTS)
		return;
	s = &g->slot[c->slot];
	if (c->id == BED_CALL_uvm_km_subfree) {
		if (r->value == 0)
			s->kind = GEN_NOTHING;
		return;
	}
	if (c->id == BED_CALL_uvm_map ? r->value != 0 : r->value == 0)
		return;
	/* A call that slept may find its slot taken: what it made stays for good. */
	if (s->kind != GEN_NOTHING && c->id != BED_CALL_uvm_map)
		return;
	*s = c->makes;
	s->va =
	    c->id == BED_CALL_uvm_map || c->id == BED_CALL_uvm_km_suballoc ? r->value2 : r->value;
	s->handle = r->value;
}
