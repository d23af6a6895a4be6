/* SPDX-License-Identifier: ISC */
/*
 * Expected and actual ladder side by side: see report.h.
 */
#include "vmm/view/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COL_ENTRY    13
#define COL_EXPECTED 31
#define MIN_WIDTH    12 /* of the columns behind it; they are as wide as what they hold */

static void
fact(struct text *text, const char *name, const char *value)
{
	if (value != NULL)
		text_add(text, "  %-15s%s\n", name, value);
}

/* The step of the walk at a level, or NULL if it did not get there. */
static const struct walk_step *
step_at(const struct walk *walk, int level)
{
	unsigned i = (unsigned)(PT_LEVELS - level);

	return i < walk->nsteps ? &walk->step[i] : NULL;
}

static const char *
place(const struct walk *walk, int level, char buf[24])
{
	snprintf(buf, 24, "%s[%u]", pt_level_name(level), pt_index(walk->va.v, level));
	return buf;
}

void
walk_rights_text(struct text *text, const struct walk *walk)
{
	const struct {
		char letter;
		uint8_t lost;
	} right[] = { { 'W', walk->w_lost }, { 'X', walk->x_lost }, { 'U', walk->u_lost } };
	char buf[24], rights[5];
	const char *sep = " (";

	text_add(text, "%s", view_rights_text(walk->attr.rights, rights));
	for (unsigned i = 0; i < 3; i++) {
		if (right[i].lost == 0)
			continue;
		text_add(text, "%s%c taken at %s", sep, right[i].letter,
		    place(walk, right[i].lost, buf));
		sep = ", ";
	}
	if (sep[0] == ',')
		text_add(text, ")");
}

void
walk_end_text(struct text *text, const struct walk *walk)
{
	char buf[24];

	switch (walk->stop) {
	case WALK_LEAF:
		text_add(text, "leaf %s pa=0x%" PRIx64, pt_size_name(walk->level), walk->pa.v);
		return;
	case WALK_NONCANONICAL:
		text_add(text, "%s", walk_stop_name(walk->stop));
		return;
	case WALK_RESERVED:
	case WALK_PS_L4:
		text_add(text, "%s at %s: bits 0x%" PRIx64, walk_stop_name(walk->stop),
		    place(walk, walk->level, buf), walk->bad);
		return;
	case WALK_OUTSIDE:
	case WALK_LOOP:
		text_add(text, "%s: %s page 0x%" PRIx64, walk_stop_name(walk->stop),
		    pt_level_name(walk->level), walk->table.v);
		return;
	default:
		text_add(
		    text, "%s at %s", walk_stop_name(walk->stop), place(walk, walk->level, buf));
	}
}

/* The bits that differ, by name. */
static void
rung_note(struct text *text, const struct ladder_rung *rung, uint64_t raw, bool leaf)
{
	static const struct {
		uint64_t bit;
		const char *set,
		    *clear; /* what to say when it is set and should not be, and the reverse */
	} name[] = {
		{ PTE_W, "W not wanted", "W lost here" },
		{ PTE_U, "U not wanted", "U lost here" },
		{ PTE_NX, "X lost here (NX)", "NX missing" },
		{ PTE_PWT, "PWT set", "PWT missing" },
		{ PTE_PCD, "PCD set", "PCD missing" },
		{ PTE_PS, "bit 7 set", "bit 7 missing" },
		{ PTE_G, "G not wanted", "G missing" },
		{ PTE_A, "A set", "A clear" },
		{ PTE_D, "D set", "D clear" },
		{ PTE_SW_W, "wired not wanted", "wired missing" },
		{ PTE_SW_M, "managed not wanted", "managed missing" },
		{ PTE_SW_3, "bit 11 set", "bit 11 missing" },
	};
	uint64_t differ = (raw ^ rung->want) & rung->care;
	const char *sep = "<- ";

	if (rung->bad != NULL) {
		text_add(text, "<- %s", rung->bad);
		return;
	}
	if ((differ & PTE_P) != 0) {
		text_add(text, "<- %s", (raw & PTE_P) != 0 ? "present" : "not present");
		return;
	}
	for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
		if ((differ & name[i].bit) == 0)
			continue;
		text_add(text, "%s%s", sep, (raw & name[i].bit) != 0 ? name[i].set : name[i].clear);
		sep = ", ";
	}
	if ((differ & PTE_FRAME) != 0)
		text_add(text, "%s%s", sep, leaf ? "other frame" : "other table");
	else if ((differ & ~PTE_NX) >> 52 != 0)
		text_add(text, "%shigh bits", sep);
}

/* What is expected of an entry, in the words of pte_text(), for the bits that matter only. */
static void
rung_text(struct text *text, const struct ladder_rung *rung, bool leaf)
{
	static const struct {
		uint64_t bit;
		const char *set, *clear;
	} word[] = {
		{ PTE_W, " W", " R" },
		{ PTE_U, " U", " U=0" },
		{ PTE_NX, " NX", " NX=0" },
		{ PTE_A, " A", " A=0" },
		{ PTE_D, " D", " D=0" },
		{ PTE_G, " G", " G=0" },
		{ PTE_SW_W, " wired", " wired=0" },
		{ PTE_SW_M, " managed", " managed=0" },
	};

	if ((rung->care & PTE_P) == 0) {
		text_add(text, "any");
		return;
	}
	if ((rung->want & PTE_P) == 0) {
		text_add(text, "not present");
		return;
	}
	text_add(text, "P");
	for (size_t i = 0; i < sizeof(word) / sizeof(word[0]); i++) {
		if ((rung->care & word[i].bit) != 0)
			text_add(text, "%s",
			    (rung->want & word[i].bit) != 0 ? word[i].set : word[i].clear);
	}
	if (!leaf && (rung->care & PTE_PS) != 0)
		text_add(text, (rung->want & PTE_PS) != 0 ? " PS" : " PS=0");
	if ((rung->care & PTE_FRAME) != 0)
		text_add(text, " pa=0x%" PRIx64, rung->want & PTE_FRAME);
}

struct ladder {
	size_t col_actual, col_note;            /* columns where these begin */
	const struct walk *actual, *expected;   /* expected: of two walks, else NULL */
	struct ladder_rung rung[PT_LEVELS + 1]; /* by level */
	int lowest;                             /* last level that is expected to be reached */
};

static bool
rung_differs(const struct ladder_rung *rung, uint64_t raw)
{
	return rung->bad != NULL || ((raw ^ rung->want) & rung->care) != 0;
}

/* What is expected of an entry, in the cell of its column. */
static void
expected_cell(struct text *text, const struct ladder *ladder, int level)
{
	const struct walk_step *was =
	    ladder->expected != NULL ? step_at(ladder->expected, level) : NULL;

	if (was != NULL)
		pte_text(text, level, was->raw);
	else if (ladder->expected != NULL)
		text_add(text, "-");
	else
		rung_text(text, &ladder->rung[level], level == 1);
}

/* Columns are as wide as their widest cell. */
static void
place_columns(struct ladder *ladder)
{
	size_t expected = MIN_WIDTH, actual = MIN_WIDTH;

	for (int level = PT_LEVELS; level >= 1; level--) {
		const struct walk_step *is = step_at(ladder->actual, level);
		char cell[256];
		struct text text = text_on(cell, sizeof(cell));

		expected_cell(&text, ladder, level);
		expected = text.len > expected ? text.len : expected;
		text = text_on(cell, sizeof(cell));
		if (is != NULL)
			pte_text(&text, level, is->raw);
		actual = text.len > actual ? text.len : actual;
	}
	ladder->col_actual = COL_EXPECTED + expected + 2;
	ladder->col_note = ladder->col_actual + actual + 2;
}

static void
ladder_rows(struct text *text, const struct ladder *ladder)
{
	char buf[24];

	text_add(text, "  %-*s%-*s%-*s%-*snote\n", COL_ENTRY - 2, "level", COL_EXPECTED - COL_ENTRY,
	    "entry gpa", (int)(ladder->col_actual - COL_EXPECTED), "expected",
	    (int)(ladder->col_note - ladder->col_actual), "actual");
	for (int level = PT_LEVELS; level >= 1; level--) {
		const struct walk_step *is = step_at(ladder->actual, level);
		const struct walk_step *was =
		    ladder->expected != NULL ? step_at(ladder->expected, level) : NULL;
		const struct ladder_rung *rung = &ladder->rung[level];
		size_t line = text->len;

		if (is == NULL && was == NULL &&
		    (ladder->expected != NULL || level < ladder->lowest))
			break;
		text_add(text, "  %s", place(ladder->actual, level, buf));
		text_column(text, line, COL_ENTRY);
		if (is != NULL)
			text_add(text, "0x%" PRIx64, is->entry.v);
		else
			text_add(text, "-");
		text_column(text, line, COL_EXPECTED);
		expected_cell(text, ladder, level);
		text_column(text, line, ladder->col_actual);
		if (is == NULL) {
			text_add(text, "-\n");
			continue;
		}
		pte_text(text, level, is->raw);
		if (rung_differs(rung, is->raw)) {
			text_column(text, line, ladder->col_note);
			rung_note(text, rung, is->raw, pte_is_leaf(level, is->raw));
		}
		text_add(text, "\n");
	}
}

static void
ladder_print(
    struct text *text, struct ladder *ladder, const char *wanted, const struct ladder_facts *facts)
{
	static const struct ladder_facts none;
	size_t line;

	if (facts == NULL)
		facts = &none;
	fact(text, "at", facts->where);
	fact(text, "operation", facts->op);
	text_add(text, "  %-15s%016" PRIx64 "\n", "va", ladder->actual->va.v);
	fact(text, "owner by map", facts->owner_map);
	fact(text, "owner by model", facts->owner_model);
	place_columns(ladder);
	ladder_rows(text, ladder);
	line = text->len;
	text_add(text, "  effective");
	text_column(text, line, COL_EXPECTED);
	text_add(text, "%s", wanted);
	text_column(text, line, ladder->col_actual);
	walk_rights_text(text, ladder->actual);
	text_add(text, "\n  end");
	line = text->len - 5;
	text_column(text, line, COL_EXPECTED);
	if (ladder->expected != NULL)
		walk_end_text(text, ladder->expected);
	text_column(text, line, ladder->col_actual);
	walk_end_text(text, ladder->actual);
	text_add(text, "\n");
	fact(text, "last writers", facts->writers);
	fact(text, "frame", facts->frame);
	fact(text, "replay", facts->replay);
}

static void
want(struct ladder_rung *rung, uint64_t bit, bool set)
{
	rung->care |= bit;
	rung->want = set ? rung->want | bit : rung->want & ~bit;
}

static void
want_tri(struct ladder_rung *rung, uint64_t bit, enum pt_tri tri)
{
	if (tri != PT_ANY)
		want(rung, bit, tri == PT_YES);
}

/* A right that must be there must be granted by every level. One that must not be there is the leaf's to
 * deny, unless a level above does and the leaf does not. */
static void
want_right(struct ladder *ladder, uint64_t bit, bool granting, bool wanted, bool has, int leaf)
{
	const struct walk_step *step = step_at(ladder->actual, leaf);

	for (int level = PT_LEVELS; level >= leaf && wanted; level--)
		want(&ladder->rung[level], bit, granting);
	if (!wanted && (has || step == NULL || ((step->raw & bit) != 0) != granting))
		want(&ladder->rung[leaf], bit, !granting);
}

/* The frame that an expectation wants for this page, if it says. */
static bool
wanted_frame(const struct pt_expect *e, gva_t va, uint64_t *frame)
{
	uint64_t offset = va.v - e->va.v;

	if ((e->frames.kinds & PT_F_FIRST) == 0 ||
	    ((e->frames.kinds & PT_F_CONTIG) == 0 && offset >= BED_PAGE_SIZE))
		return false;
	*frame = (e->frames.first.v + offset) & ~BED_PAGE_MASK;
	return true;
}

static void
want_leaf(struct ladder *ladder, const struct pt_expect *e, int leaf)
{
	const struct walk *walk = ladder->actual;
	struct ladder_rung *at = &ladder->rung[leaf];
	uint64_t frame;

	for (int level = PT_LEVELS; level >= leaf; level--)
		want(&ladder->rung[level], PTE_P, true);
	for (int level = PT_LEVELS - 1; level > leaf; level--)
		want(&ladder->rung[level], PTE_PS, false);
	if (leaf > 1)
		want(at, PTE_PS, true);
	if (e->perm != PT_ANY_PERM)
		want_right(
		    ladder, PTE_W, true, e->perm == PT_RW, (walk->attr.rights & VIEW_W) != 0, leaf);
	if (e->nx != PT_ANY)
		want_right(
		    ladder, PTE_NX, false, e->nx == PT_NO, (walk->attr.rights & VIEW_X) != 0, leaf);
	if (e->user != PT_ANY)
		want_right(ladder, PTE_U, true, e->user == PT_YES,
		    (walk->attr.rights & VIEW_U) != 0, leaf);
	want_tri(at, PTE_G, e->global);
	want_tri(at, PTE_SW_W, e->wired);
	want_tri(at, PTE_SW_M, e->managed);
	want_tri(at, PTE_A, e->accessed);
	want_tri(at, PTE_D, e->dirty);
	if (wanted_frame(e, walk->va, &frame)) {
		at->care |= PTE_FRAME & ~(pt_span(leaf) - 1);
		at->want |= frame & ~(pt_span(leaf) - 1);
	}
}

/* An entry that no expectation can want: it ended the walk, or points to where no table is. */
static void
bad_rung(struct ladder *ladder)
{
	const struct walk *walk = ladder->actual;

	if (walk->stop == WALK_RESERVED || walk->stop == WALK_PS_L4)
		ladder->rung[walk->level].bad = walk_stop_name(walk->stop);
	else if ((walk->stop == WALK_OUTSIDE || walk->stop == WALK_LOOP) && walk->level < PT_LEVELS)
		ladder->rung[walk->level + 1].bad = walk_stop_name(walk->stop);
}

/* What is expected of each entry of the walk; the result: the lowest level that is. */
static int
expect_rungs(struct ladder *ladder, const struct pt_expect *e)
{
	const struct walk *actual = ladder->actual;
	int end = actual->level >= 1 ? actual->level : 1;
	int leaf = e->size != PT_ANY_SIZE ? (int)e->size : walk_mapped(actual) ? end : 1;

	bad_rung(ladder);
	if (e->state == PT_ABSENT) {
		want(&ladder->rung[end], PTE_P, false);
		return end;
	}
	want_leaf(ladder, e, leaf);
	return leaf;
}

int
ladder_rungs(
    const struct pt_expect *e, const struct walk *actual, struct ladder_rung rung[PT_LEVELS + 1])
{
	struct ladder ladder = { .actual = actual };

	expect_rungs(&ladder, e);
	memcpy(rung, ladder.rung, sizeof(ladder.rung));
	for (unsigned i = 0; i < actual->nsteps; i++) {
		const struct walk_step *step = &actual->step[i];

		if (rung_differs(&rung[step->level], step->raw))
			return step->level;
	}
	return 0;
}

void
ladder_rung_text(struct text *text, const struct ladder_rung *rung, int level)
{
	rung_text(text, rung, level == 1);
}

void
ladder_note_text(struct text *text, const struct ladder_rung *rung, int level, uint64_t raw)
{
	if (rung_differs(rung, raw))
		rung_note(text, rung, raw, pte_is_leaf(level, raw));
}

void
ladder_expect(struct text *text, const struct pt_expect *e, const struct walk *actual,
    const struct ladder_facts *facts)
{
	struct ladder ladder = { .actual = actual };
	char line[256];
	struct text wanted = text_on(line, sizeof(line));

	ladder.lowest = expect_rungs(&ladder, e);
	if (e->state == PT_ABSENT)
		text_add(&wanted, "absent");
	else
		text_add(&wanted, "r%c%c%c",
		    e->perm == PT_ANY_PERM ? '?'
		    : e->perm == PT_RW     ? 'w'
					   : '-',
		    e->nx == PT_ANY  ? '?'
		    : e->nx == PT_NO ? 'x'
				     : '-',
		    e->user == PT_ANY   ? '?'
		    : e->user == PT_YES ? 'u'
					: '-');
	ladder_print(text, &ladder, line, facts);
}

void
ladder_walks(struct text *text, const struct walk *expected, const struct walk *actual,
    const struct ladder_facts *facts)
{
	struct ladder ladder = { .actual = actual, .expected = expected, .lowest = 1 };
	char line[256];
	struct text wanted = text_on(line, sizeof(line));

	for (unsigned i = 0; i < expected->nsteps; i++) {
		const struct walk_step *step = &expected->step[i];

		ladder.rung[step->level] = (struct ladder_rung){ .care = ~(PTE_A | PTE_D),
			.want = step->raw & ~(PTE_A | PTE_D) };
	}
	walk_rights_text(&wanted, expected);
	ladder_print(text, &ladder, line, facts);
}
