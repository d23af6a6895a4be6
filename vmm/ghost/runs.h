/* SPDX-License-Identifier: ISC */
/*
 * Sorted, disjoint, coalesced runs of pages: what the ghost keeps page by page. A run says that pages
 * [at, at + n) go to [to, to + n), all with one attribute. A set of frames is a run to itself.
 */
#ifndef VMM_GHOST_RUNS_H
#define VMM_GHOST_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ghost_run {
	uint64_t at, n, to; /* in pages */
	uint32_t attr;
	uint32_t zero; /* no padding: runs are compared as bytes */
};

struct ghost_runs {
	struct ghost_run *run;
	size_t n, room;
	bool oom; /* a change was lost: the contents mean nothing from here on */
};

void runs_free(struct ghost_runs *);
void runs_clear(struct ghost_runs *);
bool runs_copy(struct ghost_runs *to, const struct ghost_runs *from);

/* Index of the first run that ends above `at`. */
size_t runs_above(const struct ghost_runs *, uint64_t at);
/* The run that has the page, or NULL. */
const struct ghost_run *runs_at(const struct ghost_runs *, uint64_t at);
/* Every page of [at, at + n) is in a run; none is. */
bool runs_have(const struct ghost_runs *, uint64_t at, uint64_t n);
bool runs_lack(const struct ghost_runs *, uint64_t at, uint64_t n);
uint64_t runs_pages(const struct ghost_runs *);
/* They say the same of every page. */
bool runs_equal(const struct ghost_runs *, const struct ghost_runs *);

/* Append at the end: `at` is not below what is there. For building in order. */
void runs_push(struct ghost_runs *, struct ghost_run);
/* Put in, in place of what was there. */
void runs_put(struct ghost_runs *, struct ghost_run);
void runs_remove(struct ghost_runs *, uint64_t at, uint64_t n);
/* Of the pages in [at, at + n) that are there: clear and set bits of the attribute. */
void runs_mark(struct ghost_runs *, uint64_t at, uint64_t n, uint32_t clear, uint32_t set);

/* The part of run i of `r` that lies in [at, at + n); false: none, and *part is as it was. */
bool runs_part(
    const struct ghost_runs *, size_t i, uint64_t at, uint64_t n, struct ghost_run *part);

/* For each part in [at, at + n), ascending; part_ is the last one afterwards. The runs must not change. */
#define RUNS_EACH(runs, from, count, i_, part_)  \
	for (size_t i_ = runs_above(runs, from); \
	     i_ < (runs)->n && runs_part(runs, i_, from, count, &(part_)); i_++)

/* A set of frames. */
static inline struct ghost_run
run_of_frames(uint64_t frame, uint64_t n)
{
	return (struct ghost_run){ .at = frame, .n = n, .to = frame };
}

#endif
