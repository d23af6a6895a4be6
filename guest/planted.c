/* SPDX-License-Identifier: ISC */
/*
 * Which bug is planted (machine/planted.h). The same in the guest and in the twin.
 */
#include <machine/assert.h>
#include <machine/planted.h>

#ifdef BED_CHECKED_BUILD

uint32_t planted_bug;

void
planted_arm(const struct bed_bootinfo *boot)
{
	planted_bug = (uint32_t)boot->planted;
}

#else

void
planted_arm(const struct bed_bootinfo *boot)
{
	if (boot->planted != PLANTED_NONE)
		panic("bug %lu cannot be planted: this is the release flavour", boot->planted);
}

#endif
