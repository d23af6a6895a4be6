/* SPDX-License-Identifier: ISC */
/*
 * Shrinking of traces, against predicates that are known: what is needed stays, all else goes, names keep their
 * meaning. And random programs: total decoding, profiles.
 */
#include <string.h>

#include "tests/bedtest.h"
#include "vmm/explore/program.h"
#include "vmm/trace/shrink.h"

static struct trace
parse(const char *text)
{
	struct bed_err err;
	struct trace t;

	cr_assert(trace_parse(&t, "t", text, strlen(text), &err), "%s", err.text);
	return t;
}

/* Fails iff it stores to the second page of something from uvm_km_valloc. */
static bool
stores_behind_valloc(void *arg, const struct trace *t)
{
	++*(unsigned *)arg;
	for (unsigned i = 0; i < t->nline; i++) {
		const struct trace_line *l = &t->line[i];

		if (l->kind == TRACE_CALL && l->which == BED_CALL_store && l->value[0].ref >= 0 &&
		    t->line[l->value[0].ref].which == BED_CALL_uvm_km_valloc &&
		    l->value[0].number == 4096)
			return true;
	}
	return false;
}

BED_TEST(shrink, what_it_takes_stays_and_the_rest_goes)
{
	struct trace t = parse("uvmbed-trace 1\nram 8m # the machine\n"
			       "a = uvm_km_alloc kernel_map 9p\nb = uvm_km_valloc exec_map 40p\n"
			       "store a+1p 7\nfill a 9 3\nx = uvm_km_valloc kernel_map 3p # y\n"
			       "uvm_km_free kernel_map a 9p\nstore b+1p 77\nload b+1p\n"
			       "uvm_km_free exec_map b 40p\nexpect absent b 40p\n");
	struct shrink_totals totals;
	unsigned runs = 0;

	cr_assert(trace_shrink(&t, stores_behind_valloc, &runs, 0, &totals));
	cr_expect_eq(totals.from, 10);
	cr_expect_eq(totals.to, 2, "%u operations left", totals.to);
	cr_expect_eq(totals.tried, runs);
	cr_assert_eq(t.nline, 3, "%u lines", t.nline);
	cr_expect_eq(t.line[0].kind, TRACE_SET);
	cr_expect_eq(t.line[1].which, BED_CALL_uvm_km_valloc);
	cr_expect_str_eq(t.line[1].value[0].text, "kernel_map");
	cr_expect_str_eq(t.line[1].value[1].text, "1p");
	cr_expect_eq(t.line[2].value[0].ref, 1);
	cr_expect_str_eq(t.line[2].value[1].text, "0");
	trace_free(&t);
}

BED_TEST(shrink, a_limit_is_kept)
{
	struct trace t = parse("uvmbed-trace 1\nb = uvm_km_valloc exec_map 40p\nnull\nnull\nnull\n"
			       "store b+1p 77\n");
	struct shrink_totals totals;
	unsigned runs = 0;

	cr_assert(trace_shrink(&t, stores_behind_valloc, &runs, 3, &totals));
	cr_expect_eq(runs, 3);
	cr_expect(stores_behind_valloc(&runs, &t), "it does not fail any more");
	trace_free(&t);
}

/* Nothing but pairs: leaving out one line alone never fails. */
static bool
balanced(void *arg, const struct trace *t)
{
	unsigned allocs = 0, ticks = 0;

	(void)arg;
	for (unsigned i = 0; i < t->nline; i++) {
		allocs += t->line[i].which == BED_CALL_uvm_pagealloc;
		ticks += t->line[i].which == BED_CALL_tick;
	}
	return allocs == ticks && allocs > 0;
}

BED_TEST(shrink, pairs)
{
	struct trace t = parse("uvmbed-trace 1\na = uvm_pagealloc\nb = uvm_pagealloc\n"
			       "c = uvm_pagealloc\ntick 1\ntick 2\ntick 3\n");
	struct shrink_totals totals;

	cr_assert(trace_shrink(&t, balanced, NULL, 0, &totals));
	cr_expect_eq(totals.to, 2, "%u operations left", totals.to);
	trace_free(&t);
}

/* Whatever the bytes, every field is in range; every kind can be said. */
BED_TEST(programs, decoding_is_total)
{
	unsigned seen[XOP_LIMIT] = { 0 };

	for (unsigned i = 0; i < 65536; i++) {
		uint8_t bytes[XOP_BYTES] = { (uint8_t)i, (uint8_t)(i >> 8), 255, 255, 255, 255, 255,
			255 };
		struct xop op = xop_decode(bytes);

		cr_assert(op.kind < XOP_LIMIT && op.slot < XSLOTS);
		seen[op.kind]++;
	}
	for (unsigned k = 0; k < XOP_LIMIT; k++)
		cr_expect(seen[k] > 0, "kind %u has no byte", k);
}

BED_TEST(programs, profiles_and_seeds)
{
	enum { N = 4000 };
	static uint8_t one[N * XOP_BYTES], two[N * XOP_BYTES];

	cr_expect(xprofile_find("nosuch") == NULL);
	for (unsigned i = 0; xprofile_at(i) != NULL; i++) {
		const struct xprofile *p = xprofile_at(i);

		cr_expect_eq(xprofile_find(p->name), p);
		xprogram_make(one, N, 42, 7, p);
		xprogram_make(two, N, 42, 7, p);
		cr_expect(memcmp(one, two, sizeof(one)) == 0, "%s: not the same", p->name);
		xprogram_make(two, N, 42, 8, p);
		cr_expect(memcmp(one, two, sizeof(one)) != 0, "%s: the same", p->name);
		for (unsigned k = 0; k < N && p->max_pages != 0; k++)
			cr_assert(p->weight[xop_decode(one + k * XOP_BYTES).kind] > 0,
			    "%s: a kind it does not have", p->name);
	}
}
