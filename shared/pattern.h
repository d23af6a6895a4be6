/* SPDX-License-Identifier: ISC */
/*
 * The word that the calls `fill` and `verify` put into and expect in the first 8 bytes of a page.
 */
#ifndef SHARED_PATTERN_H
#define SHARED_PATTERN_H

#include "types.h"

static inline uint64_t
bed_pattern(uint64_t va, uint64_t seed)
{
	return (va ^ seed) * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

#endif
