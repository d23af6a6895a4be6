/* SPDX-License-Identifier: ISC */
/*
 * The text form of TLB logs: printing is the inverse of reading, and everything malformed is refused with its
 * line and column.
 */
#include "tests/bedtest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/tlbgen.h"
#include "vmm/tlbsan/log.h"

#define HEAD "uvmbed-tlblog 1\n"

static bool
print(void *arg, const struct tlb_event *ev, struct bed_err *err)
{
	(void)err;
	return tlblog_print(arg, ev);
}

/* Read and print again; the text is the caller's. */
static char *
through(const char *text, size_t len)
{
	FILE *in = fmemopen((void *)(uintptr_t)text, len, "r"), *out;
	struct bed_err err;
	char *again = NULL;
	size_t size;

	out = open_memstream(&again, &size);
	cr_assert(in != NULL && out != NULL && tlblog_header(out));
	cr_assert(tlblog_read(in, "t", print, out, &err), "%s", err.text);
	fclose(in);
	fclose(out);
	return again;
}

BED_TEST(tlblog, print_is_identity)
{
	static const char text[] = HEAD "cpus 4\n"
					"rule D4 error\n"
					"rule D0 off\n"
					"tce\n"
					"root 0x1000\n"
					"table 0x5000 1 0xffff800000000000\n"
					"entry 0x5008 0x8000000000009003\n"
					"1 0 store 0x5008 0x9003 0x0 @0xffffffff80401234\n"
					"3 0 invlpg 0xffff800000001000 2\n"
					"5 1 flush 4 @0x1\n"
					"7 3 cr3 0x1000 6\n"
					"8 0 off\n"
					"9 0 on\n"
					"10 0 send 0xe 0xffff800000001000 1\n"
					"11 1 ack 0 0xffff800000001000 1\n"
					"12 0 page-alloc 0x9000 1\n"
					"13 0 page-free 0x9000 1\n"
					"14 0 va-alloc 0x1 0xffff800000001000 0xffff800000002000\n"
					"15 0 va-free 0x1 0xffff800000001000 0xffff800000002000\n"
					"16 0 table-alloc 0x5000\n"
					"17 0 table-free 0x5000\n"
					"18 0 enter 7\n"
					"19 0 leave 7\n"
					"20 0 lock 0x100\n"
					"21 0 unlock 0x100\n"
					"18446744073709551615 0 update\n";
	char *again = through(text, sizeof(text) - 1);

	cr_expect_str_eq(again, text);
	free(again);
}

BED_TEST(tlblog, random_logs_survive)
{
	uint64_t seed = tlbgen_seed("random_logs_survive");
	struct tlbgen *g = malloc(sizeof(*g));
	char *text = NULL, *again;
	size_t size;
	FILE *out;

	cr_assert(g != NULL);
	tlbgen_make(g, seed, 4, 2000);
	out = open_memstream(&text, &size);
	cr_assert(out != NULL && tlblog_header(out));
	for (unsigned i = 0; i < g->n; i++)
		cr_assert(tlblog_print(out, &g->ev[i]));
	fclose(out);
	again = through(text, size);
	cr_expect(strcmp(again, text) == 0, "the text changed");
	free(again);
	free(text);
	free(g);
}

static bool
judge(void *arg, const struct tlb_event *ev, struct bed_err *err)
{
	return tlb_event(arg, ev, err);
}

/* What is said of a wrong log, read and judged. */
static void
refused(const char *text, const char *want)
{
	FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	struct bed_err err = { .class = BED_OK };
	struct tlb *t = tlb_new(NULL, NULL, NULL, NULL);

	cr_assert(in != NULL && t != NULL);
	cr_expect(!tlblog_read(in, "t", judge, t, &err), "accepted: %s", text);
	cr_expect(err.class == BED_E_INPUT && strncmp(err.text, want, strlen(want)) == 0,
	    "%s\nsaid: %s\nnot:  %s", text, err.text, want);
	fclose(in);
	tlb_free(t);
}

BED_TEST(tlblog, malformed_is_refused)
{
	static const char *const wrong[][2] = {
		{ "\n", "t:1:1: not a TLB log" },
		{ "uvmbed-trace 1\n", "t:1:1: not a TLB log" },
		{ "uvmbed-tlblog 2\n", "t:1:15: log version 2" },
		{ HEAD "1 0 update", "t:2:11: the last line has no end" },
		{ HEAD "frob 1\n", "t:2:1: unknown event \"frob\"" },
		{ HEAD "1 0 frob\n", "t:2:5: unknown event \"frob\"" },
		{ HEAD "1 0\n", "t:2:1: an event is" },
		{ HEAD "1 0 root 0x1000\n", "t:2:5: root describes the start" },
		{ HEAD "update\n", "t:2:1: update is an event" },
		{ HEAD "1 0 store 0x5000 0\n", "t:2:5: store takes 3 arguments, here are 2" },
		{ HEAD "1 0 lock 0x\n", "t:2:10: \"0x\" is no address" },
		{ HEAD "1 0 enter -1\n", "t:2:11: \"-1\" is no number" },
		{ HEAD "1 0 lock 0x10000000000000000\n", "t:2:10: " },
		{ HEAD "1 64 update\n", "t:2:3: CPU 64" },
		{ HEAD "1 0 lock 1 @x\n", "t:2:12: \"@x\" is no place" },
		{ HEAD "rule D9 off\n", "t:2:6: \"D9\" is no rule" },
		{ HEAD "rule D1 loud\n", "t:2:9: \"loud\" is no severity" },
		{ HEAD "1 0 update \x01\n", "t:2:12: byte 0x1" },
		{ HEAD "1 0 a b c d e f g\n", "t:2:17: too many words" },
		/* Well formed, but without sense. */
		{ HEAD "2 0 update\n1 0 update\n", "t:3:1: update: ticket 1 after 2" },
		{ HEAD "2 0 update\n2 0 update\n", "t:3:1: update: ticket 2 after 2" },
		{ HEAD "1 1 update\n", "t:2:1: update: there is no cpu 1" },
		{ HEAD "2 0 flush 2\n", "t:2:1: flush: begin" },
		{ HEAD "2 0 invlpg 0x1000 3\n", "t:2:1: invlpg: begin" },
		{ HEAD "1 0 update\ncpus 2\n", "t:3:1: cpus: describes the start" },
		{ HEAD "cpus 65\n", "t:2:1: cpus: 1 to 64" },
		{ HEAD "table 0x5000 5 0\n", "t:2:1: table: the level" },
		{ HEAD "table 0x5000 1 0x1000\n", "t:2:1: table: a table of that level" },
		{ HEAD "root 0x1001\n", "t:2:1: root: the table must" },
		{ HEAD "entry 0x1001 0\n", "t:2:1: entry: the entry must" },
		{ HEAD "1 0 store 0x5001 0 0\n", "t:2:1: store: the entry must" },
		{ HEAD "1 0 page-free 0x9000 0\n", "t:2:1: page-free: a page address" },
		{ HEAD "1 0 page-free 0x9000 0xfffffffffffff\n",
		    "t:2:1: page-free: a page address" },
		{ HEAD "1 0 va-alloc 1 0x2000 0x1000\n", "t:2:1: va-alloc: the end" },
		{ HEAD "1 0 ack 1 0 0\n", "t:2:1: ack: there is no such sender" },
		{ HEAD "1 0 table-free 0x9001\n", "t:2:1: table-free: the table" },
	};
	char longline[TLBLOG_LINE + 40];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		refused(wrong[i][0], wrong[i][1]);
	strcpy(longline, HEAD "#");
	memset(longline + strlen(longline), 'x', TLBLOG_LINE);
	strcpy(longline + strlen(HEAD) + TLBLOG_LINE + 1, "\n");
	refused(longline, "t:2:257: line longer than 256");
}
