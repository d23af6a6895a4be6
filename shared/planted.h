/* SPDX-License-Identifier: ISC */
/*
 * The ids of planted.def, as bed_bootinfo.planted holds them. 0: no bug.
 */
#ifndef SHARED_PLANTED_H
#define SHARED_PLANTED_H

enum bed_planted {
	PLANTED_NONE = 0,
#define PLANT(id, constant, name, what, origin, killers) PLANTED_##constant = id,
#include "planted.def"
#undef PLANT
};

#endif
