/* SPDX-License-Identifier: ISC */
/*
 * Memory nobody has stored to.
 */
#ifndef VMM_AUDIT_RESIDENT_H
#define VMM_AUDIT_RESIDENT_H

#include <stdbool.h>

/* False: the host has nothing for that page, so nobody ever stored to it, and a look would cost memory. */
bool audit_resident(const void *page);

#endif
