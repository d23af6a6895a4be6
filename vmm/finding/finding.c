/* SPDX-License-Identifier: ISC */
/*
 * Finding out what there is to know about a finding: see finding.h.
 */
#include "vmm/finding/finding.h"

#include <stdlib.h>
#include <string.h>

#include "shared/events.h"
#include "vmm/bed/inspect.h"

/* What is read of the guest, once, for one finding. */
struct scene {
	const struct finding_source *src;
	struct view view;
	struct audit_source audit;
	struct snapshot snap;
	struct audit *own; /* made here; NULL: the check's is used */
	struct audit_lookup *lookup;
};

static char *
copy(const char *text)
{
	return text == NULL ? NULL : strdup(text);
}

/* The text between the prefixes, which say what we say better, and the walk. */
static char *
message_of(const struct bed_err *err)
{
	size_t len = strlen(err->text),
	       end = err->brief != 0 && err->brief < len ? err->brief : len;
	size_t from = err->lead < end ? err->lead : 0;

	while (end > from && err->text[end - 1] == '\n')
		end--;
	return strndup(err->text + from, end - from);
}

static void
look(struct scene *s)
{
	const struct audit *audit = s->src->check == NULL ? NULL : check_auditor(s->src->check);
	struct bed_err err;

	s->view = bed_view(s->src->bed);
	s->audit = audit_source(s->src->bed);
	if (audit == NULL)
		audit = s->own = audit_new(s->src->bed, &err);
	if (audit != NULL && snapshot_take(&s->snap, &s->view, NULL, &err))
		s->lookup = audit_lookup_new(audit, &s->audit, &s->snap);
}

static void
look_away(struct scene *s)
{
	audit_lookup_free(s->lookup);
	audit_free(s->own);
	snapshot_free(&s->snap);
}

/* How the page should be: what the operation says, what the call promises, what the map says. */
static void
find_expected(struct finding *f, const struct scene *s)
{
	const struct finding_source *src = s->src;
	gva_t va = f->walk.va;

	if (src->expect != NULL) {
		f->expect = *src->expect;
		f->expected_by = "the trace";
	} else if (src->check != NULL && check_expected(src->check, va, &f->expect)) {
		f->expected_by = "call and frame rule";
	}
	if (f->expected_by != NULL)
		f->differs = ladder_rungs(&f->expect, &f->walk, f->rung);
	/* All is as the call left it: then it was wrong before, and the map knows better. */
	if (f->differs == 0 && src->expect == NULL && f->has_place &&
	    audit_place_expect(&f->place, va, &f->expect)) {
		f->expected_by = "the map";
		f->differs = ladder_rungs(&f->expect, &f->walk, f->rung);
	}
	/* The tables are as they should be: what is wrong is elsewhere. */
	if (f->differs == 0 && src->expect == NULL)
		f->expected_by = NULL;
}

static void
find_page(struct finding *f, const struct scene *s, uint64_t va)
{
	f->has_va = true;
	f->walk = view_walk(&s->view, GVA(va & ~BED_PAGE_MASK));
	if (s->lookup != NULL) {
		f->place = audit_lookup_va(s->lookup, f->walk.va);
		f->has_place = true;
	}
	if (s->src->model != NULL) {
		if (!s->src->model(s->src->model_arg, f->walk.va, f->model, sizeof(f->model)))
			f->model[0] = '\0';
	} else if (s->src->check != NULL) {
		check_owner(s->src->check, f->walk.va, f->model, sizeof(f->model));
	}
	find_expected(f, s);
	if (f->walk.nsteps > 0) {
		unsigned i =
		    f->differs != 0 ? (unsigned)(PT_LEVELS - f->differs) : f->walk.nsteps - 1;

		f->has_entry = true;
		f->entry = f->walk.step[i].entry;
		f->entry_level = f->walk.step[i].level;
		f->now = f->walk.step[i].raw;
	}
	if (walk_mapped(&f->walk)) {
		f->has_frame = true;
		f->frame = GPA(f->walk.pa.v & ~BED_PAGE_MASK);
	}
	if (s->src->tlb != NULL)
		f->nopen = tlbsan_open_at(s->src->tlb, f->walk.va, f->open, FINDING_OPEN);
}

static void
find_writers(struct finding *f, const struct scene *s)
{
	if (!f->has_entry || s->src->recorder == NULL)
		return;
	f->logged = recorder_seen(s->src->recorder) != 0;
	f->nwrite = recorder_writes(s->src->recorder, f->entry, f->write);
	f->unlogged = f->nwrite > 0 && ((f->write[0].new ^ f->now) & ~(PTE_A | PTE_D)) != 0;
}

/* When the frame, or of an unmapped page the one that was there, changed hands. */
static void
find_last(struct finding *f, const struct recorder *r)
{
	for (size_t i = recorder_count(r); i-- > 0 && !f->has_last;) {
		const struct recorder_event *e = recorder_event(r, i);

		if ((e->ev.type == BED_EV_PAGE_ALLOC || e->ev.type == BED_EV_PAGE_FREE) &&
		    f->frame.v >= e->ev.a[0] &&
		    (f->frame.v - e->ev.a[0]) >> BED_PAGE_SHIFT < e->ev.a[1]) {
			f->last = *e;
			f->has_last = true;
		}
	}
}

/* Runs outside the direct map, which has all frames. */
static void
find_aliases(struct finding *f, const struct scene *s)
{
	for (size_t i = 0; i < s->snap.nrun; i++) {
		const struct view_run *run = &s->snap.run[i];
		gva_t at = GVA(run->va.v + (f->frame.v - run->pa.v));

		if (f->frame.v < run->pa.v || f->frame.v - run->pa.v >= view_run_bytes(run) ||
		    (run->va.v >= BED_DIRECT_BASE && run->va.v < BED_IMAGE_BASE) ||
		    (f->has_va && at.v == f->walk.va.v))
			continue;
		if (f->nalias < FINDING_ALIAS)
			f->alias[f->nalias] = at;
		f->nalias++;
	}
}

static void
find_frame(struct finding *f, const struct scene *s)
{
	if (!f->has_frame)
		return;
	if (s->lookup != NULL) {
		f->owner = audit_lookup_frame(s->lookup, f->frame);
		f->has_owner = true;
	}
	if (s->src->recorder != NULL)
		find_last(f, s->src->recorder);
	find_aliases(f, s);
}

void
finding_make(struct finding *f, const struct finding_source *src)
{
	const struct bed_subject *about = &src->err->about;
	struct scene s = { .src = src };

	*f = (struct finding){ .witness = about->witness, .line = src->line };
	f->operation = src->operation;
	f->message = message_of(src->err);
	f->file = copy(src->file);
	f->text = copy(src->text);
	f->replay = copy(src->replay);
	f->symbols = bed_symbols(src->bed);
	look(&s);
	if (about->has_pa) {
		f->has_frame = true;
		f->frame = GPA(about->pa & ~BED_PAGE_MASK);
	}
	if (about->has_va)
		find_page(f, &s, about->va);
	find_writers(f, &s);
	find_frame(f, &s);
	look_away(&s);
}

void
finding_free(struct finding *f)
{
	symbols_close(f->symbols);
	free(f->message);
	free(f->file);
	free(f->text);
	free(f->replay);
	*f = (struct finding){ .witness = NULL };
}
