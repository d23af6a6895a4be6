/* SPDX-License-Identifier: ISC */
/*
 * Random logs of a kernel that does everything right, on any number of CPUs, and what to do to such a log
 * so that it is wrong for certain.
 */
#ifndef TESTS_UNIT_TLBGEN_H
#define TESTS_UNIT_TLBGEN_H

#include "vmm/tlbsan/core.h"

#define TLBGEN_EVENTS 8192
#define TLBGEN_PAGES  48 /* of address space */

/* What a mutation may do to an event. */
enum tlbgen_role {
	ROLE_NONE,
	ROLE_NEEDED = 1,    /* an invalidation without which something stays open */
	ROLE_ADDRESSED = 2, /* one of a single page, whose address matters */
	ROLE_FREE = 4,      /* frees a frame that was mapped until the stores before it */
};

struct tlbgen {
	uint64_t rng;
	unsigned ncpu;
	uint64_t on;
	unsigned n;
	struct tlb_event ev[TLBGEN_EVENTS];
	uint8_t role[TLBGEN_EVENTS];
	unsigned stored[TLBGEN_EVENTS]; /* FREE: index of the last store before it */
	uint64_t entry[TLBGEN_PAGES];   /* what the tables hold */
	bool linked;                    /* the second table, for the upper half of the pages */
	/* A CPU that is off: the pages it may have held when it went off, one bit each; whether any was taken away
	 * since. The second table does not count: it may be back in its place when the CPU wakes. */
	uint64_t held[TLB_CPU_MAX], held_w[TLB_CPU_MAX];
	bool missed[TLB_CPU_MAX];
};

/* A log of at least n events from this seed. */
void tlbgen_make(struct tlbgen *, uint64_t seed, unsigned ncpu, unsigned n);
/* Tickets by position; invalidations begin right before their ticket. After every change of order. */
void tlbgen_number(struct tlbgen *);
uint64_t tlbgen_random(struct tlbgen *, uint64_t below);

/* Changes of event i. Each makes the log wrong if the role of i allows it. */
void tlbgen_drop(struct tlbgen *, unsigned i);
void tlbgen_shift(struct tlbgen *, unsigned i);
void tlbgen_free_early(struct tlbgen *, unsigned i);

/* The seed of a test (tests/seed.h), printed. */
uint64_t tlbgen_seed(const char *test);

#endif
