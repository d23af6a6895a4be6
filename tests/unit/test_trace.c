/* SPDX-License-Identifier: ISC */
/*
 * The trace format: what is read, that printing is the identity, and that every malformed text is
 * refused with its line and column.
 */
#include "tests/bedtest.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/trace/trace.h"

static char *
printed(const struct trace *t)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	cr_assert(out != NULL && trace_print(t, out));
	fclose(out);
	return text;
}

BED_TEST(trace, print_is_identity)
{
	static const char text[] = "uvmbed-trace 1\n"
				   "# a comment of its own\n"
				   "ram 16m\n"
				   "seed 0x1234\n"
				   "\n"
				   "cpu 0\n"
				   "a = uvm_km_alloc kernel_map 3p   # three pages\n"
				   "expect mapped a 3p rw-\n"
				   "store a+0x1008 0x5a\n"
				   "load a+1p\n"
				   "b = uvm_km_alloc1 0 64k 2m 1\n"
				   "expect differ a b\n"
				   "pmap_enter 0xffff800000000000 0x600000 rw- wired|pmcanfail\n"
				   "uvm_km_free kernel_map a 3p\n"
				   "expect frames a 3p 0x1000 0x2fff\n"
				   "expect absent a 3p\n"
				   "beside 3 null\n"
				   "at 1 null # at a stop point\n";
	struct trace t;
	struct bed_err err;
	char *again;

	cr_assert(trace_parse(&t, "t", text, strlen(text), &err), "%s", err.text);
	again = printed(&t);
	cr_expect_str_eq(again, text);
	free(again);
	trace_free(&t);
}

BED_TEST(trace, values)
{
	static const char text[] = "uvmbed-trace 1\n"
				   "a = uvm_km_alloc kernel_map 3p\n"
				   "store a+2p 0x5a\n"
				   "a = uvm_km_alloc kernel_map 12288\n"
				   "pmap_enter a-8 0 r-x 0x30\n"
				   "fill a 3p 0\n";
	struct trace t;
	struct bed_err err;

	cr_assert(trace_parse(&t, "t", text, strlen(text), &err), "%s", err.text);
	cr_assert_eq(t.nline, 5);
	cr_expect_eq(t.line[0].which, BED_CALL_uvm_km_alloc);
	cr_expect_eq(t.line[0].value[0].number, BED_MAP_KERNEL);
	cr_expect_eq(t.line[0].value[1].number, 3 * 4096);
	cr_expect_eq(t.line[1].value[0].ref, 0);
	cr_expect_eq(t.line[1].value[0].number, 2 * 4096);
	cr_expect_eq(t.line[2].value[1].number, t.line[0].value[1].number);
	cr_expect_eq(t.line[3].value[0].ref, 2, "a name means its latest definition");
	cr_expect_eq(t.line[3].value[0].number, (uint64_t)-8);
	cr_expect_eq(t.line[3].value[2].number, BED_PROT_READ | BED_PROT_EXEC);
	cr_expect_eq(t.line[3].value[3].number, 0x30);
	cr_expect_eq(t.line[4].value[1].number, 3, "a count of pages is not in bytes");
	trace_free(&t);
}

BED_TEST(trace, malformed)
{
	static const struct {
		const char *text; /* after the header */
		const char *where, *what;
	} bad[] = {
		{ "uvm_km_aloc kernel_map 1p\n", "t:2:1:", "did you mean uvm_km_alloc?" },
		{ "  uvm_km_alloc kernel_map\n", "t:2:3:", "takes 2 arguments, here are 1" },
		{ "uvm_km_alloc kernel_map 1p 2p\n", "t:2:1:", "here are 3" },
		{ "uvm_km_alloc kern_map 1p\n", "t:2:14:", "it must be a map" },
		{ "uvm_km_alloc kernel_map 1q\n", "t:2:25:", "a size such as" },
		{ "uvm_km_alloc kernel_map b\n", "t:2:25:", "no earlier line defines" },
		{ "uvm_km_alloc kernel_map 99999999999999999999\n", "t:2:25:", "" },
		{ "uvm_km_alloc kernel_map 0x8000000000000000p\n", "t:2:25:", "" },
		{ "fill 0x1000 3k 0\n", "t:2:13:", "a number of pages" },
		{ "nop_exits 1p\n", "t:2:11:", "a number" },
		{ "1a = uvm_km_alloc kernel_map 1p\n", "t:2:1:", "cannot be a name" },
		{ "a =\n", "t:2:3:", "must follow the =" },
		{ "expect\n", "t:2:1:", "expect what?" },
		{ "expect lost 1 2\n", "t:2:8:", "expect what?" },
		{ "expect absent 0\n", "t:2:8:", "takes 2 values" },
		{ "null\nram 64m\n", "t:3:1:", "before the first operation" },
		{ "pmap_enter 0 0 rxw 0\n", "t:2:16:", "a protection such as" },
		{ "pmap_enter 0 0 rw- wired|dry\n", "t:2:20:", "words joined by |" },
		{ "null\x01\n", "t:2:5:", "plain ASCII" },
		{ "null # a\x01\n", "t:2:9:", "control character" },
		{ "at\n", "t:2:1:", "a stop point and a call" },
		{ "at 1\n", "t:2:1:", "a stop point and a call" },
		{ "at 0 null\n", "t:2:4:", "no stop point" },
		{ "at 3 null\n", "t:2:4:", "no stop point" },
		{ "at x null\n", "t:2:4:", "no stop point" },
		{ "beside 1\n", "t:2:1:", "a vCPU and a call" },
		{ "beside 0 null\n", "t:2:8:", "no vCPU beside" },
		{ "beside 16 null\n", "t:2:8:", "no vCPU beside" },
		{ "at 1 nul\n", "t:2:6:", "unknown operation" },
		{ "expect frames 0 1p 0\n", "t:2:8:", "takes 4 values" },
		{ "null", "t:2:5:", "cut short" },
		{ "null null null null null null null null null null null null null null null null\n",
		    "t:2:", "too many words" },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
		    "t:2:1:", "longer than" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[256];
		struct trace t;
		struct bed_err err = { 0 };

		snprintf(text, sizeof(text), "uvmbed-trace 1\n%s", bad[i].text);
		cr_expect_not(
		    trace_parse(&t, "t", text, strlen(text), &err), "accepted: %s", bad[i].text);
		cr_expect(strncmp(err.text, bad[i].where, strlen(bad[i].where)) == 0,
		    "\"%s\" is not at %s", err.text, bad[i].where);
		cr_expect(strstr(err.text, bad[i].what) != NULL, "\"%s\" lacks \"%s\"", err.text,
		    bad[i].what);
		cr_expect_eq(err.class, BED_E_INPUT);
	}
}

BED_TEST(trace, header)
{
	static const char *const bad[] = { "", "\n", "trace 1\n", "uvmbed-trace 2\n",
		"uvmbed-trace\n", "uvmbed-trace 1", "null\n" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct trace t;
		struct bed_err err = { 0 };

		cr_expect_not(
		    trace_parse(&t, "t", bad[i], strlen(bad[i]), &err), "accepted: %s", bad[i]);
		cr_expect(strncmp(err.text, "t:1:", 4) == 0, "%s", err.text);
	}
}

/* Every prefix of a good trace, and every one-byte change, is either read or refused: never a crash. */
BED_TEST(trace, mutations)
{
	static const char text[] = "uvmbed-trace 1\nram 16m\na = uvm_km_alloc kernel_map 3p # c\n"
				   "expect mapped a 3p rw-\nuvm_km_free kernel_map a+1p 3p\n";
	char copy[sizeof(text)];
	struct trace t;

	for (size_t len = 0; len < sizeof(text); len++) {
		if (trace_parse(&t, "t", text, len, NULL))
			trace_free(&t);
		for (int byte = 0; byte < 256 && len < sizeof(text) - 1; byte += 5) {
			memcpy(copy, text, sizeof(text));
			copy[len] = (char)byte;
			if (trace_parse(&t, "t", copy, sizeof(text) - 1, NULL)) {
				char *once = printed(&t);

				trace_free(&t);
				cr_assert(
				    trace_parse(&t, "t", once, strlen(once), NULL), "%s", once);
				free(once);
				trace_free(&t);
			}
		}
	}
}
