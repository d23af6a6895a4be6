/* SPDX-License-Identifier: ISC */
/*
 * uvm_map(9) itself, submaps, and rights and wiring of ranges.
 */
#include "vmm/ghost/spec.h"

static struct ghost_what
what_of(uint64_t obj, uint64_t flags)
{
	struct ghost_what w = plain_what(obj != 0 ? GHOST_OBJECT : GHOST_BARE, PROT_RW);

	if (flags & FLAG_HOLE)
		w.kind = GHOST_RESERVED;
	w.nofault = (flags & FLAG_NOFAULT) != 0;
	return w;
}

/* Is [start, start + size) inside the map? */
static bool
inside(const struct ghost_map *m, uint64_t start, uint64_t size)
{
	return start >= m->min && start < m->max && size <= m->max - start;
}

/* The call returns `error`, or ENOMEM when that may be for want of memory. */
static enum ghost_verdict
returns_or_lacks(struct ghost_step *st, uint64_t error)
{
	if (!st->call->asleep && st->call->value == BED_ENOMEM && spec_may_lack(st, 0))
		return GHOST_OK;
	return spec_returns(st, error);
}

static enum ghost_verdict
map_done(struct ghost_step *st, uint64_t va, uint64_t guard, uint64_t flags)
{
	uint64_t size = arg(st, 2);
	enum ghost_verdict v;

	if (!st->call->asleep && st->call->value != 0 &&
	    ((st->call->value == BED_ENOMEM && spec_may_lack(st, 0)) ||
		((flags & FLAG_TRYLOCK) != 0 && st->call->value == BED_EFAULT &&
		    st->others_asleep)))
		return GHOST_OK;
	v = spec_returns(st, 0);
	if (v != GHOST_OK)
		return v;
	if (st->call->value2 != va)
		return spec_refuse(
		    st, "gave the address %#lx, must give %#lx", st->call->value2, va);
	if (flags & FLAG_QUERY)
		return GHOST_OK;
	if ((flags & FLAG_FIXED) && (flags & FLAG_UNMAP) &&
	    !spec_remove(st, (unsigned)arg(st, 0), va, va + size))
		return GHOST_VIOLATION;
	spec_grow(st, va + size);
	ghost_map_insert(st->now, (unsigned)arg(st, 0),
	    (struct ghost_range){ .start = va,
		.end = va + size,
		.guard = guard,
		.what = what_of(arg(st, 3), flags),
		.made_by = st->call->number });
	return GHOST_OK;
}

static enum ghost_verdict
map_fixed(struct ghost_step *st, uint64_t flags)
{
	const struct ghost_map *m = map_arg(st, 0);
	uint64_t va = arg(st, 1), end = va + arg(st, 2);
	bool clear = (flags & FLAG_UNMAP) != 0 && (flags & FLAG_QUERY) == 0;

	if (!inside(m, va, arg(st, 2)))
		return returns_or_lacks(st, BED_ENOMEM);
	if (clear && spec_has_submap(m, va, end))
		return returns_or_lacks(st, BED_EINVAL);
	if (!clear && spec_has_range(m, va, end))
		return returns_or_lacks(st, BED_ENOMEM);
	if ((flags & FLAG_QUERY) == 0 && !spec_can_grow(st, end))
		return returns_or_lacks(st, BED_ENOMEM);
	return map_done(st, va, 0, flags);
}

enum ghost_verdict
spec_uvm_map(struct ghost_step *st)
{
	const struct ghost_map *m = map_arg(st, 0);
	uint64_t size = arg(st, 2), align = arg(st, 4), flags = (uint32_t)arg(st, 5) & ~0xffffu;
	uint64_t va, guard = 0;

	if (size == 0 || (size & BED_PAGE_MASK) != 0 || (align & (align - 1)) != 0 ||
	    ((flags & FLAG_FIXED) && (arg(st, 1) & BED_PAGE_MASK) != 0))
		return spec_returns(st, BED_EINVAL);
	if (size > m->max - m->min)
		return spec_returns(st, BED_ENOMEM);
	if (flags & FLAG_FIXED)
		return map_fixed(st, flags);
	va = ghost_place(m, size, align, &guard);
	if (va == 0 || ((flags & FLAG_QUERY) == 0 && !spec_can_grow(st, va + size)))
		return returns_or_lacks(st, BED_ENOMEM);
	return map_done(st, va, guard, flags);
}

/* A new map at va, in the range that is its. */
static enum ghost_verdict
new_submap(struct ghost_step *st, unsigned handle, uint64_t va, uint64_t guard)
{
	struct ghost_map *sub = &st->now->map[handle];
	struct ghost_what what = plain_what(GHOST_SUBMAP, PROT_RW);
	uint64_t size = page_up(arg(st, 2));

	if (st->call->value2 != va)
		return spec_refuse(st, "begins at %#lx, must begin at %#lx", st->call->value2, va);
	what.submap = (uint8_t)handle;
	spec_grow(st, va + size);
	ghost_map_insert(st->now, (unsigned)arg(st, 0),
	    (struct ghost_range){ .start = va,
		.end = va + size,
		.guard = guard,
		.what = what,
		.made_by = st->call->number });
	sub->used = true;
	sub->best_fit = false;
	sub->min = va;
	sub->max = va + size;
	sub->flags = (int)arg(st, 3);
	sub->refs = 2;
	sub->wakeups = 0;
	sub->n = 0;
	st->now->pm_refs++;
	return GHOST_OK;
}

static unsigned
free_handle(const struct ghost_step *st)
{
	unsigned handle = 0;

	while (handle < BED_MAPS_MAX && st->now->map[handle].used)
		handle++;
	return handle;
}

enum ghost_verdict
spec_uvm_km_suballoc(struct ghost_step *st)
{
	const struct ghost_map *m = map_arg(st, 0);
	uint64_t size = page_up(arg(st, 2)), guard = 0, va;
	unsigned handle = free_handle(st);
	bool fixed = arg(st, 4) != 0;
	enum ghost_verdict v;

	if (size == 0 || (m->flags & MAP_INTRSAFE) != 0 || size > m->max - m->min)
		return spec_returns(st, 0);
	if (fixed) {
		va = arg(st, 1);
		if ((va & BED_PAGE_MASK) != 0 || !inside(m, va, size) ||
		    spec_has_range(m, va, va + size))
			return spec_returns(st, 0);
	} else {
		va = ghost_place(m, size, 0, &guard);
	}
	if (va == 0 || !spec_can_grow(st, va + size))
		return spec_returns(st, 0);
	if (!st->call->asleep && st->call->value == 0 && spec_may_lack(st, 1))
		return GHOST_OK;
	/* Made, and undone again for want of a handle: the tables stay. */
	if (handle == BED_MAPS_MAX)
		spec_grow(st, va + size);
	v = spec_returns(st, handle == BED_MAPS_MAX ? 0 : handle);
	return v != GHOST_OK || handle == BED_MAPS_MAX ? v : new_submap(st, handle, va, guard);
}

enum ghost_verdict
spec_uvm_km_subfree(struct ghost_step *st)
{
	const struct ghost_map *m = map_arg(st, 0);
	struct ghost_map *sub = map_arg(st, 1);
	const struct ghost_range *r = ghost_map_at(m, sub->min);
	enum ghost_verdict v;

	if (r == NULL || r->what.kind != GHOST_SUBMAP || r->what.submap != arg(st, 1))
		return returns_or_lacks(st, BED_EINVAL);
	if (sub->n != 0 || sub->refs != 2)
		return returns_or_lacks(st, ERR_EBUSY);
	if (!st->call->asleep && st->call->value == BED_ENOMEM && spec_may_lack(st, 0))
		return GHOST_OK;
	v = spec_returns(st, 0);
	if (v != GHOST_OK)
		return v;
	ghost_map_remove(st->now, (unsigned)arg(st, 0), sub->min, sub->max);
	sub->used = false;
	st->now->pm_refs--;
	return GHOST_OK;
}

static bool
sane_range(const struct ghost_map *m, uint64_t start, uint64_t end)
{
	return start <= end && ((start | end) & BED_PAGE_MASK) == 0 && start >= m->min &&
	       end <= m->max;
}

/* Leaves lose rights at once; what a range gains comes with the next touch. */
static void
narrow(struct ghost_step *st, uint64_t start, uint64_t end, unsigned old, unsigned new)
{
	uint64_t at = start >> BED_PAGE_SHIFT, n = pages_of(end - start);

	if ((old & ~new) == 0)
		return;
	if (new == 0)
		runs_remove(&st->now->leaf, at, n);
	else if ((new &BED_PROT_WRITE) == 0)
		runs_mark(&st->now->leaf, at, n, GHOST_LEAF_W, 0);
}

static void
protect(struct ghost_step *st, uint64_t start, uint64_t end, unsigned prot, bool set_max)
{
	struct ghost_map *m = map_arg(st, 0);

	ghost_map_split(st->now, (unsigned)arg(st, 0), start);
	ghost_map_split(st->now, (unsigned)arg(st, 0), end);
	for (size_t i = ghost_map_above(m, start); i < m->n && m->range[i].start < end; i++) {
		struct ghost_range *r = &m->range[i];
		unsigned old = r->what.prot, new = set_max ? prot &old : prot;

		if (set_max)
			r->what.maxprot = (uint8_t)prot;
		r->what.prot = (uint8_t) new;
		narrow(st, r->start, r->end, old, new);
	}
}

enum ghost_verdict
spec_uvm_map_protect(struct ghost_step *st)
{
	const struct ghost_map *m = map_arg(st, 0);
	uint64_t start = arg(st, 1), end = start + arg(st, 2);
	unsigned prot = (unsigned)arg(st, 3) & PROT_ALL;
	bool set_max = arg(st, 4) != 0;
	enum ghost_verdict v;

	if (!set_max && (prot & BED_PROT_WRITE) != 0 && (prot & BED_PROT_EXEC) != 0)
		return spec_refuse(
		    st, "came back; write and execute together is the end of the guest");
	if (!sane_range(m, start, end))
		return spec_returns(st, BED_EINVAL);
	for (size_t i = ghost_map_above(m, start); i < m->n && m->range[i].start < end; i++) {
		if (m->range[i].what.kind == GHOST_SUBMAP)
			return returns_or_lacks(st, BED_EINVAL);
		if ((prot & ~(unsigned)m->range[i].what.maxprot) != 0)
			return returns_or_lacks(st, BED_EACCES);
	}
	if (!st->call->asleep && st->call->value == BED_ENOMEM && spec_may_lack(st, 0))
		return GHOST_OK;
	v = spec_returns(st, 0);
	if (v == GHOST_OK)
		protect(st, start, end, prot, set_max);
	return v;
}

/* 0, or why the range can be neither wired nor unwired. */
static uint64_t
check_pageable(const struct ghost_map *m, uint64_t start, uint64_t end, bool unwire)
{
	size_t i = ghost_map_above(m, start);

	if (i >= m->n || m->range[i].start > start)
		return BED_EFAULT;
	for (uint64_t va = start; va < end; va = m->range[i++].end) {
		const struct ghost_range *r = &m->range[i];

		if (i >= m->n || r->start > va || r->what.kind == GHOST_SUBMAP ||
		    r->what.kind == GHOST_RESERVED || (unwire && r->what.wired == 0))
			return BED_EINVAL;
	}
	return 0;
}

/* Pages of the range lose one wiring; with the last one the leaf is no longer wired. */
static void
unwire_pages(struct ghost_step *st, uint64_t start, uint64_t end)
{
	uint64_t at = start >> BED_PAGE_SHIFT, stop = end >> BED_PAGE_SHIFT;
	struct ghost_runs *object = &st->now->object;

	while (at < stop) {
		size_t i = runs_above(object, at);
		struct ghost_run part;

		if (i >= object->n || !runs_part(object, i, at, stop - at, &part))
			return;
		at = part.at + part.n;
		if (part.attr == 0)
			continue;
		if (--part.attr == 0) {
			st->now->wired -= part.n;
			runs_mark(&st->now->leaf, part.at, part.n, GHOST_LEAF_WIRED, 0);
		}
		runs_put(object, part);
		if (object->oom)
			return;
	}
}

static void
unwire(struct ghost_step *st, uint64_t start, uint64_t end)
{
	const struct ghost_map *m = map_arg(st, 0);

	for (size_t i = ghost_map_above(m, start); i < m->n && m->range[i].start < end; i++) {
		if (--m->range[i].what.wired == 0)
			unwire_pages(st, m->range[i].start, m->range[i].end);
	}
}

/* Wires all; the first error, and then everything wired so far is undone. */
static int
wire(struct ghost_step *st, uint64_t start, uint64_t end)
{
	struct ghost_map *m = map_arg(st, 0);
	size_t first = ghost_map_above(m, start), i;
	uint64_t va = start;
	int error = 0;

	for (i = first; i < m->n && m->range[i].start < end; i++)
		m->range[i].what.wired++;
	for (i = first; error == 0 && i < m->n && m->range[i].start < end; i++) {
		const struct ghost_what *w = &m->range[i].what;

		if (w->wired != 1 || w->prot == 0)
			continue;
		for (va = m->range[i].start; error == 0 && va < m->range[i].end;
		     va += BED_PAGE_SIZE)
			error = spec_fault(st, (unsigned)arg(st, 0), va, w->prot, true);
	}
	if (error <= 0)
		return error;
	va -= BED_PAGE_SIZE; /* the page that failed */
	for (i = first; i < m->n && m->range[i].start < end; i++) {
		struct ghost_range *r = &m->range[i];

		if (--r->what.wired == 0 && r->start < va)
			unwire_pages(st, r->start, r->end < va ? r->end : va);
	}
	return error;
}

enum ghost_verdict
spec_uvm_map_pageable(struct ghost_step *st)
{
	const struct ghost_map *m = map_arg(st, 0);
	uint64_t start = arg(st, 1), end = start + arg(st, 2), error;
	bool pageable = arg(st, 3) != 0;
	int wired;

	if (!sane_range(m, start, end) || (m->flags & MAP_PAGEABLE) == 0 ||
	    (m->flags & MAP_INTRSAFE) != 0)
		return spec_returns(st, BED_EINVAL);
	if (start == end)
		return spec_returns(st, 0);
	if (st->call->asleep || st->resumed)
		return spec_unsaid(st, "it slept half way through");
	error = check_pageable(m, start, end, pageable);
	if (error != 0)
		return returns_or_lacks(st, error);
	if (st->call->value == BED_ENOMEM && spec_may_lack(st, 0))
		return spec_unsaid(st, "no memory for it, maybe half way through");
	ghost_map_split(st->now, (unsigned)arg(st, 0), start);
	ghost_map_split(st->now, (unsigned)arg(st, 0), end);
	if (pageable) {
		unwire(st, start, end);
		return spec_returns(st, 0);
	}
	wired = wire(st, start, end);
	return wired < 0 ? GHOST_VIOLATION : spec_returns(st, (uint64_t)wired);
}

enum ghost_verdict
spec_uvm_map_checkprot(struct ghost_step *st)
{
	const struct ghost_map *m = map_arg(st, 0);
	uint64_t va = arg(st, 1), end = va + arg(st, 2);
	unsigned prot = (unsigned)arg(st, 3);
	bool ok = va >= m->min && end <= m->max && va <= end;

	while (ok && va < end) {
		const struct ghost_range *r = ghost_map_at(m, va);

		ok = r != NULL && (prot & ~(unsigned)r->what.prot) == 0;
		if (ok)
			va = r->end;
	}
	return spec_returns(st, ok);
}
