/* SPDX-License-Identifier: ISC */
/*
 * One page against an expectation, and the relations between the frames of its pages: see expect.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/view/expect.h"

static void
add(struct text *text, const char *what)
{
	text_add(text, "%s%s", text->len > 0 ? ", " : "", what);
}

/* A bit that is wanted set or clear. */
static void
bit(struct text *text, enum pt_tri want, bool is, const char *name)
{
	if (want == PT_ANY || is == (want == PT_YES))
		return;
	text_add(text, "%swants %s %s", text->len > 0 ? ", " : "", name, is ? "clear" : "set");
}

struct right {
	unsigned bit;
	const char *has, *lacks;
};

static void
right(struct text *text, enum pt_tri want, unsigned rights, const struct right *r)
{
	bool has = (rights & r->bit) != 0;

	if (want != PT_ANY && has != (want == PT_YES))
		add(text, has ? r->has : r->lacks);
}

static void
rights_mismatch(struct text *text, const struct pt_expect *e, unsigned rights)
{
	static const struct right w = { VIEW_W, "writable, wants read-only",
		"not writable, wants rw" };
	static const struct right x = { VIEW_X, "executable, wants NX", "NX, wants executable" };
	static const struct right u = { VIEW_U, "user, wants supervisor",
		"supervisor, wants user" };
	enum pt_tri want_w = e->perm == PT_ANY_PERM ? PT_ANY : e->perm == PT_RW ? PT_YES : PT_NO;
	enum pt_tri want_x = e->nx == PT_ANY ? PT_ANY : e->nx == PT_NO ? PT_YES : PT_NO;

	right(text, want_w, rights, &w);
	right(text, want_x, rights, &x);
	right(text, e->user, rights, &u);
}

void
pt_page_mismatch(struct text *text, const struct pt_expect *e, const struct pt_page *page)
{
	const struct view_attr attr = page->attr;
	bool wants_leaf = pt_expect_wants_leaf(e);

	if (page->why != NULL) {
		text_add(text, "%s, wants %s", page->why, wants_leaf ? "present" : "absent");
		return;
	}
	if (!page->present) {
		if (wants_leaf)
			add(text, "absent, wants present");
		return;
	}
	if (e->state == PT_ABSENT) {
		text_add(text, "present (frame 0x%" PRIx64 "), wants absent", page->pa.v);
		return;
	}
	if (e->size != PT_ANY_SIZE && attr.level != (unsigned)e->size)
		text_add(text, "%s page, wants %s", pt_size_name(attr.level),
		    pt_size_name((int)e->size));
	rights_mismatch(text, e, attr.rights);
	bit(text, e->global, (attr.flags & VIEW_G) != 0, "global");
	bit(text, e->wired, (attr.soft & VIEW_SOFT_W) != 0, "wired");
	bit(text, e->managed, (attr.soft & VIEW_SOFT_M) != 0, "managed");
	if (page->ad_known) {
		bit(text, e->accessed, (attr.flags & VIEW_A) != 0, "accessed");
		bit(text, e->dirty, (attr.flags & VIEW_D) != 0, "dirty");
	}
}

struct frame {
	uint64_t pa, i;
};

static int
by_frame(const void *pa, const void *pb)
{
	const struct frame *a = pa, *b = pb;

	if (a->pa != b->pa)
		return a->pa < b->pa ? -1 : 1;
	return (a->i > b->i) - (a->i < b->i);
}

/* No frame twice: sort, then look at neighbours. */
static bool
check_distinct(const struct pt_expect *e, const struct pt_frame_ops *ops, void *arg)
{
	struct frame *frame = calloc(pt_npages(e), sizeof(*frame));
	uint64_t n = 0;
	char text[128];

	if (frame == NULL)
		return false;
	for (uint64_t i = 0; i < pt_npages(e); i++) {
		struct pt_page page = ops->found(arg, i, false);

		if (page.present)
			frame[n++] = (struct frame){ .pa = page.pa.v, .i = i };
	}
	qsort(frame, n, sizeof(*frame), by_frame);
	for (uint64_t i = 1; i < n; i++) {
		if (frame[i].pa != frame[i - 1].pa)
			continue;
		snprintf(text, sizeof(text),
		    "wants distinct frames, 0x%" PRIx64 " is mapped at %016" PRIx64 " too",
		    frame[i].pa, pt_page_va(e->va, frame[i - 1].i).v);
		ops->wrong(arg, frame[i].i, text);
	}
	free(frame);
	return true;
}

/* The relations that need one page and its neighbour or partner only. */
static void
frame_mismatch(struct text *text, const struct pt_frames *f, uint64_t i, const struct pt_page *page,
    const struct pt_page *before, const struct pt_page *same)
{
	uint64_t follows = before->pa.v + BED_PAGE_SIZE;

	if ((f->kinds & PT_F_FIRST) != 0 && i == 0 && page->pa.v != f->first.v)
		text_add(text, "frame 0x%" PRIx64 ", wants 0x%" PRIx64, page->pa.v, f->first.v);
	if ((f->kinds & PT_F_CONTIG) != 0 && i > 0 && before->present && page->pa.v != follows)
		text_add(text, "%sframe 0x%" PRIx64 " does not follow the one before, 0x%" PRIx64,
		    text->len > 0 ? ", " : "", page->pa.v, before->pa.v);
	if ((f->kinds & PT_F_IN) != 0 && (page->pa.v < f->from.v || page->pa.v >= f->to.v))
		text_add(text, "%sframe 0x%" PRIx64 " is not in 0x%" PRIx64 "-0x%" PRIx64,
		    text->len > 0 ? ", " : "", page->pa.v, f->from.v, f->to.v);
	if ((f->kinds & PT_F_SAME) == 0)
		return;
	if (!same->present)
		text_add(text, "%swants the frame of %016" PRIx64 ", which is not mapped",
		    text->len > 0 ? ", " : "", same->va.v);
	else if (same->pa.v != page->pa.v)
		text_add(text, "%sframe 0x%" PRIx64 ", wants that of %016" PRIx64 ", 0x%" PRIx64,
		    text->len > 0 ? ", " : "", page->pa.v, same->va.v, same->pa.v);
}

bool
pt_frames_check(const struct pt_expect *e, const struct pt_frame_ops *ops, void *arg)
{
	struct pt_page before = { 0 };
	char line[256];

	if (e->frames.kinds == 0)
		return true;
	for (uint64_t i = 0; i < pt_npages(e); i++) {
		struct pt_page page = ops->found(arg, i, false), same = { 0 };
		struct text text = text_on(line, sizeof(line));

		if ((e->frames.kinds & PT_F_SAME) != 0)
			same = ops->found(arg, i, true);
		if (page.present)
			frame_mismatch(&text, &e->frames, i, &page, &before, &same);
		if (text.len > 0)
			ops->wrong(arg, i, line);
		before = page;
	}
	return (e->frames.kinds & PT_F_DISTINCT) == 0 || check_distinct(e, ops, arg);
}
