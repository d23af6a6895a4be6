/* SPDX-License-Identifier: ISC */
/*
 * From the bytes of a guest to the abstract state, by what the structure reader of vmm/audit/ has read.
 */
#ifndef VMM_GHOST_READ_H
#define VMM_GHOST_READ_H

#include "vmm/error.h"
#include "vmm/ghost/ghost.h"

struct audit_input;

/* False: something could not be read (a finding), or out of memory. */
bool ghost_read(
    const struct audit_input *, struct ghost_world *, struct ghost_state *, struct bed_err *);

#endif
