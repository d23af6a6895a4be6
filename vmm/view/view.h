/* SPDX-License-Identifier: ISC */
/*
 * A view is memory plus a root: a live bed, a memory image, a core. Everything that reads page tables
 * works on a view and on nothing else. A view owns nothing: its segments must outlive it, and what it
 * shows may change between two reads while a vCPU runs.
 */
#ifndef VMM_VIEW_VIEW_H
#define VMM_VIEW_VIEW_H

#include "shared/types.h"

struct view_seg {
	gpa_t start;
	uint64_t len; /* bytes */
	uint8_t *host;
};

struct view {
	const struct view_seg *seg; /* ascending, disjoint */
	unsigned nseg;
	gpa_t root;          /* the PML4 */
	unsigned maxphyaddr; /* guest physical address bits, 36..52 */
	bool nx;             /* EFER.NXE: bit 63 means no execute; clear: bit 63 is reserved */
	bool pages_1g;       /* CPUID offers 1 GiB pages; clear: PS at level 3 is reserved */
};

/* Host pointer to [gpa, gpa + len), or NULL if any of it is outside the view's memory. */
void *view_ptr(const struct view *, gpa_t gpa, uint64_t len);

/* True, and 8 bytes read at once (relaxed atomic), if gpa is aligned to 8 and inside. */
bool view_read64(const struct view *, gpa_t gpa, uint64_t *value);

#endif
