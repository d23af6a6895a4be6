/* SPDX-License-Identifier: ISC */
/*
 * Pictures of page tables for a terminal: see print.h.
 */
#include "vmm/view/print.h"

#include <inttypes.h>
#include <stdlib.h>

#include "shared/layout.h"
#include "vmm/view/report.h"

struct region {
	uint64_t first, last;
	const char *name;
};

/* Ascending and without holes: every address is in one of them. */
static const struct region region[] = {
	{ 0, BED_KVA_BASE - 1, "lower half" },
	{ BED_KVA_BASE, BED_KVA_BASE + BED_KVA_MAX - 1, "kernel_map" },
	{ BED_KVA_BASE + BED_KVA_MAX, BED_DIRECT_BASE - 1, "unassigned" },
	{ BED_DIRECT_BASE, BED_DIRECT_BASE + BED_DIRECT_MAX - 1, "direct map" },
	{ BED_DIRECT_BASE + BED_DIRECT_MAX, BED_IMAGE_BASE - 1, "unassigned" },
	{ BED_IMAGE_BASE, UINT64_MAX, "image" },
};

static const struct region *
region_of(gva_t va)
{
	const struct region *r = region;

	while (va.v > r->last)
		r++;
	return r;
}

const char *
view_region(gva_t va)
{
	return region_of(va)->name;
}

/* 12K, 3M, 1G: the largest unit that divides evenly. */
static const char *
size_text(uint64_t bytes, char buf[24])
{
	static const char unit[] = "KMGT";
	unsigned i = 0;

	for (bytes >>= 10; i < 3 && bytes != 0 && bytes % 1024 == 0; i++)
		bytes /= 1024;
	snprintf(buf, 24, "%" PRIu64 "%c", bytes, unit[i]);
	return buf;
}

/* A line of the picture: one run, or several that differ in the frames only. */
struct line {
	struct view_run run; /* npages: of all */
	size_t pieces;
	gpa_t low, high; /* frames: lowest, and highest inclusive */
};

static bool
joins(const struct line *line, const struct view_run *run)
{
	return line->run.va.v + view_run_bytes(&line->run) == run->va.v &&
	       region_of(line->run.va) == region_of(run->va) &&
	       view_attr_equal(line->run.attr, run->attr);
}

static void
line_print(FILE *out, const struct line *line)
{
	const struct view_attr attr = line->run.attr;
	char rights[5], size[24], extra[128];
	struct text text = text_on(extra, sizeof(extra));

	fprintf(out, "  %016" PRIx64 "-%016" PRIx64 " %6s %s %s", line->run.va.v,
	    view_run_last(&line->run).v, size_text(view_run_bytes(&line->run), size),
	    view_rights_text(attr.rights, rights), pt_size_name(attr.level));
	if (line->pieces == 1)
		fprintf(out, " pa 0x%" PRIx64, line->run.pa.v);
	else
		fprintf(out, " pa in 0x%" PRIx64 "-0x%" PRIx64 ", %zu pieces", line->low.v,
		    line->high.v, line->pieces);
	if ((attr.flags & VIEW_G) != 0)
		text_add(&text, " global");
	pte_soft_text(&text, attr.soft);
	if (attr.memtype != 0)
		text_add(&text, " pat%u", attr.memtype);
	if ((attr.flags & (VIEW_A | VIEW_D)) != 0)
		text_add(&text, " %s%s", (attr.flags & VIEW_A) != 0 ? "a" : "",
		    (attr.flags & VIEW_D) != 0 ? "d" : "");
	fprintf(out, "%s\n", extra);
}

static void
runs_print(FILE *out, const struct snapshot *snap, bool every_run)
{
	const struct region *shown = NULL;

	for (size_t i = 0; i < snap->nrun;) {
		struct line line = { .run = snap->run[i], .low = snap->run[i].pa };

		do {
			const struct view_run *run = &snap->run[i];
			uint64_t high = run->pa.v + view_run_bytes(run) - 1;

			if (line.pieces++ > 0)
				line.run.npages += run->npages;
			line.low.v = run->pa.v < line.low.v ? run->pa.v : line.low.v;
			line.high.v = high > line.high.v ? high : line.high.v;
		} while (++i < snap->nrun && !every_run && joins(&line, &snap->run[i]));
		if (region_of(line.run.va) != shown) {
			shown = region_of(line.run.va);
			fprintf(out, "%s\n", shown->name);
		}
		line_print(out, &line);
	}
}

static void
tables_print(FILE *out, const struct snapshot *snap)
{
	fprintf(out, "table pages\n");
	for (size_t i = 0; i < snap->ntable; i++) {
		const struct snap_table *t = &snap->table[i];

		fprintf(out, "  %016" PRIx64 " %-4s page 0x%" PRIx64 ", %u entries\n", t->va.v,
		    pt_level_name(t->level), t->gpa.v, t->present);
	}
}

static void
faults_print(FILE *out, const struct snapshot *snap)
{
	if (snap->nfault > 0)
		fprintf(out, "bad entries\n");
	for (size_t i = 0; i < snap->nfault; i++) {
		const struct iter_fault *f = &snap->fault[i];

		fprintf(out, "  %016" PRIx64 " %s at 0x%" PRIx64 " = 0x%" PRIx64 ": %s\n", f->va.v,
		    f->level > PT_LEVELS ? "root" : pt_level_name(f->level), f->entry.v, f->raw,
		    walk_stop_name(f->why));
	}
}

static void
aliases_print(FILE *out, const struct snapshot *snap)
{
	size_t n;
	struct snap_table *alias = snapshot_aliases(snap, &n);

	if (alias == NULL) {
		if (n != 0)
			fprintf(out,
			    "table pages reached more than once: not looked for, out of memory\n");
		return;
	}
	fprintf(out, "table pages reached more than once\n");
	for (size_t i = 0; i < n; i++)
		fprintf(out, "  page 0x%" PRIx64 " as %s of %016" PRIx64 "\n", alias[i].gpa.v,
		    pt_level_name(alias[i].level), alias[i].va.v);
	free(alias);
}

void
view_map_print(FILE *out, const struct snapshot *snap, const struct map_style *style)
{
	static const struct map_style plain;
	char size[24];

	if (style == NULL)
		style = &plain;
	fprintf(out, "root 0x%" PRIx64 "; rights r w x u are effective\n", snap->root.v);
	runs_print(out, snap, style->every_run);
	if (style->tables)
		tables_print(out, snap);
	faults_print(out, snap);
	aliases_print(out, snap);
	fprintf(out, "%" PRIu64 " pages (%s) in %zu runs, %zu table pages, %zu bad entries%s\n",
	    snapshot_pages(snap), size_text(snapshot_pages(snap) << BED_PAGE_SHIFT, size),
	    snap->nrun, snap->ntable, snap->nfault,
	    snap->capped ? "; NOT COMPLETE: the cap on table visits was reached" : "");
}

void
view_walk_print(FILE *out, const struct walk *walk)
{
	char buf[512];
	struct text text;

	fprintf(out, "va %016" PRIx64 " (%s)\n", walk->va.v, view_region(walk->va));
	for (unsigned i = 0; i < walk->nsteps; i++) {
		const struct walk_step *step = &walk->step[i];

		text = text_on(buf, sizeof(buf));
		pte_text(&text, step->level, step->raw);
		fprintf(out, "  %-4s[%3u] at 0x%-12" PRIx64 " = 0x%016" PRIx64 "  %s\n",
		    pt_level_name(step->level), step->index, step->entry.v, step->raw, buf);
	}
	text = text_on(buf, sizeof(buf));
	walk_end_text(&text, walk);
	fprintf(out, "  end        %s\n", buf);
	if (walk->looped != 0)
		fprintf(out, "  note       entered an ancestor again at level %u\n", walk->looped);
	if (walk->nsteps == 0)
		return;
	text = text_on(buf, sizeof(buf));
	walk_rights_text(&text, walk);
	fprintf(out, "  %s  %s\n", walk_mapped(walk) ? "effective" : "so far   ", buf);
}
