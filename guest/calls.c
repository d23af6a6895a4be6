/* SPDX-License-Identifier: ISC */
/*
 * The dispatcher's table, generated from shared/calls.def.
 */
#include "guest/calls.h"

#define NMAPS_0(...)                 0
#define NMAPS_1(k1, n1)              (k1 == A_MAP)
#define NMAPS_2(k1, n1, k2, n2, ...) ((k1 == A_MAP) + (k1 == A_MAP && k2 == A_MAP))
#define NMAPS_3                      NMAPS_2
#define NMAPS_4                      NMAPS_2
#define NMAPS_5                      NMAPS_2
#define NMAPS_6                      NMAPS_2
#define NMAPS_10                     NMAPS_2

const struct call call_table[BED_CALL_LIMIT] = {
#define BED_ROW(id, name, result, args, text, ...) \
	[id] = { call_##name, args, NMAPS_##args(__VA_ARGS__) },
#include "shared/calls_rows.h"
#undef BED_ROW
};
