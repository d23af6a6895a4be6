/* SPDX-License-Identifier: ISC */
/*
 * Calls about the bed itself: most change nothing the ghost knows.
 */
#include "vmm/ghost/spec.h"

enum ghost_verdict
spec_null(struct ghost_step *st)
{
	return spec_returns(st, 0);
}

enum ghost_verdict
spec_nop_exits(struct ghost_step *st)
{
	return spec_returns(st, 0);
}

/* Nothing in the allocator sleeps for a time. */
enum ghost_verdict
spec_tick(struct ghost_step *st)
{
	return spec_returns(st, st->call->value);
}

enum ghost_verdict
spec_stop_arm(struct ghost_step *st)
{
	return spec_returns(st, st->call->value == BED_EINVAL ? BED_EINVAL : 0);
}

/* Nothing of the CPUs is part of the state: what these say of them, the tests know better. */
enum ghost_verdict
spec_cpu(struct ghost_step *st)
{
	return spec_returns(st, st->call->value < BED_CPU_MAX ? st->call->value : 0);
}

enum ghost_verdict
spec_ipi_ping(struct ghost_step *st)
{
	return spec_returns(st, st->call->value == 0 ? 0 : st->call->arg[1]);
}

enum ghost_verdict
spec_lock_pair(struct ghost_step *st)
{
	return spec_returns(st, st->call->value);
}

enum ghost_verdict
spec_meet(struct ghost_step *st)
{
	return spec_returns(st, st->call->value);
}

/* Many calls, of which only the last results are seen. */
enum ghost_verdict
spec_batch(struct ghost_step *st)
{
	return spec_unsaid(st, "a program: its calls are not seen one by one");
}

static enum ghost_verdict
workload(struct ghost_step *st)
{
	return spec_unsaid(st, "a workload: its calls are not seen one by one");
}

enum ghost_verdict
spec_work_setup(struct ghost_step *st)
{
	return workload(st);
}

enum ghost_verdict
spec_work_run(struct ghost_step *st)
{
	return workload(st);
}

enum ghost_verdict
spec_work_end(struct ghost_step *st)
{
	return workload(st);
}

static enum ghost_verdict
fatal(struct ghost_step *st)
{
	return spec_refuse(st, "came back; it is the end of the guest");
}

enum ghost_verdict
spec_die_panic(struct ghost_step *st)
{
	return fatal(st);
}

enum ghost_verdict
spec_die_triple(struct ghost_step *st)
{
	return fatal(st);
}

enum ghost_verdict
spec_die_hang(struct ghost_step *st)
{
	return fatal(st);
}

enum ghost_verdict
spec_die_stack(struct ghost_step *st)
{
	return fatal(st);
}

enum ghost_verdict
spec_die_ud(struct ghost_step *st)
{
	return fatal(st);
}

enum ghost_verdict
spec_die_lock(struct ghost_step *st)
{
	return fatal(st);
}

enum ghost_verdict
spec_scribble(struct ghost_step *st)
{
	return spec_unsaid(st, "rubbish over the shared memory");
}
