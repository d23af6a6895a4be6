/* SPDX-License-Identifier: ISC */
/*
 * A failure as one directory: everything there is to know about a guest that stands still, for who looks at
 * it later (docs/reports.md lists the files). It appears whole or not at all: it is made under a temporary name
 * in the same directory, and renamed. What a killed run leaves under such a name, the next one removes.
 */
#ifndef VMM_BUNDLE_BUNDLE_H
#define VMM_BUNDLE_BUNDLE_H

#include <stdio.h>

#include "vmm/bed/bed.h"
#include "vmm/finding/recorder.h"

#define BUNDLE_TEMPORARY ".uvmbed-tmp-" /* and six characters more */

/* A file that the caller has. */
struct bundle_text {
	const char *name, *text; /* text NULL: left out */
};

struct bundle_source {
	struct bed *bed;
	const struct recorder *recorder; /* NULL: no events */
	FILE *log;                       /* TLB log so far, open for reading; NULL: none */
	const char *name;                /* what failed: becomes the name of the directory */
	const char *replay;              /* command that led here; NULL: none */
	const char *again;               /* the same from inside the bundle; NULL: none */
	const struct bundle_text *text;  /* ends with a name of NULL */
};

/*
 * Make DIR/NAME-N, N the first number that is free; DIR itself is made if need be. The path, to be freed; NULL:
 * err says why (BED_E_OUTPUT: it cannot be written), and nothing is left behind.
 */
char *bundle_write(const char *dir, const struct bundle_source *, struct bed_err *err);

#endif
