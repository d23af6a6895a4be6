/* SPDX-License-Identifier: ISC */
/*
 * uvmbed bench: run the benchmark sections and report.
 */
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/report.h"
#include "vmm/cmd/cmd.h"
#include "vmm/kvm/engine.h"

#define SECTIONS_MAX 16

struct chosen {
	const struct bench_section *section[SECTIONS_MAX];
	unsigned n;
};

static const struct bench_section *
section_find(const char *name)
{
	for (const struct bench_section *s = bench_sections; s->name != NULL; s++) {
		if (strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct chosen *chosen = state->input;
	const struct bench_section *s;

	if (key != ARGP_KEY_ARG)
		return ARGP_ERR_UNKNOWN;
	s = section_find(arg);
	if (s == NULL)
		argp_error(state, "unknown section \"%s\"; --help lists them", arg);
	else if (chosen->n < SECTIONS_MAX)
		chosen->section[chosen->n++] = s;
	return 0;
}

static char *
help(int key, const char *text, void *input)
{
	char *all = NULL;
	size_t size;
	FILE *out;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC || (out = open_memstream(&all, &size)) == NULL)
		return (char *)(uintptr_t)text;
	fprintf(out, "Sections (unless some are named, all but those with a star):\n");
	for (const struct bench_section *s = bench_sections; s->name != NULL; s++)
		fprintf(out, "  %-6s%c %s\n", s->name, s->on_demand ? '*' : ' ', s->text);
	fprintf(out,
	    "\nCounts are exact; times depend on the engine and are medians with their extremes.\n"
	    "The exit code is 1 if a counted figure in brackets was missed; missed times are only shown.");
	fclose(out);
	return all;
}

static int
report(const struct chosen *chosen, const struct cmd_common *common, struct bed_err *err)
{
	const struct engine *e = engine_get(err);
	const struct bench_style style = { cmd_bold(), cmd_dim(), cmd_green(), cmd_red(),
		cmd_plain() };
	struct bench_list all = { 0 };
	bool missed = false;
	int rc = BED_OK;

	if (e == NULL)
		return cmd_error(err);
	if (!common->json)
		printf("%sbench%s on engine %s%s (%s), guest %s\n", style.bold, style.plain,
		    e->name, e->tcg ? "/tcg" : "", e->cpu,
		    common->config.flavour == BED_RELEASE ? "release" : "checked");
	for (unsigned i = 0; i < chosen->n && rc == BED_OK; i++) {
		struct bench_list part = { 0 };
		unsigned before = all.n;

		if (!chosen->section[i]->run(&common->config, &all, err)) {
			rc = cmd_error(err);
			break;
		}
		part.result = all.result + before;
		part.n = all.n - before;
		for (unsigned k = 0; k < part.n; k++)
			missed |= part.result[k].missed && !part.result[k].timed;
		if (!common->json) {
			printf("%s%s%s: %s\n", style.bold, chosen->section[i]->name, style.plain,
			    chosen->section[i]->text);
			bench_print(&part, &style);
			fflush(stdout);
		}
	}
	if (rc == BED_OK && common->json)
		rc = cmd_print_json(json_pack(
		    "{s:o, s:o}", "context", cmd_json_context(), "benchmarks", bench_json(&all)));
	bench_list_free(&all);
	return rc == BED_OK && missed ? BED_E_FINDING : rc;
}

int
cmd_bench(int argc, char **argv)
{
	static const struct argp argp = { NULL, parse, "[SECTION...]",
		"Measure what mapping and unmapping cost, in counted work and in time.\v", NULL,
		help, NULL };
	struct cmd_common common;
	struct chosen chosen = { 0 };
	struct bed_err err = { 0 };
	unsigned all; /* sections to take when none is named */

	cmd_parse(&argp, argc, argv, &common, &chosen);
	all = chosen.n == 0 ? SECTIONS_MAX : 0;
	for (const struct bench_section *s = bench_sections; chosen.n < all && s->name != NULL;
	     s++) {
		if (!s->on_demand)
			chosen.section[chosen.n++] = s;
	}
	common.config.flavour = BED_RELEASE;
	return report(&chosen, &common, &err);
}
