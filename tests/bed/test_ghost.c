/* SPDX-License-Identifier: ISC */
/*
 * What the specification alone objects to. The host changes a guest behind its back in ways that leave it whole:
 * mappings, counters and invariants agree with each other, only not with what was asked for. All other witnesses
 * find nothing; the ghost says what and where.
 */
#include <stdio.h>
#include <string.h>

#include "guest/uvm/uvm_map.h"
#include "guest/uvm/uvmexp.h"
#include "tests/bed/audit_scene.h"
#include "tests/bed/inside.h"
#include "vmm/check/check.h"

#define EXEC BED_MAP_EXEC

struct trial {
	struct scene scene;
	struct check *check;
	gva_t a, v; /* of kernel_map: 4 pages with memory, 3 without */
};

/* One call under check; it must come back. */
static bool
put(struct trial *t, enum bed_call_id id, const uint64_t *args, unsigned nargs, uint64_t *value,
    struct bed_err *err)
{
	struct bed_result r;
	bool ok = check_call(t->check, NULL, id, args, nargs, &r, err);

	*value = r.value;
	return ok;
}

static bool
null_call(struct trial *t, struct bed_err *err)
{
	uint64_t value;

	return put(t, BED_CALL_null, NULL, 0, &value, err);
}

/* What is done to the guest, and the call that follows; true: nobody objected. */
typedef bool trial_fn(struct trial *, struct bed_err *);

static bool
less_protection(struct trial *t, struct bed_err *err)
{
	POKE(&t->scene, scene_entry(&t->scene, t->a)->attr,
	    scene_entry(&t->scene, t->a)->attr & ~((uint64_t)PROT_EXEC << 8));
	return null_call(t, err);
}

static bool
other_advice(struct trial *t, struct bed_err *err)
{
	POKE(&t->scene, scene_entry(&t->scene, t->v)->attr,
	    scene_entry(&t->scene, t->v)->attr ^ (UINT64_C(3) << 12));
	return null_call(t, err);
}

static bool
wakeup_count(struct trial *t, struct bed_err *err)
{
	POKE(&t->scene, scene_map(&t->scene)->wakeups, 7);
	return null_call(t, err);
}

static bool
fault_count(struct trial *t, struct bed_err *err)
{
	struct uvmexp *exp = GLOBAL(&t->scene, struct uvmexp, "uvmexp");

	POKE(&t->scene, exp->faults, exp->faults + 1);
	return null_call(t, err);
}

/* The calls of these are honest, and nobody asked the checker. */
static bool
an_entry_too_many(struct trial *t, struct bed_err *err)
{
	bed_uvm_km_valloc(t->scene.bed, KERNEL, PAGE);
	return null_call(t, err);
}

static bool
an_entry_lost(struct trial *t, struct bed_err *err)
{
	bed_uvm_km_free(t->scene.bed, KERNEL, t->v, PAGE);
	return null_call(t, err);
}

static bool
a_page_leaked(struct trial *t, struct bed_err *err)
{
	bed_uvm_pagealloc(t->scene.bed);
	return null_call(t, err);
}

/* Memory that is not mapped for the moment is gone from its object. */
static bool
a_page_missing(struct trial *t, struct bed_err *err)
{
	const uint64_t args[] = { KERNEL, t->a.v, PAGE, PROT_NONE, 0 };
	uint64_t value, pa = 0;

	CHECK(bed_pmap_extract(t->scene.bed, t->a) == 0, "not mapped");
	pa = bed_result2(t->scene.bed);
	CHECK(check_resync(t->check, err), "%s", err->text);
	CHECK(put(t, BED_CALL_uvm_map_protect, args, 5, &value, err), "%s", err->text);
	bed_uvm_pagefree(t->scene.bed, GPA(pa));
	return null_call(t, err);
}

/* The allocator thinks that memory is short. */
static bool
fails_without_reason(struct trial *t, struct bed_err *err)
{
	struct uvmexp *exp = GLOBAL(&t->scene, struct uvmexp, "uvmexp");
	const uint64_t args[] = { BED_MAP_KMEM, 0, 4 * PAGE, 1 };
	uint64_t value;

	POKE(&t->scene, exp->reserve_kernel, exp->npages);
	POKE(&t->scene, exp->reserve_pagedaemon, exp->npages);
	return put(t, BED_CALL_uvm_km_kmemalloc, args, 4, &value, err);
}

/* It gives out what it must keep for the page daemon. */
static bool
succeeds_without_right(struct trial *t, struct bed_err *err)
{
	struct uvmexp *exp = GLOBAL(&t->scene, struct uvmexp, "uvmexp");
	uint64_t args[] = { BED_MAP_KMEM, 0, 4 * PAGE, 1 }, value, left = exp->free;

	while (left > 400) {
		bed_km_alloc(t->scene.bed, 100 * PAGE, BED_KV_any, BED_KP_dirty, BED_KD_nowait);
		CHECK(exp->free < left, "no memory was taken");
		left = exp->free;
	}
	while (exp->free > 10)
		CHECK(bed_uvm_pagealloc(t->scene.bed).v != 0, "no page");
	CHECK(check_resync(t->check, err), "%s", err->text);
	POKE(&t->scene, exp->reserve_kernel, 0);
	POKE(&t->scene, exp->reserve_pagedaemon, 0);
	args[2] = 8 * PAGE;
	return put(t, BED_CALL_uvm_km_kmemalloc, args, 4, &value, err);
}

/* Pages known to be zero, which are not. */
static bool
dirty_zeroes(struct trial *t, struct bed_err *err)
{
	const uint64_t args[] = { PAGE, BED_KV_intrsafe, BED_KP_zero, BED_KD_nowait };
	uint64_t value;
	gva_t page = bed_km_alloc(t->scene.bed, PAGE, BED_KV_page, BED_KP_zero, BED_KD_nowait);

	for (unsigned i = 1; i <= 64; i++)
		memset(bed_ptr(t->scene.bed, GPA(page.v - BED_DIRECT_BASE - i * PAGE), PAGE), 0xff,
		    PAGE);
	CHECK(check_resync(t->check, err), "%s", err->text);
	return put(t, BED_CALL_km_alloc, args, 4, &value, err);
}

static const struct {
	const char *what, *says;
	trial_fn *fn;
} trials[] = {
	{ "less protection than was given", "expected  object rw-/rwx", less_protection },
	{ "other advice", "advice 1", other_advice },
	{ "a count of wakeups", "kernel_map: wakeups: before 0, expected 0, actual 0x7",
	    wakeup_count },
	{ "a count of faults", "uvmexp.faults", fault_count },
	{ "an entry too many", "something has changed since the last call", an_entry_too_many },
	{ "an entry lost", "actual    free", an_entry_lost },
	{ "a page leaked", "1 should be free and are not", a_page_leaked },
	{ "a page missing", "page of kernel_object at", a_page_missing },
	{ "a failure without reason", "had no reason to", fails_without_reason },
	{ "a success without right", "pages free (4 in reserve) it must not",
	    succeeds_without_right },
	{ "zeroes that are none", "must be zero and is not", dirty_zeroes },
};

static struct trial
trial(unsigned witnesses)
{
	struct trial t = { .scene = scene_up(0) };
	struct bed_err err;

	t.a = t.scene.a;
	t.v = bed_uvm_km_valloc(t.scene.bed, KERNEL, 3 * PAGE);
	t.check = check_new(t.scene.bed, &err);
	CHECK(t.check != NULL && check_witnesses(t.check, witnesses, &err), "%s", err.text);
	return t;
}

static void
end_trial(struct trial *t)
{
	check_free(t->check);
	scene_down(&t->scene);
}

BED_TEST(ghost_alone, objects)
{
	for (size_t i = 0; i < COUNT_OF(trials); i++) {
		struct trial t = trial(CHECK_ALL & ~(unsigned)CHECK_GHOST);
		struct bed_err err = { 0 };

		CHECK(trials[i].fn(&t, &err), "%s: another witness objects: %s", trials[i].what,
		    err.text);
		end_trial(&t);
		t = trial(CHECK_ALL);
		CHECK(!trials[i].fn(&t, &err), "%s is not found", trials[i].what);
		CHECK(err.class == BED_E_FINDING && strstr(err.text, "specification") &&
			  strstr(err.text, trials[i].says),
		    "%s: it says %s", trials[i].what, err.text);
		end_trial(&t);
	}
}

/* A call that was made behind the checker's back, put to the specification as this one. */
static bool
claim(struct trial *t, struct check_ghost *g, enum bed_call_id id, const uint64_t *args,
    unsigned nargs, const struct bed_result *r, struct bed_err *err)
{
	char open[160];
	bool ok;

	t->scene.src = audit_source(t->scene.bed);
	scene_audit_always(&t->scene);
	scene_must_hold(&t->scene, "after the call");
	ok = check_ghost_call(g, t->scene.audit, id, args, nargs, r, open, err);
	CHECK(open[0] == '\0', "inconclusive: %s", open);
	return ok;
}

static struct check_ghost *
ghost_of(struct trial *t)
{
	struct bed_err err;
	struct check_ghost *g = check_ghost_new(t->scene.bed, &err);

	scene_audit_always(&t->scene);
	CHECK(g != NULL && check_ghost_adopt(g, t->scene.audit, &err), "%s", err.text);
	return g;
}

/*
 * A hole that holds the request, only not the one of the rule: the lowest of its size is out of the index for one
 * call, then it is back. The map is whole, the place is wrong.
 */
BED_TEST(ghost_alone, a_wrong_place)
{
	struct trial t = trial(0);
	struct uvm_addr *ua = &scene_map(&t.scene)->addr;
	uint64_t args[] = { KERNEL, 7 * PAGE };
	struct vm_map_entry *lowest;
	struct check_ghost *g;
	struct bed_result r;
	struct bed_err err;
	vaddr_t floor;
	gva_t at[4];

	for (unsigned i = 0; i < 4; i++)
		at[i] = bed_uvm_km_valloc(t.scene.bed, KERNEL, 7 * PAGE);
	bed_uvm_km_free(t.scene.bed, KERNEL, at[0], 7 * PAGE);
	bed_uvm_km_free(t.scene.bed, KERNEL, at[2], 7 * PAGE);
	g = ghost_of(&t);
	lowest = ua->single[7];
	CHECK(lowest != NULL, "no hole of this size is held outside");
	floor = ua->floor[7];
	ua->single[7] = NULL;
	CHECK(bed_call_try(t.scene.bed, BED_CALL_uvm_km_valloc, args, 2, &r, &err), "%s", err.text);
	ua->single[7] = lowest;
	ua->floor[7] = floor;
	ua->have |= 1u << 7;
	CHECK(r.value == at[2].v, "placed at %#lx", r.value);
	CHECK(!claim(&t, g, BED_CALL_uvm_km_valloc, args, 2, &r, &err), "not found");
	CHECK(strstr(err.text, "must return") && strstr(err.text, "lowest of the smallest holes"),
	    "%s", err.text);
	check_ghost_free(g);
	end_trial(&t);
}

/* The place is right and the result is not; the call did more, or less, than it says. */
BED_TEST(ghost_alone, a_wrong_result)
{
	struct trial t = trial(0);
	uint64_t args[] = { KERNEL, 2 * PAGE, 0 };
	struct check_ghost *g = ghost_of(&t);
	struct bed_result r, lie;
	struct bed_err err;

	CHECK(bed_call_try(t.scene.bed, BED_CALL_uvm_km_alloc, args, 2, &r, &err), "%s", err.text);
	lie = r;
	lie.value += PAGE;
	CHECK(!claim(&t, g, BED_CALL_uvm_km_alloc, args, 2, &lie, &err) &&
		  strstr(err.text, "must return"),
	    "%s", err.text);
	lie.value = 0;
	CHECK(!claim(&t, g, BED_CALL_uvm_km_alloc, args, 2, &lie, &err) &&
		  strstr(err.text, "had no reason to"),
	    "%s", err.text);
	CHECK(
	    !claim(&t, g, BED_CALL_uvm_km_valloc, args, 2, &r, &err) && strstr(err.text, "mapping"),
	    "%s", err.text);
	args[1] = 3 * PAGE;
	CHECK(!claim(&t, g, BED_CALL_uvm_km_alloc, args, 2, &r, &err), "a page short");
	args[1] = 2 * PAGE;
	CHECK(claim(&t, g, BED_CALL_uvm_km_alloc, args, 2, &r, &err), "%s", err.text);
	check_ghost_free(g);
	end_trial(&t);
}

/* A sleeper that nobody woke, though a wakeup was due: found without any clock. */
BED_TEST(ghost_alone, a_lost_wakeup)
{
	struct trial t = trial(0);
	struct vm_map *map = FOLLOW(&t.scene, *GLOBAL(&t.scene, struct vm_map *, "exec_map"));
	uint64_t all = (map->max_offset - map->min_offset) & ~BED_PAGE_MASK;
	gva_t a = bed_uvm_km_valloc(t.scene.bed, EXEC, all);
	uint64_t wait[] = { EXEC, PAGE }, give[] = { EXEC, a.v, all };
	struct check_ghost *g = ghost_of(&t);
	struct bed_result r, done = { .state = BED_STATE_DONE };
	struct bed_err err;

	CHECK(a.v != 0 &&
		  bed_call_start(t.scene.bed, BED_CALL_uvm_km_valloc_wait, wait, 2, &r, &err) &&
		  r.state == BED_STATE_BLOCKED,
	    "it does not sleep");
	CHECK(claim(&t, g, BED_CALL_uvm_km_valloc_wait, wait, 2, &r, &err), "%s", err.text);
	/* Without a wakeup, but it is counted: as if it had been lost. */
	bed_uvm_km_free(t.scene.bed, EXEC, a, all);
	map->wakeups++;
	CHECK(!claim(&t, g, BED_CALL_uvm_km_free_wakeup, give, 3, &done, &err), "not found");
	CHECK(strstr(err.text, "still asleep on \"vallocwait\""), "%s", err.text);
	check_ghost_free(g);
	end_trial(&t);
}
