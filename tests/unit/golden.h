/* SPDX-License-Identifier: ISC */
/*
 * Page-table trees made by hand in ordinary memory, and a second opinion on them: a walker that shares no
 * code with the library's. It is recursive, and goes through the bits of an entry one by one.
 */
#ifndef TESTS_UNIT_GOLDEN_H
#define TESTS_UNIT_GOLDEN_H

#include "vmm/view/view.h"
#include "vmm/view/walk.h"

#define GOLDEN_BASE 0x100000u /* guest physical address of the first page: 0 is outside */

struct golden {
	uint8_t *mem;
	unsigned npages, next; /* pages in all; handed out */
	struct view_seg seg;
	struct view view;
};

/* A view of npages zeroed pages with an empty root; MAXPHYADDR 40, NX and 1 GiB pages on. */
void golden_init(struct golden *, unsigned npages);
void golden_free(struct golden *);

/* A fresh zeroed page. */
gpa_t golden_page(struct golden *);

/* Host pointer to a whole page, which must be inside. */
void *golden_at(const struct golden *, gpa_t);

/* The entry for va at `level`; tables above it are made (P W U) where there is nothing. */
uint64_t *golden_entry(struct golden *, uint64_t va, int level);

/* npages entries of 4 KiB from va on, frames from raw's on. */
void golden_map(struct golden *, uint64_t va, unsigned npages, uint64_t raw);

/* What the second walker has to say. */
struct golden_walk {
	enum walk_stop stop;
	int level;
	uint64_t pa, size;
	bool w, x, u;
	uint8_t w_lost, x_lost, u_lost;
};
struct golden_walk golden_walk(const struct view *, uint64_t va, bool through_loops);

/* Calls leaf() for everything mapped, ascending. Returns the number of tables entered. */
typedef void golden_leaf_fn(void *arg, uint64_t va, const struct golden_walk *);
uint64_t golden_walk_all(const struct view *, bool through_loops, golden_leaf_fn *leaf, void *arg);

/* Random numbers from the seed of a test (tests/seed.h), which is printed. */
uint64_t golden_seed(const char *test);
uint64_t golden_random(uint64_t *state);

/* A tree with stretches of contiguous and of scattered frames, some bad entries and large leaves, in
 * [base, base + 80 MiB). Does the golden_init(). */
void golden_random_tree(struct golden *, uint64_t base, uint64_t *state);

#endif
