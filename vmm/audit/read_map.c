/* SPDX-License-Identifier: ISC */
/*
 * Reading for an audit: every map that can be reached, its ring, and what of the mapped addresses lies
 * where.
 */
#include <stdio.h>
#include <string.h>

#include "shared/calls.h"
#include "vmm/audit/input.h"

#define MAX_MAPS  4096
#define MAX_STOCK 1024 /* of one map; UVM_MAP_STOCK_MAX and what one operation adds */

/* Up to 15 printable characters of the map's name. */
static void
read_name(const struct audit_input *in, const struct vm_map *m, char name[16])
{
	const char *text = (const char *)m->name;

	for (unsigned i = 0; i < 16; i++) {
		const char *c = audit_ptr(in, (uint64_t)text + i, 1, 1);

		name[i] = i < 15 && c != NULL && *c > ' ' && *c < 0x7f ? *c : '\0';
		if (name[i] == '\0')
			break;
	}
	if (name[0] == '\0')
		strcpy(name, "(no name)");
}

/* The entry at `va`, and that its neighbour before it is `prev`. */
static const struct vm_map_entry *
ring_entry(const struct audit_input *in, struct audit_map *map, uint64_t va, uint64_t prev)
{
	const struct vm_map_entry *e = AUDIT_AT(in, struct vm_map_entry, va);

	if (e == NULL)
		audit_tear(
		    &map->ring, "map %s: the entry after %#lx is at %#lx", map->name, prev, va);
	else if ((uint64_t)e->prev != prev)
		audit_tear(&map->ring, "map %s: before entry %#lx is %p, not %#lx", map->name, va,
		    (void *)e->prev, prev);
	return audit_is_torn(&map->ring) ? NULL : e;
}

static void
read_ring(struct audit_input *in, struct audit_map *map)
{
	uint64_t header = map->va + offsetof(struct vm_map, header), prev = header;
	const struct vm_map_entry *e = &map->m->header;

	map->first = (unsigned)in->entry.n;
	while (!in->oom) {
		uint64_t va = (uint64_t)e->next;
		struct audit_entry *seen;

		if (va == header) {
			if ((uint64_t)map->m->header.prev != prev)
				audit_tear(&map->ring, "map %s: before the header is %p, not %#lx",
				    map->name, (void *)map->m->header.prev, prev);
			return;
		}
		if (map->n == map->m->nentries) {
			audit_tear(&map->ring, "map %s: entry %#lx is the %uth of %u", map->name,
			    va, map->n + 1, map->m->nentries);
			return;
		}
		e = ring_entry(in, map, va, prev);
		if (e == NULL)
			return;
		seen = AUDIT_PUSH(in, &in->entry);
		if (seen == NULL)
			return;
		*seen = (struct audit_entry){ va, e };
		map->n++;
		prev = va;
	}
}

static void
read_stock(struct audit_input *in, struct audit_map *map)
{
	uint64_t va = (uint64_t)map->m->stock;

	while (va != 0 && !in->oom) {
		const struct vm_map_entry *e = AUDIT_AT(in, struct vm_map_entry, va);
		uint64_t *kept;

		if (e == NULL || map->nstock == map->m->nstock || map->nstock == MAX_STOCK) {
			audit_tear(&map->stock, "map %s: spare entry %u of %u is at %#lx",
			    map->name, map->nstock + 1, map->m->nstock, va);
			return;
		}
		map->nstock++;
		kept = AUDIT_PUSH(in, &in->stock);
		if (kept != NULL)
			*kept = va;
		va = (uint64_t)e->next;
	}
	if (map->nstock != map->m->nstock)
		audit_tear(&map->stock, "map %s: %u spare entries, nstock is %u", map->name,
		    map->nstock, map->m->nstock);
}

static void
add_map(struct audit_input *in, uint64_t va, const struct vm_map_entry *parent)
{
	const struct vm_map *m = AUDIT_AT(in, struct vm_map, va);
	struct audit_map *map;

	if (m == NULL) {
		audit_tear(&in->maps, "a map is at %#lx", va);
		return;
	}
	for (size_t i = 0; i < in->map.n; i++) {
		if (in->map.at[i].va == va) {
			audit_tear(
			    &in->maps, "map %s (%#lx) is in two entries", in->map.at[i].name, va);
			return;
		}
	}
	if (in->map.n == MAX_MAPS) {
		audit_tear(&in->maps, "there are more than %u maps", MAX_MAPS);
		return;
	}
	map = AUDIT_PUSH(in, &in->map);
	if (map == NULL)
		return;
	*map = (struct audit_map){ .va = va, .m = m, .parent = parent };
	read_name(in, m, map->name);
	read_ring(in, map);
	read_stock(in, map);
}

void
audit_read_maps(struct audit_input *in)
{
	const uint64_t *kernel = AUDIT_AT(in, uint64_t, in->sym->kernel_map);

	if (kernel == NULL)
		return;
	add_map(in, *kernel, NULL);
	/* The list grows while it is gone through: submaps of submaps. */
	for (size_t i = 0; i < in->map.n && !in->oom; i++) {
		struct audit_map map = in->map.at[i];

		for (unsigned k = 0; k < map.n; k++) {
			const struct vm_map_entry *e = in->entry.at[map.first + k].e;

			if (UVM_ET_ISSUBMAP(e))
				add_map(in, (uint64_t)e->object.sub_map, e);
		}
	}
}

/* Entries in order of address, those of a submap in the place of its own. */
static void
add_spans(struct audit_input *in, size_t index, unsigned depth)
{
	const struct audit_map *map = &in->map.at[index];

	if (depth > 16)
		return;
	for (unsigned k = 0; k < map->n && !in->oom; k++) {
		const struct vm_map_entry *e = in->entry.at[map->first + k].e;
		struct audit_span *span;
		size_t sub = 0;

		if (UVM_ET_ISSUBMAP(e)) {
			while (sub < in->map.n && in->map.at[sub].parent != e)
				sub++;
			if (sub < in->map.n)
				add_spans(in, sub, depth + 1);
		}
		span = AUDIT_PUSH(in, &in->span);
		if (span == NULL)
			return;
		*span = (struct audit_span){ UVM_ET_ISSUBMAP(e) ? e->end : e->start, e->end,
			VMMAP_FREE_START(e), e, map };
	}
}

static void
add_piece(struct audit_input *in, const struct view_run *run, uint64_t va, uint64_t end,
    enum audit_where where, const struct audit_span *span)
{
	struct audit_piece *p = AUDIT_PUSH(in, &in->piece);

	if (p != NULL)
		*p = (struct audit_piece){ va, (end - va) >> BED_PAGE_SHIFT,
			view_run_pa(run, GVA(va)).v, run->attr, where, span };
}

/* Cut a run at the boundaries of spans; `at` moves on with the addresses. */
static void
cut_run(struct audit_input *in, const struct view_run *run, size_t *at)
{
	uint64_t va = run->va.v, end = va + view_run_bytes(run);

	while (va < end && !in->oom) {
		const struct audit_span *s = NULL;
		enum audit_where where = AUDIT_NOWHERE;
		uint64_t to = end;

		while (*at < in->span.n && in->span.at[*at].guard_end <= va)
			++*at;
		if (*at < in->span.n) {
			s = &in->span.at[*at];
			to = va < s->start ? s->start : va < s->end ? s->end : s->guard_end;
			where = va < s->start ? AUDIT_NOWHERE
			        : va < s->end ? AUDIT_USED
			                      : AUDIT_GUARD;
		}
		if (to > end)
			to = end;
		add_piece(in, run, va, to, where, where == AUDIT_NOWHERE ? NULL : s);
		va = to;
	}
}

void
audit_read_spans(struct audit_input *in)
{
	uint64_t last = 0;
	size_t at = 0;

	in->spans_good = in->map.n > 0 && !audit_is_torn(&in->maps);
	for (size_t i = 0; i < in->map.n; i++)
		in->spans_good = in->spans_good && !audit_is_torn(&in->map.at[i].ring);
	if (in->spans_good)
		add_spans(in, 0, 0);
	for (size_t i = 0; i < in->span.n && in->spans_good; i++) {
		const struct audit_span *s = &in->span.at[i];

		in->spans_good = s->start >= last && s->end >= s->start && s->guard_end >= s->end &&
		                 ((s->start | s->end | s->guard_end) & BED_PAGE_MASK) == 0;
		last = s->guard_end;
	}
	for (size_t i = 0; i < in->snap->nrun && !in->oom; i++) {
		const struct view_run *run = &in->snap->run[i];

		if (run->va.v < BED_KVA_BASE || run->va.v >= in->kva_end)
			continue;
		if (in->spans_good)
			cut_run(in, run, &at);
		else
			add_piece(in, run, run->va.v, run->va.v + view_run_bytes(run),
			    AUDIT_NOWHERE, NULL);
	}
}
