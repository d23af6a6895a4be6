/* SPDX-License-Identifier: ISC */
/*
 * See verdict.h.
 */
#include "vmm/cmd/verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/bundle/bundle.h"

/* The trace up to a line, or all of it (NULL), as text. */
static char *
trace_text(const struct trace *trace, const struct trace_line *last)
{
	struct trace part = *trace;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return NULL;
	if (last != NULL)
		part.nline = (unsigned)(last - trace->line) + 1;
	trace_print(&part, out);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

static json_t *
audit_json(const struct verdict *v)
{
	if (!v->audited)
		return json_null();
	return json_pack("{s:I, s:I, s:I}", "steps", (json_int_t)v->audit.steps, "stores",
	    (json_int_t)v->audit.stores, "invalidations", (json_int_t)v->audit.invalidations);
}

static char *
json_text(const struct verdict *v)
{
	json_t *doc = json_pack("{s:o, s:o}", "context", cmd_json_context(), "programs",
	    json_pack("[o]", verdict_json(v)));
	char *text = doc == NULL ? NULL : json_dumps(doc, JSON_INDENT(2) | JSON_PRESERVE_ORDER);

	json_decref(doc);
	return text;
}

static void
bundle(struct session *s, const struct trace *trace, const struct verdict_opts *o, FILE *log,
    const char *command, struct verdict *v)
{
	char *whole = trace_text(trace, NULL), *json = json_text(v);
	char *prefix = s->failure.line == NULL ? NULL : trace_text(trace, s->failure.line);
	char *again = session_command(&v->config, &o->session, "program.trace");
	const struct bundle_text text[] = { { "report.txt", v->report }, { "report.json", json },
		{ "program.trace", whole }, { "prefix.trace", prefix }, { NULL, NULL } };
	struct bundle_source src = { .bed = s->bed,
		.recorder = s->recorder,
		.log = log,
		.name = trace->file,
		.replay = command,
		.again = again,
		.text = text };
	struct bed_err err;

	v->bundle = bundle_write(o->bundle, &src, &err);
	if (v->bundle == NULL)
		cmd_error(&err);
	free(whole);
	free(prefix);
	free(json);
	free(again);
}

static void
examine(struct session *s, const struct trace *trace, const struct verdict_opts *o, FILE *log,
    struct verdict *v)
{
	char *command = session_command(&v->config, &o->session, o->file);

	v->report = session_report(s, trace, command, &v->finding);
	if (o->bundle != NULL && (s->err.class == BED_E_FINDING || s->err.class == BED_E_GUEST))
		bundle(s, trace, o, log, command, v);
	free(command);
}

/* A bundle has the log of the run even if nobody asked for it. */
static FILE *
log_for(const struct verdict_opts *o, const struct bed_config *config, struct verdict *v)
{
	FILE *log = o->session.log;

	if (log != NULL || o->bundle == NULL || config->flavour != BED_CHECKED)
		return log;
	log = tmpfile();
	if (log == NULL)
		bed_fail(&v->err, BED_E_OUTPUT,
		    "no temporary file for the events of a failure bundle: %s", strerror(errno));
	return log;
}

void
verdict_run(struct verdict *v, const struct trace *trace, const struct bed_config *base,
    const struct verdict_opts *o)
{
	struct session_opts opts = o->session;
	struct session s = { .bed = NULL };
	FILE *log;

	*v = (struct verdict){ .file = trace->file, .config = *base };
	log = log_for(o, base, v);
	if (v->err.class != BED_OK)
		return;
	opts.log = log;
	v->passed = session_run(&s, trace, base, &opts);
	v->operations = s.done;
	if (s.tlb != NULL)
		v->tlb = tlbsan_totals(s.tlb);
	v->audited = s.audit != NULL;
	if (v->audited)
		v->audit = logaudit_totals(s.audit);
	if (s.bed != NULL) {
		v->boot = bed_boot(s.bed);
		v->count = bed_counters(s.bed, 0);
		v->stats = bed_stats(s.bed);
	}
	if (s.check != NULL) {
		v->totals = check_totals(s.check);
		v->hash = check_hash(s.check);
	}
	if (!v->passed) {
		v->err = s.err;
		if (s.bed != NULL)
			examine(&s, trace, o, log, v);
	}
	session_end(&s);
	if (log != NULL && log != o->session.log)
		fclose(log);
}

void
verdict_free(struct verdict *v)
{
	free(v->report);
	free(v->bundle);
	json_decref(v->finding);
}

json_t *
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
	all = json_pack(
	    "{s:s, s:s, s:b, s:s, s:O, s:o, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}",
	    "program", v->file, "hash", hash, "passed", v->passed, "report",
	    v->report != NULL ? v->report : "", "finding",
	    v->finding != NULL ? v->finding : json_null(), "bundle",
	    v->bundle != NULL ? json_string(v->bundle) : json_null(), "operations",
	    (int)v->operations, "exits", (json_int_t)v->stats.exits, "pages_compared",
	    (json_int_t)v->totals.pages, "pages_changed", (json_int_t)v->totals.changed,
	    "translations", (json_int_t)v->totals.translations, "check_ns",
	    (json_int_t)v->totals.ns, "events", (json_int_t)v->tlb.events, "tlb_obligations",
	    (json_int_t)v->tlb.obligations, "log_audit", audit_json(v), "work", work);
	json_object_set_new(all, "specified", json_integer((json_int_t)v->totals.specified));
	json_object_set_new(all, "inconclusive", json_integer((json_int_t)v->totals.inconclusive));
	json_object_set_new(all, "witness_ns", cost);
	return all;
}

void
verdict_print(const struct verdict *v)
{
	if (!v->passed && v->err.class != BED_E_FINDING && v->err.class != BED_E_GUEST) {
		cmd_error(&v->err); /* nothing was tested: no verdict */
		return;
	}
	if (!v->passed) {
		printf("%s%sFAIL%s %s\n%s", cmd_bold(), cmd_red(), cmd_plain(), v->file,
		    v->report != NULL ? v->report : v->err.text);
		if (v->bundle != NULL)
			printf("  bundle         %s\n", v->bundle);
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
	if (v->audited && v->audit.steps != 0)
		printf("  event log  %" PRIu64 " stores and %" PRIu64 " invalidations in %" PRIu64
		       " instructions, each logged\n",
		    v->audit.stores, v->audit.invalidations, v->audit.steps);
	else if (v->audited)
		printf("  event log  %" PRIu64 " stores to read-only page tables, each logged\n",
		    v->audit.stores);
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
