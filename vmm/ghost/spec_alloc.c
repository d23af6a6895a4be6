/* SPDX-License-Identifier: ISC */
/*
 * A request for addresses, and for pages behind them: where it goes, when it may fail, when it sleeps and
 * what it holds meanwhile.
 */
#include <string.h>

#include "vmm/ghost/spec.h"

/* What of the state decides about a request. */
struct prospect {
	uint64_t va, guard; /* va 0: no hole */
	uint64_t n;         /* pages */
	bool tables;        /* page tables can be made */
	bool never;         /* more pages than there are */
	bool lacks;         /* pages: there are too few, or not such ones */
	bool may_lack;      /* there are so few that its books may not find any */
};

static struct prospect
look(const struct ghost_step *st, const struct spec_request *rq)
{
	struct prospect p = { .n = pages_of(rq->size) };
	uint64_t n = rq->pages ? p.n : 0;

	p.va = ghost_place(&st->now->map[rq->map], rq->size, rq->align, &p.guard);
	p.tables = p.va == 0 || spec_can_grow(st, p.va + rq->size);
	p.never = n + rq->left > st->now->npages && rq->pages;
	p.lacks = rq->pages && (spec_free_pages(st) < n + st->world->reserve ||
				   !spec_feasible(st, n, &rq->frames));
	p.may_lack = p.lacks || spec_may_lack(st, n);
	return p;
}

static void
insert(struct ghost_step *st, const struct spec_request *rq, const struct prospect *p)
{
	spec_grow(st, p->va + rq->size);
	ghost_map_insert(st->now, rq->map,
	    (struct ghost_range){ .start = p->va,
		.end = p->va + rq->size,
		.guard = p->guard,
		.what = rq->what,
		.made_by = st->call->number });
}

static enum ghost_verdict
take_pages(
    struct ghost_step *st, const struct spec_request *rq, uint64_t va, struct ghost_runs *from)
{
	uint32_t soft = rq->object ? GHOST_LEAF_WIRED | GHOST_LEAF_MANAGED : 0;

	if (!rq->pages)
		return GHOST_OK;
	return spec_take_pages(
	    st, va, pages_of(rq->size), PROT_RW, soft, rq->object, rq->zero, &rq->frames, from);
}

/* Asleep for the lock of a map, which some other call that is asleep holds: nothing has happened. */
static bool
sleeps_for_lock(const struct ghost_step *st)
{
	return st->others_asleep && (strcmp(st->call->wmesg, "vmmapbsy") == 0 ||
					strstr(st->call->wmesg, "_map") != NULL);
}

static enum ghost_verdict
falls_asleep(struct ghost_step *st, const struct spec_request *rq, const struct prospect *p)
{
	bool for_va = strcmp(st->call->wmesg, "vallocwait") == 0 ||
	              strcmp(st->call->wmesg, "km_allocva") == 0;

	if (sleeps_for_lock(st))
		return GHOST_OK;
	if (for_va) {
		if (!rq->wait_va || (p->va != 0 && p->tables && !p->may_lack))
			return spec_refuse(st,
			    "asleep for addresses, and %#lx bytes are free at %#lx", rq->size,
			    p->va);
		st->sleep->taken_up = true;
		st->now->map[rq->map].refs += rq->refers;
		return rq->pages ? spec_hold_pages(st, p->n) : GHOST_OK;
	}
	if (!rq->pages || !rq->wait_pages || p->never || !p->may_lack)
		return spec_refuse(st, "asleep on \"%s\", and %lu pages of such kind are free",
		    st->call->wmesg, spec_free_pages(st));
	st->sleep->taken_up = true;
	if (rq->pages_first)
		return GHOST_OK;
	if (p->va == 0 || !p->tables)
		return spec_refuse(
		    st, "asleep on \"%s\", and there are no addresses for it", st->call->wmesg);
	insert(st, rq, p);
	st->sleep->va = p->va;
	st->sleep->size = rq->size;
	return GHOST_OK;
}

static enum ghost_verdict
fails(struct ghost_step *st, const struct spec_request *rq, const struct prospect *p)
{
	bool no_va = p->va == 0 || !p->tables;

	if (p->never || p->may_lack || (rq->trylock && st->others_asleep))
		return GHOST_OK;
	if (no_va && !rq->wait_va)
		return GHOST_OK;
	if (no_va)
		return spec_refuse(st, "failed for want of addresses; it must wait for them");
	return spec_refuse(st,
	    "failed, and had no reason to: %#lx has room, there are tables and %lu free pages",
	    p->va, spec_free_pages(st));
}

static enum ghost_verdict
succeeds(struct ghost_step *st, const struct spec_request *rq, const struct prospect *p,
    struct ghost_runs *held)
{
	const struct ghost_map *m = &st->now->map[rq->map];

	if (p->va == 0)
		return spec_refuse(st,
		    "returned %#lx, and no hole of the map can hold %#lx bytes at a multiple of %#lx",
		    st->call->value, rq->size, rq->align);
	if (st->call->value != p->va)
		return spec_refuse(st, "returned %#lx, must return %#lx: the %s of %#lx bytes",
		    st->call->value, p->va,
		    m->best_fit ? "lowest of the smallest holes that can hold a request"
				: "lowest hole that can hold a request",
		    rq->size);
	if (!p->tables)
		return spec_refuse(
		    st, "returned %#lx, and there are no page-table pages for it", st->call->value);
	/* What woke it may have been pages that nobody was known to have. */
	if (held == NULL && rq->pages && !st->resumed && (p->never || p->lacks))
		return spec_refuse(st,
		    "succeeded; with %lu pages free (%lu in reserve) it must not",
		    spec_free_pages(st), st->world->reserve);
	insert(st, rq, p);
	return take_pages(st, rq, p->va, held);
}

/* It slept, and has come back. */
static enum ghost_verdict
wakes_up(struct ghost_step *st, const struct spec_request *rq)
{
	uint64_t va = st->sleep->va;
	enum ghost_verdict v;
	struct prospect p;

	if (va != 0) {
		/* What stray accesses brought there while it slept goes either way. */
		if (rq->object && !spec_empty(st, va, va + st->sleep->size))
			return GHOST_VIOLATION;
		if (st->call->value == va)
			return take_pages(st, rq, va, NULL);
		if (st->call->value != 0)
			return spec_refuse(st, "returned %#lx, must return %#lx, which it has",
			    st->call->value, va);
		ghost_map_remove(st->now, rq->map, va, va + st->sleep->size);
		return GHOST_OK;
	}
	st->now->map[rq->map].refs -= rq->refers;
	p = look(st, rq);
	if (st->call->value != 0) {
		bool holds = st->sleep->held.n != 0;

		v = succeeds(st, rq, &p, holds ? &st->sleep->held : NULL);
		runs_free(&st->sleep->held);
		return v;
	}
	for (size_t i = 0; i < st->sleep->held.n; i++)
		spec_give_frames(st, st->sleep->held.run[i].at, st->sleep->held.run[i].n);
	runs_free(&st->sleep->held);
	return fails(st, rq, &p);
}

enum ghost_verdict
spec_request(struct ghost_step *st, const struct spec_request *rq)
{
	struct prospect p;

	if (st->resumed)
		return wakes_up(st, rq);
	p = look(st, rq);
	if (st->call->asleep)
		return falls_asleep(st, rq, &p);
	return st->call->value == 0 ? fails(st, rq, &p) : succeeds(st, rq, &p, NULL);
}

static bool
power_of_two(uint64_t x)
{
	return (x & (x - 1)) == 0;
}

/* The rounded size, or 0: refused for every map. */
static uint64_t
good_size(const struct ghost_map *m, uint64_t size)
{
	return page_up(size) < size || page_up(size) > m->max - m->min ? 0 : page_up(size);
}

static enum ghost_verdict
wired(struct ghost_step *st, uint64_t size, uint64_t align, bool zero)
{
	const struct ghost_map *m = map_arg(st, 0);
	struct spec_request rq = { .map = (unsigned)arg(st, 0),
		.size = good_size(m, size),
		.align = align,
		.what = plain_what(GHOST_OBJECT, PROT_ALL),
		.pages = true,
		.object = true,
		.zero = zero,
		.wait_pages = true,
		.left = st->world->reserve,
		.frames = ANY_FRAMES };

	if (rq.size == 0 || (m->flags & MAP_INTRSAFE) != 0 || !power_of_two(align))
		return spec_returns(st, 0);
	return spec_request(st, &rq);
}

enum ghost_verdict
spec_uvm_km_alloc(struct ghost_step *st)
{
	return wired(st, arg(st, 1), 0, false);
}

enum ghost_verdict
spec_uvm_km_zalloc(struct ghost_step *st)
{
	return wired(st, arg(st, 1), 0, true);
}

enum ghost_verdict
spec_uvm_km_alloc1(struct ghost_step *st)
{
	return wired(st, arg(st, 1), arg(st, 2), arg(st, 3) != 0);
}

/* Constraints on pages in bytes, as the caller gives them. False: no memory could satisfy them. */
static bool
make_frames(struct spec_frames *c, uint64_t n, uint64_t low, uint64_t high, uint64_t align,
    uint64_t boundary, int nsegs)
{
	uint64_t segs = nsegs <= 0 || (uint64_t)nsegs > n ? n : (uint64_t)nsegs;

	*c = (struct spec_frames){ .low = pages_of(page_up(low)),
		.high = high == UINT64_MAX ? UINT64_MAX : pages_of(high + 1) - 1,
		.align = align <= BED_PAGE_SIZE ? 1 : pages_of(align),
		.boundary = pages_of(boundary),
		.nsegs = nsegs <= 0 ? 0 : (uint64_t)nsegs };
	if (!power_of_two(align) || !power_of_two(boundary) || low > high || page_up(low) < low)
		return false;
	if ((high != UINT64_MAX && high < BED_PAGE_MASK) || c->low > c->high)
		return false;
	return boundary == 0 || (boundary >= BED_PAGE_SIZE && (n + segs - 1) / segs <= c->boundary);
}

/* Arguments of uvm_km_kmemalloc_pla(); the short form has the first three and flags. */
struct kmem {
	uint64_t valign, flags, low, high, align, boundary;
	int nsegs;
};

static enum ghost_verdict
kmemalloc(struct ghost_step *st, const struct kmem *k)
{
	const struct ghost_map *m = map_arg(st, 0);
	bool intrsafe = (m->flags & MAP_INTRSAFE) != 0, obj = arg(st, 1) != 0;
	bool valloc = (k->flags & KMF_VALLOC) != 0, zero = (k->flags & KMF_ZERO) != 0;
	struct spec_request rq = { .map = (unsigned)arg(st, 0),
		.size = good_size(m, arg(st, 2)),
		.align = k->valign,
		.what = plain_what(obj ? GHOST_OBJECT : GHOST_BARE, PROT_RW),
		.pages = !valloc,
		.object = obj,
		.zero = zero,
		.wait_pages = (k->flags & (KMF_NOWAIT | KMF_CANFAIL)) == 0,
		.trylock = (k->flags & FLAG_TRYLOCK) != 0,
		.left = st->world->reserve + 1,
		.frames = ANY_FRAMES };

	if (rq.size == 0 || (valloc && zero) || !power_of_two(k->valign) ||
	    (obj ? intrsafe : !intrsafe && !valloc))
		return spec_returns(st, 0);
	if (!valloc && !make_frames(&rq.frames, pages_of(rq.size), k->low, k->high, k->align,
			   k->boundary, k->nsegs))
		return spec_returns(st, 0);
	return spec_request(st, &rq);
}

enum ghost_verdict
spec_uvm_km_kmemalloc(struct ghost_step *st)
{
	return kmemalloc(st, &(struct kmem){ .flags = (unsigned)arg(st, 3), .high = UINT64_MAX });
}

enum ghost_verdict
spec_uvm_km_kmemalloc_pla(struct ghost_step *st)
{
	return kmemalloc(st, &(struct kmem){ .valign = arg(st, 3),
				 .flags = (unsigned)arg(st, 4),
				 .low = arg(st, 5),
				 .high = arg(st, 6),
				 .align = arg(st, 7),
				 .boundary = arg(st, 8),
				 .nsegs = (int)arg(st, 9) });
}

static enum ghost_verdict
valloc(struct ghost_step *st, uint64_t align, bool trylock, bool wait)
{
	const struct ghost_map *m = map_arg(st, 0);
	uint64_t guard = m->flags & MAP_GUARDS ? BED_PAGE_SIZE : 0;
	struct spec_request rq = { .map = (unsigned)arg(st, 0),
		.size = good_size(m, arg(st, 1)),
		.align = align,
		.what = plain_what(GHOST_OBJECT, PROT_RW),
		.wait_va = wait,
		.refers = wait,
		.trylock = trylock,
		.frames = ANY_FRAMES };

	if (rq.size == 0 || (m->flags & MAP_INTRSAFE) != 0 || !power_of_two(align) ||
	    (wait && rq.size > m->max - m->min - guard))
		return spec_returns(st, 0);
	return spec_request(st, &rq);
}

enum ghost_verdict
spec_uvm_km_valloc(struct ghost_step *st)
{
	return valloc(st, 0, false, false);
}

enum ghost_verdict
spec_uvm_km_valloc_align(struct ghost_step *st)
{
	return valloc(st, arg(st, 2), (arg(st, 3) & FLAG_TRYLOCK) != 0, false);
}

enum ghost_verdict
spec_uvm_km_valloc_try(struct ghost_step *st)
{
	return valloc(st, 0, true, false);
}

enum ghost_verdict
spec_uvm_km_valloc_wait(struct ghost_step *st)
{
	return valloc(st, 0, false, true);
}
