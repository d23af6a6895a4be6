/* SPDX-License-Identifier: ISC */
/*
 * Calls about the bed itself: null, programs, virtual time, stop points.
 */
#include <machine/mmu.h>
#include "guest/calls.h"
#include "guest/stop.h"
#include "guest/thread.h"

uint64_t
call_null(const uint64_t *arg __unused_arg, uint64_t *result2 __unused_arg)
{
	return 0;
}

static bool
is_ram(paddr_t pa, uint64_t len)
{
	for (unsigned i = 0; i < nitems(boot->ram); i++) {
		const struct bed_seg *ram = &boot->ram[i];

		if (pa >= ram->start && pa < ram->end && len <= ram->end - pa)
			return true;
	}
	return false;
}

/* The arguments of op `at` after references are resolved; NULL: a bad reference. */
static const uint64_t *
resolve(const struct bed_op *ops, uint64_t at, uint64_t arg[BED_ARGS_MAX])
{
	const struct bed_op *op = &ops[at];

	if (op->ref == 0 && op->add == 0)
		return op->arg;
	for (unsigned i = 0; i < op->nargs; i++) {
		arg[i] = op->arg[i];
		if ((op->ref & 1u << i) == 0)
			continue;
		if (arg[i] >= at)
			return NULL;
		arg[i] = ops[arg[i]].result;
	}
	if (op->add != 0) {
		if (op->addarg >= op->nargs)
			return NULL;
		arg[op->addarg] += op->add;
	}
	return arg;
}

/* Run op `at` of the program; false if it cannot be run. */
static bool
run_op(struct bed_op *ops, uint64_t at)
{
	struct bed_op *op = &ops[at];
	const struct call *call = call_find(op->call, op->nargs);
	uint64_t copy[BED_ARGS_MAX];
	const uint64_t *arg;

	if (call == NULL || op->call == BED_CALL_batch)
		return false;
	arg = resolve(ops, at, copy);
	if (arg == NULL || !call_maps_good(call, arg))
		return false;
	op->result = call_run(call, op->call, arg, &op->result2);
	return true;
}

/* Ends early at an operation that cannot be run: the result tells which. */
uint64_t
call_batch(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	uint64_t count = arg[1], done = 0;
	struct bed_op *ops = PMAP_DIRECT_MAP(arg[0]);

	if (arg[0] % 8 != 0 || count > UINT32_MAX || !is_ram(arg[0], count * sizeof(*ops)))
		return 0;
	for (uint64_t round = 0; round < arg[2]; round++) {
		for (uint64_t at = 0; at < count; at++, done++) {
			if (!run_op(ops, at))
				return done;
		}
	}
	return done;
}

uint64_t
call_tick(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	return thread_tick(arg[0]);
}

uint64_t
call_stop_arm(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	return stop_arm(arg[0]) ? 0 : EINVAL;
}
