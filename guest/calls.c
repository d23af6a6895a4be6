/* SPDX-License-Identifier: ISC */
/*
 * The dispatcher's table, generated from shared/calls.def.
 */
#include "guest/calls.h"

const struct call call_table[BED_CALL_LIMIT] = {
#define BED_ROW(id, name, result, args, ...) [id] = { call_##name, args },
#include "shared/calls_rows.h"
#undef BED_ROW
};
