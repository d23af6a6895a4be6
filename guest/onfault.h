/* SPDX-License-Identifier: ISC */
/*
 * Surviving a page fault that nobody can resolve: the role of pcb_onfault. Used like setjmp:
 *
 *	struct onfault here;
 *
 *	if (onfault_set(&here) != 0)
 *		... the access faulted: here.err, here.trapno ...
 *	curthread->td_onfault = &here;
 *	... access ...
 *	curthread->td_onfault = NULL;
 *
 * trap() clears td_onfault before it returns to the place. Locals changed after onfault_set() must be
 * volatile, as with setjmp.
 */
#ifndef GUEST_ONFAULT_H
#define GUEST_ONFAULT_H

#include <stdint.h>

struct onfault {
	uint64_t rip, rsp, rbp, rbx, r12, r13, r14, r15; /* onfault.asm */
	uint64_t trapno, err;                            /* of the fault */
};

int onfault_set(struct onfault *) __attribute__((__returns_twice__));

#endif
