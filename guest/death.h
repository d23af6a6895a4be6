/* SPDX-License-Identifier: ISC */
/*
 * The end of the machine: fill bed_cpushare.death and leave with BED_EXIT_PANIC.
 */
#ifndef GUEST_DEATH_H
#define GUEST_DEATH_H

#include <machine/param.h>
#include "shared/share.h"

/* cr2 matters for faults only. The frame must allow unwinding from frame->rip, rsp and rbp. */
void die(enum bed_death_kind, const struct bed_frame *, uint64_t cr2, const char *fmt,
    ...) __noreturn __printf(4, 5);

#endif
