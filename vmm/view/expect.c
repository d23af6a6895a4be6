/* SPDX-License-Identifier: ISC */
/*
 * Is what a view shows what a test expects? See expect.h.
 */
#include "vmm/view/expect.h"

#include <inttypes.h>

#include "vmm/view/report.h"

struct check {
	const struct view *view;
	const struct pt_expect *expect;
	struct text text;
	unsigned wrong; /* mismatches */
	gva_t first;    /* page of the first */
};

bool
pt_expect_wants_leaf(const struct pt_expect *e)
{
	return e->state == PT_PRESENT || e->size != PT_ANY_SIZE || e->perm != PT_ANY_PERM ||
	       e->nx != PT_ANY || e->user != PT_ANY || e->global != PT_ANY || e->wired != PT_ANY ||
	       e->managed != PT_ANY || e->accessed != PT_ANY || e->dirty != PT_ANY ||
	       e->zero != PT_ANY || e->frames.kinds != 0;
}

/* Is it aligned, and canonical from the first to the last address, without the hole in between? */
static bool
page_range(gva_t va, uint64_t npages)
{
	uint64_t last = va.v + (npages << BED_PAGE_SHIFT) - 1;

	return (va.v & BED_PAGE_MASK) == 0 && npages <= UINT64_C(1) << 35 && last >= va.v &&
	       va_is_canonical(va.v) && va_is_canonical(last) && (va.v ^ last) >> 63 == 0;
}

const char *
pt_expect_flaw(const struct pt_expect *e)
{
	const struct pt_frames *f = &e->frames;
	uint64_t npages = pt_npages(e);
	struct pt_expect leaf = *e;

	if (!page_range(e->va, npages))
		return "it is not a range of canonical page addresses";
	leaf.state = PT_EITHER;
	if (e->state == PT_ABSENT && pt_expect_wants_leaf(&leaf))
		return "absent, and yet something is said about the page";
	if (e->state == PT_EITHER && !pt_expect_wants_leaf(&leaf))
		return "it says nothing, so it could not fail";
	if ((f->kinds & (PT_F_FIRST | PT_F_IN)) != 0 &&
	    ((f->first.v | f->from.v | f->to.v) & BED_PAGE_MASK) != 0)
		return "a frame address is not page aligned";
	if ((f->kinds & PT_F_IN) != 0 && f->from.v >= f->to.v)
		return "the range of frames is empty";
	if ((f->kinds & PT_F_SAME) != 0 && !page_range(f->same, npages))
		return "same= is not a range of canonical page addresses";
	return NULL;
}

static struct pt_page
page_of(const struct walk *walk)
{
	bool fine = walk->stop == WALK_LEAF || walk->stop == WALK_NOT_PRESENT;

	return (struct pt_page){
		.va = walk->va,
		.present = walk_mapped(walk),
		.why = fine ? NULL : walk_stop_name(walk->stop),
		.ad_known = true,
		.pa = walk->pa,
		.attr = walk->attr,
	};
}

static void
one_bad_page(struct check *check, uint64_t i, const char *what)
{
	if (check->wrong++ == 0) {
		check->first = pt_page_va(check->expect->va, i);
		text_add(&check->text, "mapping mismatch, expected: ");
		pt_print(&check->text, check->expect);
		text_add(&check->text, "\n");
	}
	if (check->wrong > PT_REPORT_MAX)
		return;
	text_add(&check->text, "  %016" PRIx64 " page %" PRIu64 " of %" PRIu64 ": %s\n",
	    pt_page_va(check->expect->va, i).v, i + 1, pt_npages(check->expect), what);
}

/* The content of the frame under a page. */
static void
check_zero(const struct check *check, const struct walk *walk, struct text *line)
{
	static const uint8_t zero[BED_PAGE_SIZE];
	const uint8_t *host = view_ptr(check->view, walk->pa, BED_PAGE_SIZE);
	unsigned at = 0;
	bool is_zero;

	if (host == NULL) {
		text_add(line, "%scontent wanted, but frame 0x%" PRIx64 " is outside memory",
		    line->len > 0 ? ", " : "", walk->pa.v);
		return;
	}
	is_zero = memcmp(host, zero, sizeof(zero)) == 0;
	if (is_zero == (check->expect->zero == PT_YES))
		return;
	while (!is_zero && at < BED_PAGE_SIZE - 1 && host[at] == 0)
		at++;
	if (is_zero)
		text_add(line, "%swants content that is not zero, all is zero",
		    line->len > 0 ? ", " : "");
	else
		text_add(line, "%swants zero content, byte 0x%x of frame 0x%" PRIx64 " is 0x%02x",
		    line->len > 0 ? ", " : "", at, walk->pa.v, host[at]);
}

static struct pt_page
found(void *arg, uint64_t i, bool same)
{
	const struct check *check = arg;
	gva_t va = pt_page_va(same ? check->expect->frames.same : check->expect->va, i);
	struct walk walk = view_walk(check->view, va);

	return page_of(&walk);
}

static void
wrong(void *arg, uint64_t i, const char *text)
{
	one_bad_page(arg, i, text);
}

/* Rights, size, bits, content: page by page. */
static void
check_pages(struct check *check)
{
	const struct pt_expect *e = check->expect;
	char line[512];

	for (uint64_t i = 0; i < pt_npages(e); i++) {
		struct walk walk = view_walk(check->view, pt_page_va(e->va, i));
		struct pt_page page = page_of(&walk);
		struct text text = text_on(line, sizeof(line));

		pt_page_mismatch(&text, e, &page);
		if (e->zero != PT_ANY && page.present)
			check_zero(check, &walk, &text);
		if (text.len > 0)
			one_bad_page(check, i, line);
	}
}

bool
view_expect_at(const struct view *view, const struct pt_expect *e, char *report, size_t size,
    size_t *brief, gva_t *first)
{
	static const struct pt_frame_ops ops = { .found = found, .wrong = wrong };
	struct check check = { .view = view, .expect = e, .text = text_on(report, size) };
	const char *flaw = pt_expect_flaw(e);
	struct walk walk;

	*brief = 0;
	*first = e->va;
	if (flaw != NULL) {
		text_add(&check.text, "expectation makes no sense: %s: ", flaw);
		pt_print(&check.text, e);
		text_add(&check.text, "\n");
		return false;
	}
	check_pages(&check);
	if (!pt_frames_check(e, &ops, &check)) {
		text_add(&check.text, "no memory to compare %" PRIu64 " frames\n", pt_npages(e));
		return false;
	}
	if (check.wrong == 0)
		return true;
	if (check.wrong > PT_REPORT_MAX)
		text_add(&check.text, "  and %u more\n", check.wrong - PT_REPORT_MAX);
	*brief = check.text.len < size ? check.text.len : 0;
	*first = check.first;
	walk = view_walk(view, check.first);
	ladder_expect(&check.text, e, &walk, NULL);
	return false;
}

bool
view_expect(const struct view *view, const struct pt_expect *e, char *report, size_t size)
{
	size_t brief;
	gva_t first;

	return view_expect_at(view, e, report, size, &brief, &first);
}
