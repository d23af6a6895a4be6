/* SPDX-License-Identifier: ISC */
/*
 * uvmbed run: boot a guest, run a small program under full checks, give a verdict. uvmbed replay: the
 * same for programs given as trace files.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/cmd/cmd.h"
#include "vmm/cmd/shrink.h"
#include "vmm/cmd/verdict.h"
#include "vmm/kvm/engine.h"
#include "vmm/trace/criterion.h"

static void
print_engine_line(const struct cmd_common *common)
{
	const struct engine *e = cmd_engine_chosen(NULL);

	if (e != NULL && !common->json)
		printf("%suvmbed%s %s on engine %s%s (%s), %s guest, %" PRIu64 " MiB\n", cmd_bold(),
		    cmd_plain(), UVMBED_VERSION, e->name, e->tcg ? "/tcg" : "", e->cpu,
		    common->config.flavour == BED_RELEASE ? "release" : "checked",
		    common->config.ram >> 20);
}

/* One program: its verdict, printed or appended; the exit code. */
static int
run_and_report(const struct trace *trace, const struct cmd_common *common,
    const struct verdict_opts *o, json_t *list)
{
	struct verdict v;
	int rc;

	verdict_run(&v, trace, &common->config, o);
	if (common->json)
		json_array_append_new(list, verdict_json(&v));
	else
		verdict_print(&v);
	rc = v.passed ? BED_OK : (int)v.err.class;
	verdict_free(&v);
	return rc;
}

static int
finish_report(const struct cmd_common *common, json_t *list, int rc)
{
	int json_rc;

	if (!common->json)
		return rc;
	json_rc = cmd_print_json(
	    json_pack("{s:o, s:o}", "context", cmd_json_context(), "programs", list));
	return rc != BED_OK ? rc : json_rc;
}

#define BUNDLE_OPTION                                                                      \
	{                                                                                  \
		"bundle", 'b', "DIR", 0,                                                   \
		    "put everything about a failure into a new directory there (default: " \
		    "$UVMBED_BUNDLE; none)",                                               \
		    0                                                                      \
	}

#define WITNESS_OPTION                                                                           \
	{                                                                                        \
		"witness", 'w', "LIST", 0,                                                       \
		    "who checks: mappings, mmu, audit, ghost, tlb, with commas; all (default), " \
		    "none",                                                                      \
		    0                                                                            \
	}

static error_t
parse_witnesses(const char *arg, struct argp_state *state, unsigned *witnesses)
{
	if (!check_parse_witnesses(arg, witnesses))
		argp_error(state,
		    "--witness=%s: the witnesses are mappings, mmu, audit, ghost, tlb, all, none",
		    arg);
	return 0;
}

/* The default for --bundle. */
static const char *
bundle_place(void)
{
	const char *dir = getenv("UVMBED_BUNDLE");

	return dir != NULL && dir[0] != '\0' ? dir : NULL;
}

static error_t
parse_run(int key, char *arg, struct argp_state *state)
{
	struct verdict_opts *o = state->input;

	if (key == 'b') {
		o->bundle = arg;
		return 0;
	}
	if (key == 'w')
		return parse_witnesses(arg, state, &o->session.witnesses);
	if (key == ARGP_KEY_ARG)
		argp_error(
		    state, "run takes no argument (\"%s\"); uvmbed replay FILE runs a trace", arg);
	return ARGP_ERR_UNKNOWN;
}

int
cmd_run(int argc, char **argv)
{
	static const struct argp_option options[] = { BUNDLE_OPTION, WITNESS_OPTION, { 0 } };
	static const struct argp argp = { options, parse_run, NULL,
		"Boot a guest, run a small program of allocations under full checks, give a verdict.",
		NULL, NULL, NULL };
	struct verdict_opts o = { .session.witnesses = CHECK_ALL, .bundle = bundle_place() };
	struct cmd_common common;
	struct bed_err err = { 0 };
	struct trace trace;
	int rc;

	cmd_parse(&argp, argc, argv, &common, &o);
	if (!trace_parse(&trace, "first-light", builtin_trace, builtin_trace_len, &err))
		return cmd_error(&err);
	if (cmd_engine_chosen(&err) == NULL) {
		trace_free(&trace);
		return cmd_error(&err);
	}
	print_engine_line(&common);
	json_t *list = common.json ? json_array() : NULL;

	rc = finish_report(&common, list, run_and_report(&trace, &common, &o, list));
	trace_free(&trace);
	return rc;
}

struct files {
	char **name;
	unsigned n;
	bool parse_only, shrink, criterion;
	uint64_t until; /* line; 0: all */
	const char *log;
	struct verdict_opts opts;
};

static error_t
parse_files(int key, char *arg, struct argp_state *state)
{
	struct files *files = state->input;

	switch (key) {
	case 'b':
		files->opts.bundle = arg;
		return 0;
	case 'A':
		files->opts.session.audited = true;
		files->opts.session.audit = LOGAUDIT_STEPS;
		if (strcmp(arg, "tables") == 0)
			files->opts.session.audit = LOGAUDIT_TABLES;
		else if (strcmp(arg, "steps") != 0)
			argp_error(state, "--audit=%s: steps or tables", arg);
		return 0;
	case 'l':
		files->log = arg;
		return 0;
	case 'n':
		files->parse_only = true;
		return 0;
	case 'w':
		return parse_witnesses(arg, state, &files->opts.session.witnesses);
	case 'u':
		if (!cmd_parse_size(arg, &files->until) || files->until == 0)
			argp_error(state, "--until=%s is no line of a file", arg);
		return 0;
	case 's':
		files->shrink = true;
		return 0;
	case 'c':
		files->criterion = true;
		return 0;
	case ARGP_KEY_ARGS:
		files->name = state->argv + state->next;
		files->n = (unsigned)(state->argc - state->next);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which trace files?");
		return 0;
	case ARGP_KEY_END:
		if (files->log != NULL && files->n > 1)
			argp_error(
			    state, "--log takes the events of one trace, here are %u", files->n);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Run the trace with its events going to files->log. */
static int
replay_logged(const struct trace *trace, const struct files *files, const struct cmd_common *common,
    json_t *list)
{
	FILE *log = fopen(files->log, "w+");
	struct verdict_opts o = files->opts;
	struct bed_err err = { 0 };
	int rc;

	if (log == NULL) {
		bed_fail(
		    &err, BED_E_OUTPUT, "%s: cannot be written: %s", files->log, strerror(errno));
		return cmd_error(&err);
	}
	o.file = trace->file;
	o.session.log = log;
	rc = run_and_report(trace, common, &o, list);
	if (fclose(log) != 0 && rc == BED_OK) {
		bed_fail(
		    &err, BED_E_OUTPUT, "%s: not all was written: %s", files->log, strerror(errno));
		return cmd_error(&err);
	}
	return rc;
}

/* Leave out what comes after that line of the file. */
static void
cut_at(struct trace *trace, uint64_t line)
{
	while (trace->nline > 0 && trace->line[trace->nline - 1].number > line)
		free(trace->line[--trace->nline].comment);
}

/* FILE.min, minimal. */
static int
shrink_file(struct trace *trace, const char *name, const struct cmd_common *common)
{
	char path[4096];
	struct bed_err err = { 0 };

	snprintf(path, sizeof(path), "%s.min", name);
	return cmd_shrink(trace, path, &common->config, &err);
}

static int
replay_file(
    const char *name, const struct files *files, const struct cmd_common *common, json_t *list)
{
	struct verdict_opts o = files->opts;
	struct bed_err err = { 0 };
	struct trace trace;
	int rc;

	o.file = name;
	if (!trace_load(&trace, name, &err))
		return cmd_error(&err);
	if (files->until != 0)
		cut_at(&trace, files->until);
	if (files->criterion)
		rc = trace_criterion(&trace, "trace", stdout) ? BED_OK : BED_E_OUTPUT;
	else if (files->shrink)
		rc = shrink_file(&trace, name, common);
	else if (files->parse_only)
		rc = trace_print(&trace, stdout) ? BED_OK : BED_E_OUTPUT;
	else if (files->log != NULL)
		rc = replay_logged(&trace, files, common, list);
	else
		rc = run_and_report(&trace, common, &o, list);
	trace_free(&trace);
	return rc;
}

int
cmd_replay(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "log", 'l', "FILE", 0,
		    "write the guest's events there, for `uvmbed tlbsan` (checked flavour)", 0 },
		{ "until", 'u', "LINE", 0, "stop behind that line of the file", 0 },
		{ "shrink", 's', NULL, 0,
		    "make a trace that fails as small as it gets, in FILE.min", 0 },
		{ "criterion", 'c', NULL, 0, "print it as a C test; run nothing", 0 },
		{ "parse-only", 'n', NULL, 0, "read the traces and print them again; run nothing",
		    0 },
		{ "audit", 'A', "steps|tables", 0,
		    "compare the guest's event log with what is seen from outside: instruction by "
		    "instruction, or with page tables in read-only memory (slow)",
		    0 },
		BUNDLE_OPTION,
		WITNESS_OPTION,
		{ 0 },
	};
	static const struct argp argp = { options, parse_files, "FILE...",
		"Run traces, each in a guest of its own, with every check on.", NULL, NULL, NULL };
	struct cmd_common common;
	struct files files = { .opts = {
				   .session.witnesses = CHECK_ALL, .bundle = bundle_place() } };
	json_t *list;
	int worst = BED_OK;

	cmd_parse(&argp, argc, argv, &common, &files);
	if ((files.log != NULL || files.opts.session.audited) &&
	    common.config.flavour != BED_CHECKED) {
		fprintf(stderr,
		    "uvmbed: --log and --audit need the checked guest; the release flavour records no "
		    "events\n");
		return BED_E_USAGE;
	}
	if (!files.parse_only && !files.criterion)
		print_engine_line(&common);
	list = common.json ? json_array() : NULL;
	for (unsigned i = 0; i < files.n; i++) {
		int rc = replay_file(files.name[i], &files, &common, list);

		worst = rc > worst ? rc : worst;
	}
	return finish_report(&common, list, worst);
}
