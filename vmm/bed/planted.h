/* SPDX-License-Identifier: ISC */
/*
 * The bugs that can be planted in a checked guest (shared/planted.def), by name and by id.
 */
#ifndef VMM_BED_PLANTED_H
#define VMM_BED_PLANTED_H

#include "shared/planted.h"

struct planted {
	unsigned id; /* enum bed_planted */
	const char *name, *what, *origin;
	const char *killers; /* ids of checks, separated by blanks */
};

unsigned planted_count(void);
const struct planted *planted_at(unsigned i); /* in the order of the table */
const struct planted *planted_find(unsigned id);
const struct planted *planted_named(const char *name);

#endif
