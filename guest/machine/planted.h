/* SPDX-License-Identifier: ISC */
/*
 * Planted bugs (shared/planted.def): code that is wrong on purpose, in the checked flavour only and only
 * while the boot option names it, so that it can be shown that the checkers notice.
 *
 *	if (PLANTED(NO_INVLPG_ON_UNMAP))
 *		return;
 *
 * A bug acts from the first call on; boot is always sound. In the release flavour nothing is left of it.
 */
#ifndef MACHINE_PLANTED_H
#define MACHINE_PLANTED_H

#include <machine/param.h>
#include "shared/bootinfo.h"
#include "shared/planted.h"

#ifdef BED_CHECKED_BUILD
extern uint32_t planted_bug;
#define PLANTED(constant) unlikely(planted_bug == PLANTED_##constant)
#define PLANTED_ANY       unlikely(planted_bug != PLANTED_NONE)
#else
#define PLANTED(constant) false
#define PLANTED_ANY       false
#endif

/* The end of boot: from here on the bug that the boot information names acts. Panics in the release flavour. */
void planted_arm(const struct bed_bootinfo *);

#endif
