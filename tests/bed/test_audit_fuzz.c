/* SPDX-License-Identifier: ISC */
/*
 * The audit against garbage: whatever stands in the guest's structures and tables, it comes to an end and
 * does not crash, and most of what was changed it notices. And against much honest work: no false alarm.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "guest/uvm/uvm_map.h"
#include "guest/uvm/uvm_page.h"
#include "tests/bed/audit_scene.h"
#include "tests/bed/inside.h"
#include "vmm/check/check.h"

#define ROUNDS 3000
#define LIVE   300

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Guest physical ranges the audit reads. */
struct range {
	uint64_t start, end;
};

static size_t
ranges_of(const struct scene *s, struct range range[5])
{
	const struct bed_bootinfo *boot = bed_bootinfo(s->bed);
	const struct vm_map *map = scene_map(s);
	uint64_t data = inside_symbol(s->bed, "data_start").v - BED_IMAGE_BASE;
	struct bed_pointers pointers = bed_pointers(s->bed);
	uint64_t symbols = UINT64_MAX, nodes = UINT64_MAX;
	/* What boot took for itself comes first in memory: pm_l1 and the vm_pages. */
	uint64_t pages = boot->seg[0].start;

	bed_pointer_pa(&pointers, inside_symbol(s->bed, "kernel_map").v, &symbols);
	bed_pointer_pa(&pointers, (uint64_t)map->addr.root, &nodes);
	range[0] = (struct range){ data, boot->image_end };
	range[1] = (struct range){ boot->ptpool_start, boot->ptpool_start + 16 * PAGE };
	range[2] = (struct range){ pages, pages + 80 * PAGE };
	range[3] = (struct range){ nodes & ~(PAGE - 1), (nodes & ~(PAGE - 1)) + PAGE };
	range[4] = (struct range){ symbols & ~(PAGE - 1), (symbols & ~(PAGE - 1)) + PAGE };
	return 5;
}

/* A word that is not zero, if there is one near: zeroes are most of memory and lead nowhere. */
static uint64_t *
some_word(struct scene *s, struct rng *r, const struct range *range)
{
	uint64_t *word = NULL;

	for (unsigned i = 0; i < 64; i++) {
		uint64_t pa = range->start + rng_below(r, (range->end - range->start) / 8) * 8;

		word = bed_ptr(s->bed, GPA(pa), 8);
		CHECK(word != NULL, "%#lx is no memory", pa);
		if (*word != 0)
			break;
	}
	return word;
}

static void
damage(struct scene *s, struct rng *r, const struct range *range, size_t n)
{
	uint64_t *word = some_word(s, r, &range[rng_below(r, n)]), value;

	switch (rng_below(r, 4)) {
	case 0: /* another word, maybe a pointer */
		value = *some_word(s, r, &range[rng_below(r, n)]);
		break;
	case 1: /* near what it was */
		value = *word + (rng_below(r, 33) - 16) * 8;
		break;
	case 2:
		value = rng_next(r);
		break;
	default:
		value = *word ^ UINT64_C(1) << rng_below(r, 64);
		break;
	}
	POKE(s, *word, value);
}

BED_TEST(audit_fuzz, garbage_is_no_crash_and_no_loop)
{
	struct rng r = rng_seeded("audit_fuzz");
	struct scene s = scene_up(LIVE);
	unsigned noticed = 0, limit = scaled_ms(5000);
	struct range range[5];
	size_t n = ranges_of(&s, range);

	scene_audit(&s);
	scene_must_hold(&s, "before any damage");
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t began = now_ms();
		unsigned at;

		for (uint64_t k = 1 + rng_below(&r, 8); k > 0; k--)
			damage(&s, &r, range, n);
		scene_audit_always(&s);
		noticed += audit_broken(s.audit, &at) != NULL;
		CHECK(now_ms() - began < limit, "round %u: the audit took %lu ms", i,
		    now_ms() - began);
		scene_undo(&s);
	}
	scene_audit(&s);
	scene_must_hold(&s, "after all damage was undone");
	CHECK(noticed > ROUNDS / 2, "only %u of %u were noticed", noticed, ROUNDS);
	scene_down(&s);
}

/* Random honest calls, each followed by the audit that check_call() makes. */
BED_TEST(audit_fuzz, honest_work_is_no_finding)
{
	struct rng r = rng_seeded("audit_honest");
	struct bed *bed = BED();
	struct bed_err err;
	struct check *check = check_new(bed, &err);
	struct {
		uint64_t va, size, map;
	} live[48] = { 0 };

	CHECK(check != NULL, "%s", err.text);
	for (unsigned i = 0; i < 600; i++) {
		size_t k = rng_below(&r, COUNT_OF(live));
		uint64_t pages = 1 + rng_below(&r, rng_below(&r, 8) == 0 ? 80 : 6);
		uint64_t args[4] = { KERNEL, pages * PAGE, 0, 0 };
		enum bed_call_id id;
		struct bed_result res;

		if (live[k].va != 0) {
			uint64_t from = rng_below(&r, live[k].size / PAGE) * PAGE;
			uint64_t give[3] = { live[k].map, live[k].va + from, live[k].size - from };

			CHECK(check_call(check, NULL, BED_CALL_uvm_km_free, give, 3, &res, &err),
			    "%s", err.text);
			live[k].size = from;
			live[k].va = from == 0 ? 0 : live[k].va;
			continue;
		}
		switch (rng_below(&r, 4)) {
		case 0:
			id = BED_CALL_uvm_km_alloc;
			break;
		case 1:
			id = BED_CALL_uvm_km_zalloc;
			break;
		case 2:
			id = BED_CALL_uvm_km_valloc;
			break;
		default:
			id = BED_CALL_uvm_km_kmemalloc;
			args[0] = BED_MAP_KMEM;
			args[1] = 0;
			args[2] = pages * PAGE;
			args[3] = 1; /* no sleep */
			break;
		}
		CHECK(check_call(check, NULL, id, args, id == BED_CALL_uvm_km_kmemalloc ? 4 : 2,
			  &res, &err),
		    "%s", err.text);
		live[k].va = res.value;
		live[k].size = pages * PAGE;
		live[k].map = args[0];
	}
	check_free(check);
	bed_down(bed);
}

/*
 * An audit after each call is cheap, also with much to look at: a third of a millisecond. The bound is far
 * from that, because hosts are shared: what it must catch is a cost that grows with the square.
 */
BED_TEST(audit_fuzz, many_allocations_cost_little)
{
	struct scene s = scene_up(700);
	uint64_t best = UINT64_MAX;

	for (unsigned round = 0; round < 20; round++) {
		uint64_t ns;

		scene_audit_always(&s);
		scene_must_hold(&s, "with many allocations");
		ns = audit_read_ns(s.audit);
		for (unsigned i = 0; i < audit_rules(); i++)
			ns += audit_verdict(s.audit, i)->ns;
		best = ns < best ? ns : best;
	}
	CHECK(scene_map(&s)->nentries > 500, "%u entries", scene_map(&s)->nentries);
	CHECK(best < scaled_ms(10) * UINT64_C(1000000), "%lu ns", best);
	scene_down(&s);
}

/* The release flavour has no poison; everything else holds there, too. */
BED_TEST(audit_fuzz, release_flavour)
{
	struct bed *bed = BED(.release = true);
	struct snapshot snap = bed_snapshot(bed);
	struct bed_err err = { 0 };

	CHECK(check_invariants(bed, &snap, &err), "%s", err.text);
	snapshot_free(&snap);
	bed_down(bed);
}
