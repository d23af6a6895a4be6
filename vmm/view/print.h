/* SPDX-License-Identifier: ISC */
/*
 * Pictures of page tables for a terminal.
 */
#ifndef VMM_VIEW_PRINT_H
#define VMM_VIEW_PRINT_H

#include <stdio.h>

#include "vmm/view/snapshot.h"

struct map_style {
	/* One line a run. By default runs that follow each other in address and agree in everything but the
	 * frames are folded to one line, which then counts the pieces. */
	bool every_run;
	bool tables; /* list table pages too */
};

/* All mappings of a snapshot by region (kernel_map, direct map, image, others), one line a run, with
 * totals, bad entries and table pages reached twice at the end. Style may be NULL. */
void view_map_print(FILE *, const struct snapshot *, const struct map_style *);

/* One walk: the entries level by level in words, how it ended, effective rights and who took them. */
void view_walk_print(FILE *, const struct walk *);

/* Which part of the bed's address space (shared/layout.h) va lies in: "kernel_map", "direct map", "image",
 * "lower half", "unassigned". */
const char *view_region(gva_t va);

#endif
