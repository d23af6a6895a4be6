/* SPDX-License-Identifier: ISC */
/*
 * What the log said each page-table page contains, and where in the tree it hangs. For vmm/tlbsan only.
 */
#ifndef VMM_TLBSAN_SHADOW_H
#define VMM_TLBSAN_SHADOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/paging.h"

struct shadow_page {
	uint64_t pa, va; /* va: first address it translates, if level != 0 */
	uint32_t refs;   /* entries that point to it, and 1 if it is pinned */
	uint8_t level;   /* 4..1; 0: hangs nowhere */
	bool guess; /* first seen as a target or by a store: a zero may be a value not yet known */
	struct shadow_page *next;
	uint64_t entry[PT_ENTRIES];
};

struct shadow {
	struct shadow_page **bucket;
	size_t nbucket; /* a power of two */
	size_t npage;
	struct shadow_page *last; /* found last */
};

bool shadow_init(struct shadow *);
void shadow_free(struct shadow *);

struct shadow_page *shadow_find(struct shadow *, uint64_t pa); /* NULL: not known */
struct shadow_page *shadow_make(
    struct shadow *, uint64_t pa); /* known or new, zero; NULL: no memory */
void shadow_drop(struct shadow *, struct shadow_page *);

#endif
