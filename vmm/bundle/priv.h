/* SPDX-License-Identifier: ISC */
/*
 * Inside vmm/bundle/: a directory that appears whole or not at all.
 */
#ifndef VMM_BUNDLE_PRIV_H
#define VMM_BUNDLE_PRIV_H

#include <stdio.h>

#include "vmm/error.h"

struct bundle_dir {
	char *temporary; /* its path until it is done */
	int fd;
	const char *target;
};

/* In `target`, which is made if it is not there. */
bool bundle_dir_begin(struct bundle_dir *, const char *target, struct bed_err *);
/* A new file in it, for writing; -1: err says why. */
int bundle_dir_file(struct bundle_dir *, const char *name, struct bed_err *);
/* Give it its name; the path, or NULL. Either way the struct is done with. */
char *bundle_dir_finish(struct bundle_dir *, const char *name, struct bed_err *);
/* Remove all of it. */
void bundle_dir_drop(struct bundle_dir *);

#endif
