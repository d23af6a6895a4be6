/* SPDX-License-Identifier: ISC */
/*
 * The abstract state: copying, and the ranges of a map.
 */
#include <stdlib.h>
#include <string.h>

#include "vmm/ghost/ghost.h"

static void
each_runs(struct ghost_state *s, void (*fn)(struct ghost_runs *))
{
	fn(&s->leaf);
	fn(&s->object);
	fn(&s->free);
	fn(&s->given);
	for (unsigned i = 0; i < GHOST_LEVELS; i++)
		fn(&s->table[i]);
}

void
ghost_state_free(struct ghost_state *s)
{
	each_runs(s, runs_free);
	for (unsigned i = 0; i < BED_MAPS_MAX; i++)
		free(s->map[i].range);
	*s = (struct ghost_state){ 0 };
}

static bool
reserve(struct ghost_map *m, size_t n)
{
	size_t room = m->room ? m->room : 16;
	struct ghost_range *bigger;

	if (n <= m->room)
		return true;
	while (room < n)
		room *= 2;
	bigger = realloc(m->range, room * sizeof(*bigger));
	if (bigger == NULL)
		return false;
	m->range = bigger;
	m->room = room;
	return true;
}

static bool
map_copy(struct ghost_map *to, const struct ghost_map *from)
{
	struct ghost_range *range;
	size_t room;

	if (!reserve(to, from->n))
		return false;
	range = to->range;
	room = to->room;
	*to = *from;
	to->range = range;
	to->room = room;
	if (from->n != 0)
		memcpy(to->range, from->range, from->n * sizeof(*range));
	return true;
}

bool
ghost_state_copy(struct ghost_state *to, const struct ghost_state *from)
{
	bool ok = runs_copy(&to->leaf, &from->leaf) && runs_copy(&to->object, &from->object) &&
	          runs_copy(&to->free, &from->free) && runs_copy(&to->given, &from->given);

	for (unsigned i = 0; i < GHOST_LEVELS; i++)
		ok = ok && runs_copy(&to->table[i], &from->table[i]);
	for (unsigned i = 0; ok && i < BED_MAPS_MAX; i++)
		ok = map_copy(&to->map[i], &from->map[i]);
	to->kernpages = from->kernpages;
#define X(name, text) to->name = from->name;
	GHOST_COUNTS(X)
#undef X
	return ok;
}

bool
ghost_state_lost(const struct ghost_state *s)
{
	bool lost = s->leaf.oom || s->object.oom || s->free.oom || s->given.oom;

	for (unsigned i = 0; i < GHOST_LEVELS; i++)
		lost |= s->table[i].oom;
	return lost;
}

size_t
ghost_map_above(const struct ghost_map *m, uint64_t va)
{
	size_t low = 0, high = m->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (m->range[mid].end <= va)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct ghost_range *
ghost_map_at(const struct ghost_map *m, uint64_t va)
{
	size_t i = ghost_map_above(m, va);

	return i < m->n && m->range[i].start <= va ? &m->range[i] : NULL;
}

/* Make place for one range at index i. */
static struct ghost_range *
open_at(struct ghost_state *s, unsigned handle, size_t i)
{
	struct ghost_map *m = &s->map[handle];

	if (!reserve(m, m->n + 1)) {
		s->leaf.oom = true;
		return NULL;
	}
	memmove(&m->range[i + 1], &m->range[i], (m->n - i) * sizeof(*m->range));
	m->n++;
	return &m->range[i];
}

void
ghost_map_push(struct ghost_state *s, unsigned handle, struct ghost_range range)
{
	struct ghost_range *r = open_at(s, handle, s->map[handle].n);

	if (r != NULL)
		*r = range;
}

void
ghost_map_insert(struct ghost_state *s, unsigned handle, struct ghost_range range)
{
	struct ghost_map *m = &s->map[handle];
	size_t i = ghost_map_above(m, range.start);
	struct ghost_range *r;

	/* Only a fixed address can lie in a guard: what is left of that ends here. */
	if (i > 0 && m->range[i - 1].end + m->range[i - 1].guard > range.start)
		m->range[i - 1].guard = range.start - m->range[i - 1].end;
	r = open_at(s, handle, i);
	if (r != NULL)
		*r = range;
}

void
ghost_map_split(struct ghost_state *s, unsigned handle, uint64_t va)
{
	struct ghost_map *m = &s->map[handle];
	size_t i = ghost_map_above(m, va);
	struct ghost_range *r;

	if (i >= m->n || m->range[i].start >= va || (r = open_at(s, handle, i)) == NULL)
		return;
	*r = m->range[i + 1];
	r->end = va;
	r->guard = 0;
	m->range[i + 1].start = va;
}

void
ghost_map_remove(struct ghost_state *s, unsigned handle, uint64_t start, uint64_t end)
{
	struct ghost_map *m = &s->map[handle];
	size_t i, last;

	/* The part in front keeps no guard: that stood behind what goes. */
	ghost_map_split(s, handle, start);
	ghost_map_split(s, handle, end);
	i = ghost_map_above(m, start);
	for (last = i; last < m->n && m->range[last].start < end; last++)
		continue;
	memmove(&m->range[i], &m->range[last], (m->n - last) * sizeof(*m->range));
	m->n -= last - i;
}
