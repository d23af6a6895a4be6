/* SPDX-License-Identifier: ISC */
/*
 * Does a stale translation show on this engine? A guest with a bug that leaves some behind touches a page,
 * frees it, and touches it again without leaving the guest in between. Where that works, a test that looks
 * for stale translations can fail, and a pass means something; where it never does, the test is vacuous.
 */
#ifndef VMM_PLANTED_PROBE_H
#define VMM_PLANTED_PROBE_H

#include <stdbool.h>

#include "vmm/error.h"

#define PROBE_ROUNDS 50

struct probe {
	const char *bug; /* what was planted */
	unsigned ncpu;   /* vCPUs of the guest */
	unsigned rounds;
	unsigned seen;    /* rounds in which the freed page could be read */
	unsigned control; /* the same of a guest without the bug; anything but 0 is a finding */
};

/* False: no such probe can run here, err says why. Class BED_E_FINDING: a sound guest showed one. */
bool probe_stale(struct probe *, struct bed_err *);

#endif
