/* SPDX-License-Identifier: ISC */
/*
 * What to do about a page fault.
 */
#ifndef GUEST_FAULT_H
#define GUEST_FAULT_H

#include <machine/param.h>

/* 0: the access may be tried again; else the BSD errno of the refusal. May sleep. */
int fault_resolve(vaddr_t va, uint64_t err);

#endif
