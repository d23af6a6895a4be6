/* SPDX-License-Identifier: ISC */
/*
 * Sorted runs of pages (runs.h).
 */
#include "vmm/ghost/runs.h"

#include <stdlib.h>
#include <string.h>

void
runs_free(struct ghost_runs *r)
{
	free(r->run);
	*r = (struct ghost_runs){ 0 };
}

void
runs_clear(struct ghost_runs *r)
{
	r->n = 0;
	r->oom = false;
}

/* Room for n runs. */
static bool
reserve(struct ghost_runs *r, size_t n)
{
	size_t room = r->room ? r->room : 64;
	struct ghost_run *bigger;

	if (n <= r->room)
		return true;
	while (room < n)
		room *= 2;
	bigger = realloc(r->run, room * sizeof(*bigger));
	if (bigger == NULL) {
		r->oom = true;
		return false;
	}
	r->run = bigger;
	r->room = room;
	return true;
}

bool
runs_copy(struct ghost_runs *to, const struct ghost_runs *from)
{
	if (!reserve(to, from->n))
		return false;
	if (from->n != 0)
		memcpy(to->run, from->run, from->n * sizeof(*to->run));
	to->n = from->n;
	to->oom = from->oom;
	return true;
}

size_t
runs_above(const struct ghost_runs *r, uint64_t at)
{
	size_t low = 0, high = r->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (r->run[mid].at + r->run[mid].n <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct ghost_run *
runs_at(const struct ghost_runs *r, uint64_t at)
{
	size_t i = runs_above(r, at);

	return i < r->n && r->run[i].at <= at ? &r->run[i] : NULL;
}

bool
runs_have(const struct ghost_runs *r, uint64_t at, uint64_t n)
{
	uint64_t end = at + n;

	for (size_t i = runs_above(r, at); at < end; i++) {
		if (i >= r->n || r->run[i].at > at)
			return false;
		at = r->run[i].at + r->run[i].n;
	}
	return true;
}

bool
runs_lack(const struct ghost_runs *r, uint64_t at, uint64_t n)
{
	size_t i = runs_above(r, at);

	return n == 0 || i >= r->n || r->run[i].at >= at + n;
}

uint64_t
runs_pages(const struct ghost_runs *r)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < r->n; i++)
		sum += r->run[i].n;
	return sum;
}

bool
runs_equal(const struct ghost_runs *a, const struct ghost_runs *b)
{
	return a->n == b->n && (a->n == 0 || memcmp(a->run, b->run, a->n * sizeof(*a->run)) == 0);
}

static bool
continues(const struct ghost_run *a, const struct ghost_run *b)
{
	return a->at + a->n == b->at && a->to + a->n == b->to && a->attr == b->attr;
}

void
runs_push(struct ghost_runs *r, struct ghost_run run)
{
	if (run.n == 0)
		return;
	if (r->n != 0 && continues(&r->run[r->n - 1], &run))
		r->run[r->n - 1].n += run.n;
	else if (reserve(r, r->n + 1))
		r->run[r->n++] = run;
}

static void
make_gap(struct ghost_runs *r, size_t i, size_t width)
{
	memmove(&r->run[i + width], &r->run[i], (r->n - i) * sizeof(*r->run));
	r->n += width;
}

static void
close_gap(struct ghost_runs *r, size_t i, size_t width)
{
	memmove(&r->run[i], &r->run[i + width], (r->n - i - width) * sizeof(*r->run));
	r->n -= width;
}

void
runs_remove(struct ghost_runs *r, uint64_t at, uint64_t n)
{
	uint64_t end = at + n;
	size_t i = runs_above(r, at), last;

	if (n == 0 || i >= r->n || r->run[i].at >= end || !reserve(r, r->n + 1))
		return;
	if (r->run[i].at < at) {
		struct ghost_run *run = &r->run[i];
		uint64_t keep = at - run->at;

		if (run->at + run->n > end) { /* a hole in its middle */
			make_gap(r, i, 1);
			run = &r->run[i];
			run[1].to += end - run->at;
			run[1].n -= end - run->at;
			run[1].at = end;
			run->n = keep;
			return;
		}
		run->n = keep;
		i++;
	}
	for (last = i; last < r->n && r->run[last].at + r->run[last].n <= end; last++)
		continue;
	if (last < r->n && r->run[last].at < end) {
		struct ghost_run *run = &r->run[last];
		uint64_t cut = end - run->at;

		run->at += cut;
		run->to += cut;
		run->n -= cut;
	}
	close_gap(r, i, last - i);
}

void
runs_put(struct ghost_runs *r, struct ghost_run run)
{
	size_t i;

	if (run.n == 0)
		return;
	runs_remove(r, run.at, run.n);
	i = runs_above(r, run.at);
	if (i > 0 && continues(&r->run[i - 1], &run)) {
		r->run[i - 1].n += run.n;
		i--;
	} else {
		if (!reserve(r, r->n + 1))
			return;
		make_gap(r, i, 1);
		r->run[i] = run;
	}
	if (i + 1 < r->n && continues(&r->run[i], &r->run[i + 1])) {
		r->run[i].n += r->run[i + 1].n;
		close_gap(r, i + 1, 1);
	}
}

bool
runs_part(const struct ghost_runs *r, size_t i, uint64_t at, uint64_t n, struct ghost_run *part)
{
	struct ghost_run run = r->run[i];
	uint64_t end = at + n, cut;

	if (n == 0 || run.at >= end)
		return false;
	if (run.at < at) {
		cut = at - run.at;
		run.at += cut;
		run.to += cut;
		run.n -= cut;
	}
	if (run.at + run.n > end)
		run.n = end - run.at;
	*part = run;
	return true;
}

void
runs_mark(struct ghost_runs *r, uint64_t at, uint64_t n, uint32_t clear, uint32_t set)
{
	uint64_t end = at + n;

	while (at < end) {
		size_t i = runs_above(r, at);
		struct ghost_run part;

		if (i >= r->n || !runs_part(r, i, at, end - at, &part))
			return;
		at = part.at + part.n;
		if (((part.attr & ~clear) | set) == part.attr)
			continue;
		part.attr = (part.attr & ~clear) | set;
		runs_put(r, part);
		if (r->oom)
			return;
	}
}
