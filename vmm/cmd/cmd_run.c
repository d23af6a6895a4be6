/* SPDX-License-Identifier: ISC */
/*
 * uvmbed run: boot a guest, run a small program under full checks, give a verdict. uvmbed replay: the
 * same for programs given as trace files.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmm/cmd/cmd.h"
#include "vmm/kvm/engine.h"
#include "vmm/tlbsan/bed.h"
#include "vmm/trace/replay.h"
#include "vmm/view/print.h"

/* What one program did and how it ended. */
struct verdict {
	const char *file;
	bool passed;
	struct bed_err err;
	struct check_totals totals;
	struct bed_counters count;
	struct bed_stats stats;
	struct bed_boot boot;
	struct tlb_totals tlb;
	uint64_t hash;
	unsigned operations;
};

static bool
count_operation(const struct trace_line *l)
{
	return l->kind == TRACE_CALL || l->kind == TRACE_EXPECT;
}

/* After each operation: a progress bar, on a terminal only, and what the TLB sanitizer has found. */
struct progress {
	unsigned done, all;
	bool shown;
	struct tlbsan *san; /* NULL: the release flavour logs nothing */
};

static bool
after_operation(void *arg, const struct trace_line *l, struct bed_err *err)
{
	struct progress *p = arg;

	(void)l;
	p->done++;
	if (p->shown && p->all != 0) {
		fprintf(
		    stderr, "\r  %3u%% %u/%u operations", 100 * p->done / p->all, p->done, p->all);
		if (p->done == p->all)
			fprintf(stderr, "\r\033[K");
		fflush(stderr);
	}
	return p->san == NULL || tlbsan_poll(p->san, err);
}

static void
run_trace(const struct trace *trace, const struct cmd_common *common, FILE *log, struct verdict *v)
{
	struct bed_config config = common->config;
	bool tlb = config.flavour == BED_CHECKED && (common->witnesses & CHECK_TLB) != 0;
	struct progress progress = { .shown = cmd_is_terminal() };
	struct check *check = NULL;
	struct bed *bed = NULL;

	v->file = trace->file;
	for (unsigned i = 0; i < trace->nline; i++)
		progress.all += count_operation(&trace->line[i]);
	v->passed = trace_config(trace, &config, &v->err) &&
	            (bed = bed_create(&config, &v->err)) != NULL &&
	            (check = check_new(bed, &v->err)) != NULL &&
	            check_witnesses(check, common->witnesses, &v->err) &&
	            (!tlb || (progress.san = tlbsan_attach(bed, NULL, log, &v->err)) != NULL) &&
	            trace_replay(trace, bed, check, after_operation, &progress, &v->err);
	v->operations = progress.done;
	if (progress.san != NULL)
		v->tlb = tlbsan_totals(progress.san);
	tlbsan_detach(progress.san);
	if (bed != NULL) {
		v->boot = bed_boot(bed);
		v->count = bed_counters(bed, 0);
		v->stats = bed_stats(bed);
	}
	if (check != NULL) {
		v->totals = check_totals(check);
		v->hash = check_hash(check);
	}
	check_free(check);
	bed_destroy(bed);
}

static json_t *
verdict_json(const struct verdict *v)
{
	json_t *work = json_object(), *cost = json_object(), *all;
	char hash[24];

#define X(name, text) json_object_set_new(work, #name, json_integer((json_int_t)v->count.name));
	BED_COUNTERS(X)
#undef X
#define X(name) json_object_set_new(cost, #name, json_integer((json_int_t)v->totals.cost.name));
	CHECK_COSTS(X)
#undef X
	snprintf(hash, sizeof(hash), "%016" PRIx64, v->hash);
	all = json_pack("{s:s, s:s, s:b, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
	    "program", v->file, "hash", hash, "passed", v->passed, "report",
	    v->passed ? "" : v->err.text, "operations", (int)v->operations, "exits",
	    (json_int_t)v->stats.exits, "pages_compared", (json_int_t)v->totals.pages,
	    "pages_changed", (json_int_t)v->totals.changed, "translations",
	    (json_int_t)v->totals.translations, "check_ns", (json_int_t)v->totals.ns, "events",
	    (json_int_t)v->tlb.events, "tlb_obligations", (json_int_t)v->tlb.obligations, "work",
	    work);
	json_object_set_new(all, "specified", json_integer((json_int_t)v->totals.specified));
	json_object_set_new(all, "inconclusive", json_integer((json_int_t)v->totals.inconclusive));
	json_object_set_new(all, "witness_ns", cost);
	return all;
}

static void
print_verdict(const struct verdict *v)
{
	if (!v->passed && v->err.class != BED_E_FINDING && v->err.class != BED_E_GUEST) {
		cmd_error(&v->err); /* nothing was tested: no verdict */
		return;
	}
	if (!v->passed) {
		printf("%s%sFAIL%s %s\n%s\n", cmd_bold(), cmd_red(), cmd_plain(), v->file,
		    v->err.text);
		return;
	}
	printf("%s%sPASS%s %s: %u operations, %s checked\n", cmd_bold(), cmd_green(), cmd_plain(),
	    v->file, v->operations, v->totals.pages + v->totals.specified != 0 ? "each" : "none");
	if (v->totals.pages != 0)
		printf("  mappings   %" PRIu64 " pages compared before and after, %" PRIu64
		       " changed, each as its call promised\n",
		    v->totals.pages, v->totals.changed);
	if (v->totals.translations != 0)
		printf("  MMU        %" PRIu64
		       " addresses translated by the engine as by the tables\n",
		    v->totals.translations);
	if (v->totals.specified + v->totals.inconclusive != 0)
		printf("  ghost      %" PRIu64 " calls as the specification predicts, %" PRIu64
		       " it does not say all about%s%s\n",
		    v->totals.specified, v->totals.inconclusive,
		    v->totals.inconclusive != 0 ? ", such as " : "", v->totals.open);
	if (v->tlb.events != 0)
		printf("  TLB        %" PRIu64 " events, %" PRIu64
		       " invalidations owed and all made in time\n",
		    v->tlb.events, v->tlb.obligations);
	printf("  guest      %" PRIu64 " PTEs set, %" PRIu64 " cleared, %" PRIu64
	       " INVLPGs, %" PRIu64 " full flushes, %" PRIu64 " table pages, %" PRIu64 " exits\n",
	    v->count.pte_set, v->count.pte_clear, v->count.invlpg, v->count.tlb_full,
	    v->count.ptp_alloc, v->stats.exits);
	if (v->totals.cost.snapshot != 0) /* somebody has looked at what changed */
		printf("  hash       %016" PRIx64 "\n", v->hash);
	printf("  time       boot %.2f ms, checking %.1f us an operation\n",
	    (double)v->boot.total_ns / 1e6,
	    v->totals.calls ? (double)v->totals.ns / 1e3 / (double)v->totals.calls : 0.0);
	printf("  witnesses ");
#define X(name) \
	printf(" " #name " %.1f us", (double)v->totals.cost.name / 1e3 / (double)v->totals.calls);
	if (v->totals.calls != 0) {
		CHECK_COSTS(X)
	}
#undef X
	printf("\n");
}

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
run_and_report(const struct trace *trace, const struct cmd_common *common, FILE *log, json_t *list)
{
	struct verdict v = { 0 };

	run_trace(trace, common, log, &v);
	if (common->json)
		json_array_append_new(list, verdict_json(&v));
	else
		print_verdict(&v);
	return v.passed ? BED_OK : (int)v.err.class;
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

static error_t
parse_run(int key, char *arg, struct argp_state *state)
{
	if (key == 'w')
		return parse_witnesses(arg, state, state->input);
	if (key == ARGP_KEY_ARG)
		argp_error(
		    state, "run takes no argument (\"%s\"); uvmbed replay FILE runs a trace", arg);
	return ARGP_ERR_UNKNOWN;
}

int
cmd_run(int argc, char **argv)
{
	static const struct argp_option options[] = { WITNESS_OPTION, { 0 } };
	static const struct argp argp = { options, parse_run, NULL,
		"Boot a guest, run a small program of allocations under full checks, give a verdict.",
		NULL, NULL, NULL };
	struct cmd_common common;
	unsigned witnesses = CHECK_ALL;
	struct bed_err err = { 0 };
	struct trace trace;
	int rc;

	cmd_parse(&argp, argc, argv, &common, &witnesses);
	common.witnesses = witnesses;
	if (!trace_parse(&trace, "first-light", builtin_trace, builtin_trace_len, &err))
		return cmd_error(&err);
	if (cmd_engine_chosen(&err) == NULL) {
		trace_free(&trace);
		return cmd_error(&err);
	}
	print_engine_line(&common);
	json_t *list = common.json ? json_array() : NULL;

	rc = finish_report(&common, list, run_and_report(&trace, &common, NULL, list));
	trace_free(&trace);
	return rc;
}

struct files {
	char **name;
	unsigned n;
	bool parse_only;
	const char *log;
	unsigned witnesses;
};

static error_t
parse_files(int key, char *arg, struct argp_state *state)
{
	struct files *files = state->input;

	switch (key) {
	case 'l':
		files->log = arg;
		return 0;
	case 'n':
		files->parse_only = true;
		return 0;
	case 'w':
		return parse_witnesses(arg, state, &files->witnesses);
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
	FILE *log = fopen(files->log, "w");
	struct bed_err err = { 0 };
	int rc;

	if (log == NULL) {
		bed_fail(
		    &err, BED_E_OUTPUT, "%s: cannot be written: %s", files->log, strerror(errno));
		return cmd_error(&err);
	}
	rc = run_and_report(trace, common, log, list);
	if (fclose(log) != 0 && rc == BED_OK) {
		bed_fail(
		    &err, BED_E_OUTPUT, "%s: not all was written: %s", files->log, strerror(errno));
		return cmd_error(&err);
	}
	return rc;
}

static int
replay_file(
    const char *name, const struct files *files, const struct cmd_common *common, json_t *list)
{
	struct bed_err err = { 0 };
	struct trace trace;
	int rc;

	if (!trace_load(&trace, name, &err))
		return cmd_error(&err);
	if (files->parse_only)
		rc = trace_print(&trace, stdout) ? BED_OK : BED_E_OUTPUT;
	else if (files->log != NULL)
		rc = replay_logged(&trace, files, common, list);
	else
		rc = run_and_report(&trace, common, NULL, list);
	trace_free(&trace);
	return rc;
}

int
cmd_replay(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "log", 'l', "FILE", 0,
		    "write the guest's events there, for `uvmbed tlbsan` (checked flavour)", 0 },
		{ "parse-only", 'n', NULL, 0, "read the traces and print them again; run nothing",
		    0 },
		WITNESS_OPTION,
		{ 0 },
	};
	static const struct argp argp = { options, parse_files, "FILE...",
		"Run traces, each in a guest of its own, with every check on.", NULL, NULL, NULL };
	struct cmd_common common;
	struct files files = { .witnesses = CHECK_ALL };
	json_t *list;
	int worst = BED_OK;

	cmd_parse(&argp, argc, argv, &common, &files);
	common.witnesses = files.witnesses;
	if (files.log != NULL && common.config.flavour != BED_CHECKED) {
		fprintf(stderr,
		    "uvmbed: --log needs the checked guest; the release flavour records no events\n");
		return BED_E_USAGE;
	}
	if (!files.parse_only)
		print_engine_line(&common);
	list = common.json ? json_array() : NULL;
	for (unsigned i = 0; i < files.n; i++) {
		int rc = replay_file(files.name[i], &files, &common, list);

		worst = rc > worst ? rc : worst;
	}
	return finish_report(&common, list, worst);
}
