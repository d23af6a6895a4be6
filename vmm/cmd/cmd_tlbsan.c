/* SPDX-License-Identifier: ISC */
/*
 * uvmbed tlbsan: what the TLB sanitizer finds in logs, of this guest or of any x86-64 kernel.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmm/cmd/cmd.h"
#include "vmm/tlbsan/log.h"

#define FILES_MAX 64
#define FORCED    0xff /* no severity: as the log says */

struct options {
	const char *file[FILES_MAX];
	unsigned nfile;
	bool quiet, json;
	uint8_t rule[TLB_NDEADLINES]; /* FORCED: not given */
};

enum { OPT_JSON = 0x100 };

static const struct argp_option options[] = {
	{ "deadline", 'd', "RULE=SEVERITY", 0, "D0 to D5; off, note, warning or error", 0 },
	{ "quiet", 'q', NULL, 0, "no notes about invalidations for nothing", 0 },
	{ "json", OPT_JSON, NULL, 0, "one JSON document instead of text", 0 },
	{ 0 },
};

static bool
parse_deadline(struct options *o, const char *arg)
{
	const char *is = strchr(arg, '=');

	for (unsigned r = 0; is != NULL && r < TLB_NDEADLINES; r++) {
		const char *word = tlb_rule_word(r);

		if (strlen(word) != (size_t)(is - arg) || strncmp(word, arg, strlen(word)) != 0)
			continue;
		for (unsigned s = 0; s <= TLB_ERROR; s++) {
			if (strcmp(is + 1, tlb_severity_word(s)) == 0) {
				o->rule[r] = (uint8_t)s;
				return true;
			}
		}
	}
	return false;
}

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'd':
		if (!parse_deadline(o, arg))
			argp_error(state, "--deadline=%s: write D4=error, for instance", arg);
		return 0;
	case 'q':
		o->quiet = true;
		return 0;
	case OPT_JSON:
		o->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (o->nfile == FILES_MAX)
			argp_error(state, "more than %d files", FILES_MAX);
		o->file[o->nfile++] = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which log? - is standard input");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = { options, parse, "LOGFILE...",
	"Find missing, late, misdirected and wasted TLB invalidations in logs (uvmbed-tlblog(5)).",
	NULL, NULL, NULL };

struct run {
	const struct options *options;
	struct tlb *tlb;
	json_t *findings; /* NULL: text */
};

static json_t *
finding_json(const struct tlb_finding *f, const char *text)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s}", "kind",
	    tlb_kind_word(f->kind), "severity", tlb_severity_word(f->severity), "rule",
	    f->rule < TLB_NRULES ? tlb_rule_word(f->rule) : "", "va", (json_int_t)f->va, "pages",
	    (json_int_t)f->npages, "cpus", (json_int_t)f->cpus, "store_ticket",
	    (json_int_t)f->store_ticket, "ticket", (json_int_t)f->ticket, "text", text);
}

static void
report(void *arg, const struct tlb_finding *f)
{
	struct run *run = arg;
	char text[1000];

	tlb_finding_text(text, sizeof(text), f);
	if (run->findings != NULL)
		json_array_append_new(run->findings, finding_json(f, text));
	else
		printf("%s%s%s\n", f->severity == TLB_ERROR ? cmd_red() : "", text,
		    f->severity == TLB_ERROR ? cmd_plain() : "");
}

/* Rules of the command line stand above those of the log. */
static bool
event(void *arg, const struct tlb_event *ev, struct bed_err *err)
{
	struct run *run = arg;

	if (ev->type == TLB_RULE && ev->a[0] < TLB_NDEADLINES &&
	    run->options->rule[ev->a[0]] != FORCED)
		return true;
	return tlb_event(run->tlb, ev, err);
}

static bool
read_log(const char *file, struct run *run, struct bed_err *err)
{
	bool standard = strcmp(file, "-") == 0, ok;
	FILE *in = standard ? stdin : fopen(file, "r");

	if (in == NULL)
		return bed_fail(err, BED_E_INPUT, "%s: %s", file, strerror(errno));
	ok = tlblog_read(in, standard ? "(standard input)" : file, event, run, err);
	if (!standard)
		fclose(in);
	return ok;
}

static json_t *
totals_json(const char *file, const struct tlb_totals *t, json_t *findings)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "file", file, "events",
	    (json_int_t)t->events, "stores", (json_int_t)t->stores, "invalidations",
	    (json_int_t)t->invalidations, "obligations", (json_int_t)t->obligations, "open",
	    (json_int_t)t->open, "errors", (json_int_t)t->at[TLB_ERROR], "warnings",
	    (json_int_t)t->at[TLB_WARNING], "findings", findings);
}

/* One log; exit code. */
static int
judge_log(const char *file, const struct options *o, json_t *list)
{
	struct tlb_policy policy = tlb_policy_default;
	struct run run = { .options = o, .findings = list != NULL ? json_array() : NULL };
	struct tlb_totals t;
	struct bed_err err;
	bool ok;

	for (unsigned r = 0; r < TLB_NDEADLINES; r++)
		policy.rule[r] = o->rule[r] != FORCED ? o->rule[r] : policy.rule[r];
	if (o->quiet)
		policy.lint = TLB_SILENT;
	run.tlb = tlb_new(&policy, report, &run, &err);
	if (run.tlb == NULL)
		return cmd_error(&err);
	ok = read_log(file, &run, &err);
	tlb_settle(run.tlb);
	t = tlb_totals(run.tlb);
	tlb_free(run.tlb);
	if (list != NULL)
		json_array_append_new(list, totals_json(file, &t, run.findings));
	if (!ok)
		return cmd_error(&err);
	if (list == NULL)
		printf("%s%s%s %s: %" PRIu64 " events, %" PRIu64 " stores, %" PRIu64
		       " invalidations, %" PRIu64 " obligations; %" PRIu64 " errors, %" PRIu64
		       " warnings, %" PRIu64 " notes, %" PRIu64 " still open\n",
		    t.at[TLB_ERROR] ? cmd_red() : cmd_green(), t.at[TLB_ERROR] ? "FAIL" : "PASS",
		    cmd_plain(), file, t.events, t.stores, t.invalidations, t.obligations,
		    t.at[TLB_ERROR], t.at[TLB_WARNING], t.at[TLB_NOTE], t.open);
	return t.at[TLB_ERROR] != 0 ? BED_E_FINDING : BED_OK;
}

int
cmd_tlbsan(int argc, char **argv)
{
	struct options o = { .nfile = 0 };
	json_t *list = NULL;
	int code = BED_OK;

	memset(o.rule, FORCED, sizeof(o.rule));
	argp_err_exit_status = BED_E_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (o.json)
		list = json_array();
	for (unsigned i = 0; i < o.nfile; i++) {
		int one = judge_log(o.file[i], &o, list);

		/* A log that cannot be read outweighs one with findings. */
		if (code == BED_OK || (code == BED_E_FINDING && one != BED_OK))
			code = one;
	}
	if (list != NULL) {
		json_t *doc = json_pack("{s:o}", "logs", list);
		int printed = cmd_print_json(doc);

		code = code == BED_OK ? printed : code;
	}
	return code;
}
