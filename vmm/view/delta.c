/* SPDX-License-Identifier: ISC */
/*
 * The frame rule: see delta.h.
 */
#include "vmm/view/delta.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A stated row about mappings; addresses as page numbers, so that no end overflows. */
struct row {
	const struct pt_delta *stated;
	uint64_t start, end; /* end exclusive */
	uint64_t reached;    /* all before it happened as stated, or is accounted for by gap */
	uint64_t gap;        /* first page where nothing (fitting) happened; UINT64_MAX: none */
	uint64_t missing;    /* pages where nothing (fitting) happened */
};

struct delta {
	const struct snapshot *before, *after;
	struct row *row; /* ascending */
	size_t nrow;
	struct text text;
	unsigned wrong;
	bool has_first; /* first: where the first complaint is */
	gva_t first;
};

static const char *
kind_name(enum pt_delta_kind kind)
{
	static const char *const name[] = { "?", "added", "removed", "changed", "tables" };

	return (unsigned)kind < 5 ? name[kind] : name[0];
}

static void
complain(struct delta *d, const gva_t *at, const char *line)
{
	if (at != NULL && !d->has_first) {
		d->has_first = true;
		d->first = *at;
	}
	if (d->wrong++ == 0)
		text_add(&d->text, "frame rule broken:\n");
	if (d->wrong <= PT_REPORT_MAX)
		text_add(&d->text, "  %s\n", line);
}

/* Why a row cannot be checked, or NULL. */
static const char *
row_flaw(const struct delta *d, const struct pt_delta *stated)
{
	struct pt_expect map = stated->map;

	if (stated->kind < PT_ADDED || stated->kind > PT_TABLES)
		return "no such kind of row";
	if (stated->what != 0 &&
	    (stated->kind != PT_CHANGED || (stated->what & ~SNAP_CHANGES) != 0))
		return ".what is for rows that state a change, and of its bits only those of changes";
	if (stated->kind == PT_TABLES)
		return stated->gained.given || stated->lost.given ? NULL
		                                                  : "it states no count of tables";
	if (stated->gained.given || stated->lost.given)
		return "counts of tables are for rows of kind PT_TABLES";
	if (map.state == PT_ABSENT)
		return "what is absent is stated by PT_REMOVED";
	if (map.zero != PT_ANY)
		return "a snapshot does not show content";
	if ((map.accessed != PT_ANY || map.dirty != PT_ANY) && !d->after->opts.with_ad)
		return "the snapshots were taken without accessed and dirty bits";
	map.state = PT_PRESENT;
	return pt_expect_flaw(&map);
}

static int
by_start(const void *pa, const void *pb)
{
	const struct row *a = pa, *b = pb;

	return (a->start > b->start) - (a->start < b->start);
}

static bool
refuse(struct delta *d, const struct pt_delta *stated, const char *why)
{
	text_add(&d->text, "statement makes no sense: %s: %s", why, kind_name(stated->kind));
	if (stated->kind != PT_TABLES) {
		text_add(&d->text, " ");
		pt_print(&d->text, &stated->map);
	}
	text_add(&d->text, "\n");
	return false;
}

static bool
make_rows(struct delta *d, const struct pt_delta *stated, size_t n)
{
	d->row = calloc(n + 1, sizeof(*d->row));
	if (d->row == NULL) {
		text_add(&d->text, "no memory for %zu rows\n", n);
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		const char *flaw = row_flaw(d, &stated[i]);
		struct row *row = &d->row[d->nrow];

		if (flaw != NULL)
			return refuse(d, &stated[i], flaw);
		if (stated[i].kind == PT_TABLES)
			continue;
		row->stated = &stated[i];
		row->start = row->reached = stated[i].map.va.v >> BED_PAGE_SHIFT;
		row->end = row->start + pt_npages(&stated[i].map);
		row->gap = UINT64_MAX;
		d->nrow++;
	}
	qsort(d->row, d->nrow, sizeof(*d->row), by_start);
	for (size_t i = 1; i < d->nrow; i++) {
		if (d->row[i].start < d->row[i - 1].end)
			return refuse(d, d->row[i].stated, "it overlaps another row");
	}
	return true;
}

static bool
fits(const struct pt_delta *stated, unsigned what)
{
	switch (stated->kind) {
	case PT_ADDED:
		return what == SNAP_ADDED;
	case PT_REMOVED:
		return what == SNAP_REMOVED;
	default:
		return (what & SNAP_CHANGES) != 0 && (stated->what == 0 || stated->what == what);
	}
}

/* Pages [reached, page) of the row saw nothing that fits. */
static void
leave_gap(struct row *row, uint64_t page)
{
	if (page <= row->reached)
		return;
	if (row->gap == UINT64_MAX)
		row->gap = row->reached;
	row->missing += page - row->reached;
	row->reached = page;
}

/* A part of a change that no row covers, or that a row of another kind does. */
static void
unstated(struct delta *d, const struct snap_change *change, uint64_t start, uint64_t end,
    const struct row *row)
{
	struct snap_change part = *change;
	uint64_t skip = start - (change->va.v >> BED_PAGE_SHIFT);
	char line[512];
	struct text text = text_on(line, sizeof(line));

	part.va.v += skip << BED_PAGE_SHIFT;
	part.npages = end - start;
	for (unsigned i = 0; i < 2; i++) {
		struct view_run *run = i == 0 ? &part.before : &part.after;

		if (run->npages == 0)
			continue;
		run->va = part.va;
		run->pa.v += skip << BED_PAGE_SHIFT;
		run->npages = part.npages;
	}
	if (row == NULL)
		text_add(&text, "not stated: ");
	else
		text_add(&text, "stated as %s, but: ", kind_name(row->stated->kind));
	snap_change_text(&text, &part);
	complain(d, &part.va, line);
}

/* Both lists ascend: *k is the first row that may still meet this change. */
static void
check_change(struct delta *d, const struct snap_change *change, size_t *k)
{
	uint64_t at = change->va.v >> BED_PAGE_SHIFT, end = at + change->npages;

	while (at < end) {
		struct row *row;
		uint64_t stop;

		while (*k < d->nrow && d->row[*k].end <= at)
			(*k)++;
		row = *k < d->nrow ? &d->row[*k] : NULL;
		if (row == NULL || row->start > at) {
			stop = row != NULL && row->start < end ? row->start : end;
			unstated(d, change, at, stop, NULL);
			at = stop;
			continue;
		}
		stop = row->end < end ? row->end : end;
		leave_gap(row, at);
		if (!fits(row->stated, change->what))
			unstated(d, change, at, stop, row);
		row->reached = stop;
		at = stop;
	}
}

struct pages {
	struct delta *d;
	const struct row *row;
	const struct snapshot *snap;
};

static struct pt_page
found(void *arg, uint64_t i, bool same)
{
	const struct pages *p = arg;
	const struct pt_expect *map = &p->row->stated->map;
	gva_t va = pt_page_va(same ? map->frames.same : map->va, i);
	const struct view_run *run = snapshot_lookup(p->snap, va);
	struct pt_page page = { .va = va, .ad_known = p->snap->opts.with_ad };

	if (run == NULL)
		return page;
	page.present = true;
	page.pa = view_run_pa(run, va);
	page.attr = run->attr;
	return page;
}

static void
wrong(void *arg, uint64_t i, const char *what)
{
	const struct pages *p = arg;
	gva_t va = pt_page_va(p->row->stated->map.va, i);
	char line[512];

	snprintf(line, sizeof(line), "%s %016" PRIx64 ": %s", kind_name(p->row->stated->kind), va.v,
	    what);
	complain(p->d, &va, line);
}

/* Is what was added, removed or changed as the row says? */
static bool
check_row(struct delta *d, const struct row *row)
{
	static const struct pt_frame_ops ops = { .found = found, .wrong = wrong };
	struct pages p = {
		.d = d, .row = row, .snap = row->stated->kind == PT_REMOVED ? d->before : d->after
	};
	const struct pt_expect *map = &row->stated->map;
	gva_t gap = GVA(va_canonical(row->gap << BED_PAGE_SHIFT));
	char line[512];

	if (row->gap != UINT64_MAX) {
		snprintf(line, sizeof(line),
		    "stated, did not happen: %s %016" PRIx64 ", and %" PRIu64 " of %" PRIu64
		    " pages in all",
		    kind_name(row->stated->kind), gap.v, row->missing, row->end - row->start);
		complain(d, &gap, line);
	}
	if (!pt_expect_wants_leaf(map))
		return true;
	for (uint64_t i = 0; i < pt_npages(map); i++) {
		struct pt_page page = found(&p, i, false);
		struct text text = text_on(line, sizeof(line));

		if (page.present)
			pt_page_mismatch(&text, map, &page);
		if (text.len > 0)
			wrong(&p, i, line);
	}
	return pt_frames_check(map, &ops, &p);
}

static void
check_count(struct delta *d, struct pt_count want, uint64_t is, const char *what)
{
	char line[128];

	if (!want.given || (is >= want.min && is <= want.max))
		return;
	if (want.min == want.max)
		snprintf(line, sizeof(line), "%" PRIu64 " table pages %s, stated %" PRIu64, is,
		    what, want.min);
	else
		snprintf(line, sizeof(line),
		    "%" PRIu64 " table pages %s, stated %" PRIu64 " to %" PRIu64, is, what,
		    want.min, want.max);
	complain(d, NULL, line);
}

static bool
check_all(struct delta *d, const struct snap_diff *diff, const struct pt_delta *stated, size_t n)
{
	uint64_t gained = 0, lost = 0;
	size_t k = 0;

	for (size_t i = 0; i < diff->n; i++) {
		const struct snap_change *change = &diff->change[i];
		char line[512];
		struct text text = text_on(line, sizeof(line));

		gained += (change->what & SNAP_TABLE_GAINED) != 0;
		lost += (change->what & SNAP_TABLE_LOST) != 0;
		if ((change->what & SNAP_MAPPINGS) != 0)
			check_change(d, change, &k);
		if ((change->what & (SNAP_FAULT_GAINED | SNAP_FAULT_LOST)) != 0) {
			text_add(&text, "not stated: ");
			snap_change_text(&text, change);
			complain(d, &change->fault.va, line);
		}
	}
	for (size_t i = 0; i < d->nrow; i++) {
		leave_gap(&d->row[i], d->row[i].end);
		if (!check_row(d, &d->row[i])) {
			text_add(&d->text, "no memory to compare frames\n");
			return false;
		}
	}
	for (size_t i = 0; i < n; i++) {
		check_count(d, stated[i].gained, gained, "gained");
		check_count(d, stated[i].lost, lost, "lost");
	}
	if (d->wrong > PT_REPORT_MAX)
		text_add(&d->text, "  and %u more\n", d->wrong - PT_REPORT_MAX);
	return d->wrong == 0;
}

bool
snapshot_delta_at(const struct snapshot *before, const struct snapshot *after,
    const struct pt_delta *stated, size_t n, char *report, size_t size, bool *found_it,
    gva_t *first)
{
	struct delta d = { .before = before, .after = after, .text = text_on(report, size) };
	struct snap_diff diff = { 0 };
	struct bed_err err;
	bool ok = false;

	if (!snapshot_diff(before, after, &diff, &err))
		text_add(&d.text, "%s\n", err.text);
	else if (make_rows(&d, stated, n))
		ok = check_all(&d, &diff, stated, n);
	snap_diff_free(&diff);
	free(d.row);
	*found_it = d.has_first;
	*first = d.first;
	return ok;
}

bool
snapshot_delta(const struct snapshot *before, const struct snapshot *after,
    const struct pt_delta *stated, size_t n, char *report, size_t size)
{
	bool has_first;
	gva_t first;

	return snapshot_delta_at(before, after, stated, n, report, size, &has_first, &first);
}

static enum pt_tri
tri(bool set)
{
	return set ? PT_YES : PT_NO;
}

/* A page of a run, said so that nothing else fits. */
static struct pt_expect
exactly(const struct view_run *run, gva_t va)
{
	struct pt_expect e = { .va = va, .npages = 1, .state = PT_PRESENT };

	e.size = run->attr.level == 1 ? PT_4K : run->attr.level == 2 ? PT_2M : PT_1G;
	e.perm = (run->attr.rights & VIEW_W) != 0 ? PT_RW : PT_R;
	e.nx = tri((run->attr.rights & VIEW_X) == 0);
	e.user = tri((run->attr.rights & VIEW_U) != 0);
	e.global = tri((run->attr.flags & VIEW_G) != 0);
	e.wired = tri((run->attr.soft & VIEW_SOFT_W) != 0);
	e.managed = tri((run->attr.soft & VIEW_SOFT_M) != 0);
	e.frames = PT_PA(view_run_pa(run, va).v & ~BED_PAGE_MASK);
	return e;
}

struct pt_expect
snapshot_expected(const struct snapshot *before, const struct pt_delta *stated, size_t n, gva_t va)
{
	const struct view_run *run;
	struct pt_expect e;

	va.v &= ~BED_PAGE_MASK;
	for (size_t i = 0; i < n; i++) {
		uint64_t page = (va.v - stated[i].map.va.v) >> BED_PAGE_SHIFT;

		if (stated[i].kind == PT_TABLES || va.v < stated[i].map.va.v ||
		    page >= pt_npages(&stated[i].map))
			continue;
		if (stated[i].kind == PT_REMOVED)
			return (struct pt_expect){ .va = va, .npages = 1, .state = PT_ABSENT };
		e = stated[i].map;
		e.va = va;
		e.npages = 1;
		e.state = PT_PRESENT;
		e.frames.first.v += page << BED_PAGE_SHIFT;
		if (page != 0 && (e.frames.kinds & PT_F_CONTIG) == 0)
			e.frames.kinds &= ~PT_F_FIRST;
		return e;
	}
	run = snapshot_lookup(before, va);
	return run != NULL ? exactly(run, va)
	                   : (struct pt_expect){ .va = va, .npages = 1, .state = PT_ABSENT };
}
