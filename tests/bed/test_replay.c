/* SPDX-License-Identifier: ISC */
/*
 * Traces, run in a guest with every check on: the corpus passes; a trace that states something wrong fails at that
 * line, with the walk; one that is malformed is refused before anything runs.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bed/command.h"
#include "tests/bed/fixture.h"
#include "vmm/trace/replay.h"

#define CORPUS "tests/corpus"

/* Run a trace that is in memory. */
static bool
replay(const char *name, const char *text, struct bed_err *err)
{
	struct bed_config cfg = bed_opts_config(&(struct bed_opts){ 0 });
	struct check *check = NULL;
	struct bed *bed = NULL;
	struct trace trace;
	bool ok;

	*err = (struct bed_err){ 0 };
	if (!trace_parse(&trace, name, text, strlen(text), err))
		return false;
	ok = trace_config(&trace, &cfg, err) && (bed = bed_create(&cfg, err)) != NULL &&
	     (check = check_new(bed, err)) != NULL &&
	     trace_replay(&trace, bed, check, NULL, NULL, err);
	check_free(check);
	bed_destroy(bed);
	trace_free(&trace);
	return ok;
}

static char *
read_all(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = calloc(1, 1 << 20);

	CHECK(f != NULL && text != NULL, "%s: %s", path, strerror(errno));
	CHECK(fread(text, 1, (1 << 20) - 1, f) > 0, "%s", path);
	fclose(f);
	return text;
}

BED_TEST(replay, corpus)
{
	DIR *dir = opendir(CORPUS);
	unsigned n = 0;

	CHECK(
	    dir != NULL, CORPUS ": %s (tests run in the project's top directory)", strerror(errno));
	for (struct dirent *d; (d = readdir(dir)) != NULL;) {
		const char *dot = strrchr(d->d_name, '.');
		struct bed_err err;
		char path[300], *text;

		if (dot == NULL || strcmp(dot, ".trace") != 0)
			continue;
		snprintf(path, sizeof(path), CORPUS "/%s", d->d_name);
		text = read_all(path);
		cr_expect(replay(path, text, &err), "%s", err.text);
		free(text);
		n++;
	}
	closedir(dir);
	CHECK(n > 0, "no trace in " CORPUS);
}

/* Each expectation can fail, at its line, with its text. */
BED_TEST(replay, wrong_expectations_fail_at_their_line)
{
#define START \
	"uvmbed-trace 1\n# a comment\na = uvm_km_alloc kernel_map 3p\nb = uvm_km_alloc kernel_map 1p\n"
	static const struct {
		const char *line, *says;
	} row[] = {
		{ "expect absent a 3p", "absent" },
		{ "expect mapped a 5p", "page 5 of 5" },
		{ "expect mapped a 3p r--", "W" },
		{ "expect mapped a 3p r-x", "" },
		{ "expect equal a b", "a is 0x" },
		{ "expect differ a a", "a is 0x" },
		{ "expect zero b+1p 1p", "" },
		{ "expect filled a 3p 0x77", "3 pages do not hold" },
		{ "expect frames a 3p 0 0xfff", "not within" },
		{ "expect frames b+1p 1p 0 0xffffffff", "is not mapped" },
	};

	for (size_t i = 0; i < COUNT_OF(row); i++) {
		char text[400];
		struct bed_err err;

		snprintf(
		    text, sizeof(text), START "%s\nuvm_km_free kernel_map a 3p\n", row[i].line);
		CHECK(!replay("t.trace", text, &err), "%s passes", row[i].line);
		CHECK(err.class == BED_E_FINDING && strstr(err.text, "t.trace:5") == err.text &&
			  strstr(err.text, row[i].line) && strstr(err.text, row[i].says),
		    "%s: class %d: %s", row[i].line, err.class, err.text);
	}
}

/* A call at a stop point runs there; if the next call does not come by, that is said. */
BED_TEST(replay, calls_at_stop_points)
{
#define FULL_SUBMAP                                                        \
	"uvmbed-trace 1\nm = uvm_km_suballoc kernel_map 0 2p pageable 0\n" \
	"a = uvm_km_valloc m 1p\nb = uvm_km_alloc m 1p\nat 1 uvm_km_free_wakeup m b 1p\n"
	struct bed_err err;

	CHECK(replay("t.trace",
		  FULL_SUBMAP "w = uvm_km_valloc_wait m 1p\nexpect awake w\nexpect equal w b\n"
			      "expect absent b 1p\n",
		  &err),
	    "%s", err.text);
	CHECK(!replay("t.trace", FULL_SUBMAP "null\n", &err) && err.class == BED_E_INPUT &&
		  strstr(err.text, "t.trace:6") == err.text &&
		  strstr(err.text, "stop point 1, at which line 5"),
	    "%s", err.text);
}

/* The failure of a mapping shows the walk, level by level. */
BED_TEST(replay, a_failure_shows_the_ladder)
{
	struct bed_err err;

	CHECK(!replay("t.trace", START "expect absent a 1p\n", &err), "it passes");
	for (unsigned i = 0; i < 4; i++) {
		static const char *const level[] = { "PML4[", "PDPT[", "PD[", "PT[" };

		CHECK(strstr(err.text, level[i]) != NULL, "%s is not in\n%s", level[i], err.text);
	}
	CHECK(strstr(err.text, "expected") && strstr(err.text, "actual"), "%s", err.text);
}

/* Refused with FILE:LINE:COLUMN, and exit code 4, before a guest is booted. */
BED_TEST(replay, malformed_traces_run_nothing)
{
	static const struct {
		const char *text, *says;
	} row[] = {
		{ "", "1" },
		{ "uvmbed-trace 2\n", ":1:" },
		{ "hello\n", ":1:" },
		{ "uvmbed-trace 1\nfrobnicate 1\n", ":2:1:" },
		{ "uvmbed-trace 1\nuvm_km_alloc kernel_map\n", ":2:" },
		{ "uvmbed-trace 1\nuvm_km_alloc kernel_map 1p 2p\n", ":2:" },
		{ "uvmbed-trace 1\nexpect absent a 1p\n", ":2:" },
		{ "uvmbed-trace 1\nnull\nram 16m\n", ":3:" },
		{ "uvmbed-trace 1\nnull", ":2:" },
	};

	for (size_t i = 0; i < COUNT_OF(row); i++) {
		const char *path = command_file(row[i].text);
		const struct command *c = UVMBED("replay", path);

		CHECK(c->code == 4, "row %zu: code %d: %s%s", i, c->code, c->out, c->err);
		CHECK(
		    strstr(c->err, path) && strstr(c->err, row[i].says), "row %zu: %s", i, c->err);
		CHECK(strstr(c->out, "PASS") == NULL && strstr(c->out, "FAIL") == NULL,
		    "row %zu: %s", i, c->out);
	}
	command_tidy();
	CHECK(UVMBED("replay", "/nonexistent.trace")->code == 4, "no file");
	CHECK(UVMBED("replay", "/tmp")->code == 4, "a directory");
}

/* Settings describe the machine; impossible ones are refused with the file's name. */
BED_TEST(replay, settings)
{
	kvm_only("several CPUs");

	static const struct {
		const char *text;
		enum bed_class class;
		const char *says;
	} row[] = {
		{ "uvmbed-trace 1\nram 8m\nkva 64m\nseed 5\ncpu 0\n"
		  "a = uvm_km_alloc kernel_map 100m\nexpect equal a 0\n",
		    BED_OK, "" },
		{ "uvmbed-trace 1\nguard 1\na = uvm_km_alloc kernel_map 1p\n"
		  "b = uvm_km_alloc kernel_map 1p\nexpect equal b a+2p\n",
		    BED_OK, "" },
		{ "uvmbed-trace 1\nram 32m\na = uvm_km_alloc kernel_map 2p\ncpu 1\n"
		  "fill a 2 7\ncpu 0\nbeside 1 verify a 2 7\nexpect filled a 2p 7\n"
		  "beside 1 null\nuvm_km_free kernel_map a 2p\nexpect absent a 2p\n",
		    BED_OK, "" },
		{ "uvmbed-trace 1\nram 1m\nnull\n", BED_E_USAGE, "t.trace" },
		{ "uvmbed-trace 1\nram 9m\nnull\n", BED_E_USAGE, "multiple of 2 MiB" },
		{ "uvmbed-trace 1\nkva 3m\nnull\n", BED_E_USAGE, "kernel_map" },
		{ "uvmbed-trace 1\ncpu 16\nnull\n", BED_E_INPUT, "cpu 16" },
		{ "uvmbed-trace 1\nram 32m\ncpu 2\na = uvm_km_alloc kernel_map 3p\n"
		  "store a+1p 0x5a\ncpu 1\nload a+1p\nuvm_km_free kernel_map a 3p\n"
		  "expect absent a 3p\n",
		    BED_OK, "" },
		{ "uvmbed-trace 1\nram 32m\nm = uvm_km_suballoc kernel_map 0 8p pageable 0\n"
		  "all = uvm_km_valloc m 8p\ncpu 2\nw = uvm_km_valloc_wait m 1p\n"
		  "expect asleep w vallocwait\ncpu 1\nuvm_km_free_wakeup m all 8p\n"
		  "expect awake w\n",
		    BED_OK, "" },
	};

	for (size_t i = 0; i < COUNT_OF(row); i++) {
		struct bed_err err;
		bool ok = replay("t.trace", row[i].text, &err);

		CHECK(ok == (row[i].class == BED_OK), "row %zu: %s", i, err.text);
		CHECK(ok || (err.class == row[i].class && strstr(err.text, row[i].says)),
		    "row %zu: class %d: %s", i, err.class, err.text);
	}
}

/* Codes of the command: 0, 1 with the place, the worst of several. */
BED_TEST(replay, exit_codes)
{
	const char *bad = command_file(START "expect absent a 1p\n");
	const struct command *c;
	char place[100];

	snprintf(place, sizeof(place), "%s:5", bad);
	c = UVMBED("replay", CORPUS "/first-light.trace");
	CHECK(c->code == 0 && strstr(c->out, "PASS"), "code %d: %s%s", c->code, c->out, c->err);
	c = UVMBED("replay", CORPUS "/first-light.trace", bad, CORPUS "/first-light.trace");
	CHECK(c->code == 1 && strstr(c->out, "PASS") && strstr(c->out, "FAIL") &&
		  strstr(c->out, place),
	    "code %d: %s%s", c->code, c->out, c->err);
	c = UVMBED("replay", "-n", CORPUS "/first-light.trace");
	CHECK(c->code == 0 && strncmp(c->out, "uvmbed-trace 1\n", 15) == 0, "code %d: %s", c->code,
	    c->out);
	command_tidy();
}
