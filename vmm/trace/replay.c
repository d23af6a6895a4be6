/* SPDX-License-Identifier: ISC */
/*
 * Running a trace: resolve names to results, call, compare with what the trace expects.
 */
#include "vmm/trace/replay.h"

#include <stdlib.h>
#include <string.h>

#include "shared/layout.h"

#include "vmm/view/walk.h"

struct replay {
	const struct trace *trace;
	struct bed *bed;
	struct check *check;
	struct bed_result *result;       /* by line */
	const struct trace_line *posted; /* waits for the next call to reach its stop point */
	struct replay_failure *failure;
	struct bed_err *err;
};

static bool
fail_line(struct replay *r, const struct trace_line *l)
{
	char text[TRACE_LINE + 2];
	bool named = l->kind == TRACE_CALL && r->err->class == BED_E_FINDING; /* by check_call() */
	FILE *out = named ? NULL : fmemopen(text, sizeof(text), "w");

	if (out == NULL)
		return bed_fail_in(r->err, "%s:%u", r->trace->file, l->number);
	trace_line_print(l, out);
	fclose(out);
	return bed_fail_in(r->err, "%s:%u: %s", r->trace->file, l->number, text);
}

bool
trace_config(const struct trace *t, struct bed_config *cfg, struct bed_err *err)
{
	for (unsigned i = 0; i < t->nline; i++) {
		const struct trace_line *l = &t->line[i];
		uint64_t value = l->value[0].number;

		if (l->kind == TRACE_CALL && l->beside >= cfg->ncpu)
			cfg->ncpu = l->beside + 1;
		if (l->kind != TRACE_SET)
			continue;
		switch ((enum trace_setting)l->which) {
		case TRACE_RAM:
			cfg->ram = value;
			break;
		case TRACE_KVA:
			cfg->kva_size = value;
			break;
		case TRACE_GUARD:
			cfg->flags = value ? cfg->flags | BED_BOOT_GUARDPAGES
			                   : cfg->flags & ~BED_BOOT_GUARDPAGES;
			break;
		case TRACE_CPU:
			if (value >= BED_CPU_MAX)
				return bed_fail(err, BED_E_INPUT,
				    "%s:%u: cpu %llu: a bed has CPUs 0 to %d at most", t->file,
				    l->number, (unsigned long long)value, BED_CPU_MAX - 1);
			if (value >= cfg->ncpu)
				cfg->ncpu = (unsigned)value + 1;
			break;
		case TRACE_SEED:
			break;
		}
	}
	return bed_config_check(cfg, err) || bed_fail_in(err, "%s", t->file);
}

/* A value of line l; false if it names a call that has not returned. */
static bool
resolve(struct replay *r, const struct trace_value *v, uint64_t *value)
{
	*value = v->number;
	if (v->ref < 0)
		return true;
	if (r->result[v->ref].state != BED_STATE_DONE)
		return bed_fail(r->err, BED_E_FINDING,
		    "%s is the result of a call that is still asleep on \"%s\"", v->text,
		    r->result[v->ref].wmesg);
	*value += r->result[v->ref].value;
	return true;
}

/* The next call stands at the stop point: begin the one that waited for that. */
static void
post(void *arg, struct bed *bed, uint64_t info)
{
	struct replay *r = arg;
	const struct trace_line *l = r->posted;
	struct bed_result *result;
	uint64_t value[BED_ARGS_MAX];
	struct bed_err err;

	(void)info;
	if (l == NULL)
		return;
	result = &r->result[l - r->trace->line];
	for (unsigned i = 0; i < l->nvalue; i++) {
		if (!resolve(r, &l->value[i], &value[i]))
			return;
	}
	if (!bed_call_post(bed, (enum bed_call_id)l->which, value, l->nvalue, &result->slot, &err))
		return;
	result->state = BED_STATE_BLOCKED;
	check_posted(r->check, (enum bed_call_id)l->which, value, l->nvalue, result);
	r->posted = NULL;
}

static bool
run_call(struct replay *r, const struct trace_line *l, const uint64_t *value)
{
	struct bed_result *result = &r->result[l - r->trace->line], armed;
	bool ok;

	if (l->beside != 0) {
		check_beside(
		    r->check, l->beside, (enum bed_call_id)l->which, value, l->nvalue, result);
		return true;
	}
	if (l->stop != 0) {
		const uint64_t stop = l->stop;

		if (!check_call(r->check, NULL, BED_CALL_stop_arm, &stop, 1, &armed, r->err))
			return false;
		r->posted = l;
		bed_on_sync(r->bed, post, r);
		return true;
	}
	ok = check_call(
	    r->check, NULL, (enum bed_call_id)l->which, value, l->nvalue, result, r->err);
	bed_on_sync(r->bed, NULL, NULL);
	if (ok && r->posted != NULL)
		return bed_fail(r->err, BED_E_INPUT,
		    "it did not reach stop point %u, at which line %u was to run", r->posted->stop,
		    r->posted->number);
	return ok;
}

static bool
expect_mapping(struct replay *r, const struct trace_line *l, const uint64_t *value)
{
	struct view view = bed_view(r->bed);
	struct pt_expect e = { .va = GVA(value[0]),
		.npages = (value[1] + BED_PAGE_MASK) >> BED_PAGE_SHIFT,
		.state = l->which == TRACE_ABSENT ? PT_ABSENT : PT_PRESENT };
	char report[1500];
	size_t brief;
	gva_t first;

	if (l->which == TRACE_ZERO)
		e.zero = PT_YES;
	if (l->which == TRACE_MAPPED && l->nvalue == 3) {
		e.perm = value[2] & BED_PROT_WRITE ? PT_RW : PT_R;
		e.nx = value[2] & BED_PROT_EXEC ? PT_NO : PT_YES;
	}
	if (view_expect_at(&view, &e, report, sizeof(report), &brief, &first))
		return true;
	bed_fail(r->err, BED_E_FINDING, "%s", report);
	if (r->err != NULL)
		r->err->brief = brief;
	bed_fail_by(r->err, "expectation");
	e.va = first;
	e.npages = 1;
	r->failure->expect = e;
	r->failure->has_expect = true;
	return bed_fail_at(r->err, first.v);
}

static bool
expect_frames(struct replay *r, const uint64_t *value)
{
	struct view view = bed_view(r->bed);

	for (uint64_t off = 0; off < value[1]; off += BED_PAGE_SIZE) {
		gva_t va = GVA(value[0] + off);
		struct walk w = view_walk(&view, va);

		if (w.stop != WALK_LEAF)
			return bed_fail(
			    r->err, BED_E_FINDING, "%#llx is not mapped", (unsigned long long)va.v);
		if (w.pa.v < value[2] || w.pa.v > value[3])
			return bed_fail(r->err, BED_E_FINDING,
			    "%#llx is mapped to frame %#llx, not within %#llx..%#llx",
			    (unsigned long long)va.v, (unsigned long long)w.pa.v,
			    (unsigned long long)value[2], (unsigned long long)value[3]);
	}
	return true;
}

static bool
expect_filled(struct replay *r, const uint64_t *value)
{
	uint64_t args[3] = { value[0], (value[1] + BED_PAGE_MASK) >> BED_PAGE_SHIFT, value[2] };
	struct bed_result result;

	if (!check_call(r->check, NULL, BED_CALL_verify, args, 3, &result, r->err))
		return false;
	return result.value == 0 ||
	       bed_fail(r->err, BED_E_FINDING, "%llu pages do not hold what fill wrote",
		   (unsigned long long)result.value);
}

static bool
expect_sleep(struct replay *r, const struct trace_line *l)
{
	const struct trace_value *v = &l->value[0];
	const struct bed_result *result;

	if (v->ref < 0)
		return bed_fail(r->err, BED_E_INPUT, "%s is not the name of a call", v->text);
	result = &r->result[v->ref];
	if (l->which == TRACE_AWAKE)
		return result->state == BED_STATE_DONE ||
		       bed_fail(
			   r->err, BED_E_FINDING, "%s is asleep on \"%s\"", v->text, result->wmesg);
	if (result->state == BED_STATE_DONE)
		return bed_fail(r->err, BED_E_FINDING, "%s has returned %#llx", v->text,
		    (unsigned long long)result->value);
	return strcmp(result->wmesg, l->value[1].text) == 0 ||
	       bed_fail(r->err, BED_E_FINDING, "%s is asleep on \"%s\"", v->text, result->wmesg);
}

static bool
run_expect(struct replay *r, const struct trace_line *l, const uint64_t *value)
{
	bool equal;

	switch ((enum trace_expect)l->which) {
	case TRACE_EQUAL:
	case TRACE_DIFFER:
		equal = value[0] == value[1];
		return equal == (l->which == TRACE_EQUAL) ||
		       bed_fail(r->err, BED_E_FINDING, "%s is %#llx, %s is %#llx", l->value[0].text,
			   (unsigned long long)value[0], l->value[1].text,
			   (unsigned long long)value[1]);
	case TRACE_FILLED:
		return expect_filled(r, value);
	case TRACE_FRAMES:
		return expect_frames(r, value);
	default:
		return expect_mapping(r, l, value);
	}
}

static bool
run_line(struct replay *r, const struct trace_line *l)
{
	uint64_t value[BED_ARGS_MAX];

	if (l->kind == TRACE_EXPECT && (l->which == TRACE_ASLEEP || l->which == TRACE_AWAKE))
		return expect_sleep(r, l);
	for (unsigned i = 0; i < l->nvalue; i++) {
		if (!resolve(r, &l->value[i], &value[i]))
			return false;
	}
	return l->kind == TRACE_CALL ? run_call(r, l, value) : run_expect(r, l, value);
}

/* An expectation that is not met is a finding like those of check_call(). */
static bool
line_agrees(struct replay *r, const struct trace_line *l)
{
	char id[32];

	if (run_line(r, l))
		return true;
	/* A call that was judged has told its findings; here its argument is of a call that still sleeps. */
	if (l->kind != TRACE_EXPECT) {
		check_found(r->check, "asleep", r->err);
		return false;
	}
	snprintf(id, sizeof(id), "expect-%s", trace_form_of(l)->word);
	return check_found(r->check, id, r->err);
}

bool
trace_replay_to(const struct trace *t, struct bed *bed, struct check *check, replay_step_fn *step,
    void *arg, struct replay_failure *failure, struct bed_err *err)
{
	struct replay r = {
		.trace = t, .bed = bed, .check = check, .failure = failure, .err = err
	};
	bool ok = true;

	*failure = (struct replay_failure){ .line = NULL };
	r.result = calloc(t->nline + 1, sizeof(*r.result));
	if (r.result == NULL)
		return bed_fail(
		    err, BED_E_HOST, "%s: out of memory for %u results", t->file, t->nline);
	for (unsigned i = 0; i < t->nline && ok; i++) {
		const struct trace_line *l = &t->line[i];

		if (l->kind == TRACE_SET && l->which == TRACE_CPU)
			check_on(check, (unsigned)l->value[0].number);
		if (l->kind != TRACE_CALL && l->kind != TRACE_EXPECT)
			continue;
		failure->operation++;
		failure->line = l;
		ok = line_agrees(&r, l) || fail_line(&r, l);
		if (ok && step != NULL)
			ok = step(arg, l, err) || fail_line(&r, l);
	}
	free(r.result);
	return ok;
}

bool
trace_replay(const struct trace *t, struct bed *bed, struct check *check, replay_step_fn *step,
    void *arg, struct bed_err *err)
{
	struct replay_failure failure;

	return trace_replay_to(t, bed, check, step, arg, &failure, err);
}
