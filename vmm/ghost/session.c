/* SPDX-License-Identifier: ISC */
/*
 * A ghost that goes along with a machine (session.h).
 */
#include "vmm/ghost/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/paging.h"

#define ORDERS 4 /* calls woken together whose order is tried out */

struct sleeper {
	bool used, woke;
	bool moved; /* it woke, and fell asleep on something else */
	char on[16];
	struct ghost_call call;
	struct ghost_sleep sleep;
};

struct ghost_session {
	struct ghost_world world;
	struct ghost_memory memory;
	struct ghost_state last, expected, seen;
	struct sleeper sleeper[GHOST_SLEEPERS];
	struct ghost_step step;
	struct ghost_totals totals;
	uint32_t number;
};

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

struct ghost_session *
ghost_session_new(const struct ghost_memory *memory)
{
	struct ghost_session *g = calloc(1, sizeof(*g));

	if (g != NULL)
		g->memory = *memory;
	return g;
}

void
ghost_session_free(struct ghost_session *g)
{
	if (g == NULL)
		return;
	for (unsigned i = 0; i < GHOST_SLEEPERS; i++)
		runs_free(&g->sleeper[i].sleep.held);
	ghost_state_free(&g->last);
	ghost_state_free(&g->expected);
	ghost_state_free(&g->seen);
	runs_free(&g->world.managed);
	free(g);
}

struct ghost_state *
ghost_session_seen(struct ghost_session *g)
{
	return &g->seen;
}

struct ghost_world *
ghost_session_world(struct ghost_session *g)
{
	return &g->world;
}

const struct ghost_state *
ghost_session_state(const struct ghost_session *g)
{
	return &g->last;
}

struct ghost_totals *
ghost_session_totals(struct ghost_session *g)
{
	return &g->totals;
}

/* What cannot be read from a machine stays known, as far as it can still be true. */
void
ghost_session_adopt(struct ghost_session *g)
{
	struct ghost_runs given = g->last.given;

	g->last.given = (struct ghost_runs){ 0 };
	for (size_t i = 0; i < g->seen.free.n; i++)
		runs_remove(&given, g->seen.free.run[i].at, g->seen.free.run[i].n);
	ghost_state_copy(&g->last, &g->seen);
	runs_free(&g->last.given);
	g->last.given = given;
	for (unsigned i = 0; i < GHOST_SLEEPERS; i++)
		g->sleeper[i].sleep.unknown = g->sleeper[i].used;
}

bool
ghost_session_untouched(struct ghost_session *g, char why[GHOST_WHY])
{
	return ghost_same(&g->last, &g->seen, why, GHOST_WHY);
}

void
ghost_session_woke(struct ghost_session *g, unsigned slot, uint64_t value, uint64_t value2)
{
	struct sleeper *s = &g->sleeper[slot % GHOST_SLEEPERS];

	s->woke = s->used;
	s->call.asleep = false;
	s->call.value = value;
	s->call.value2 = value2;
}

void
ghost_session_sleeps(struct ghost_session *g, unsigned slot, const char *wmesg)
{
	struct sleeper *s = &g->sleeper[slot % GHOST_SLEEPERS];

	s->moved = s->used && strcmp(s->on, wmesg) != 0;
	snprintf(s->on, sizeof(s->on), "%s", wmesg);
}

static bool
others_asleep(const struct ghost_session *g, unsigned but)
{
	for (unsigned i = 0; i < GHOST_SLEEPERS; i++) {
		if (i != but && g->sleeper[i].used)
			return true;
	}
	return false;
}

static enum ghost_verdict
apply(struct ghost_session *g, const struct ghost_call *call, struct ghost_sleep *sleep,
    bool resumed, unsigned slot)
{
	g->step.world = &g->world;
	g->step.memory = &g->memory;
	g->step.now = &g->expected;
	g->step.seen = &g->seen;
	g->step.call = call;
	g->step.sleep = sleep;
	g->step.resumed = resumed;
	g->step.others_asleep = others_asleep(g, slot);
	return ghost_apply(&g->step);
}

/* The call itself, then those that woke in the given order. */
static enum ghost_verdict
apply_all(struct ghost_session *g, const struct ghost_call *call, struct ghost_sleep *sleep,
    unsigned slot, const unsigned *order, unsigned n)
{
	enum ghost_verdict v;

	runs_free(&sleep->held);
	*sleep = (struct ghost_sleep){ 0 };
	if (!ghost_state_copy(&g->expected, &g->last)) {
		snprintf(g->step.why, sizeof(g->step.why), "out of memory");
		return GHOST_INCONCLUSIVE;
	}
	v = apply(g, call, sleep, false, call->asleep ? slot : GHOST_SLEEPERS);
	for (unsigned i = 0; i < n && v == GHOST_OK; i++) {
		const struct sleeper *s = &g->sleeper[order[i]];
		struct ghost_sleep copy = s->sleep;

		if (copy.unknown) {
			snprintf(g->step.why, sizeof(g->step.why),
			    "a call came back that had slept through something inconclusive");
			return GHOST_INCONCLUSIVE;
		}
		copy.held = (struct ghost_runs){ 0 };
		runs_copy(&copy.held, &s->sleep.held);
		v = apply(g, &s->call, &copy, copy.taken_up, order[i]);
		runs_free(&copy.held);
	}
	return v;
}

/* Next permutation in lexical order; false: there is none. */
static bool
next_order(unsigned *order, unsigned n)
{
	unsigned i = n, k = n;

	while (i > 1 && order[i - 2] >= order[i - 1])
		i--;
	if (i <= 1)
		return false;
	while (order[k - 1] <= order[i - 2])
		k--;
	unsigned swap = order[i - 2];

	order[i - 2] = order[k - 1];
	order[k - 1] = swap;
	for (unsigned a = i - 1, b = n - 1; a < b; a++, b--) {
		swap = order[a];
		order[a] = order[b];
		order[b] = swap;
	}
	return true;
}

/* Calls that still sleep must have a reason to. */
static enum ghost_verdict
check_sleepers(struct ghost_session *g)
{
	for (unsigned i = 0; i < GHOST_SLEEPERS; i++) {
		struct sleeper *s = &g->sleeper[i];

		if (!s->used || s->woke)
			continue;
		g->step.call = &s->call;
		g->step.sleep = &s->sleep;
		g->step.resumed = false;
		if (!ghost_may_sleep_on(&g->step))
			return GHOST_VIOLATION;
	}
	return GHOST_OK;
}

/* Still asleep, for the same reason, but no longer in the fault it slept in: it goes through several pages. */
static bool
went_on(const struct ghost_session *g, const struct sleeper *s)
{
	uint64_t at = s->call.arg[1] >> BED_PAGE_SHIFT;
	uint64_t n = s->call.arg[2] >> BED_PAGE_SHIFT;
	struct ghost_run part;

	if (!s->used || s->woke)
		return false;
	if (s->sleep.in_fault && !s->sleep.unknown)
		return runs_at(&g->seen.object, s->sleep.fault_va >> BED_PAGE_SHIFT) != NULL;
	if (s->call.id != BED_CALL_uvm_map_pageable)
		return false;
	RUNS_EACH(&g->seen.object, at, n + 1, i, part)
	{
		if (!runs_have(&g->last.object, part.at, part.n))
			return true;
	}
	return false;
}

static enum ghost_verdict
judge(struct ghost_session *g, const struct ghost_call *call, struct ghost_sleep *sleep,
    unsigned slot)
{
	unsigned order[GHOST_SLEEPERS], n = 0;
	enum ghost_verdict v;

	for (unsigned i = 0; i < GHOST_SLEEPERS; i++) {
		if (g->sleeper[i].used && g->sleeper[i].woke)
			order[n++] = i;
		if (went_on(g, &g->sleeper[i])) {
			snprintf(g->step.why, sizeof(g->step.why),
			    "a call that slept for a page went on, and sleeps for the next");
			return GHOST_INCONCLUSIVE;
		}
		if (!g->sleeper[i].moved)
			continue;
		g->sleeper[i].moved = false;
		snprintf(g->step.why, sizeof(g->step.why),
		    "a call that slept went on and sleeps on \"%s\": what it holds is not known",
		    g->sleeper[i].on);
		return GHOST_INCONCLUSIVE;
	}
	do {
		v = apply_all(g, call, sleep, slot, order, n);
		if (v == GHOST_OK && !ghost_compare(&g->last, &g->expected, &g->seen, n + 1,
					 g->step.why, sizeof(g->step.why)))
			v = GHOST_VIOLATION;
	} while (v == GHOST_VIOLATION && n > 1 && n <= ORDERS && next_order(order, n));
	if (v == GHOST_VIOLATION && n > ORDERS) {
		snprintf(g->step.why, sizeof(g->step.why),
		    "%u calls woke, in what order is not known", n);
		v = GHOST_INCONCLUSIVE;
	}
	return v == GHOST_OK ? check_sleepers(g) : v;
}

static void
remember_sleeper(struct ghost_session *g, const struct ghost_call *call, unsigned slot,
    struct ghost_sleep *sleep)
{
	struct sleeper *s = &g->sleeper[slot % GHOST_SLEEPERS];
	const struct ghost_map *m = &g->last.map[call->arg[0] % BED_MAPS_MAX];

	if (call->id == BED_CALL_km_alloc)
		m = &g->last.map[BED_MAP_EXEC];
	*s = (struct sleeper){ .used = true, .call = *call, .sleep = *sleep };
	s->sleep.wakeups = m->wakeups;
	snprintf(s->on, sizeof(s->on), "%s", call->wmesg);
	*sleep = (struct ghost_sleep){ 0 };
}

enum ghost_verdict
ghost_session_call(
    struct ghost_session *g, const struct ghost_call *record, unsigned slot, char why[GHOST_WHY])
{
	struct ghost_call call = *record;
	struct ghost_sleep sleep = { 0 };
	uint64_t t0 = now_ns();
	enum ghost_verdict v;

	call.number = ++g->number;
	v = judge(g, &call, &sleep, slot);
	for (unsigned i = 0; i < GHOST_SLEEPERS; i++) {
		if (g->sleeper[i].woke) {
			runs_free(&g->sleeper[i].sleep.held);
			g->sleeper[i] = (struct sleeper){ 0 };
		}
	}
	if (v == GHOST_OK) {
		struct ghost_state last = g->last;

		g->last = g->expected;
		g->expected = last;
		/* Pages for its own books are the allocator's choice. */
		runs_copy(&g->last.free, &g->seen.free);
		g->last.kernpages = g->seen.kernpages;
	} else if (v == GHOST_INCONCLUSIVE) {
		ghost_session_adopt(g);
		g->totals.inconclusive++;
		snprintf(g->totals.last_open, sizeof(g->totals.last_open), "%.150s", g->step.why);
	}
	if (call.asleep && v != GHOST_VIOLATION) {
		remember_sleeper(g, &call, slot, &sleep);
		g->sleeper[slot % GHOST_SLEEPERS].sleep.unknown = v != GHOST_OK;
	}
	runs_free(&sleep.held);
	snprintf(why, GHOST_WHY, "%s", g->step.why);
	g->totals.calls++;
	g->totals.ns_spec += now_ns() - t0;
	return v;
}
