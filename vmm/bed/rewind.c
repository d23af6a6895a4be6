/* SPDX-License-Identifier: ISC */
/*
 * The host's books for a twin that goes back: see rewind.h.
 */
#include "vmm/bed/rewind.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/bed/bed_priv.h"

static bool
is_twin(const struct bed *bed, struct bed_err *err)
{
	return bed->twin != NULL ||
	       bed_fail(err, BED_E_USAGE, "only a bed on the twin can be rewound");
}

bool
bed_mark(struct bed *bed, struct bed_err *err)
{
	if (!is_twin(bed, err))
		return false;
	if (bed->report != NULL)
		return bed_dead(bed, err);
	for (unsigned i = 0; i < BED_SLOTS; i++) {
		if (bed->cpus[0].inflight[i].busy)
			return bed_fail(err, BED_E_USAGE, "a call is in flight in slot %u", i);
	}
	bed->mark_console = bed->console_len;
	return twin_save(bed->twin, err);
}

bool
bed_rewind(struct bed *bed, struct bed_err *err)
{
	struct bed_cpu *cpu = &bed->cpus[0];

	if (!is_twin(bed, err) || !twin_restore(bed->twin, err))
		return false;
	memset(cpu->inflight, 0, sizeof(cpu->inflight));
	cpu->nposted = 0;
	cpu->event_tail = cpu->share->event_head;
	cpu->console_tail = cpu->share->console_head;
	bed->nrecent = 0;
	bed->result2 = 0;
	if (bed->console_len > bed->mark_console) {
		bed->console_len = bed->mark_console;
		bed->console[bed->console_len] = '\0';
	}
	free(bed->report);
	bed->report = NULL;
	return true;
}

bool
bed_is_rewound(const struct bed *bed, struct bed_err *err)
{
	uint64_t pa;

	if (!is_twin(bed, err))
		return false;
	pa = twin_differs(bed->twin);
	return pa == UINT64_MAX ||
	       bed_fail(err, BED_E_INTERNAL, "physical %#" PRIx64 " is not as it was", pa);
}
