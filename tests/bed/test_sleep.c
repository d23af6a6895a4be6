/* SPDX-License-Identifier: ISC */
/*
 * Calls that sleep: what the host sees of them, who wakes them, and that a wakeup which comes between the
 * failed search and the sleep is not lost: the guest is stopped exactly there.
 */
#include "tests/bed/fixture.h"

#include <string.h>

#define SUBMAP_PAGES   8
#define STOP_HAVE_NONE 1 /* STOP_VALLOC_WAIT of guest/machine/thread.h */
#define STOP_NO_PAGE   2 /* STOP_PAGE_WAIT */

/* A pageable submap of SUBMAP_PAGES pages, all of them taken. */
static uint64_t
full_submap(struct bed *bed, gva_t *all)
{
	uint64_t map =
	    (uint64_t)bed_uvm_km_suballoc(bed, KERNEL, GVA(0), SUBMAP_PAGES * PAGE, 1, 0);

	CHECK(map != 0, "no submap");
	*all = bed_uvm_km_valloc(bed, map, SUBMAP_PAGES * PAGE);
	CHECK(all->v != 0, "an empty submap does not hold what it is made for");
	return map;
}

static struct bed_result
start_call(struct bed *bed, enum bed_call_id id, const uint64_t *args, unsigned nargs)
{
	struct bed_result r;
	struct bed_err err;

	if (!bed_call_start(bed, id, args, nargs, &r, &err))
		FAIL("%s", err.text);
	return r;
}

static struct bed_result
look_again(struct bed *bed, unsigned slot)
{
	struct bed_result r;
	struct bed_err err;

	if (!bed_call_wait(bed, slot, &r, &err))
		FAIL("%s", err.text);
	return r;
}

/* property 56: submap */
BED_TEST(sleep, a_blocked_call_shows_its_channel)
{
	struct bed *bed = BED();
	gva_t all;
	uint64_t map = full_submap(bed, &all);
	struct bed_result w =
	    start_call(bed, BED_CALL_uvm_km_valloc_wait, (uint64_t[]){ map, 2 * PAGE }, 2);
	struct bed_pointers pointers = bed_pointers(bed);
	uint64_t pa;

	CHECK(w.state == BED_STATE_BLOCKED, "it returned %#lx from a full map", w.value);
	CHECK(strcmp(w.wmesg, "vallocwait") == 0, "it sleeps on \"%s\"", w.wmesg);
	CHECK(bed_pointer_pa(&pointers, w.wchan.v, &pa), "channel %#lx", w.wchan.v);
	/* The bed answers other calls meanwhile; uvm_km_free does not wake. */
	bed_null(bed);
	bed_uvm_km_free(bed, map, GVA(all.v + 4 * PAGE), 4 * PAGE);
	w = look_again(bed, w.slot);
	CHECK(w.state == BED_STATE_BLOCKED, "uvm_km_free woke it");
	bed_uvm_km_free_wakeup(bed, map, GVA(all.v), PAGE);
	w = look_again(bed, w.slot);
	CHECK(w.state == BED_STATE_DONE && w.value == all.v + 4 * PAGE, "state %d, result %#lx",
	    w.state, w.value);
	bed_down(bed);
}

/* property 57: submap */
BED_TEST(sleep, every_sleeper_is_woken_and_tries_again)
{
	struct bed *bed = BED();
	gva_t all;
	uint64_t map = full_submap(bed, &all);
	struct bed_result w[4];
	unsigned done = 0;

	for (unsigned i = 0; i < COUNT_OF(w); i++)
		w[i] = start_call(bed, BED_CALL_uvm_km_valloc_wait, (uint64_t[]){ map, PAGE }, 2);
	bed_uvm_km_free_wakeup(bed, map, all, PAGE);
	for (unsigned i = 0; i < COUNT_OF(w); i++) {
		w[i] = look_again(bed, w[i].slot);
		done += w[i].state == BED_STATE_DONE;
	}
	CHECK(done == 1, "one page free, %u sleepers satisfied", done);
	bed_uvm_km_free_wakeup(bed, map, GVA(all.v + PAGE), 3 * PAGE);
	for (unsigned i = 0; i < COUNT_OF(w); i++) {
		if (w[i].state != BED_STATE_DONE)
			w[i] = look_again(bed, w[i].slot);
		CHECK(w[i].state == BED_STATE_DONE && w[i].value == all.v + i * PAGE,
		    "sleeper %u: state %d, result %#lx", i, w[i].state, w[i].value);
	}
	bed_down(bed);
}

/* property 59 61: submap */
BED_TEST(sleep, maps_are_woken_one_by_one)
{
	struct bed *bed = BED();
	gva_t a, b;
	uint64_t map_a = full_submap(bed, &a), map_b = full_submap(bed, &b);
	struct bed_result w =
	    start_call(bed, BED_CALL_uvm_km_valloc_wait, (uint64_t[]){ map_a, PAGE }, 2);
	struct bed_counters before = bed_counters(bed, 0);

	bed_uvm_km_free_wakeup(bed, map_b, b, SUBMAP_PAGES * PAGE);
	w = look_again(bed, w.slot);
	CHECK(w.state == BED_STATE_BLOCKED, "a wakeup on another map woke it");
	CHECK(bed_counters(bed, 0).sleep == before.sleep, "it woke and went back to sleep");
	/* Freeing nothing wakes all the same; the sleeper finds nothing and sleeps again. */
	bed_uvm_km_free_wakeup(bed, map_a, a, 0);
	w = look_again(bed, w.slot);
	CHECK(w.state == BED_STATE_BLOCKED, "nothing was freed, and it has something");
	CHECK(
	    bed_counters(bed, 0).sleep == before.sleep + 1, "a wakeup of an empty range was lost");
	bed_down(bed);
}

/* What is done while the guest stands at a stop point. */
struct stop {
	enum bed_call_id id;
	uint64_t arg[3];
	unsigned nargs, slot, stops;
	uint64_t info;
};

static void
at_stop(void *arg, struct bed *bed, uint64_t info)
{
	struct stop *s = arg;
	struct bed_err err;

	s->stops++;
	s->info = info;
	if (!bed_call_post(bed, s->id, s->arg, s->nargs, &s->slot, &err))
		FAIL("%s", err.text);
}

/* property 58: submap */
BED_TEST(sleep, a_wakeup_before_the_sleep_is_not_lost)
{
	struct bed *bed = BED();
	gva_t all;
	uint64_t map = full_submap(bed, &all);
	struct stop stop = { BED_CALL_uvm_km_free_wakeup, { map, all.v, SUBMAP_PAGES * PAGE }, 3, 0,
		0, 0 };
	struct bed_result w;

	bed_on_sync(bed, at_stop, &stop);
	CHECK(bed_stop_arm(bed, STOP_HAVE_NONE) == 0, "the checked flavour has no stop points");
	w = start_call(bed, BED_CALL_uvm_km_valloc_wait, (uint64_t[]){ map, 2 * PAGE }, 2);
	CHECK(stop.stops == 1 && stop.info == STOP_HAVE_NONE, "%u stops, the last at %lu",
	    stop.stops, stop.info);
	CHECK(look_again(bed, stop.slot).state == BED_STATE_DONE, "the free did not come through");
	if (w.state == BED_STATE_BLOCKED)
		w = look_again(bed, w.slot);
	CHECK(w.state == BED_STATE_DONE && w.value == all.v,
	    "the wakeup was lost: state %d on \"%s\"", w.state, w.wmesg);
	bed_down(bed);
}

BED_TEST(sleep, a_page_freed_before_the_sleep_is_not_missed)
{
	struct bed *bed = BED(.ram = 8 * MIB);
	gva_t filler[512], last;
	unsigned n = 0;
	struct stop stop;
	struct bed_result w;

	/* Take memory in pieces with what cannot sleep, until nothing is left for one page more. */
	for (uint64_t pages = 64; pages > 0 && n < COUNT_OF(filler);) {
		gva_t va = bed_uvm_km_kmemalloc(bed, KERNEL, 1, pages * PAGE, 1);

		if (va.v == 0)
			pages /= 2;
		else
			filler[n++] = va;
	}
	CHECK(n > 0 && n < COUNT_OF(filler), "%u pieces", n);
	last = filler[0];
	stop = (struct stop){ BED_CALL_uvm_km_free, { KERNEL, last.v, 64 * PAGE }, 3, 0, 0, 0 };
	bed_on_sync(bed, at_stop, &stop);
	bed_stop_arm(bed, STOP_NO_PAGE);
	w = start_call(bed, BED_CALL_uvm_km_alloc, (uint64_t[]){ KERNEL, 8 * PAGE }, 2);
	CHECK(stop.stops == 1 && stop.info == STOP_NO_PAGE, "%u stops, the last at %lu", stop.stops,
	    stop.info);
	if (w.state == BED_STATE_BLOCKED)
		w = look_again(bed, w.slot);
	CHECK(w.state == BED_STATE_DONE && w.value != 0, "the wakeup was lost: state %d on \"%s\"",
	    w.state, w.wmesg);
	PT_EXPECT(bed, GVA(w.value), .npages = 8, .perm = PT_RW);
	bed_down(bed);
}

BED_TEST(sleep, posting_is_for_stop_points_only)
{
	struct bed *bed = BED();
	unsigned slot;
	struct bed_err err;

	CHECK(!bed_call_post(bed, BED_CALL_null, NULL, 0, &slot, &err),
	    "a call was posted from nowhere");
	CHECK(strstr(err.text, "bed_on_sync") != NULL, "%s", err.text);
	bed_null(bed);
	bed_down(bed);
}
