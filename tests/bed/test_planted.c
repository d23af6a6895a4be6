/* SPDX-License-Identifier: ISC */
/*
 * Planted bugs: the option, the release flavour's refusal, and that the runner of the kill matrix tells a bug
 * that is killed as it must be from one that survives, is seen by somebody else, or has no honest trace. That
 * every bug is killed is `make check-planted`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/bed/command.h"
#include "tests/bed/fixture.h"
#include "vmm/bed/inspect.h"
#include "vmm/planted/judge.h"
#include "vmm/planted/probe.h"

#define TRACES "tests/planted"
#define ONE    "a = uvm_km_alloc kernel_map 1p\nuvm_km_free kernel_map a 1p\n"

/* The verdict about a bug when this is its trace. */
static struct planted_result *
judged(const char *bug, const char *lines)
{
	static struct planted_result r;
	struct bed_config cfg = bed_opts_config(&(struct bed_opts){ .ram = 8 * MIB });
	char text[1000];

	snprintf(text, sizeof(text), "uvmbed-trace 1\n%s", lines);
	planted_judge(planted_named(bug), command_file(text), &cfg, &r);
	command_tidy();
	return &r;
}

BED_TEST(planted, the_runner_tells_a_kill_from_a_miss)
{
	static const struct {
		const char *bug, *lines;
		enum planted_verdict verdict;
		const char *says;
	} row[] = {
		{ "no-invlpg-on-unmap", ONE, PLANTED_KILLED, "" },
		{ "no-invlpg-on-unmap", "null\n", PLANTED_SURVIVED, "no check saw anything" },
		{ "freed-while-mapped", ONE, PLANTED_MISSED, "expect-absent" },
		{ "no-invlpg-on-unmap", ONE "expect equal a 1\n", PLANTED_BAD_TRACE,
		    "without the bug" },
		{ "no-invlpg-on-unmap", "what is this\n", PLANTED_NOT_JUDGED, "unknown operation" },
		{ "no-invlpg-on-unmap", "ram 9m\nnull\n", PLANTED_NOT_JUDGED, "multiple of 2 MiB" },
		{ "page-freed-twice", ONE, PLANTED_KILLED, "" },
	};

	for (size_t i = 0; i < COUNT_OF(row); i++) {
		const struct planted_result *r = judged(row[i].bug, row[i].lines);

		CHECK(r->verdict == row[i].verdict && strstr(r->why, row[i].says),
		    "row %zu: %d: %s", i, (int)r->verdict, r->why);
	}
}

BED_TEST(planted, a_trace_may_not_be_long)
{
	char lines[8 * (PLANTED_OPERATIONS + 2)] = "";

	for (unsigned i = 0; i <= PLANTED_OPERATIONS; i++)
		strcat(lines, "null\n");
	CHECK(judged("no-invlpg-on-unmap", lines)->verdict == PLANTED_LATE, "%d",
	    (int)judged("no-invlpg-on-unmap", lines)->verdict);
}

/* A bug that is seen, but not by those that are to see it. */
BED_TEST(planted, a_kill_by_somebody_else_is_none)
{
	static const struct planted odd = { .id = PLANTED_NO_INVLPG_ON_UNMAP,
		.name = "odd",
		.what = "",
		.origin = "",
		.killers = "free-trees" };
	struct bed_config cfg = bed_opts_config(&(struct bed_opts){ 0 });
	struct planted_result r;

	planted_judge(&odd, TRACES "/no-invlpg-on-unmap.trace", &cfg, &r);
	CHECK(r.verdict == PLANTED_BY_OTHERS && strstr(r.why, "work-flushes"), "%d: %s",
	    (int)r.verdict, r.why);
}

BED_TEST(planted, a_check_that_is_not_there_is_told)
{
	static const struct planted odd = { .id = PLANTED_NO_INVLPG_ON_UNMAP,
		.name = "odd",
		.what = "",
		.origin = "",
		.killers = "tlb-missing no-such-check" };
	struct bed_config cfg = bed_opts_config(&(struct bed_opts){ 0 });
	struct planted_result r;

	planted_judge(&odd, "unread", &cfg, &r);
	CHECK(r.verdict == PLANTED_UNKNOWN && strstr(r.why, "no-such-check"), "%d: %s",
	    (int)r.verdict, r.why);
}

static void
copy_traces(const char *to, const char *but)
{
	char line[700];

	snprintf(line, sizeof(line), "cp %s/*.trace %s && rm %s/%s.trace", TRACES, to, to, but);
	CHECK(system(line) == 0, "%s", line);
}

/* The command: a bug that survives, one without a trace and a trace without a bug are each exit code 1. */
BED_TEST(planted, the_command_fails_when_a_bug_survives)
{
	char dir[] = "/tmp/planted.XXXXXX", path[100];
	const struct command *c;
	FILE *f;

	CHECK(mkdtemp(dir) != NULL, "no directory");
	copy_traces(dir, "no-invlpg-on-unmap");
	c = UVMBED("planted", "-d", dir, "no-invlpg-on-unmap", "invlpg-first-page-only");
	CHECK(c->code == 1 && strstr(c->out, "FAIL not judged") && strstr(c->out, "1 of 2 killed"),
	    "no trace: code %d: %s%s", c->code, c->out, c->err);
	snprintf(path, sizeof(path), "%s/no-invlpg-on-unmap.trace", dir);
	f = fopen(path, "w");
	CHECK(f != NULL && fputs("uvmbed-trace 1\nnull\n", f) >= 0 && fclose(f) == 0, "%s", path);
	c = UVMBED("planted", "-d", dir, "no-invlpg-on-unmap");
	CHECK(c->code == 1 && strstr(c->out, "FAIL survived"), "survivor: code %d: %s%s", c->code,
	    c->out, c->err);
	c = UVMBED("planted", "-d", dir, "--json", "no-invlpg-on-unmap");
	CHECK(c->code == 1 && strstr(c->out, "\"verdict\": \"survived\""), "code %d: %s", c->code,
	    c->out);
	snprintf(path, sizeof(path), "rm -r %s", dir);
	CHECK(system(path) == 0, "%s", path);
	c = UVMBED("planted", "no-invlpg-on-unmap", "page-freed-twice");
	CHECK(c->code == 0 && strstr(c->out, "2 of 2 killed") && strstr(c->out, "tlb-missing"),
	    "code %d: %s%s", c->code, c->out, c->err);
	c = UVMBED("planted", "no-such-bug");
	CHECK(c->code == 2 && strstr(c->err, "no-such-bug"), "code %d: %s", c->code, c->err);
}

BED_TEST(planted, the_option_of_every_command)
{
	const struct command *c = UVMBED("run", "--plant", "list");

	CHECK(c->code == 0 && strstr(c->out, "no-invlpg-on-unmap") && strstr(c->out, "wakeup-lost"),
	    "%d: %s", c->code, c->out);
	c = UVMBED("run", "--plant", "no-invlpg-on-unmap");
	CHECK(c->code == 1 && strstr(c->out, "nothing invalidated"), "%d: %s", c->code, c->out);
	c = UVMBED("replay", "--plant", "page-freed-twice", TRACES "/page-freed-twice.trace");
	CHECK(c->code == 5 && strstr(c->out, "free of free page"), "%d: %s", c->code, c->out);
	c = UVMBED("audit", "--plant", "object-count-off");
	CHECK(c->code == 0, "a bug acts before the first call: %d: %s", c->code, c->out);
	c = UVMBED("run", "--plant", "no-such-bug");
	CHECK(c->code == 2 && strstr(c->err, "--plant list"), "%d: %s", c->code, c->err);
	c = UVMBED("run", "--release", "--plant", "no-invlpg-on-unmap");
	CHECK(c->code == 2 && strstr(c->err, "release flavour") && strstr(c->err, "checked"),
	    "%d: %s%s", c->code, c->out, c->err);
}

BED_TEST(planted, the_release_image_has_none)
{
	struct bed *bed = BED(.release = true);
	gva_t va;

	CHECK(!bed_symbol(bed, "planted_bug", &va), "it has a variable for them");
	bed_down(bed);
	bed = BED(0);
	CHECK(bed_symbol(bed, "planted_bug", &va), "the checked one has not");
	bed_down(bed);
}

/* docs/planted-bugs.md has the tables that the command prints. */
BED_TEST(planted, the_document_is_the_table)
{
	static char text[128 * 1024];
	const struct command *c = UVMBED("planted", "--markdown");
	FILE *f = fopen("docs/planted-bugs.md", "r");
	char *line = strdup(c->out), *rest = line;

	CHECK(f != NULL && fread(text, 1, sizeof(text) - 1, f) > 0, "docs/planted-bugs.md");
	fclose(f);
	CHECK(c->code == 0, "%d", c->code);
	for (char *row; (row = strsep(&rest, "\n")) != NULL;)
		CHECK(strstr(text, row) != NULL, "docs/planted-bugs.md lacks: %s", row);
	free(line);
}

/*
 * Where ring 0 is interpreted no stale translation shows, and everywhere else some do: so much are the
 * verdicts of the suite tlb worth.
 */
BED_TEST(planted, stale_translations_show_where_there_is_a_tlb)
{
	struct probe p;
	struct bed_err err;

	CHECK(probe_stale(&p, &err), "%s", err.text);
	if (engine_class() == ENGINE_INTERP)
		CHECK(p.seen == 0, "%u of %u on the interpreter: it has a TLB after all", p.seen,
		    p.rounds);
	else
		CHECK(
		    p.seen > 0, "none of %u: nothing that looks for them can fail here", p.rounds);
}
