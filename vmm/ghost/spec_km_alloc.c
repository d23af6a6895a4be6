/* SPDX-License-Identifier: ISC */
/*
 * km_alloc(9) and km_free(9), and single pages.
 */
#include "vmm/ghost/spec.h"

struct va_mode {
	unsigned map;
	bool page, wait;
};

struct pa_mode {
	bool dma, contig, zero, pageable, none;
};

static const struct va_mode va_modes[BED_KV_LIMIT] = {
	[BED_KV_any] = { .map = BED_MAP_KERNEL },
	[BED_KV_intrsafe] = { .map = BED_MAP_KMEM },
	[BED_KV_page] = { .page = true },
	[BED_KV_exec] = { .map = BED_MAP_EXEC, .wait = true },
};

static const struct pa_mode pa_modes[BED_KP_LIMIT] = {
	[BED_KP_zero] = { .zero = true },
	[BED_KP_dma] = { .dma = true },
	[BED_KP_dma_contig] = { .dma = true, .contig = true },
	[BED_KP_dma_zero] = { .dma = true, .zero = true },
	[BED_KP_pageable] = { .pageable = true },
	[BED_KP_none] = { .none = true },
};

static bool
takes_pages(const struct pa_mode *pa)
{
	return !pa->pageable && !pa->none;
}

/* One segment is given by its direct map address. */
static bool
is_direct(const struct va_mode *va, const struct pa_mode *pa)
{
	return va->page || (pa->contig && takes_pages(pa));
}

static bool
is_refused(
    const struct ghost_step *st, uint64_t size, const struct va_mode *va, const struct pa_mode *pa)
{
	const struct ghost_map *m = &st->now->map[va->map];

	if (size == 0 || (size & BED_PAGE_MASK) != 0 ||
	    (va->page && (size != BED_PAGE_SIZE || !takes_pages(pa))))
		return true;
	if (is_direct(va, pa))
		return false;
	return !m->used || size > m->max - m->min ||
	       (pa->pageable && (m->flags & MAP_INTRSAFE) != 0);
}

static struct spec_frames
frames_of(const struct ghost_step *st, const struct pa_mode *pa)
{
	struct spec_frames c = ANY_FRAMES;

	if (pa->dma && st->world->dma_high != UINT64_MAX)
		c.high = pages_of(st->world->dma_high + 1) - 1;
	c.nsegs = pa->contig ? 1 : 0;
	return c;
}

static enum ghost_verdict
alloc_direct(struct ghost_step *st, uint64_t n, const struct pa_mode *pa, bool wait)
{
	struct spec_frames c = frames_of(st, pa);
	bool never = n + st->world->reserve + 1 > st->now->npages;
	bool lacks = spec_free_pages(st) < n + st->world->reserve || !spec_feasible(st, n, &c);
	uint64_t va = st->call->value;

	if (st->call->asleep) {
		if (!wait || never || !(lacks || spec_may_lack(st, n)))
			return spec_refuse(st, "asleep on \"%s\", and %lu pages are free",
			    st->call->wmesg, spec_free_pages(st));
		st->sleep->taken_up = true;
		return GHOST_OK;
	}
	if (va == 0) {
		if (never || (!wait && (lacks || spec_may_lack(st, n))))
			return GHOST_OK;
		return spec_refuse(
		    st, "failed, and had no reason to: %lu pages are free", spec_free_pages(st));
	}
	if (lacks && !st->resumed)
		return spec_refuse(
		    st, "succeeded; with %lu pages free it must not", spec_free_pages(st));
	if ((va & BED_PAGE_MASK) != 0 || va < st->world->direct_min ||
	    va - st->world->direct_min >= st->world->direct_end - st->world->direct_min)
		return spec_refuse(st, "returned %#lx, which is no page of the direct map", va);
	return spec_take_frames(st, pages_of(va - st->world->direct_min), n, pa->zero, &c);
}

enum ghost_verdict
spec_km_alloc(struct ghost_step *st)
{
	const struct va_mode *va;
	const struct pa_mode *pa;
	struct spec_request rq;
	bool wait;

	if (arg(st, 1) >= BED_KV_LIMIT || arg(st, 2) >= BED_KP_LIMIT || arg(st, 3) >= BED_KD_LIMIT)
		return spec_returns(st, 0);
	va = &va_modes[arg(st, 1)];
	pa = &pa_modes[arg(st, 2)];
	wait = arg(st, 3) == BED_KD_waitok;
	if (is_refused(st, arg(st, 0), va, pa))
		return spec_returns(st, 0);
	if (is_direct(va, pa))
		return alloc_direct(st, pages_of(arg(st, 0)), pa, wait);
	rq = (struct spec_request){ .map = va->map,
		.size = arg(st, 0),
		.what = plain_what(pa->pageable ? GHOST_OBJECT : GHOST_BARE, PROT_RW),
		.pages = takes_pages(pa),
		.zero = pa->zero,
		.wait_pages = wait,
		.wait_va = wait && va->wait,
		.pages_first = true,
		.trylock = arg(st, 3) == BED_KD_trylock,
		.left = st->world->reserve + 1,
		.frames = frames_of(st, pa) };
	return spec_request(st, &rq);
}

/* All of the range is what these modes allocate. */
static bool
is_ours(const struct ghost_map *m, uint64_t start, uint64_t end, const struct pa_mode *pa)
{
	uint8_t kind = pa->pageable ? GHOST_OBJECT : GHOST_BARE;

	if (start >= end || ((start | end) & BED_PAGE_MASK) != 0)
		return false;
	while (start < end) {
		const struct ghost_range *r = ghost_map_at(m, start);

		if (r == NULL || r->what.kind != kind)
			return false;
		start = r->end;
	}
	return true;
}

static enum ghost_verdict
free_direct(struct ghost_step *st, uint64_t va, uint64_t n)
{
	uint64_t frame = pages_of(va - st->world->direct_min);
	enum ghost_verdict v = spec_returns(st, 0);

	if (v != GHOST_OK)
		return v;
	if (!runs_have(&st->now->given, frame, n))
		return spec_unsaid(st, "km_free of pages that km_alloc has not given");
	spec_give_frames(st, frame, n);
	return GHOST_OK;
}

enum ghost_verdict
spec_km_free(struct ghost_step *st)
{
	uint64_t start = arg(st, 0), end = start + arg(st, 1);
	const struct va_mode *va;
	const struct pa_mode *pa;
	enum ghost_verdict v;

	if (arg(st, 2) >= BED_KV_LIMIT || arg(st, 3) >= BED_KP_LIMIT)
		return spec_returns(st, 0);
	va = &va_modes[arg(st, 2)];
	pa = &pa_modes[arg(st, 3)];
	if (is_direct(va, pa))
		return free_direct(st, start, pages_of(arg(st, 1)));
	if (!is_ours(&st->now->map[va->map], start, end, pa))
		return spec_misuse(
		    st, &st->now->free_unmapped, "km_free of what was not so allocated");
	v = spec_returns(st, 0);
	if (v != GHOST_OK)
		return v;
	/* Its pages are those that are mapped there, whoever mapped them. */
	if (takes_pages(pa)) {
		struct ghost_run part;

		RUNS_EACH(&st->now->leaf, start >> BED_PAGE_SHIFT, pages_of(end - start), i, part)
		{
			if (!spec_give_frames(st, part.to, part.n))
				return spec_refuse(st, "it freed page %#lx, which was free",
				    part.to << BED_PAGE_SHIFT);
		}
		runs_remove(&st->now->leaf, start >> BED_PAGE_SHIFT, pages_of(end - start));
	}
	if (va->wait)
		st->now->map[va->map].wakeups++;
	return spec_remove(st, va->map, start, end) ? GHOST_OK : GHOST_VIOLATION;
}

enum ghost_verdict
spec_uvm_pagealloc(struct ghost_step *st)
{
	const struct spec_frames any = ANY_FRAMES;
	uint64_t pa = st->call->value;

	if (st->call->asleep)
		return spec_returns(st, 0);
	if (pa == 0 && !spec_may_lack(st, 1))
		return spec_refuse(st, "failed, and %lu pages are free", spec_free_pages(st));
	if (pa == 0)
		return GHOST_OK;
	if (spec_free_pages(st) < 1 + st->world->reserve || (pa & BED_PAGE_MASK) != 0)
		return spec_refuse(
		    st, "returned %#lx with %lu pages free", pa, spec_free_pages(st));
	return spec_take_frames(st, pa >> BED_PAGE_SHIFT, 1, false, &any);
}

enum ghost_verdict
spec_uvm_pagefree(struct ghost_step *st)
{
	uint64_t frame = arg(st, 0) >> BED_PAGE_SHIFT;

	if (!runs_have(&st->now->given, frame, 1))
		return spec_unsaid(st, "uvm_pagefree of a page that uvm_pagealloc has not given");
	spec_give_frames(st, frame, 1);
	return spec_returns(st, 0);
}
