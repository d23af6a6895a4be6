/* SPDX-License-Identifier: ISC */
/*
 * The guest's side of shared/calls.def: one function a row, found by id.
 */
#ifndef GUEST_CALLS_H
#define GUEST_CALLS_H

#include <machine/event.h>
#include <machine/param.h>
#include "guest/maps.h"
#include "shared/bootinfo.h"
#include "shared/calls.h"
#include "shared/share.h"

/* arg has as many values as the row says; *result2 is 0 before the call. */
typedef uint64_t call_fn(const uint64_t *arg, uint64_t *result2);

/* In the twin a call whose file is not built for it is one that does not exist. */
#ifdef BED_TWIN
#define CALL_MAYBE __attribute__((__weak__))
#else
#define CALL_MAYBE
#endif

#define BED_ROW(id, name, ...) CALL_MAYBE call_fn call_##name;
#include "shared/calls_rows.h"
#undef BED_ROW

struct call {
	call_fn *fn; /* NULL: no such call */
	uint8_t nargs;
	uint8_t nmaps; /* so many leading arguments are map handles */
};
extern const struct call call_table[BED_CALL_LIMIT];

/* The row of a call that exists and takes nargs arguments, or NULL. */
static inline const struct call *
call_find(unsigned id, unsigned nargs)
{
	const struct call *call = &call_table[id < BED_CALL_LIMIT ? id : 0]; /* 0: no call */

	return call->fn != NULL && call->nargs == nargs ? call : NULL;
}

/* Every map handle among the arguments names a map. */
static inline bool
call_maps_good(const struct call *call, const uint64_t *arg)
{
	for (unsigned i = 0; i < call->nmaps; i++) {
		if (!map_known(arg[i]))
			return false;
	}
	return true;
}

static inline uint64_t
call_run(const struct call *call, unsigned id __unused_arg, const uint64_t *arg, uint64_t *result2)
{
	uint64_t result;

	EVENT(CALL, id, call->nargs > 0 ? arg[0] : 0, call->nargs > 1 ? arg[1] : 0);
	*result2 = 0;
	result = call->fn(arg, result2);
	EVENT(RETURN, id, result, 0);
	return result;
}

/* Set at boot, before the first call. */
extern const struct bed_bootinfo *boot;

#endif
