/* SPDX-License-Identifier: ISC */
/*
 * Physical pages: which ones a call may have taken, and when there are none to take.
 */
#include <stdlib.h>

#include "vmm/ghost/spec.h"

/* Entries, index nodes, and the reserve for kernel objects, above that of the page daemon. */
#define BOOKS      16
#define NODE_PAGES 512 /* of the object, that one page of its directory knows */

uint64_t
spec_free_pages(const struct ghost_step *st)
{
	return runs_pages(&st->now->free);
}

bool
spec_may_lack(const struct ghost_step *st, uint64_t n)
{
	return spec_free_pages(st) < n + st->world->reserve + BOOKS + 2 * (n / NODE_PAGES);
}

static uint64_t
frame_up(uint64_t frame, uint64_t align)
{
	return (frame + align - 1) / align * align;
}

/* Calls fn for each piece of [start, end) that one segment can be, at its longest. */
static void
each_piece(const struct spec_frames *c, uint64_t start, uint64_t end,
    void (*fn)(void *, uint64_t start, uint64_t n), void *to)
{
	if (start < c->low)
		start = c->low;
	if (c->high != UINT64_MAX && end > c->high + 1)
		end = c->high + 1;
	while (start < end) {
		uint64_t stop = end, first = frame_up(start, c->align);

		if (c->boundary != 0 && stop > (start / c->boundary + 1) * c->boundary)
			stop = (start / c->boundary + 1) * c->boundary;
		if (first < stop)
			fn(to, first, stop - first);
		start = stop;
	}
}

struct pieces {
	uint64_t *n;
	size_t count, room;
	uint64_t sum, longest;
	bool oom;
};

static void
note_piece(void *to, uint64_t start, uint64_t n)
{
	struct pieces *p = to;

	(void)start;
	p->sum += n;
	p->longest = n > p->longest ? n : p->longest;
	if (p->count == p->room) {
		size_t room = p->room ? 2 * p->room : 64;
		uint64_t *bigger = realloc(p->n, room * sizeof(*bigger));

		p->oom |= bigger == NULL;
		if (bigger == NULL)
			return;
		p->n = bigger;
		p->room = room;
	}
	p->n[p->count++] = n;
}

static int
longer_first(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x < y) - (x > y);
}

bool
spec_feasible(const struct ghost_step *st, uint64_t n, const struct spec_frames *c)
{
	struct pieces p = { 0 };
	uint64_t sum = 0;

	for (size_t i = 0; i < st->now->free.n; i++) {
		const struct ghost_run *run = &st->now->free.run[i];

		each_piece(c, run->at, run->at + run->n, note_piece, &p);
	}
	if (c->nsegs == 0 || p.oom) {
		sum = p.sum;
	} else {
		if (p.count > 1)
			qsort(p.n, p.count, sizeof(*p.n), longer_first);
		for (size_t i = 0; i < p.count && i < c->nsegs; i++)
			sum += p.n[i];
	}
	free(p.n);
	return sum >= n;
}

/* Frames that are there in pieces which segments can be. */
struct fitted {
	uint64_t n, segments;
};

static void
note_fit(void *to, uint64_t start, uint64_t n)
{
	struct fitted *f = to;

	(void)start;
	f->n += n;
	f->segments++;
}

static enum ghost_verdict
check_frames(struct ghost_step *st, const struct ghost_runs *frames, const struct spec_frames *c)
{
	struct fitted f = { 0, 0 };

	for (size_t i = 0; i < frames->n; i++)
		each_piece(
		    c, frames->run[i].at, frames->run[i].at + frames->run[i].n, note_fit, &f);
	if (f.n != runs_pages(frames) || (c->nsegs != 0 && f.segments > c->nsegs))
		return spec_refuse(st,
		    "its pages (from %#lx on) are not in %lu segments of [%#lx, %#lx], each at a "
		    "multiple of %#lx and crossing none of %#lx (frames)",
		    frames->run[0].at, c->nsegs, c->low, c->high, c->align, c->boundary);
	return GHOST_OK;
}

static enum ghost_verdict
check_zero(struct ghost_step *st, uint64_t frame, uint64_t n)
{
	for (uint64_t i = 0; i < n && st->memory->zero != NULL; i++) {
		if (!st->memory->zero(st->memory->arg, frame + i, 0, 0))
			return spec_refuse(
			    st, "page %#lx must be zero and is not", (frame + i) << BED_PAGE_SHIFT);
	}
	return GHOST_OK;
}

/* Does anything the specification knows have the frame? */
static bool
is_owned(const struct ghost_step *st, uint64_t frame)
{
	const struct ghost_runs *lists[] = { &st->now->leaf, &st->now->object };

	for (unsigned l = 0; l < 2; l++) {
		for (size_t i = 0; i < lists[l]->n; i++) {
			const struct ghost_run *run = &lists[l]->run[i];

			/* The direct map has every frame. */
			if (run->at << BED_PAGE_SHIFT < st->world->kva_end &&
			    frame - run->to < run->n)
				return true;
		}
	}
	return runs_have(&st->now->given, frame, 1);
}

/*
 * What woke a call may have been pages of the allocator's books: nobody's, not free before, and they
 * went from there to the call.
 */
static bool
take_from_books(struct ghost_step *st, uint64_t frame, uint64_t n)
{
	for (uint64_t i = frame; i < frame + n; i++) {
		if (runs_have(&st->now->free, i, 1))
			continue;
		if (!st->resumed || is_owned(st, i) || !runs_have(&st->world->managed, i, 1))
			return false;
		st->now->kernpages--;
	}
	return true;
}

static enum ghost_verdict
take(struct ghost_step *st, uint64_t frame, uint64_t n, bool zero, struct ghost_runs *from)
{
	if (!runs_have(from, frame, n) &&
	    (from != &st->now->free || !take_from_books(st, frame, n)))
		return spec_refuse(st,
		    "it has been given pages %#lx..%#lx, of which not all were free",
		    frame << BED_PAGE_SHIFT, (frame + n) << BED_PAGE_SHIFT);
	runs_remove(from, frame, n);
	return zero ? check_zero(st, frame, n) : GHOST_OK;
}

enum ghost_verdict
spec_take_pages(struct ghost_step *st, uint64_t va, uint64_t n, unsigned prot, uint32_t soft,
    bool object, bool zero, const struct spec_frames *c, struct ghost_runs *from)
{
	struct ghost_runs frames = { 0 };
	enum ghost_verdict v = GHOST_OK;
	struct ghost_run part;
	uint64_t at = va >> BED_PAGE_SHIFT;

	if (from == NULL)
		from = &st->now->free;
	for (uint64_t i = at; i < at + n; i += part.n) {
		size_t k = runs_above(&st->seen->leaf, i);

		if (k >= st->seen->leaf.n || !runs_part(&st->seen->leaf, k, i, at + n - i, &part) ||
		    part.at != i) {
			v = spec_refuse(st, "%#lx is not mapped; of [%#lx, %#lx) all must be",
			    i << BED_PAGE_SHIFT, va, va + (n << BED_PAGE_SHIFT));
			break;
		}
		v = take(st, part.to, part.n, zero, from);
		if (v != GHOST_OK)
			break;
		runs_put(&frames, run_of_frames(part.to, part.n));
		part.attr = kernel_leaf(prot, soft);
		runs_put(&st->now->leaf, part);
		part.attr = 0;
		if (object)
			runs_put(&st->now->object, part);
	}
	if (v == GHOST_OK)
		v = check_frames(st, &frames, c);
	runs_free(&frames);
	return v;
}

enum ghost_verdict
spec_take_frames(
    struct ghost_step *st, uint64_t frame, uint64_t n, bool zero, const struct spec_frames *c)
{
	struct ghost_run run = run_of_frames(frame, n);
	struct ghost_runs frames = { .run = &run, .n = 1, .room = 1 };
	enum ghost_verdict v = take(st, frame, n, zero, &st->now->free);

	if (v == GHOST_OK)
		v = check_frames(st, &frames, c);
	if (v == GHOST_OK)
		runs_put(&st->now->given, run);
	return v;
}

enum ghost_verdict
spec_hold_pages(struct ghost_step *st, uint64_t n)
{
	struct ghost_runs *held = &st->sleep->held;

	runs_copy(held, &st->now->free);
	for (size_t i = 0; i < st->seen->free.n; i++)
		runs_remove(held, st->seen->free.run[i].at, st->seen->free.run[i].n);
	if (runs_pages(held) < n)
		return spec_refuse(st, "asleep with %lu pages, must hold %lu", runs_pages(held), n);
	if (runs_pages(held) > n)
		return spec_unsaid(st, "asleep with %lu pages, or some for the books, and others",
		    runs_pages(held));
	for (size_t i = 0; i < held->n; i++)
		runs_remove(&st->now->free, held->run[i].at, held->run[i].n);
	return GHOST_OK;
}

bool
spec_give_frames(struct ghost_step *st, uint64_t frame, uint64_t n)
{
	if (!runs_lack(&st->now->free, frame, n) || !runs_have(&st->world->managed, frame, n))
		return false;
	runs_remove(&st->now->given, frame, n);
	runs_put(&st->now->free, run_of_frames(frame, n));
	return true;
}
