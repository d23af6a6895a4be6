/* SPDX-License-Identifier: ISC */
/*
 * Random programs on all CPUs of the twin at once. Each CPU allocates, writes, hands on, takes over, checks,
 * narrows and frees memory in shared and private maps, by every call there is. Each page carries the mark
 * of its allocation in its first and last word, which whoever holds the memory checks, on whatever CPU:
 * memory given out twice, or reached by a translation that should be gone, shows as another's mark.
 *
 * After the end everything is freed, and the counts must be those of the beginning.
 */
#ifndef TESTS_RACE_PROGRAM_H
#define TESTS_RACE_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

struct race {
	uint64_t seed;
	unsigned ncpu;
	uint64_t rounds; /* of all CPUs together */
	uint64_t ram;    /* bytes; 0: 32 MiB */
	/* What is wrong on purpose. */
	bool deaf;     /* CPU 1 ignores what it is told to invalidate */
	bool unlocked; /* CPU 1 looks at the page queues without their lock */
};

struct race_result {
	uint64_t ops, moved, ipi, invlpg,
	    tlb_full;   /* done; memory that changed hands; the guest's counters */
	char text[512]; /* what was wrong, if anything */
};

/* Boots the twin, runs, checks; false: text says what was wrong. */
bool race_run(const struct race *, struct race_result *);

#endif
