/* SPDX-License-Identifier: ISC */
/*
 * One call, checked: see check.h.
 */
#include "vmm/check/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vmm/bed/inspect.h"
#include "vmm/check/hash.h"
#include "vmm/trace/trace.h"

#define TRANSLATIONS  4 /* addresses of one operation put to KVM, at most */
#define EVENTS_A_PAGE 8 /* records one page makes in the event ring, at most */

/* A call that is asleep. */
struct sleeper {
	struct bed_result *result; /* NULL: none */
	enum bed_call_id id;
	uint64_t arg[BED_ARGS_MAX];
};

/* A call that waits to begin with the next one. */
struct beside {
	struct bed_result *result; /* NULL: none */
	enum bed_call_id id;
	unsigned nargs;
	uint64_t arg[BED_ARGS_MAX];
};

struct check {
	struct bed *bed;
	struct audit *audit;
	struct audit_source src; /* of the last reading */
	struct check_ghost *ghost;
	unsigned witnesses;
	uint64_t exits;  /* of the bed when it was last looked at */
	gva_t misuse_at; /* the guest's struct uvm_misuse */
	uint64_t misuse; /* wrong frees it had counted when it was last looked at */
	struct sleeper sleeper[BED_SLOTS * BED_CPU_MAX], woken[BED_SLOTS * BED_CPU_MAX];
	unsigned nwoken; /* by the call being judged */
	bool stepping;   /* one that is still asleep may have mapped some of its pages since */
	unsigned cpu;    /* that runs the calls */
	struct snapshot snap[2]; /* before and after; `now` says which is which */
	unsigned now;
	struct snap_diff diff;
	struct call_effect effect; /* of the last call, for check_expected() */
	bool judged;               /* snap[!now] is of before that call */
	struct check_totals totals;
	struct call_hash hash;
	struct beside beside[BED_CPU_MAX]; /* by vCPU */
	bool crowd;                        /* the call has company, or is about to */
	unsigned stops;                    /* exits at stop points during this call */
	check_listener_fn *listener;       /* NULL: the first finding ends the call */
	void *listener_arg;
};

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Wrong frees, of all kinds; 0 as long as they are the end of the guest. */
static uint64_t
misuse(const struct check *c)
{
	uint64_t count[3] = { 0 };

	return bed_read(c->bed, c->misuse_at, count, sizeof(count)) ? count[0] + count[1] + count[2]
	                                                            : 0;
}

struct check *
check_new(struct bed *bed, struct bed_err *err)
{
	struct check *c = calloc(1, sizeof(*c));
	struct view view = bed_view(bed);

	if (c == NULL) {
		bed_fail(err, BED_E_HOST, "out of memory for the checker");
		return NULL;
	}
	c->bed = bed;
	c->audit = audit_new(bed, err);
	if (!call_hash_init(&c->hash, bed))
		bed_fail(err, BED_E_HOST, "out of memory for the checker");
	c->ghost = check_ghost_new(bed, err);
	c->src = audit_source(bed);
	c->witnesses = CHECK_ALL;
	c->exits = bed_stats(bed).exits;
	if (!bed_symbol(bed, "uvm_misuse", &c->misuse_at)) {
		bed_fail(err, BED_E_INPUT, "the guest image has no symbol uvm_misuse");
		check_free(c);
		return NULL;
	}
	c->misuse = misuse(c);
	if (c->audit == NULL || c->ghost == NULL || c->hash.number == NULL ||
	    !snapshot_take(&c->snap[0], &view, NULL, err) ||
	    !check_audit_source(c->audit, &c->src, &c->snap[0], err) ||
	    !check_ghost_adopt(c->ghost, c->audit, err)) {
		check_free(c);
		return NULL;
	}
	return c;
}

void
check_free(struct check *c)
{
	if (c == NULL)
		return;
	snapshot_free(&c->snap[0]);
	snapshot_free(&c->snap[1]);
	snap_diff_free(&c->diff);
	free(c->effect.row);
	check_ghost_free(c->ghost);
	audit_free(c->audit);
	call_hash_free(&c->hash);
	free(c);
}

void
check_listen(struct check *c, check_listener_fn *fn, void *arg)
{
	c->listener = fn;
	c->listener_arg = arg;
}

bool
check_found(struct check *c, const char *id, const struct bed_err *err)
{
	if (c->listener == NULL || err->class != BED_E_FINDING)
		return false;
	c->listener(c->listener_arg, id, err->text);
	return true;
}

/* Add the time since *t0 to a cost, and begin the next. */
static void
charge(uint64_t *cost, uint64_t *t0)
{
	uint64_t now = now_ns();

	*cost += now - *t0;
	*t0 = now;
}

/* A snapshot in the place of the last one, and the structures. */
static bool
look_again(struct check *c, struct bed_err *err)
{
	struct view view = bed_view(c->bed);

	c->exits = bed_stats(c->bed).exits;
	c->misuse = misuse(c);
	c->src = audit_source(c->bed);
	return snapshot_take(&c->snap[c->now], &view, NULL, err) &&
	       audit_look(c->audit, &c->src, &c->snap[c->now], err);
}

bool
check_resync(struct check *c, struct bed_err *err)
{
	return look_again(c, err) && check_ghost_adopt(c->ghost, c->audit, err);
}

bool
check_witnesses(struct check *c, unsigned witnesses, struct bed_err *err)
{
	c->witnesses = witnesses;
	return check_resync(c, err);
}

void
check_owner(const struct check *c, gva_t va, char *owner, size_t size)
{
	check_ghost_owner(c->ghost, va, owner, size);
}

const struct snapshot *
check_snapshot(const struct check *c)
{
	return &c->snap[c->now];
}

uint64_t
check_hash(const struct check *c)
{
	return c->hash.value;
}

const struct audit *
check_auditor(const struct check *c)
{
	return c->audit;
}

bool
check_expected(const struct check *c, gva_t va, struct pt_expect *e)
{
	if (!c->judged || !c->effect.checkable)
		return false;
	*e = snapshot_expected(&c->snap[!c->now], c->effect.row, c->effect.n, va);
	return true;
}

struct check_totals
check_totals(const struct check *c)
{
	return c->totals;
}

/* One line for reports: the call with its arguments and its result. */
static void
call_text(char *buf, size_t size, enum bed_call_id id, const uint64_t *args, unsigned nargs,
    const struct bed_result *result)
{
	const struct call_shape *shape = call_shape(id);
	size_t used = (size_t)snprintf(buf, size, "%s", shape->name);

	for (unsigned i = 0; i < nargs && used < size; i++) {
		char token[TRACE_TOKEN];

		trace_token(token, sizeof(token), shape->kind[i], args[i]);
		used += (size_t)snprintf(buf + used, size - used, " %s", token);
	}
	if (used < size && result->state == BED_STATE_BLOCKED)
		snprintf(buf + used, size - used, " (asleep: %s)", result->wmesg);
	else if (used < size && shape->result != R_VOID)
		snprintf(buf + used, size - used, " -> %#llx", (unsigned long long)result->value);
}

static bool
work_agrees(struct check *c, const struct bed_counters *a, const struct bed_counters *b,
    const struct call_effect *e, uint64_t exits, const struct bed_result *result,
    struct bed_err *err)
{
	uint64_t set = b->pte_set - a->pte_set, clear = b->pte_clear - a->pte_clear;
	uint64_t invlpg = b->invlpg - a->invlpg;

	/* A call that failed may have made and undone; it must have undone all it made. */
	if (set != e->set && !(e->set == 0 && set == clear) &&
	    !CHECK_FOUND(c, "work-stores", err, "%llu entries were set, %llu pages became mapped",
		(unsigned long long)set, (unsigned long long)e->set))
		return false;
	if (clear != e->clear && !(e->clear == 0 && set == clear) &&
	    !CHECK_FOUND(c, "work-clears", err,
		"%llu entries were cleared, %llu pages became unmapped", (unsigned long long)clear,
		(unsigned long long)e->clear))
		return false;
	/* Every CPU that is at work invalidates for itself. */
	if (!c->crowd && invlpg > clear + b->pte_change - a->pte_change &&
	    !CHECK_FOUND(c, "work-invlpgs", err,
		"%llu INVLPGs for %llu cleared and %llu changed entries",
		(unsigned long long)invlpg, (unsigned long long)clear,
		(unsigned long long)(b->pte_change - a->pte_change)))
		return false;
	if (clear > 0 && invlpg == 0 && b->tlb_full == a->tlb_full &&
	    !CHECK_FOUND(c, "work-flushes", err, "%llu entries cleared and nothing invalidated",
		(unsigned long long)clear))
		return false;
	/* One exit, one at each stop point, and one whenever the event ring was full. */
	return result->state != BED_STATE_DONE || c->crowd ||
	       (exits > c->stops &&
		   exits <= 1 + c->stops + EVENTS_A_PAGE * (set + clear) / BED_EVENTS) ||
	       CHECK_FOUND(c, "work-exits", err, "the call took %llu exits instead of one",
		   (unsigned long long)exits);
}

/* Put the ends of what changed to KVM. */
static bool
mmu_agrees(struct check *c, const struct snapshot *after, struct bed_err *err)
{
	unsigned asked = 0;

	for (size_t i = 0; i < c->diff.n && asked < TRANSLATIONS; i++) {
		const struct snap_change *ch = &c->diff.change[i];

		if (!(ch->what & SNAP_MAPPINGS))
			continue;
		for (unsigned end = 0; end < 2; end++, asked++) {
			gva_t va = GVA(ch->va.v + (end ? (ch->npages - 1) << BED_PAGE_SHIFT : 0));
			const struct view_run *run = snapshot_lookup(after, va);
			gpa_t pa = GPA(0);
			bool mapped = bed_translate(c->bed, va, &pa);

			c->totals.translations++;
			if (mapped == (run != NULL) && (!mapped || pa.v == view_run_pa(run, va).v))
				continue;
			bed_fail(err, BED_E_FINDING,
			    "%#llx: the tables say %s%#llx, KVM says %s%#llx",
			    (unsigned long long)va.v, run ? "" : "unmapped ",
			    run ? (unsigned long long)view_run_pa(run, va).v : 0ULL,
			    mapped ? "" : "unmapped ", (unsigned long long)pa.v);
			bed_fail_at(err, va.v);
			if (!check_found(c, "kvm", err))
				return bed_fail_by(err, "MMU");
		}
		c->totals.changed += ch->npages;
	}
	return true;
}

static bool
content_agrees(struct check *c, enum bed_call_id id, const uint64_t *args,
    const struct bed_result *r, struct bed_err *err)
{
	struct view view = bed_view(c->bed);
	struct pt_expect zero = { .va = GVA(r->value), .zero = PT_YES };
	char report[1500];
	size_t brief;
	gva_t first;

	if (r->state != BED_STATE_DONE || r->value == 0 ||
	    !(id == BED_CALL_uvm_km_zalloc || (id == BED_CALL_uvm_km_alloc1 && args[3] != 0)))
		return true;
	zero.npages = (args[1] + BED_PAGE_MASK) >> BED_PAGE_SHIFT;
	if (view_expect_at(&view, &zero, report, sizeof(report), &brief, &first))
		return true;
	bed_fail(err, BED_E_FINDING, "%s", report);
	err->brief = brief;
	bed_fail_at(err, first.v);
	return check_found(c, "content", err) || bed_fail_by(err, "content");
}

/*
 * Pages that lost no right and gained the one to write: what a fault after a protection change does. It enters
 * the page anew, wired only if the page is.
 */
static bool
state_widened(const struct check *c, const struct snapshot *after, struct call_effect *e)
{
	const struct snapshot *before = &c->snap[c->now];
	struct snap_diff diff = { 0 };
	bool ok = snapshot_diff(before, after, &diff, NULL);

	for (size_t i = 0; ok && i < diff.n; i++) {
		const struct snap_change *ch = &diff.change[i];
		struct pt_delta row = { .kind = PT_CHANGED,
			.what = ch->what,
			.map = {
			    .va = ch->va, .npages = ch->npages, .perm = PT_RW, .nx = PT_YES } };

		if (ch->what == SNAP_RIGHTS || ch->what == (SNAP_RIGHTS | SNAP_SOFT))
			ok = call_effect_add(e, &row);
	}
	snap_diff_free(&diff);
	return ok;
}

static bool
mappings_agree(struct check *c, struct call_effect *e, struct bed_err *err)
{
	const struct snapshot *before = &c->snap[c->now], *after = &c->snap[!c->now];
	/* Page tables may be made for a mapping, and are kept: pmap_growkernel() is monotone. */
	const struct pt_delta tables = { .kind = PT_TABLES, .lost = PT_EXACTLY(0) };
	char report[1500];
	bool has_first;
	gva_t first;

	for (size_t i = 0; i < after->nrun; i++)
		c->totals.pages += after->run[i].npages;
	if ((e->may_widen && !state_widened(c, after, e)) || !call_effect_add(e, &tables))
		return bed_fail(err, BED_E_HOST, "out of memory for the expected changes");
	if (e->checkable && !snapshot_delta_at(before, after, e->row, e->n, report, sizeof(report),
				&has_first, &first)) {
		bed_fail(err, BED_E_FINDING, "%s", report);
		if (has_first)
			bed_fail_at(err, first.v);
		if (!check_found(c, "frame-rule", err))
			return bed_fail_by(err, "frame rule");
	}
	return snapshot_diff(before, after, &c->diff, err);
}

/* Calls that were asleep and are done now. */
static bool
wake_sleepers(struct check *c, struct bed_err *err)
{
	c->nwoken = 0;
	c->stepping = false;
	for (unsigned slot = 0; slot < BED_SLOTS * BED_CPU_MAX; slot++) {
		struct sleeper *s = &c->sleeper[slot];

		if (s->result == NULL)
			continue;
		if (!bed_call_wait(c->bed, slot, s->result, err))
			return false;
		if (s->result->state != BED_STATE_DONE) {
			check_ghost_sleeps(c->ghost, s->result);
			c->stepping = c->stepping || call_in_steps(s->id);
			continue;
		}
		call_hash_result(&c->hash, c->bed, s->id, s->result);
		c->woken[c->nwoken++] = *s;
		s->result = NULL;
	}
	return true;
}

/*
 * One call may take away what another one, that it lets finish, puts into the same place: then the two together
 * cannot be stated, each by itself could.
 */
static bool
rows_overlap(const struct call_effect *e, size_t from)
{
	for (size_t i = from; i < e->n; i++) {
		for (size_t k = 0; k < i; k++) {
			const struct pt_expect *a = &e->row[i].map, *b = &e->row[k].map;

			if (a->va.v < b->va.v + (b->npages << BED_PAGE_SHIFT) &&
			    b->va.v < a->va.v + (a->npages << BED_PAGE_SHIFT))
				return true;
		}
	}
	return false;
}

/* The mappings and the counted work are those of the call and of the calls it woke. */
static bool
check_mappings(struct check *c, enum bed_call_id id, const uint64_t *args,
    const struct bed_result *result, const struct bed_counters *before, uint64_t exits,
    struct bed_err *err)
{
	struct bed_counters after = bed_counters_all(c->bed);
	struct call_effect *effect = &c->effect;
	size_t own;
	bool ok;

	free(effect->row);
	*effect = CALL_EFFECT_NONE;
	ok = call_effect(effect, c->bed, &c->snap[c->now], id, args, result);
	own = effect->n;
	for (unsigned i = 0; i < c->nwoken; i++)
		ok = ok && call_effect(effect, c->bed, &c->snap[c->now], c->woken[i].id,
			       c->woken[i].arg, c->woken[i].result);
	if (c->stepping || rows_overlap(effect, own))
		effect->checkable = false;
	if (!ok)
		bed_fail(err, BED_E_HOST, "out of memory for the expected changes");
	/* A wrong free that is tolerated does not do what it says. */
	if (misuse(c) != c->misuse)
		effect->checkable = false;
	c->misuse = misuse(c);
	ok = ok && mappings_agree(c, effect, err);
	if (ok)
		call_hash_changes(&c->hash, &c->diff, before, &after);
	return ok &&
	       (!effect->checkable || work_agrees(c, before, &after, effect, exits, result, err) ||
		   bed_fail_by(err, "work"));
}

/* Nobody asks what changed, but for the hash. */
static bool
note_changes(struct check *c, const struct bed_counters *before, struct bed_err *err)
{
	struct bed_counters after = bed_counters_all(c->bed);

	if (!snapshot_diff(&c->snap[c->now], &c->snap[!c->now], &c->diff, err))
		return false;
	call_hash_changes(&c->hash, &c->diff, before, &after);
	return true;
}

/* Every rule that is broken, told to the listener. */
static bool
audit_all(struct check *c, const struct snapshot *snap, struct bed_err *err)
{
	if (!audit_run(c->audit, &c->src, snap, AUDIT_CONTENT, err))
		return false;
	for (unsigned i = 0; i < audit_rules(); i++) {
		const struct audit_verdict *v = audit_verdict(c->audit, i);

		if (v->broken)
			CHECK_FOUND(c, audit_rule(i)->id, err, "%s", v->text);
	}
	return true;
}

/* The specification disagrees: the end, or, with a listener, it goes on from what is there. */
static bool
ghost_found(struct check *c, struct bed_err *err)
{
	struct bed_err ignored;

	if (!check_found(c, "ghost", err))
		return false;
	check_ghost_adopt(c->ghost, c->audit, &ignored);
	return true;
}

/* The structures: read, held against the invariants, put to the specification. */
static bool
check_structures(struct check *c, enum bed_call_id id, const uint64_t *args, unsigned nargs,
    const struct bed_result *result, struct bed_err *err)
{
	const struct snapshot *snap = &c->snap[!c->now];
	uint64_t t0 = now_ns(), read;
	char open[sizeof(c->totals.open)];
	bool ok;

	c->src = audit_source(c->bed);
	ok = c->listener != NULL          ? audit_all(c, snap, err)
	     : c->witnesses & CHECK_AUDIT ? check_audit_source(c->audit, &c->src, snap, err)
	                                  : audit_look(c->audit, &c->src, snap, err);
	read = audit_read_ns(c->audit);
	c->totals.cost.read += read;
	c->totals.cost.audit -= read;
	charge(&c->totals.cost.audit, &t0);
	if (!ok || (c->witnesses & CHECK_GHOST) == 0)
		return ok;
	if (c->crowd)
		return check_ghost_adopt(c->ghost, c->audit, err);
	for (unsigned i = 0; i < c->nwoken; i++)
		check_ghost_woke(c->ghost, c->woken[i].result);
	open[0] = '\0';
	ok = check_ghost_call(c->ghost, c->audit, id, args, nargs, result, open, err) ||
	     ghost_found(c, err) || bed_fail_by(err, "ghost");
	c->totals.specified += open[0] == '\0';
	c->totals.inconclusive += open[0] != '\0';
	if (open[0] != '\0')
		memcpy(c->totals.open, open, sizeof(open));
	charge(&c->totals.cost.ghost, &t0);
	return ok;
}

/* The call is done: look at everything. On success the new snapshot is the one to compare with next. */
static bool
judge(struct check *c, enum bed_call_id id, const uint64_t *args, unsigned nargs,
    const struct bed_result *result, const struct bed_counters *before, uint64_t exits,
    struct bed_err *err)
{
	struct view view = bed_view(c->bed);
	uint64_t t0 = now_ns();
	bool ok;

	c->judged = false;
	call_hash_result(&c->hash, c->bed, id, result);
	if (!wake_sleepers(c, err))
		return false;
	if ((c->witnesses & ~(unsigned)CHECK_TLB) == 0)
		return true;
	if (!snapshot_take(&c->snap[!c->now], &view, NULL, err))
		return false;
	charge(&c->totals.cost.snapshot, &t0);
	if (c->witnesses & CHECK_MAPPINGS)
		ok = check_mappings(c, id, args, result, before, exits, err) &&
		     content_agrees(c, id, args, result, err);
	else
		ok = note_changes(c, before, err);
	charge(&c->totals.cost.mappings, &t0);
	if (ok && (c->witnesses & CHECK_MMU) != 0)
		ok = mmu_agrees(c, &c->snap[!c->now], err);
	charge(&c->totals.cost.mmu, &t0);
	if (ok && (c->witnesses & (CHECK_AUDIT | CHECK_GHOST)) != 0)
		ok = check_structures(c, id, args, nargs, result, err);
	c->now = !c->now;
	c->judged = (c->witnesses & CHECK_MAPPINGS) != 0;
	return ok;
}

/* Did the guest run since it was last looked at, and change what the specification knows? */
static bool
nobody_else(struct check *c, struct bed_err *err)
{
	if ((c->witnesses & CHECK_GHOST) == 0 || bed_stats(c->bed).exits == c->exits)
		return true;
	return look_again(c, err) &&
	       (check_ghost_untouched(c->ghost, c->audit, err) || ghost_found(c, err));
}

static void
remember_sleeper(struct check *c, enum bed_call_id id, const uint64_t *args, unsigned nargs,
    struct bed_result *result)
{
	struct sleeper *s = &c->sleeper[result->slot];

	s->result = result;
	s->id = id;
	memcpy(s->arg, args, nargs * sizeof(*args));
}

/* A call with much to record leaves in the middle when the ring is full: that is not its doing. */
static uint64_t
exits_for_calls(struct bed *bed)
{
	struct bed_stats s = bed_stats(bed);

	return s.exits - s.rings;
}

void
check_on(struct check *c, unsigned cpu)
{
	c->cpu = cpu;
}

void
check_posted(struct check *c, enum bed_call_id id, const uint64_t *args, unsigned nargs,
    struct bed_result *result)
{
	c->stops++;
	c->crowd = true;
	remember_sleeper(c, id, args, nargs, result);
}

void
check_beside(struct check *c, unsigned cpu, enum bed_call_id id, const uint64_t *args,
    unsigned nargs, struct bed_result *result)
{
	struct beside *b = &c->beside[cpu % BED_CPU_MAX];

	result->state = BED_STATE_BLOCKED;
	*b = (struct beside){ .result = result, .id = id, .nargs = nargs };
	memcpy(b->arg, args, nargs * sizeof(*args));
	c->crowd = true;
}

/* The call, and those beside it, at the same moment. */
static bool
run_crowd(struct check *c, enum bed_call_id id, const uint64_t *args, unsigned nargs,
    struct bed_result *result, struct bed_err *err)
{
	unsigned slot;

	for (unsigned cpu = 0; cpu < BED_CPU_MAX; cpu++) {
		struct beside *b = &c->beside[cpu];

		if (b->result == NULL)
			continue;
		if (!bed_post_on(c->bed, cpu, b->id, b->arg, b->nargs, &b->result->slot, err))
			return false;
		remember_sleeper(c, b->id, b->arg, b->nargs, b->result);
		b->result = NULL;
	}
	return bed_post_on(c->bed, c->cpu, id, args, nargs, &slot, err) && bed_wait(c->bed, err) &&
	       bed_call_wait(c->bed, slot, result, err);
}

bool
check_call(struct check *c, const char *what, enum bed_call_id id, const uint64_t *args,
    unsigned nargs, struct bed_result *result, struct bed_err *err)
{
	struct bed_counters before = bed_counters_all(c->bed);
	uint64_t exits = exits_for_calls(c->bed), t0;
	char text[300];
	bool ok;

	if (!nobody_else(c, err))
		return bed_fail_in(
		    err, "before %s%s%s", what ? what : "", what ? ": " : "", bed_call_name(id));
	if (!(c->crowd ? run_crowd(c, id, args, nargs, result, err)
		       : bed_start_on(c->bed, c->cpu, id, args, nargs, result, err)))
		return false;
	exits = exits_for_calls(c->bed) - exits;
	t0 = now_ns();
	ok = judge(c, id, args, nargs, result, &before, exits, err);
	c->exits = bed_stats(c->bed).exits;
	c->stops = 0;
	c->crowd = false;
	c->totals.ns += now_ns() - t0;
	c->totals.calls++;
	if (ok && result->state == BED_STATE_BLOCKED)
		remember_sleeper(c, id, args, nargs, result);
	if (!ok) {
		call_text(text, sizeof(text), id, args, nargs, result);
		bed_fail_in(err, "%s%s%s", what ? what : "", what ? ": " : "", text);
	}
	return ok;
}
