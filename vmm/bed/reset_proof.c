/* SPDX-License-Identifier: ISC */
/*
 * The proof, once a process, that resets work here: on a bed of its own a program runs, the bed is reset, another program
 * gives the same addresses other pages and tables, the bed is reset, and the first program must do again
 * exactly what it did on the fresh bed. A translation that outlived a reset would show: in what the program reads, or
 * in the memory it leaves behind.
 */
#include "vmm/bed/snap.h"

#include "shared/calls.h"
#include "shared/paging.h"
#include "vmm/bed/batch.h"
#include "vmm/digest.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PAGE    BED_PAGE_SIZE
#define TOUCHES 3 /* of addresses that come without memory */

static uint64_t
touched(uint64_t i, uint64_t seed)
{
	return (i * 300 + seed) * PAGE; /* 300 pages: not all under one table */
}

/* A program, and what came of it. */
struct program {
	uint64_t pages, seed;
	uint64_t results;       /* digest */
	uint64_t alloc, valloc; /* its two addresses */
};

/* Allocate pages, fill and read them, touch addresses without memory, free the middle. */
static void
compose(struct bed_prog *p, uint64_t pages, uint64_t seed)
{
	uint64_t alloc[] = { BED_MAP_KERNEL, pages * PAGE };
	uint64_t valloc[] = { BED_MAP_KERNEL, 700 * PAGE };
	uint64_t fill[] = { 0, pages, seed }, store[] = { 0, seed }, load[] = { 0 };
	uint64_t hole[] = { BED_MAP_KERNEL, 0, PAGE };
	unsigned a = bed_prog_add(p, BED_CALL_uvm_km_alloc, alloc, 2);
	unsigned v = bed_prog_add(p, BED_CALL_uvm_km_valloc, valloc, 2), op;

	op = bed_prog_add(p, BED_CALL_fill, fill, 3);
	bed_prog_use(p, op, 0, a);
	for (uint64_t i = 0; i < TOUCHES; i++) {
		op = bed_prog_add(p, BED_CALL_store, store, 2);
		bed_prog_use(p, op, 0, v);
		bed_prog_plus(p, op, 0, touched(i, seed));
	}
	op = bed_prog_add(p, BED_CALL_uvm_km_free, hole, 3);
	bed_prog_use(p, op, 1, a);
	bed_prog_plus(p, op, 1, PAGE);
	op = bed_prog_add(p, BED_CALL_load, load, 1);
	bed_prog_use(p, op, 0, v);
	bed_prog_plus(p, op, 0, seed * PAGE);
	op = bed_prog_add(p, BED_CALL_verify, fill, 3);
	bed_prog_use(p, op, 0, a);
}

static bool
run_program(struct bed *bed, struct program *prog, struct bed_err *err)
{
	struct bed_prog *p = bed_prog_new(bed, err);
	uint64_t done;
	bool ok;

	if (p == NULL)
		return false;
	compose(p, prog->pages, prog->seed);
	ok = bed_prog_run(p, 1, &done, err);
	prog->results = 0;
	for (unsigned i = 0; ok && i < bed_prog_len(p); i++) {
		const struct bed_op *op = bed_prog_result(p, i);
		const uint64_t pair[] = { op->result, op->result2 };

		prog->results = bed_digest(prog->results, pair, sizeof(pair));
	}
	if (ok) {
		prog->alloc = bed_prog_result(p, 0)->result;
		prog->valloc = bed_prog_result(p, 1)->result;
	}
	bed_prog_free(p);
	return ok;
}

/* After a reset nothing of what the program used is mapped: the guest must fault there, as the tables say. */
static bool
all_gone(struct bed *bed, const struct program *prog, struct bed_err *err)
{
	struct bed_prog *p = bed_prog_new(bed, err);
	uint64_t done, addr, stale = 0;
	bool ok;

	if (p == NULL)
		return false;
	for (uint64_t i = 0; i < prog->pages; i++) {
		addr = prog->alloc + i * PAGE;
		bed_prog_add(p, BED_CALL_load, &addr, 1);
	}
	for (uint64_t i = 0; i < TOUCHES; i++) {
		addr = prog->valloc + touched(i, prog->seed);
		bed_prog_add(p, BED_CALL_load, &addr, 1);
	}
	ok = bed_prog_run(p, 1, &done, err);
	for (unsigned i = 0; ok && i < bed_prog_len(p); i++)
		stale += bed_prog_result(p, i)->result != BED_EFAULT;
	if (ok && stale != 0)
		ok = bed_fail(err, BED_E_HOST,
		    "%" PRIu64 " of %u addresses that were mapped before a reset can still be read",
		    stale, bed_prog_len(p));
	bed_prog_free(p);
	return ok;
}

/* All memory; but the accessed bits of page tables are set whenever the CPU sees fit. */
static uint64_t
memory_digest(const struct bed *bed)
{
	const struct memory *m = &bed->mem;
	uint64_t h = 0, page[PAGE / sizeof(uint64_t)];

	for (uint64_t at = 0; (at = snap_next(bed->snap, m, at)) < m->bytes; at += PAGE) {
		/* Memory the host has and memory it does not have yet are the same to the guest. */
		if (snap_page_is_zero(m->base + at))
			continue;
		memcpy(page, m->base + at, PAGE);
		if (at >= m->pool_start && at < m->pool_end)
			for (size_t i = 0; i < sizeof(page) / sizeof(page[0]); i++)
				page[i] &= ~PTE_A;
		h = bed_digest(h ^ at, page, PAGE);
	}
	return h;
}

static bool
reset_whole(struct bed *bed, enum hv_flush how, struct bed_err *err)
{
	return reset_to_snap(bed, how, err) && bed_is_reset(bed, err);
}

bool
reset_judge(const struct reset_seen *s, bool one_cpu, struct bed_err *err)
{
	if (s->first == s->other)
		return bed_fail(err, BED_E_INTERNAL, "the two programs cannot be told apart");
	if (s->again != s->first)
		return bed_fail(err, BED_E_HOST,
		    "a program gave other results after a reset (digest %#" PRIx64 ", not %#" PRIx64
		    ")",
		    s->again, s->first);
	/* With several CPUs, what the idle ones do is not the program's. */
	return !one_cpu || s->left_again == s->left ||
	       bed_fail(err, BED_E_HOST,
		   "a program left other memory behind after a reset (digest %#" PRIx64
		   ", not %#" PRIx64 ")",
		   s->left_again, s->left);
}

static bool
prove(struct bed *bed, enum hv_flush how, struct bed_err *err)
{
	struct program first = { .pages = 5, .seed = 1 }, other = { .pages = 9, .seed = 2 };
	struct program again = first;
	struct reset_seen s;

	if (!run_program(bed, &first, err))
		return false;
	s.left = memory_digest(bed);
	if (!reset_whole(bed, how, err) || !all_gone(bed, &first, err) ||
	    !reset_whole(bed, how, err) || !run_program(bed, &other, err) ||
	    !reset_whole(bed, how, err) || !all_gone(bed, &other, err) ||
	    !reset_whole(bed, how, err) || !run_program(bed, &again, err))
		return false;
	s.left_again = memory_digest(bed);
	s.first = first.results;
	s.other = other.results;
	s.again = again.results;
	return reset_judge(&s, bed->cfg.ncpu == 1, err);
}

bool
reset_prove_with(struct bed *bed, enum hv_flush how, struct bed_err *err)
{
	struct bed *own = bed_again(bed, err);
	bool ok = own != NULL && prove(own, how, err);

	bed_destroy(own);
	return ok || bed_fail_in(err, "the proof that beds can be reset here failed (by %s)",
			 hv_flush_name(how));
}

bool
reset_prove(struct bed *bed, enum hv_flush *how, struct bed_err *err)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static enum hv_flush chosen;
	static bool proved;

	pthread_mutex_lock(&lock);
	if (!proved)
		proved = hv_flush_choose(&chosen, err) && reset_prove_with(bed, chosen, err);
	*how = chosen;
	pthread_mutex_unlock(&lock);
	return proved;
}
