/* SPDX-License-Identifier: ISC */
/*
 * Expectations and the failure message: each kind passing, and failing with a message that
 * tells what is needed.
 */
#include "tests/bedtest.h"
#include "tests/unit/golden.h"

#include <stdio.h>
#include <string.h>

#include "vmm/view/expect.h"
#include "vmm/view/report.h"

#define VA UINT64_C(0xffff800000201000)
#define RW (PTE_P | PTE_W | PTE_NX | PTE_G)
#define PG UINT64_C(4096)

/*
 * One tree for all expectations, pages from VA on:
 *	0..2  rw, scattered frames inside memory, wired, global; 0 accessed and dirty; content zero but in 2
 *	3..5  r-x, frames 0x900000.., managed, user
 *	6     the frame of page 0 again
 *	7     nothing
 *	8     reserved bit
 *	VA2M  a 2 MiB page of frames 0x40000000..
 */
#define VA2M UINT64_C(0xffff800000600000)

static void
make_tree(struct golden *g)
{
	static const uint64_t frame[] = { 0x10a000, 0x10c000, 0x10b000 };

	golden_init(g, 16);
	for (unsigned i = 0; i < 3; i++)
		golden_map(g, VA + i * PG, 1, frame[i] | RW | PTE_SW_W);
	*golden_entry(g, VA, 1) |= PTE_A | PTE_D;
	((uint8_t *)golden_at(g, GPA(frame[2])))[0x7b] = 0xcc;
	golden_map(g, VA + 3 * PG, 3, 0x900000 | PTE_P | PTE_U | PTE_SW_M);
	golden_map(g, VA + 6 * PG, 1, frame[0] | RW);
	*golden_entry(g, VA + 8 * PG, 1) = 1ull << 44 | PTE_P;
	*golden_entry(g, VA2M, 2) = 0x40000000 | RW | PTE_PS;
}

/* Line of text; what the report of a failure must hold, NULL: passes. The field form is checked below. */
static const struct {
	const char *line;
	const char *fact[3];
} expect_case[] = {
	{ "ffff800000201000 +3 rw-- 4k global wired !managed distinct", { NULL } },
	{ "ffff800000201000 +3 present", { NULL } },
	{ "ffff800000201000 +8 present", { "page 8 of 8", "absent, wants present", "PT[8]" } },
	{ "ffff800000208000 absent", { NULL } },
	{ "ffff800000201000 absent", { "present (frame 0x10a000), wants absent", "<- present" } },
	{ "ffff800000209000 absent", { "reserved bit set, wants absent", "bits 0x100000000000" } },
	{ "ffff800000209000 present", { "reserved bit set, wants present" } },
	{ "ffff900000000000 +100 absent", { NULL } },
	{ "ffff800000201000 +4 r???", { NULL } },
	{ "ffff800000201000 +3 r-??", { "writable, wants read-only", "<- W not wanted" } },
	{ "ffff800000204000 rw??",
	    { "not writable, wants rw", "<- W lost here", "W taken at PT[4]" } },
	{ "ffff800000204000 r?x?", { NULL } },
	{ "ffff800000204000 r?-?", { "executable, wants NX", "<- NX missing" } },
	{ "ffff800000201000 r?x?",
	    { "NX, wants executable", "X lost here (NX)", "X taken at PT[1]" } },
	{ "ffff800000204000 r??u", { NULL } },
	{ "ffff800000204000 r?\?-", { "user, wants supervisor", "U not wanted" } },
	{ "ffff800000201000 r??u", { "supervisor, wants user", "U lost here" } },
	{ "ffff800000201000 2m", { "4k page, wants 2m", "bit 7 missing" } },
	{ "ffff800000600000 +512 rw-- 2m contig=40000000", { NULL } },
	{ "ffff800000600000 +2 4k", { "2m page, wants 4k", "bit 7 set" } },
	{ "ffff800000600000 1g", { "2m page, wants 1g" } },
	{ "ffff800000204000 !global", { NULL } },
	{ "ffff800000204000 global", { "wants global set", "G missing" } },
	{ "ffff800000201000 !global", { "wants global clear", "G not wanted" } },
	{ "ffff800000201000 !wired", { "wants wired clear", "wired not wanted" } },
	{ "ffff800000204000 +3 managed !wired", { NULL } },
	{ "ffff800000201000 managed", { "wants managed set", "managed missing" } },
	{ "ffff800000201000 accessed dirty", { NULL } },
	{ "ffff800000202000 !accessed !dirty", { NULL } },
	{ "ffff800000202000 accessed", { "wants accessed set", "A clear" } },
	{ "ffff800000201000 !dirty", { "wants dirty clear", "D set" } },
	{ "ffff800000201000 +2 zero", { NULL } },
	{ "ffff800000203000 !zero", { NULL } },
	{ "ffff800000201000 +3 zero", { "page 3 of 3", "byte 0x7b of frame 0x10b000 is 0xcc" } },
	{ "ffff800000201000 !zero", { "content that is not zero, all is zero" } },
	{ "ffff800000204000 zero", { "frame 0x900000 is outside memory" } },
	{ "ffff800000201000 pa=10a000", { NULL } },
	{ "ffff800000201000 pa=10b000", { "frame 0x10a000, wants 0x10b000", "<- other frame" } },
	{ "ffff800000204000 +3 contig=900000", { NULL } },
	{ "ffff800000204000 +3 contig", { NULL } },
	{ "ffff800000204000 +3 contig=901000",
	    { "frame 0x900000, wants 0x901000", "page 1 of 3" } },
	{ "ffff800000201000 +3 contig",
	    { "frame 0x10c000 does not follow the one before, 0x10a000" } },
	{ "ffff800000201000 +7 distinct",
	    { "page 7 of 7", "0x10a000 is mapped at ffff800000201000 too" } },
	{ "ffff800000207000 same=ffff800000201000", { NULL } },
	{ "ffff800000202000 same=ffff800000201000",
	    { "frame 0x10c000, wants that of ffff800000201000, 0x10a000" } },
	{ "ffff800000201000 same=ffff800000208000",
	    { "frame of ffff800000208000, which is not mapped" } },
	{ "ffff800000201000 +3 in=10a000-10d000", { NULL } },
	{ "ffff800000201000 +3 in=10a000-10c000",
	    { "page 2 of 3", "frame 0x10c000 is not in 0x10a000-0x10c000" } },
	{ "ffff800000201000 +3 distinct in=100000-110000 rw-- wired", { NULL } },
	/* An expectation that makes no sense fails. */
	{ "ffff800000201001 present", { "makes no sense", "canonical page addresses" } },
	{ "0000800000000000 present", { "makes no sense" } },
	{ "00007ffffffff000 +2 present", { "makes no sense" } },
	{ "fffffffffffff000 +2 absent", { "makes no sense" } },
	{ "fffffffffffff000 +1 absent", { NULL } },
	{ "ffff800000201000 +3", { "says nothing" } },
	{ "ffff800000201000 absent wired", { "absent, and yet" } },
	{ "ffff800000201000 in=5000-5000", { "range of frames is empty" } },
	{ "ffff800000201000 pa=5001", { "frame address is not page aligned" } },
	{ "ffff800000201000 same=1234", { "same=" } },
};
#define NCASES (sizeof(expect_case) / sizeof(expect_case[0]))

BED_TEST(expect, every_kind)
{
	struct golden g;
	char report[8192];
	struct bed_err err;

	make_tree(&g);
	for (size_t i = 0; i < NCASES; i++) {
		struct pt_expect e;
		const char *line = expect_case[i].line;
		bool pass = expect_case[i].fact[0] == NULL;

		cr_assert(pt_parse(line, &e, &err), "%s: %s", line, err.text);
		cr_expect_eq(
		    view_expect(&g.view, &e, report, sizeof(report)), pass, "%s\n%s", line, report);
		cr_expect_eq(report[0] == '\0', pass, "%s: %s", line, report);
		for (unsigned k = 0; k < 3 && expect_case[i].fact[k] != NULL; k++)
			cr_expect_not_null(strstr(report, expect_case[i].fact[k]),
			    "%s: no \"%s\" in\n%s", line, expect_case[i].fact[k], report);
	}
	golden_free(&g);
}

BED_TEST(expect, fields)
{
	struct golden g;
	char report[4096];

	make_tree(&g);
	cr_expect(view_expect(&g.view,
	    &(struct pt_expect){ .va = GVA(VA),
		.npages = 3,
		.size = PT_4K,
		.perm = PT_RW,
		.nx = 1,
		.user = PT_NO,
		.global = PT_YES,
		.wired = 1,
		.managed = PT_NO,
		.frames = PT_DISTINCT },
	    report, sizeof(report)));
	cr_expect(view_expect(&g.view,
	    &(struct pt_expect){
		.va = GVA(VA + 3 * PG), .npages = 3, .frames = PT_CONTIG(0x900000) },
	    report, sizeof(report)));
	cr_expect(view_expect(&g.view,
	    &(struct pt_expect){ .va = GVA(VA), .frames = PT_SAME_AS(VA + 6 * PG) }, report,
	    sizeof(report)));
	cr_expect(
	    !view_expect(&g.view, &(struct pt_expect){ .va = GVA(VA), .frames = PT_IN(0, 0x1000) },
		report, sizeof(report)));
	cr_expect(!view_expect(&g.view,
	    &(struct pt_expect){ .va = GVA(VA), .frames = PT_PA(0x1000) }, report, sizeof(report)));
	cr_expect(!view_expect(
		      &g.view, &(struct pt_expect){ .va = GVA(VA), .state = PT_ABSENT }, NULL, 0),
	    "a report is not needed");
	cr_expect(!view_expect(&g.view,
	    &(struct pt_expect){ .va = GVA(VA), .npages = 2, .wired = PT_NO }, report, 40));
	cr_expect_lt(strlen(report), 40, "a report is cut to its buffer");
	golden_free(&g);
}

static unsigned
count(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, what)) != NULL; p++)
		n++;
	return n;
}

BED_TEST(expect, stops_after_eight)
{
	struct golden g;
	char report[8192];

	golden_init(&g, 8);
	golden_map(&g, VA, 20, 0x800000 | RW);
	cr_expect(
	    !view_expect(&g.view, &(struct pt_expect){ .va = GVA(VA), .npages = 20, .perm = PT_R },
		report, sizeof(report)));
	cr_expect_eq(count(report, "wants read-only"), 8, "%s", report);
	cr_expect_not_null(strstr(report, "  and 12 more\n"), "%s", report);
	golden_free(&g);
}

BED_TEST(expect, message)
{
	struct golden g;
	char report[4096];
	struct pt_expect e;

	golden_init(&g, 8);
	golden_map(&g, VA, 3, 0x800000 | RW | PTE_SW_W);
	*golden_entry(&g, VA + PG, 1) &= ~PTE_W;
	cr_assert(pt_parse("ffff800000201000 +3 rw-- 4k global wired contig=800000", &e, NULL));
	cr_expect(!view_expect(&g.view, &e, report, sizeof(report)));
	cr_expect_str_eq(report,
	    "mapping mismatch, expected: ffff800000201000 +3 rw-- 4k global wired contig=800000\n"
	    "  ffff800000202000 page 2 of 3: not writable, wants rw\n"
	    "  va             ffff800000202000\n"
	    "  level      entry gpa         expected                        actual     "
	    "                 note\n"
	    "  PML4[256]  0x100800          P W                             P W U "
	    "pa=0x101000\n"
	    "  PDPT[0]    0x101000          P W PS=0                        P W U "
	    "pa=0x102000\n"
	    "  PD[1]      0x102008          P W PS=0                        P W U "
	    "pa=0x103000\n"
	    "  PT[2]      0x103010          P W U=0 NX G wired pa=0x801000  P R NX G "
	    "wired pa=0x801000  <- W lost here\n"
	    "  effective                    rw--                            r--- (W "
	    "taken at PT[2], X taken at PT[2], U taken at PT[2])\n"
	    "  end                                                          leaf 4k "
	    "pa=0x801000\n",
	    "%s", report);
	golden_free(&g);
}

BED_TEST(report, two_walks_and_facts)
{
	static const struct ladder_facts facts = { .where = "test.c:7",
		.op = "#12 uvm_km_free",
		.owner_map = "kernel_map entry",
		.owner_model = "a",
		.writers = "event 99",
		.frame = "free",
		.replay = "uvmbed replay x" };
	struct golden g;
	struct walk before, after;
	char buf[4096];
	struct text text = text_on(buf, sizeof(buf));

	golden_init(&g, 8);
	golden_map(&g, VA, 1, 0x800000 | RW);
	before = view_walk(&g.view, GVA(VA));
	*golden_entry(&g, VA, 2) |= PTE_A | PTE_NX;
	*golden_entry(&g, VA, 1) = 0x801000 | RW | PTE_D;
	after = view_walk(&g.view, GVA(VA));
	ladder_walks(&text, &before, &after, &facts);
	cr_expect_eq(count(buf, "<-"), 2, "%s", buf);
	cr_expect_not_null(strstr(buf, "<- X lost here (NX)\n"), "%s", buf);
	cr_expect_not_null(strstr(buf, "<- other frame\n"), "%s", buf);
	cr_expect_not_null(strstr(buf, "at             test.c:7\n"));
	cr_expect_not_null(strstr(buf, "operation      #12 uvm_km_free\n"));
	cr_expect_not_null(strstr(buf, "owner by map   kernel_map entry\n"));
	cr_expect_not_null(strstr(buf, "owner by model a\n"), "%s", buf);
	cr_expect_not_null(strstr(buf, "last writers   event 99\n"));
	cr_expect_not_null(strstr(buf, "replay         uvmbed replay x\n"));
	cr_expect_not_null(strstr(buf, "leaf 4k pa=0x800000"));

	/* A walk that ends earlier than the other. */
	*golden_entry(&g, VA, 3) = 0;
	after = view_walk(&g.view, GVA(VA));
	text = text_on(buf, sizeof(buf));
	ladder_walks(&text, &before, &after, NULL);
	cr_expect_not_null(strstr(buf, "<- not present\n"), "%s", buf);
	cr_expect_not_null(strstr(buf, "PT[1]"), "%s", buf);
	cr_expect_not_null(strstr(buf, "not present at PDPT[0]"), "%s", buf);
	golden_free(&g);
}

BED_TEST(expect_text, parse_errors)
{
	static const struct {
		const char *line, *fact;
	} cases[] = {
		{ "", "column 1: wants an address" },
		{ "zebra present", "column 1: wants an address in hex, not \"zebra\"" },
		{ "10000000000000000 present", "column 1: wants an address" },
		{ "1000 +0 present", "column 6: bad number of pages \"+0\"" },
		{ "1000 +3x", "column 6: bad number of pages" },
		{ "1000 +3 +4", "column 9: unknown word \"+4\"" },
		{ "1000 presnt", "column 6: unknown word \"presnt\"" },
		{ "1000 4k 2m", "column 9: said twice" },
		{ "1000 present absent", "column 14: said twice, or against" },
		{ "1000 absent rw--", "column 13: said twice, or against" },
		{ "1000 wired !wired", "column 12: said twice" },
		{ "1000 -w--", "unknown word" },
		{ "1000 rwxz", "unknown word" },
		{ "1000 pa=", "unknown word" },
		{ "1000 pa=5000 contig=6000", "column 14: said twice" },
		{ "1000 in=5000", "unknown word" },
		{ "1000 in=5000-6000-", "unknown word" },
		{ "1000 same=0x", "unknown word" },
		{ "1000 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		    "unknown word" },
	};
	struct bed_err err;
	struct pt_expect e;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect(!pt_parse(cases[i].line, &e, &err), "\"%s\"", cases[i].line);
		cr_expect_not_null(
		    strstr(err.text, cases[i].fact), "\"%s\": %s", cases[i].line, err.text);
		cr_expect_eq(err.class, BED_E_INPUT);
	}
	/* Blanks, 0x, wildcards, order. */
	cr_expect(pt_parse("  0xffff800000001000\t+3 ? distinct 4k ???? wired rw-?  ", &e, &err),
	    "%s", err.text);
	cr_expect(e.va.v == 0xffff800000001000 && e.npages == 3 && e.size == PT_4K &&
		  e.perm == PT_RW && e.nx == PT_YES && e.user == PT_ANY && e.wired == PT_YES &&
		  e.state == PT_PRESENT && e.frames.kinds == PT_F_DISTINCT);
}

/* Any struct comes back from its text; and the text from the struct. */
BED_TEST(expect_text, round_trip)
{
	uint64_t seed = golden_seed("expect_text::round_trip"), rnd = seed;

	for (int i = 0; i < 20000; i++) {
		struct pt_expect e = { .va = GVA(golden_random(&rnd) >> (golden_random(&rnd) % 64)),
			.npages = 1 + golden_random(&rnd) % 5000 };
		struct pt_expect back;
		char buf[512], again[512];
		struct text text = text_on(buf, sizeof(buf));
		struct bed_err err;
		enum pt_tri *tri[] = { &e.nx, &e.user, &e.global, &e.wired, &e.managed, &e.accessed,
			&e.dirty, &e.zero };

		e.state = (enum pt_state)(golden_random(&rnd) % 3);
		e.size = (enum pt_size)(golden_random(&rnd) % 4);
		for (size_t k = 0; k < sizeof(tri) / sizeof(tri[0]); k++)
			*tri[k] = (enum pt_tri)(golden_random(&rnd) % 3);
		e.perm = (enum pt_perm)(golden_random(&rnd) % 3);
		if (e.state == PT_ABSENT) {
			e.perm = PT_ANY_PERM;
			e.nx = e.user = PT_ANY;
		}
		e.frames.kinds = (unsigned)(golden_random(&rnd) % 32);
		if ((e.frames.kinds & PT_F_FIRST) != 0)
			e.frames.first = GPA(golden_random(&rnd));
		if ((e.frames.kinds & PT_F_SAME) != 0)
			e.frames.same = GVA(golden_random(&rnd));
		if ((e.frames.kinds & PT_F_IN) != 0) {
			e.frames.from = GPA(golden_random(&rnd));
			e.frames.to = GPA(golden_random(&rnd));
		}
		pt_print(&text, &e);
		cr_assert_lt(text.len, sizeof(buf));
		cr_assert(
		    pt_parse(buf, &back, &err), "seed 0x%lx: \"%s\": %s", seed, buf, err.text);
		cr_assert_eq(memcmp(&e, &back, sizeof(e)), 0, "seed 0x%lx: \"%s\"", seed, buf);
		text = text_on(again, sizeof(again));
		pt_print(&text, &back);
		cr_assert_str_eq(buf, again);
	}
	for (size_t i = 0; i < NCASES; i++) {
		struct pt_expect e, back;
		char buf[512];
		struct text text = text_on(buf, sizeof(buf));

		cr_assert(pt_parse(expect_case[i].line, &e, NULL));
		pt_print(&text, &e);
		cr_assert(
		    pt_parse(buf, &back, NULL) && memcmp(&e, &back, sizeof(e)) == 0, "%s", buf);
	}
}
