/* SPDX-License-Identifier: ISC */
/*
 * uvmbed audit: boot a guest, run a trace in it if one is given, and put every invariant to it.
 */
#include <stdio.h>

#include "vmm/audit/audit.h"
#include "vmm/cmd/cmd.h"
#include "vmm/trace/replay.h"

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

/* A bed after its trace, which runs with every check on. NULL: err says why, *bed may be there anyway. */
static bool
prepare(struct cmd_common *common, const struct options *o, struct bed **bed, struct bed_err *err)
{
	struct trace trace = { 0 };
	struct check *check = NULL;
	bool ok = true;

	if (o->trace != NULL)
		ok =
		    trace_load(&trace, o->trace, err) && trace_config(&trace, &common->config, err);
	ok = ok && (*bed = bed_create(&common->config, err)) != NULL;
	if (ok && o->trace != NULL)
		ok = (check = check_new(*bed, err)) != NULL &&
		     trace_replay(&trace, *bed, check, NULL, NULL, err);
	check_free(check);
	trace_free(&trace);
	return ok;
}

static uint64_t
total_ns(const struct audit *audit)
{
	uint64_t ns = audit_read_ns(audit);

	for (unsigned i = 0; i < audit_rules(); i++)
		ns += audit_rule(i)->kind == AUDIT_ALWAYS ? audit_verdict(audit, i)->ns : 0;
	return ns;
}

static json_t *
audit_json(const struct audit *audit)
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
	return json_pack("{s:o, s:I, s:I, s:o}", "context", cmd_json_context(), "read_ns",
	    (json_int_t)audit_read_ns(audit), "total_ns", (json_int_t)total_ns(audit), "invariants",
	    list);
}

static void
print_audit(const struct audit *audit, const struct snapshot *snap)
{
	unsigned broken = 0;

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
	printf(
	    "%u of %u invariants hold; %llu pages mapped in %zu tables; %.1f us to read, %.1f us "
	    "with every rule that follows a call\n",
	    audit_rules() - broken, audit_rules(), (unsigned long long)snapshot_pages(snap),
	    snap->ntable, (double)audit_read_ns(audit) / 1e3, (double)total_ns(audit) / 1e3);
}

/* Twice: the times are those of the second audit, with memory and caches warm, as after every call. */
static int
audit_and_report(const struct bed *bed, const struct cmd_common *common, struct bed_err *err)
{
	struct audit_source src = audit_source(bed);
	struct audit *audit = audit_new(bed, err);
	struct snapshot snap = { 0 };
	unsigned first;
	int rc;

	if (audit == NULL || !snapshot_take(&snap, &src.view, NULL, err) ||
	    !audit_run(audit, &src, &snap, AUDIT_CONTENT, err) ||
	    !audit_run(audit, &src, &snap, AUDIT_CONTENT, err)) {
		rc = cmd_error(err);
	} else {
		rc = audit_broken(audit, &first) != NULL ? BED_E_FINDING : BED_OK;
		if (!common->json) {
			print_audit(audit, &snap);
		} else {
			int json_rc = cmd_print_json(audit_json(audit));

			rc = rc != BED_OK ? rc : json_rc;
		}
	}
	snapshot_free(&snap);
	audit_free(audit);
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
	struct bed_err err = { 0 };
	struct bed *bed = NULL;
	int rc;

	cmd_parse(&argp, argc, argv, &common, &o);
	if (o.markdown) {
		list_rules();
		return BED_OK;
	}
	rc = prepare(&common, &o, &bed, &err) ? audit_and_report(bed, &common, &err)
	                                      : cmd_error(&err);
	bed_destroy(bed);
	return rc;
}
