/* SPDX-License-Identifier: ISC */
/*
 * The three-way comparison: before, expected, actual, wherever the last two differ.
 */
#include <stdio.h>
#include <string.h>

#include "shared/types.h"
#include "vmm/ghost/ghost.h"
#include "vmm/view/pte.h"
#include "vmm/view/text.h"

#define SHOWN        4  /* differences in a report */
#define BOOKS_A_CALL 32 /* pages one call may take for the allocator's books */
#define NODE_PAGES   256

struct diff {
	const struct ghost_state *before, *expected, *seen;
	struct text text;
	unsigned n;
};

const char *
ghost_kind_name(unsigned kind)
{
	static const char *const names[] = { [GHOST_FREE] = "free",
		[GHOST_GUARD] = "guard",
		[GHOST_BARE] = "addresses",
		[GHOST_OBJECT] = "object",
		[GHOST_RESERVED] = "reserved",
		[GHOST_SUBMAP] = "submap" };

	return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "?";
}

/* False: this one is only counted. */
static bool
differs(struct diff *d)
{
	return d->n++ < SHOWN;
}

static const char *
map_name(unsigned handle, char buf[16])
{
	static const char *const names[] = {
#define X(upper, name, h) [h] = #name,
		BED_MAPS(X)
#undef X
	};

	if (handle < sizeof(names) / sizeof(names[0]))
		return names[handle];
	snprintf(buf, 16, "map %u", handle);
	return buf;
}

/* What a map has at va, and up to where. */
struct cell {
	struct ghost_what what;
	uint64_t end;
	uint32_t made_by;
};

static struct cell
cell_at(const struct ghost_map *m, uint64_t va)
{
	size_t i = m->used ? ghost_map_above(m, va) : m->n;
	struct cell c = { .end = m->used && va < m->max ? m->max : UINT64_MAX };

	if (!m->used)
		return c;
	if (i < m->n && m->range[i].start <= va)
		return (struct cell){ m->range[i].what, m->range[i].end, m->range[i].made_by };
	if (i < m->n)
		c.end = m->range[i].start;
	if (i > 0 && va < m->range[i - 1].end + m->range[i - 1].guard) {
		c.what.kind = GHOST_GUARD;
		c.end = m->range[i - 1].end + m->range[i - 1].guard;
		c.made_by = m->range[i - 1].made_by;
	}
	return c;
}

static bool
same_what(struct ghost_what a, struct ghost_what b)
{
	return memcmp(&a, &b, sizeof(a)) == 0;
}

static void
put_prot(struct text *t, unsigned prot)
{
	text_add(t, "%c%c%c", prot & BED_PROT_READ ? 'r' : '-', prot & BED_PROT_WRITE ? 'w' : '-',
	    prot & BED_PROT_EXEC ? 'x' : '-');
}

static void
put_cell(struct text *t, const struct ghost_map *m, const struct cell *c)
{
	text_add(t, "%s", m->used ? ghost_kind_name(c->what.kind) : "no map");
	if (c->what.kind == GHOST_FREE || c->what.kind == GHOST_GUARD)
		return;
	text_add(t, " ");
	put_prot(t, c->what.prot);
	text_add(t, "/");
	put_prot(t, c->what.maxprot);
	if (c->what.wired != 0)
		text_add(t, " wired %u", c->what.wired);
	if (c->what.nofault)
		text_add(t, " nofault");
	if (c->what.kind == GHOST_SUBMAP)
		text_add(t, " handle %u", c->what.submap);
	text_add(t, " inherit %u advice %u", c->what.inherit, c->what.advice);
	if (c->made_by != 0)
		text_add(t, ", made by call %u", c->made_by);
}

static void
put_what(struct text *t, const char *when, const struct ghost_map *m, uint64_t va)
{
	struct cell c = cell_at(m, va);

	text_add(t, "\n    %-9s ", when);
	put_cell(t, m, &c);
}

void
ghost_owner(const struct ghost_state *s, uint64_t va, char *owner, size_t size)
{
	const struct ghost_map *m = &s->map[BED_MAP_KERNEL];
	struct text t = text_on(owner, size);
	unsigned handle = BED_MAP_KERNEL;
	char name[16];

	if (!m->used || va < m->min || va >= m->max) {
		text_add(&t, "outside kernel_map");
		return;
	}
	for (unsigned depth = 0; depth < BED_MAPS_MAX; depth++) {
		struct cell c = cell_at(m, va);

		if (c.what.kind != GHOST_SUBMAP || c.what.submap >= BED_MAPS_MAX) {
			text_add(&t, "%s: ", map_name(handle, name));
			put_cell(&t, m, &c);
			return;
		}
		handle = c.what.submap;
		m = &s->map[handle];
	}
}

static void
compare_ranges(struct diff *d, unsigned handle)
{
	const struct ghost_map *e = &d->expected->map[handle], *s = &d->seen->map[handle];
	uint64_t end = e->max > s->max ? e->max : s->max;
	char name[16];

	for (uint64_t va = e->min < s->min ? e->min : s->min; va < end;) {
		struct cell a = cell_at(e, va), b = cell_at(s, va);
		uint64_t to = a.end < b.end ? a.end : b.end;

		to = to < end ? to : end;
		if (!same_what(a.what, b.what) && differs(d)) {
			text_add(&d->text, "\n  %s %#lx..%#lx (%lu pages)", map_name(handle, name),
			    va, to, (to - va) >> BED_PAGE_SHIFT);
			put_what(&d->text, "before", &d->before->map[handle], va);
			put_what(&d->text, "expected", e, va);
			put_what(&d->text, "actual", s, va);
		}
		va = to;
	}
}

static void
number(struct diff *d, const char *of, const char *what, uint64_t b, uint64_t e, uint64_t s)
{
	if (e != s && differs(d))
		text_add(&d->text, "\n  %s%s%s: before %#lx, expected %#lx, actual %#lx", of,
		    of[0] ? ": " : "", what, b, e, s);
}

static void
compare_map(struct diff *d, unsigned handle)
{
	const struct ghost_map *b = &d->before->map[handle], *e = &d->expected->map[handle],
			       *s = &d->seen->map[handle];
	char buf[16];
	const char *name = map_name(handle, buf);

	number(d, name, "is a map", b->used, e->used, s->used);
	if (!e->used || !s->used)
		return;
	number(d, name, "start", b->min, e->min, s->min);
	number(d, name, "end", b->max, e->max, s->max);
	number(d, name, "flags", (uint64_t)b->flags, (uint64_t)e->flags, (uint64_t)s->flags);
	number(d, name, "best fit", b->best_fit, e->best_fit, s->best_fit);
	number(d, name, "references", (uint64_t)b->refs, (uint64_t)e->refs, (uint64_t)s->refs);
	number(d, name, "wakeups", b->wakeups, e->wakeups, s->wakeups);
	compare_ranges(d, handle);
}

/* How a kind of runs is printed. */
typedef void put_fn(struct text *, const struct ghost_run *);

static void
put_leaf(struct text *t, const struct ghost_run *r)
{
	char rights[5];

	text_add(t, "pa %#lx %s", r->to << BED_PAGE_SHIFT, view_rights_text(r->attr & 0xf, rights));
	pte_soft_text(t, r->attr >> 16);
	if ((r->attr >> 4 & 3) != 1)
		text_add(t, " level %u", r->attr >> 4 & 3);
}

static void
put_object(struct text *t, const struct ghost_run *r)
{
	text_add(t, "page %#lx", r->to << BED_PAGE_SHIFT);
	if (r->attr != 0)
		text_add(t, ", wire count %u", r->attr);
}

static void
put_table(struct text *t, const struct ghost_run *r)
{
	(void)r;
	text_add(t, "there is one");
}

static void
put_run(struct text *t, const char *when, const struct ghost_runs *runs, uint64_t at, put_fn *put)
{
	size_t i = runs_above(runs, at);
	struct ghost_run part;

	text_add(t, "\n    %-9s ", when);
	if (i < runs->n && runs_part(runs, i, at, 1, &part))
		put(t, &part);
	else
		text_add(t, "none");
}

/* The part of `runs` at `at`: its end, and whether there is one. */
static bool
part_at(const struct ghost_runs *runs, uint64_t at, struct ghost_run *part, uint64_t *end)
{
	size_t i = runs_above(runs, at);

	*end = UINT64_MAX;
	if (i >= runs->n)
		return false;
	if (runs->run[i].at > at) {
		*end = runs->run[i].at;
		return false;
	}
	runs_part(runs, i, at, UINT64_MAX - at, part);
	*end = part->at + part->n;
	return true;
}

static void
compare_runs(struct diff *d, const char *what, unsigned shift, const struct ghost_runs *b,
    const struct ghost_runs *e, const struct ghost_runs *s, put_fn *put)
{
	uint64_t at = 0;

	if (runs_equal(e, s))
		return;
	while (at != UINT64_MAX) {
		struct ghost_run x, y;
		uint64_t x_end, y_end, end;
		bool in_x = part_at(e, at, &x, &x_end), in_y = part_at(s, at, &y, &y_end);

		end = x_end < y_end ? x_end : y_end;
		if ((in_x != in_y || (in_x && (x.to != y.to || x.attr != y.attr))) && differs(d)) {
			text_add(&d->text, "\n  %s %#lx (%lu pages)", what, at << shift, end - at);
			put_run(&d->text, "before", b, at, put);
			put_run(&d->text, "expected", e, at, put);
			put_run(&d->text, "actual", s, at, put);
		}
		at = end;
	}
}

/* Pages of a that are not in b; `first`: one of them. */
static uint64_t
surplus(const struct ghost_runs *a, const struct ghost_runs *b, uint64_t *first)
{
	struct ghost_runs left = { 0 };
	uint64_t n;

	runs_copy(&left, a);
	for (size_t i = 0; i < b->n; i++)
		runs_remove(&left, b->run[i].at, b->run[i].n);
	n = runs_pages(&left);
	*first = left.n != 0 ? left.run[0].at : 0;
	runs_free(&left);
	return n;
}

/* Free pages: what is missing or too many is what the allocator's own books have gained or lost. */
static void
compare_free(struct diff *d, unsigned calls)
{
	uint64_t gone, more, at_gone, at_more, most;
	int64_t books = (int64_t)(d->seen->kernpages - d->expected->kernpages);

	if (runs_equal(&d->expected->free, &d->seen->free) && books == 0)
		return;
	gone = surplus(&d->expected->free, &d->seen->free, &at_gone);
	more = surplus(&d->seen->free, &d->expected->free, &at_more);
	most = calls * (BOOKS_A_CALL + runs_pages(&d->seen->object) / NODE_PAGES);
	if (((int64_t)(gone - more) == books && gone <= most &&
		more <= most + d->expected->kernpages * (calls != 0)) ||
	    !differs(d))
		return;
	text_add(&d->text, "\n  pages:");
	if (gone != 0)
		text_add(&d->text, " %lu should be free and are not (%#lx%s);", gone,
		    at_gone << BED_PAGE_SHIFT, gone > 1 ? ", ..." : "");
	if (more != 0)
		text_add(&d->text, " %lu are free and should not be (%#lx%s);", more,
		    at_more << BED_PAGE_SHIFT, more > 1 ? ", ..." : "");
	text_add(&d->text, " for its own books the allocator has %+ld", books);
}

bool
ghost_compare(const struct ghost_state *before, const struct ghost_state *expected,
    const struct ghost_state *seen, unsigned calls, char *why, size_t size)
{
	static const char *const tables[GHOST_LEVELS] = { "level-1 table for", "level-2 table for",
		"level-3 table for" };
	struct diff d = { .before = before, .expected = expected, .seen = seen };

	d.text = text_on(why, size);
	for (unsigned i = 0; i < BED_MAPS_MAX; i++)
		compare_map(&d, i);
	compare_runs(
	    &d, "mapping", BED_PAGE_SHIFT, &before->leaf, &expected->leaf, &seen->leaf, put_leaf);
	compare_runs(&d, "page of kernel_object at", BED_PAGE_SHIFT, &before->object,
	    &expected->object, &seen->object, put_object);
	for (unsigned i = 0; i < GHOST_LEVELS; i++)
		compare_runs(&d, tables[i], BED_PAGE_SHIFT + 9 * (i + 1), &before->table[i],
		    &expected->table[i], &seen->table[i], put_table);
	compare_free(&d, calls);
#define X(name, text) number(&d, "", text, before->name, expected->name, seen->name);
	GHOST_COUNTS(X)
#undef X
	if (d.n > SHOWN)
		text_add(&d.text, "\n  and %u more", d.n - SHOWN);
	return d.n == 0;
}

bool
ghost_same(const struct ghost_state *last, const struct ghost_state *seen, char *why, size_t size)
{
	return ghost_compare(last, last, seen, 0, why, size);
}
