/* SPDX-License-Identifier: ISC */
/*
 * A request to uvm_pglistalloc() as data: ask, say by brute force whether it can be met, check the answer.
 */
#ifndef TESTS_TWIN_REQUEST_H
#define TESTS_TWIN_REQUEST_H

#include "tests/twin/check.h"

#define ANY ((paddr_t)-1)

struct request {
	uint64_t pages;
	paddr_t low, high, alignment, boundary;
	int nsegs, flags;
};

int request_try(const struct request *, struct pglist *);
/* By looking at every frame, whatever the allocator's structures say. */
bool request_possible(const struct request *);
/* The list is what was asked for. */
void request_check(const struct request *, const struct pglist *, uint64_t seed);

#endif
