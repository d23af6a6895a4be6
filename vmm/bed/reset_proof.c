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

#define PAGE BED_PAGE_SIZE

/* Allocate pages, fill and read them, touch addresses without memory, free the middle. */
static void
compose(struct bed_prog *p, uint64_t pages, uint64_t seed)
{
	uint64_t alloc[] = { BED_MAP_KERNEL, pages * PAGE },
		 valloc[] = { BED_MAP_KERNEL, 700 * PAGE };
	uint64_t fill[] = { 0, pages, seed }, store[] = { 0, seed }, load[] = { 0 };
	uint64_t hole[] = { BED_MAP_KERNEL, 0, PAGE };
	unsigned a, v, op;

	a = bed_prog_add(p, BED_CALL_uvm_km_alloc, alloc, 2);
	op = bed_prog_add(p, BED_CALL_fill, fill, 3);
	bed_prog_use(p, op, 0, a);
	v = bed_prog_add(p, BED_CALL_uvm_km_valloc, valloc, 2);
	for (uint64_t i = 0; i < 3; i++) {
		op = bed_prog_add(p, BED_CALL_store, store, 2);
		bed_prog_use(p, op, 0, v);
		bed_prog_plus(p, op, 0, (i * 300 + seed) * PAGE);
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
run_program(struct bed *bed, uint64_t pages, uint64_t seed, uint64_t *results, struct bed_err *err)
{
	struct bed_prog *p = bed_prog_new(bed, err);
	uint64_t done;
	bool ok;

	if (p == NULL)
		return false;
	compose(p, pages, seed);
	ok = bed_prog_run(p, 1, &done, err);
	*results = 0;
	for (unsigned i = 0; ok && i < bed_prog_len(p); i++) {
		const struct bed_op *op = bed_prog_result(p, i);
		const uint64_t pair[] = { op->result, op->result2 };

		*results = bed_digest(*results, pair, sizeof(pair));
	}
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
	struct reset_seen s;

	if (!run_program(bed, 5, 1, &s.first, err))
		return false;
	s.left = memory_digest(bed);
	if (!reset_whole(bed, how, err) || !run_program(bed, 9, 2, &s.other, err) ||
	    !reset_whole(bed, how, err) || !run_program(bed, 5, 1, &s.again, err))
		return false;
	s.left_again = memory_digest(bed);
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
