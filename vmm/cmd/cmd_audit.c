/* SPDX-License-Identifier: ISC */
/*
 * uvmbed audit: boot a guest, run a trace in it if one is given, and put every invariant to it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "vmm/audit/audit.h"
#include "vmm/cmd/session.h"

struct options {
	const char *trace;
	bool markdown;
};

static error_t
parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 't':
		o->trace = arg;
		return 0;
	case 'l':
		o->markdown = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state,
		    "audit takes no argument (\"%s\"); --trace FILE runs a trace first", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The rows of the table in docs/invariants.md. */
static void
list_rules(void)
{
	for (unsigned i = 0; i < audit_rules(); i++) {
		const struct audit_rule *r = audit_rule(i);

		printf("| %u | `%s` | %s | %s |\n", r->number, r->id, r->statement,
		    r->kind == AUDIT_ALWAYS ? "every call" : "`uvmbed audit`");
	}
}

static uint64_t
total_ns(const struct audit *audit)
{
	uint64_t ns = audit_read_ns(audit);

	for (unsigned i = 0; i < audit_rules(); i++)
		ns += audit_rule(i)->kind == AUDIT_ALWAYS ? audit_verdict(audit, i)->ns : 0;
	return ns;
}

/* What there is to know about a broken rule. */
static void
find(struct finding *f, struct session *s, const struct audit *audit, unsigned rule)
{
	struct bed_err err;
	struct finding_source src = { .bed = s->bed,
		.err = &err,
		.check = s->check,
		.tlb = s->tlb,
		.recorder = s->recorder };

	audit_fail(audit, rule, &err);
	finding_make(f, &src);
}

static json_t *
findings_json(struct session *s, const struct audit *audit)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < audit_rules(); i++) {
		struct finding f;

		if (!audit_verdict(audit, i)->broken)
			continue;
		find(&f, s, audit, i);
		json_array_append_new(list, finding_json(&f));
		finding_free(&f);
	}
	return list;
}

static json_t *
audit_json(struct session *s, const struct audit *audit)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < audit_rules(); i++) {
		const struct audit_rule *r = audit_rule(i);
		const struct audit_verdict *v = audit_verdict(audit, i);

		json_array_append_new(
		    list, json_pack("{s:i, s:s, s:s, s:b, s:s, s:I}", "number", (int)r->number,
			      "id", r->id, "statement", r->statement, "holds", !v->broken,
			      "finding", v->text, "ns", (json_int_t)v->ns));
	}
	return json_pack("{s:o, s:I, s:I, s:o, s:o}", "context", cmd_json_context(), "read_ns",
	    (json_int_t)audit_read_ns(audit), "total_ns", (json_int_t)total_ns(audit), "invariants",
	    list, "findings", findings_json(s, audit));
}

static void
print_audit(struct session *s, const struct audit *audit, const struct snapshot *snap)
{
	unsigned broken = 0, first = 0;
	struct finding f;

	for (unsigned i = 0; i < audit_rules(); i++) {
		const struct audit_rule *r = audit_rule(i);
		const struct audit_verdict *v = audit_verdict(audit, i);

		broken += v->broken;
		printf("%s%-6s%s %2u %-18s %6.1f us  %s\n", v->broken ? cmd_red() : cmd_green(),
		    v->broken ? "BROKEN" : "holds", cmd_plain(), r->number, r->id,
		    (double)v->ns / 1e3, r->statement);
		if (v->broken)
			printf("       %s\n", v->text);
	}
	/* One explained is enough for a person: what broke one often broke more. */
	if (audit_broken(audit, &first) != NULL) {
		find(&f, s, audit, first);
		finding_print(stdout, &f);
		finding_free(&f);
	}
	printf(
	    "%u of %u invariants hold; %llu pages mapped in %zu tables; %.1f us to read, %.1f us "
	    "with every rule that follows a call\n",
	    audit_rules() - broken, audit_rules(), (unsigned long long)snapshot_pages(snap),
	    snap->ntable, (double)audit_read_ns(audit) / 1e3, (double)total_ns(audit) / 1e3);
}

/* Twice: the times are those of the second audit, with memory and caches warm, as after every call. */
static int
audit_and_report(struct session *s, const struct cmd_common *common)
{
	struct audit_source src = audit_source(s->bed);
	struct audit *audit = audit_new(s->bed, &s->err);
	struct snapshot snap = { 0 };
	unsigned first;
	int rc;

	if (audit == NULL || !snapshot_take(&snap, &src.view, NULL, &s->err) ||
	    !audit_run(audit, &src, &snap, AUDIT_CONTENT, &s->err) ||
	    !audit_run(audit, &src, &snap, AUDIT_CONTENT, &s->err)) {
		rc = cmd_error(&s->err);
	} else {
		rc = audit_broken(audit, &first) != NULL ? BED_E_FINDING : BED_OK;
		if (!common->json) {
			print_audit(s, audit, &snap);
		} else {
			int json_rc = cmd_print_json(audit_json(s, audit));

			rc = rc != BED_OK ? rc : json_rc;
		}
	}
	snapshot_free(&snap);
	audit_free(audit);
	return rc;
}

/* The program itself failed: that is reported, and no audit made. */
static int
report_failure(struct session *s, const struct trace *trace, const struct cmd_common *common)
{
	json_t *finding = NULL;
	char *command, *text;
	int rc = (int)s->err.class;

	if (s->bed == NULL || (rc != BED_E_FINDING && rc != BED_E_GUEST))
		return cmd_error(&s->err);
	command = session_command(
	    &common->config, &(struct session_opts){ .witnesses = CHECK_ALL }, trace->file);
	text = session_report(s, trace, command, &finding);
	if (common->json)
		cmd_print_json(json_pack("{s:o, s:s, s:o}", "context", cmd_json_context(), "report",
		    text != NULL ? text : "", "findings",
		    finding != NULL ? json_pack("[o]", finding) : json_array()));
	else
		printf("%s", text != NULL ? text : s->err.text);
	free(text);
	free(command);
	return rc;
}

static int
run_audit(const struct cmd_common *common, const struct options *o)
{
	struct session s = { .bed = NULL };
	struct trace trace = { 0 };
	int rc;

	if (o->trace != NULL && !trace_load(&trace, o->trace, &s.err))
		return cmd_error(&s.err);
	if (session_run(&s, o->trace != NULL ? &trace : NULL, &common->config,
		&(struct session_opts){ .witnesses = CHECK_ALL }))
		rc = audit_and_report(&s, common);
	else
		rc = report_failure(&s, &trace, common);
	session_end(&s);
	trace_free(&trace);
	return rc;
}

int
cmd_audit(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "trace", 't', "FILE", 0, "run this program first, with every check on", 0 },
		{ "list", 'l', NULL, 0, "list the invariants as rows of a table; boot nothing", 0 },
		{ 0 },
	};
	static const struct argp argp = { options, parse, NULL,
		"Boot a guest and check every invariant of its page tables, maps, pages, counters and "
		"threads.",
		NULL, NULL, NULL };
	struct cmd_common common;
	struct options o = { 0 };

	cmd_parse(&argp, argc, argv, &common, &o);
	if (o.markdown) {
		list_rules();
		return BED_OK;
	}
	return run_audit(&common, &o);
}
