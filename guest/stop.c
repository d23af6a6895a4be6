/* SPDX-License-Identifier: ISC */
/*
 * Stop points of the checked flavour.
 */
#include "guest/exit.h"
#include "guest/stop.h"
#include "guest/thread.h"
#include "guest/worker.h"

#ifdef BED_CHECKED_BUILD

static uint64_t armed;

bool
stop_arm(uint64_t id)
{
	armed = id;
	return true;
}

void
stop_point(int id)
{
	struct bed_cpushare *share = curcpu()->ci_share;

	/* Of several CPUs that come here at once one stops. */
	if (likely(armed != (uint64_t)id) || !__sync_bool_compare_and_swap(&armed, (uint64_t)id, 0))
		return;
	share->death.info = (uint64_t)id;
	bed_exit(BED_EXIT_SYNC);
	while (share->doorbell != 0 && !cpu_cannot_sleep())
		sched_yield_to(worker_get());
}

#else

bool
stop_arm(uint64_t id __unused_arg)
{
	return false;
}

#endif
