/* SPDX-License-Identifier: ISC */
/*
 * One planted bug, judged: see judge.h.
 */
#include "vmm/planted/judge.h"

#include <stdio.h>
#include <string.h>

#include "vmm/tlbsan/bed.h"
#include "vmm/trace/replay.h"

#define TIMEOUT_MS 3000 /* a planted bug may hang the guest */

struct run {
	struct sightings *seen;
	struct tlbsan *san;
	bool stranger; /* a check that is not in the list has spoken */
};

static void
sight(void *arg, const char *id, const char *text)
{
	struct run *r = arg;
	int check = checks_find(id, (unsigned)strlen(id));
	unsigned now = r->seen->operations + 1;

	if (check < 0) {
		r->stranger = true;
		return;
	}
	if (r->seen->at[check] == 0)
		r->seen->at[check] = now;
	if (r->seen->first == 0) {
		r->seen->first = now;
		snprintf(r->seen->text, sizeof(r->seen->text), "%s: %.*s", id,
		    (int)strcspn(text, "\n"), text);
	}
}

/* Errors and notes; warnings are about a deadline that this kernel does not promise. */
static void
sight_tlb(void *arg, const struct tlb_finding *f)
{
	char id[32], text[600];

	if (f->severity == TLB_WARNING)
		return;
	snprintf(id, sizeof(id), "tlb-%s", tlb_kind_word(f->kind));
	tlb_finding_text(text, sizeof(text), f);
	sight(arg, id, text);
}

static bool
after_line(void *arg, const struct trace_line *l, struct bed_err *err)
{
	struct run *r = arg;
	bool ok = tlbsan_poll(r->san, err) || err->class == BED_E_FINDING;

	(void)l;
	r->seen->operations++;
	return ok;
}

static void
sight_death(struct run *r, const struct bed *bed, const struct bed_err *err)
{
	char id[32];

	snprintf(id, sizeof(id), "guest-%s", bed_death_word(bed));
	sight(r, id, err->text);
	r->seen->operations++;
}

bool
sightings_of(const struct trace *trace, const struct bed_config *base, unsigned bug,
    struct sightings *seen, struct bed_err *err)
{
	struct bed_config config = *base;
	struct run run = { .seen = seen };
	struct check *check = NULL;
	struct bed *bed = NULL;
	bool ok;

	*seen = (struct sightings){ 0 };
	config.planted = bug;
	if (config.timeout_ms == 0 || config.timeout_ms > TIMEOUT_MS)
		config.timeout_ms = TIMEOUT_MS;
	ok = trace_config(trace, &config, err) && (bed = bed_create(&config, err)) != NULL &&
	     (check = check_new(bed, err)) != NULL &&
	     (run.san = tlbsan_attach(bed, NULL, NULL, err)) != NULL;
	if (ok) {
		check_listen(check, sight, &run);
		tlbsan_listen(run.san, sight_tlb, &run);
		ok = trace_replay(trace, bed, check, after_line, &run, err);
		if (!ok && err->class == BED_E_GUEST && bed_report(bed) != NULL)
			sight_death(&run, bed, err);
		ok = ok || err->class == BED_E_GUEST || err->class == BED_E_FINDING;
	}
	tlbsan_detach(run.san);
	check_free(check);
	bed_destroy(bed);
	if (ok && run.stranger)
		return bed_fail(err, BED_E_INTERNAL, "a check spoke that checks.c does not list");
	return ok;
}

/* Marks the checks that the bug names; false: one does not exist. */
static bool
name_killers(struct planted_result *r)
{
	const char *p = r->bug->killers;

	while (*p != '\0') {
		unsigned len = (unsigned)strcspn(p, " ");
		int check = checks_find(p, len);

		if (check < 0) {
			snprintf(r->why, sizeof(r->why), "there is no check \"%.*s\"", (int)len, p);
			return false;
		}
		r->named[check] = true;
		p += len + strspn(p + len, " ");
	}
	return true;
}

static enum planted_verdict
weigh(struct planted_result *r)
{
	const struct sightings *s = &r->seen;
	bool first = false;

	if (s->first == 0) {
		snprintf(r->why, sizeof(r->why), "no check saw anything in %u operations",
		    s->operations);
		return PLANTED_SURVIVED;
	}
	for (unsigned i = 0; i < checks_count(); i++)
		first |= r->named[i] && s->at[i] == s->first;
	if (!first) {
		snprintf(r->why, sizeof(r->why),
		    "seen first, at operation %u, by a check that is not named for it: %s",
		    s->first, s->text);
		return PLANTED_BY_OTHERS;
	}
	for (unsigned i = 0; i < checks_count(); i++) {
		if (r->named[i] && s->at[i] == 0) {
			snprintf(r->why, sizeof(r->why),
			    "%s is named for it and saw nothing; who did: %s", checks_at(i)->id,
			    s->text);
			return PLANTED_MISSED;
		}
	}
	return PLANTED_KILLED;
}

/* The sound guest passes, the other one does not. */
static enum planted_verdict
judge_trace(struct planted_result *r, const struct trace *trace, const struct bed_config *config)
{
	struct bed_err err = { 0 };

	if (!sightings_of(trace, config, PLANTED_NONE, &r->seen, &err)) {
		snprintf(r->why, sizeof(r->why), "%.*s", (int)strcspn(err.text, "\n"), err.text);
		return PLANTED_NOT_JUDGED;
	}
	if (r->seen.first != 0) {
		snprintf(r->why, sizeof(r->why), "a guest without the bug does not pass %s: %s",
		    trace->file, r->seen.text);
		return PLANTED_BAD_TRACE;
	}
	if (r->seen.operations > PLANTED_OPERATIONS) {
		snprintf(r->why, sizeof(r->why), "%s has %u operations; %u are allowed",
		    trace->file, r->seen.operations, PLANTED_OPERATIONS);
		return PLANTED_LATE;
	}
	if (!sightings_of(trace, config, r->bug->id, &r->seen, &err)) {
		snprintf(r->why, sizeof(r->why), "%.*s", (int)strcspn(err.text, "\n"), err.text);
		return PLANTED_NOT_JUDGED;
	}
	return weigh(r);
}

void
planted_judge(const struct planted *bug, const char *file, const struct bed_config *config,
    struct planted_result *r)
{
	struct bed_err err = { 0 };
	struct trace trace;

	*r = (struct planted_result){ .bug = bug };
	if (!name_killers(r)) {
		r->verdict = PLANTED_UNKNOWN;
	} else if (!trace_load(&trace, file, &err)) {
		snprintf(r->why, sizeof(r->why), "%.*s", (int)strcspn(err.text, "\n"), err.text);
		r->verdict = PLANTED_NOT_JUDGED;
	} else {
		r->verdict = judge_trace(r, &trace, config);
		trace_free(&trace);
	}
}
