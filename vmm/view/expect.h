/* SPDX-License-Identifier: ISC */
/*
 * What a test states about mappings. A struct with designated initialisers; a field that is not named is
 * not looked at:
 *
 *	struct pt_expect e = { .va = a, .npages = 3, .size = PT_4K, .perm = PT_RW, .nx = PT_YES,
 *	    .wired = PT_YES, .frames = PT_DISTINCT };
 *
 * The same in one line of text (pt_parse, pt_print), for tables of cases and golden files:
 *
 *	ffff800000001000 +3 rw-? 4k wired distinct
 *
 *	ADDRESS [+PAGES] WORD...      address in hex (0x optional); pages of 4 KiB, decimal, 1 if not given
 *	RIGHTS                        four letters r w x u, each the letter, '-' or '?'; r says "present"
 *	present  absent
 *	4k 2m 1g                      page size
 *	global accessed dirty         each also as "!word": must be clear
 *	wired managed                 software bits 9 and 10, likewise
 *	zero                          every byte of every page is zero ("!zero": some byte of each is not)
 *	pa=HEX                        frame of the first page
 *	distinct                      no two pages have the same frame
 *	contig                        each frame follows the one before
 *	contig=HEX                    the same, and the first is HEX
 *	same=ADDRESS                  the same frames, page by page, as at ADDRESS
 *	in=HEX-HEX                    all frames in [from, to)
 *	?                             says nothing (holds a column of a table)
 *
 * Words may stand in any order; the printer has one order. (In a C string "r??-" is written "r?\?-": the
 * compiler warns of a trigraph.)
 */
#ifndef VMM_VIEW_EXPECT_H
#define VMM_VIEW_EXPECT_H

#include "vmm/error.h"
#include "vmm/view/walk.h"

enum pt_tri {
	PT_ANY,
	PT_YES, /* also what `.nx = 1` says */
	PT_NO
};

enum pt_state {
	PT_EITHER, /* present, if any field says something about a leaf */
	PT_PRESENT,
	PT_ABSENT /* an entry with P clear stops the walk; a bad entry is not absent */
};

enum pt_size { PT_ANY_SIZE, PT_4K, PT_2M, PT_1G };

/* The effective right to write. To execute and to be used from user mode are .nx and .user. */
enum pt_perm { PT_ANY_PERM, PT_R, PT_RW };

#define PT_F_FIRST    0x01u /* frame of the first page is .first */
#define PT_F_DISTINCT 0x02u
#define PT_F_CONTIG   0x04u
#define PT_F_SAME     0x08u /* as at .same */
#define PT_F_IN       0x10u /* in [.from, .to) */

struct pt_frames {
	unsigned kinds; /* PT_F_.. together: all must hold */
	gpa_t first;
	gva_t same;
	gpa_t from, to;
};

#define PT_PA(x)      ((struct pt_frames){ .kinds = PT_F_FIRST, .first = { (x) } })
#define PT_DISTINCT   ((struct pt_frames){ .kinds = PT_F_DISTINCT })
#define PT_CONTIGUOUS ((struct pt_frames){ .kinds = PT_F_CONTIG })
#define PT_CONTIG(x)  ((struct pt_frames){ .kinds = PT_F_CONTIG | PT_F_FIRST, .first = { (x) } })
#define PT_SAME_AS(x) ((struct pt_frames){ .kinds = PT_F_SAME, .same = { (x) } })
#define PT_IN(start, end) \
	((struct pt_frames){ .kinds = PT_F_IN, .from = { (start) }, .to = { (end) } })

struct pt_expect {
	gva_t va;        /* page aligned */
	uint64_t npages; /* of 4 KiB, whatever .size; 0 means 1 */
	enum pt_state state;
	enum pt_size size;
	enum pt_perm perm;
	enum pt_tri nx, user, global;
	enum pt_tri wired, managed;
	enum pt_tri accessed, dirty;
	enum pt_tri zero;
	struct pt_frames frames;
};

/* Mismatches shown; what is more is only counted. */
#define PT_REPORT_MAX 8

/*
 * Does the view show what is expected? If not, or if the expectation itself makes no sense (contradicts
 * itself, says nothing, leaves the address space), report says why: a headline, a line a mismatch, and
 * the walk of the first, level by level. The report is cut to size; on success it is empty.
 */
bool view_expect(const struct view *, const struct pt_expect *, char *report, size_t size);

/* The same; if pages are not as expected, *first is the first of them and *brief where its walk begins. */
bool view_expect_at(const struct view *, const struct pt_expect *, char *report, size_t size,
    size_t *brief, gva_t *first);

/* NULL, or why the expectation cannot be checked. */
const char *pt_expect_flaw(const struct pt_expect *);

/* True if it says anything about a page that is present. */
bool pt_expect_wants_leaf(const struct pt_expect *);

/* One line of text to a struct; false with the reason and the column. */
bool pt_parse(const char *line, struct pt_expect *, struct bed_err *err);

/* The one text of an expectation, without a newline. pt_parse() gives the same struct back, with npages
 * 0 turned into 1. */
void pt_print(struct text *, const struct pt_expect *);

/*
 * What is known about one page; how it was found out does not matter. Used by view_expect() on walks and by
 * snapshot_delta() on runs.
 */
struct pt_page {
	gva_t va;
	bool present;
	const char *why; /* if not present, and not merely absent: what is wrong; else NULL */
	bool ad_known;   /* VIEW_A and VIEW_D of .attr mean something */
	gpa_t pa;
	struct view_attr attr;
};

/* Everything the expectation says about one page alone (rights, size, bits, absence; not frames, not
 * content): adds ", "-separated words for what is wrong, nothing if all is well. */
void pt_page_mismatch(struct text *, const struct pt_expect *, const struct pt_page *);

/*
 * What the expectation says about the frames of all pages. found(arg, i, same) gives page i of the range,
 * or of the range at .frames.same. Calls wrong(arg, i, text) for each page that breaks a relation; pages
 * not present are passed over. False: out of memory.
 */
struct pt_frame_ops {
	struct pt_page (*found)(void *arg, uint64_t i, bool same);
	void (*wrong)(void *arg, uint64_t i, const char *text);
};
bool pt_frames_check(const struct pt_expect *, const struct pt_frame_ops *, void *arg);

static inline uint64_t
pt_npages(const struct pt_expect *expect)
{
	return expect->npages != 0 ? expect->npages : 1;
}

static inline gva_t
pt_page_va(gva_t va, uint64_t i)
{
	return GVA(va.v + (i << BED_PAGE_SHIFT));
}

#endif
