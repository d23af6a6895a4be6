/* SPDX-License-Identifier: ISC */
/*
 * The command as a user meets it: exit codes, messages, what it does when its output goes nowhere.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bed/command.h"
#include "tests/bed/fixture.h"

#define TRACE "tests/corpus/first-light.trace"

static const char *const subcommands[] = { "run", "bench", "map", "walk", "replay", "audit",
	"planted", "engine" };

/* Wrong usage: code 2, a word of what was wrong on standard error, nothing on standard output. */
BED_TEST(cli, wrong_usage)
{
	static const struct {
		const char *words[5];
		const char *says;
	} row[] = {
		{ { NULL }, "usage" },
		{ { "frobnicate" }, "unknown command \"frobnicate\"" },
		{ { "" }, "unknown command" },
		{ { "--frobnicate" }, "uvmbed --help" },
		{ { "run", "--frobnicate" }, "unrecognized option" },
		{ { "run", "extra" }, "takes no argument" },
		{ { "map", "extra" }, "uvmbed walk" },
		{ { "walk" }, "which address" },
		{ { "walk", "xyz" }, "no address" },
		{ { "walk", "1", "2" }, "no address" },
		{ { "walk", "11111111111111111" }, "no address" },
		{ { "replay" }, "which trace" },
		{ { "audit", "extra" }, "takes no argument" },
		{ { "bench", "nonsense" }, "unknown section" },
		{ { "planted", "nonsense" }, "there is no bug" },
		{ { "planted", "--cross" }, "needs trace files" },
		{ { "engine", "extra" }, "sage" },
		{ { "run", "--ram=many" }, "is no size" },
		{ { "run", "--ram=" }, "is no size" },
		{ { "run", "--ram=-1" }, "is no size" },
		{ { "run", "--ram=99999999999999999999" }, "is no size" },
		{ { "run", "--ram=16777216g" }, "RAM" },
		{ { "run", "--ram=0" }, "RAM of 0" },
		{ { "run", "--ram=3M" }, "multiple of 2 MiB" },
		{ { "run", "--kva=1T" }, "kernel_map" },
		{ { "run", "--ptpool=100" }, "page-table pool" },
		{ { "run", "--timeout=soon" }, "is no number" },
	};

	for (size_t i = 0; i < COUNT_OF(row); i++) {
		const struct command *c = command_run(STDOUT_READ, row[i].words);

		CHECK(c->code == 2, "row %zu: code %d: %s", i, c->code, c->err);
		CHECK(strstr(c->err, row[i].says) != NULL, "row %zu: \"%s\" is not in %s", i,
		    row[i].says, c->err);
		/* The banner may come before a size that does not fit together; nothing else. */
		CHECK(strstr(c->out, "PASS") == NULL, "row %zu prints %s", i, c->out);
	}
}

BED_TEST(cli, help_and_version)
{
	const struct command *c = UVMBED("--help");

	CHECK(c->code == 0 && c->err[0] == '\0', "code %d: %s", c->code, c->err);
	for (size_t i = 0; i < COUNT_OF(subcommands); i++)
		CHECK(strstr(c->out, subcommands[i]) != NULL, "%s is not in %s", subcommands[i],
		    c->out);
	for (size_t i = 0; i < COUNT_OF(subcommands); i++) {
		c = UVMBED(subcommands[i], "--help");
		CHECK(c->code == 0 && strstr(c->out, "--json") && strstr(c->out, "--ram"),
		    "%s: code %d: %s", subcommands[i], c->code, c->out);
	}
	c = UVMBED("--version");
	CHECK(c->code == 0 && strstr(c->out, BED_BUILD_ID) && strncmp(c->out, "uvmbed ", 7) == 0,
	    "%s", c->out);
}

/* No result may be taken for success when it could not be written. */
BED_TEST(cli, output_that_goes_nowhere)
{
	static const struct {
		const char *words[4];
	} row[] = { { { "--help" } }, { { "--version" } }, { { "run" } }, { { "run", "--json" } },
		{ { "engine" } }, { { "engine", "--json" } }, { { "map" } },
		{ { "walk", "0", "--json" } }, { { "audit" } }, { { "replay", "-n", TRACE } },
		{ { "replay", TRACE } } };
	static const struct {
		enum command_stdout where;
		const char *says;
	} out[] = { { STDOUT_CLOSED, "closed" }, { STDOUT_FULL, "write" } };

	for (size_t i = 0; i < COUNT_OF(row); i++) {
		for (size_t k = 0; k < COUNT_OF(out); k++) {
			const struct command *c = command_run(out[k].where, row[i].words);

			CHECK(c->code == 6 && strstr(c->err, out[k].says), "%s to %zu: code %d: %s",
			    row[i].words[0], k, c->code, c->err);
		}
	}
	/* A reader that has gone is the same: a code, not a signal. */
	CHECK(UVMBED_TO(STDOUT_BROKEN_PIPE, "map")->code == 6, "code %d",
	    UVMBED_TO(STDOUT_BROKEN_PIPE, "map")->code);
}

BED_TEST(cli, images_that_are_none)
{
	const char *path = command_file("this is no image\n");
	const struct command *c = UVMBED("run", "--image", path);

	CHECK(c->code == 4 && strstr(c->err, path), "code %d: %s", c->code, c->err);
	c = UVMBED("map", "--image", "/nonexistent/guest.elf");
	CHECK(c->code == 4 && strstr(c->err, "/nonexistent/guest.elf: No such file"), "code %d: %s",
	    c->code, c->err);
	c = UVMBED("run", "--image", "/");
	CHECK(c->code == 4, "code %d: %s", c->code, c->err);
	/* The checked image where the release one is wanted. */
	c = UVMBED("run", "--release", "--image", "/proc/self/exe");
	CHECK(c->code == 4, "code %d: %s", c->code, c->err);
	command_tidy();
}

static json_t *
parsed(const struct command *c, int code)
{
	json_error_t je;
	json_t *doc = json_loads(c->out, JSON_REJECT_DUPLICATES, &je);

	CHECK(c->code == code, "code %d: %s", c->code, c->err);
	CHECK(doc != NULL, "line %d: %s: %s", je.line, je.text, c->out);
	CHECK(json_is_string(json_object_get(json_object_get(doc, "context"), "engine")), "%s",
	    c->out);
	return doc;
}

BED_TEST(cli, json)
{
	json_t *doc, *part;

	doc = parsed(UVMBED("run", "--json"), 0);
	part = json_array_get(json_object_get(doc, "programs"), 0);
	CHECK(
	    json_is_true(json_object_get(part, "passed")) &&
		json_integer_value(json_object_get(part, "operations")) > 30 &&
		json_integer_value(json_object_get(json_object_get(part, "work"), "pte_set")) > 600,
	    "the verdict");
	json_decref(doc);
	doc = parsed(UVMBED("audit", "--json", "--trace", TRACE), 0);
	part = json_object_get(doc, "invariants");
	CHECK(json_array_size(part) > 40, "%zu invariants", json_array_size(part));
	for (size_t i = 0; i < json_array_size(part); i++)
		CHECK(json_is_true(json_object_get(json_array_get(part, i), "holds")),
		    "invariant %zu", i);
	json_decref(doc);

	doc = parsed(UVMBED("map", "--json"), 0);
	CHECK(json_is_object(json_object_get(doc, "map")) ||
		  json_is_array(json_object_get(doc, "map")),
	    "the map");
	json_decref(doc);

	doc = parsed(UVMBED("walk", "fffffd8000000000", "--json"), 0);
	CHECK(json_object_get(doc, "walk") != NULL, "the walk");
	json_decref(doc);

	doc = parsed(UVMBED("engine", "--json"), 0);
	CHECK(json_array_size(json_object_get(doc, "capabilities")) > 5 &&
		  json_array_size(json_object_get(doc, "cpuid")) > 20,
	    "the engine");
	json_decref(doc);
}

/* One document also for several traces, one of which fails, with the report in it. */
BED_TEST(cli, json_of_a_failure)
{
	const char *bad = command_file("uvmbed-trace 1\na = uvm_km_alloc kernel_map 1p\n"
				       "expect absent a 1p\n");
	json_t *doc = parsed(UVMBED("replay", "--json", TRACE, bad), 1), *list, *one;

	list = json_object_get(doc, "programs");
	CHECK(json_array_size(list) == 2, "%zu programs", json_array_size(list));
	CHECK(json_is_true(json_object_get(json_array_get(list, 0), "passed")), "the good one");
	one = json_array_get(list, 1);
	CHECK(json_is_false(json_object_get(one, "passed")) &&
		  strstr(json_string_value(json_object_get(one, "report")), bad),
	    "the bad one");
	json_decref(doc);
	command_tidy();
}

BED_TEST(cli, run_map_walk_and_engine_for_people)
{
	const struct command *c = UVMBED("run");

	CHECK(c->code == 0 && strstr(c->out, "PASS") && c->err[0] == '\0', "code %d: %s%s", c->code,
	    c->out, c->err);
	CHECK(strchr(c->out, '\033') == NULL, "colours, but this is no terminal");
	c = UVMBED("run", "--release", "--ram", "64M", "--guard");
	CHECK(c->code == 0 || c->code == 1, "code %d: %s", c->code, c->err);
	c = UVMBED("map", "--tables");
	CHECK(c->code == 0 && strstr(c->out, "fffffd8000000000"), "%s", c->out);
	c = UVMBED("walk", "0xffffffff_80400000");
	CHECK(
	    c->code == 0 && strstr(c->out, "PML4") && strstr(c->out, "KVM_TRANSLATE says 0x400000"),
	    "%s", c->out);
	c = UVMBED("walk", "0");
	CHECK(c->code == 0 && strstr(c->out, "KVM_TRANSLATE says unmapped"), "%s", c->out);
	c = UVMBED("walk", "8000000000000000");
	CHECK(c->code == 0 && strstr(c->out, "anonical") && !strstr(c->out, "disagrees"), "%s",
	    c->out);
	c = UVMBED("engine", "--class");
	CHECK(c->code == 0 && strcspn(c->out, "\n") + 1 == strlen(c->out), "%s", c->out);
}

/* A guest that dies is code 5 with its report; a hang is one, too. */
BED_TEST(cli, a_death_is_code_5)
{
	const char *trace = command_file("uvmbed-trace 1\ndie_ud\n");
	const struct command *c = UVMBED("replay", trace);

	CHECK(c->code == 5, "code %d: %s", c->code, c->err);
	CHECK(strstr(c->out, "invalid opcode") && strstr(c->out, trace), "%s%s", c->out, c->err);
	trace = command_file("uvmbed-trace 1\ndie_hang\n");
	c = UVMBED("replay", "--timeout", "200", trace);
	CHECK(c->code == 5 && strstr(c->out, "hangs"), "code %d: %s%s", c->code, c->out, c->err);
	command_tidy();
}
