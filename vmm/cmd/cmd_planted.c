/* SPDX-License-Identifier: ISC */
/*
 * uvmbed planted: plant each bug in a guest, run its trace with every check on, and print which check saw
 * it when: the kill matrix.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/cmd/cmd_planted.h"
#include "vmm/kvm/engine.h"

struct options {
	struct planted_show show;
	const char *dir;
	char **word;
	unsigned nword;
};

enum { OPT_GRID = 0x200, OPT_MARKDOWN };

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'd':
		o->dir = arg;
		return 0;
	case 'x':
		o->show.cross = true;
		return 0;
	case OPT_GRID:
		o->show.grid = true;
		return 0;
	case OPT_MARKDOWN:
		o->show.markdown = true;
		return 0;
	case ARGP_KEY_ARGS:
		o->word = state->argv + state->next;
		o->nword = (unsigned)(state->argc - state->next);
		return 0;
	case ARGP_KEY_END:
		if (o->show.cross && o->nword == 0)
			argp_error(state, "--cross needs trace files");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Traces in the folder that belong to no bug; each is an error. */
static unsigned
stray_traces(const char *folder)
{
	DIR *dir = opendir(folder);
	unsigned n = 0;

	if (dir == NULL)
		return 0; /* then no bug has its trace, and that is told */
	for (struct dirent *d; (d = readdir(dir)) != NULL;) {
		const char *dot = strrchr(d->d_name, '.');
		char name[64];

		if (dot == NULL || strcmp(dot, ".trace") != 0)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)(dot - d->d_name), d->d_name);
		if (planted_named(name) != NULL)
			continue;
		printf("FAIL %s/%s: there is no bug of that name\n", folder, d->d_name);
		n++;
	}
	closedir(dir);
	return n;
}

/* Every bug, or those that the words name, each against its own trace. */
static int
own_traces(struct options *o, const struct cmd_common *common)
{
	unsigned n = o->nword > 0 ? o->nword : planted_count(), bad = 0;
	struct planted_result *results = calloc(n, sizeof(*results));
	char file[512];
	int rc;

	if (results == NULL)
		return BED_E_HOST;
	for (unsigned i = 0; i < n; i++) {
		const struct planted *bug =
		    o->nword > 0 ? planted_named(o->word[i]) : planted_at(i);

		if (bug == NULL) {
			fprintf(stderr, "uvmbed: there is no bug \"%s\"; --plant list names them\n",
			    o->word[i]);
			free(results);
			return BED_E_USAGE;
		}
		snprintf(file, sizeof(file), "%s/%s.trace", o->dir, bug->name);
		planted_judge(bug, file, &common->config, &results[i]);
		bad += results[i].verdict != PLANTED_KILLED;
		if (!common->json)
			planted_print_row(&results[i], i == 0);
	}
	rc = common->json ? cmd_print_json(planted_json(results, n))
	                  : planted_print_summary(results, n, &o->show);
	if (o->nword == 0 && !common->json)
		bad += stray_traces(o->dir);
	free(results);
	return rc != BED_OK ? rc : bad > 0 ? BED_E_FINDING : BED_OK;
}

/* Every bug against every trace that the words name. */
static int
cross(struct options *o, const struct cmd_common *common)
{
	unsigned killed = 0, n = planted_count();

	for (unsigned i = 0; i < n; i++) {
		unsigned by = 0;

		printf("%-28s", planted_at(i)->name);
		for (unsigned k = 0; k < o->nword; k++) {
			struct bed_err err = { 0 };
			struct sightings seen;
			struct trace trace;

			if (!trace_load(&trace, o->word[k], &err))
				return cmd_error(&err);
			if (!sightings_of(
				&trace, &common->config, planted_at(i)->id, &seen, &err)) {
				trace_free(&trace);
				return cmd_error(&err);
			}
			by += seen.first != 0;
			planted_print_cross(o->word[k], &seen);
			trace_free(&trace);
		}
		killed += by > 0;
		printf("%s\n", by == 0 ? "  -" : "");
		fflush(stdout);
	}
	printf("%u of %u bugs are seen by %u trace%s\n", killed, n, o->nword,
	    o->nword == 1 ? "" : "s");
	return BED_OK;
}

int
cmd_planted(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "dir", 'd', "DIR", 0, "where BUG.trace are (default: tests/planted)", 0 },
		{ "cross", 'x', NULL, 0, "every bug against every trace file named", 0 },
		{ "grid", OPT_GRID, NULL, 0, "the matrix as a grid, too", 0 },
		{ "markdown", OPT_MARKDOWN, NULL, 0,
		    "list the bugs and the checks as tables; boot nothing", 0 },
		{ 0 },
	};
	static const struct argp argp = { options, parse, "[BUG...] | --cross FILE...",
		"Plant each bug in a checked guest, run its trace with every check on, and print which "
		"check saw it.",
		NULL, NULL, NULL };
	struct options o = { .dir = "tests/planted" };
	struct cmd_common common;
	struct bed_err err = { 0 };

	cmd_parse(&argp, argc, argv, &common, &o);
	if (o.show.markdown) {
		planted_print_markdown();
		return BED_OK;
	}
	if (engine_get(&err) == NULL)
		return cmd_error(&err);
	return o.show.cross ? cross(&o, &common) : own_traces(&o, &common);
}
