/* SPDX-License-Identifier: ISC */
/*
 * From a call to its specification: the table made from calls.def, and the verdicts.
 */
#include <stdarg.h>
#include <stdio.h>

#include "vmm/ghost/spec.h"

#define MAPS_0(...)                 0
#define MAPS_1(k1, n1)              (k1 == A_MAP)
#define MAPS_2(k1, n1, k2, n2, ...) ((k1 == A_MAP) + (k1 == A_MAP && k2 == A_MAP))
#define MAPS_3                      MAPS_2
#define MAPS_4                      MAPS_2
#define MAPS_5                      MAPS_2
#define MAPS_6                      MAPS_2
#define MAPS_10                     MAPS_2

static const struct {
	spec_fn *fn;
	unsigned maps; /* so many leading arguments are map handles */
} specs[BED_CALL_LIMIT] = {
#define BED_ROW(id, name, result, nargs, text, ...) \
	[id] = { spec_##name, MAPS_##nargs(__VA_ARGS__) },
#include "shared/calls_rows.h"
#undef BED_ROW
};

enum ghost_verdict
spec_refuse(struct ghost_step *st, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(st->why, sizeof(st->why), fmt, ap);
	va_end(ap);
	return GHOST_VIOLATION;
}

enum ghost_verdict
spec_unsaid(struct ghost_step *st, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(st->why, sizeof(st->why), fmt, ap);
	va_end(ap);
	return GHOST_INCONCLUSIVE;
}

enum ghost_verdict
spec_returns(struct ghost_step *st, uint64_t value)
{
	if (st->call->asleep)
		return spec_refuse(
		    st, "asleep on \"%s\"; it must return %#lx", st->call->wmesg, value);
	if (st->call->value != value)
		return spec_refuse(st, "returned %#lx, must return %#lx", st->call->value, value);
	return GHOST_OK;
}

enum ghost_verdict
ghost_apply(struct ghost_step *st)
{
	unsigned id = st->call->id;
	enum ghost_verdict v;

	st->why[0] = '\0';
	if (id >= BED_CALL_LIMIT || specs[id].fn == NULL)
		return spec_unsaid(st, "call %u is not in calls.def", id);
	for (unsigned i = 0; i < specs[id].maps; i++) {
		if (arg(st, i) >= BED_MAPS_MAX || !map_arg(st, i)->used)
			return spec_refuse(
			    st, "handle %lu names no map, and the call was made", arg(st, i));
	}
	v = specs[id].fn(st);
	if (v == GHOST_OK && ghost_state_lost(st->now))
		return spec_unsaid(st, "out of memory");
	return v;
}
