/* SPDX-License-Identifier: ISC */
/*
 * What uvmbed planted prints.
 */
#ifndef VMM_CMD_CMD_PLANTED_H
#define VMM_CMD_CMD_PLANTED_H

#include "vmm/cmd/cmd.h"
#include "vmm/planted/judge.h"

struct planted_show {
	bool grid, cross, markdown;
};

/* A line a bug, the first with a head above it; more if it was not killed as it must be. */
void planted_print_row(const struct planted_result *, bool first);
/* Which checks no bug was killed by, and the counts. An exit code. */
int planted_print_summary(const struct planted_result *, unsigned n, const struct planted_show *);
void planted_print_cross(const char *file, const struct sightings *);
/* docs/planted-bugs.md: the bugs, and the checks with the bugs that name them. */
void planted_print_markdown(void);
json_t *planted_json(const struct planted_result *, unsigned n);

#endif
