/* SPDX-License-Identifier: ISC */
/*
 * The stale-translation probe: see probe.h.
 */
#include "vmm/planted/probe.h"

#include "shared/calls.h"
#include "shared/paging.h"
#include "vmm/bed/batch.h"
#include "vmm/bed/planted.h"

/* One program, run again and again: allocate a page, use it, free it, read it. */
static bool
count_stale(struct bed_prog *p, unsigned rounds, unsigned *seen, struct bed_err *err)
{
	const uint64_t alloc[] = { BED_MAP_KERNEL, BED_PAGE_SIZE };
	const uint64_t use[] = { 0, 1, 1 }, gone[] = { BED_MAP_KERNEL, 0, BED_PAGE_SIZE };
	const uint64_t look[] = { 0 };
	unsigned a = bed_prog_add(p, BED_CALL_uvm_km_alloc, alloc, 2);
	unsigned u = bed_prog_add(p, BED_CALL_fill, use, 3);
	unsigned f = bed_prog_add(p, BED_CALL_uvm_km_free, gone, 3);
	unsigned l = bed_prog_add(p, BED_CALL_load, look, 1);
	uint64_t done;

	bed_prog_use(p, u, 0, a);
	bed_prog_use(p, f, 1, a);
	bed_prog_use(p, l, 0, a);
	for (*seen = 0; rounds > 0; rounds--) {
		if (!bed_prog_run(p, 1, &done, err))
			return false;
		*seen += bed_prog_result(p, l)->result != BED_EFAULT;
	}
	return true;
}

static bool
run(unsigned bug, unsigned rounds, unsigned *seen, struct bed_err *err)
{
	struct bed_config config;
	struct bed_prog *p = NULL;
	struct bed *bed;
	bool ok;

	bed_config_init(&config);
	config.planted = bug;
	bed = bed_create(&config, err);
	ok = bed != NULL && (p = bed_prog_new(bed, err)) != NULL &&
	     count_stale(p, rounds, seen, err);
	bed_prog_free(p);
	bed_destroy(bed);
	return ok;
}

bool
probe_stale(struct probe *probe, struct bed_err *err)
{
	*probe = (struct probe){ .bug = planted_find(PLANTED_NO_INVLPG_ON_UNMAP)->name,
		.ncpu = 1,
		.rounds = PROBE_ROUNDS };
	if (!run(PLANTED_NO_INVLPG_ON_UNMAP, probe->rounds, &probe->seen, err) ||
	    !run(PLANTED_NONE, probe->rounds, &probe->control, err))
		return false;
	return probe->control == 0 ||
	       bed_fail(err, BED_E_FINDING,
		   "a guest without a planted bug read freed memory in %u of %u rounds",
		   probe->control, probe->rounds);
}
