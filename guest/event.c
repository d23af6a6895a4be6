/* SPDX-License-Identifier: ISC */
/*
 * Event records of the checked flavour (shared/events.h). A full ring is a reason to leave, never one
 * to drop a record. Interrupts are off meanwhile: their handlers make records too.
 */
#include <machine/event.h>
#include "guest/exit.h"
#include "guest/intr.h"

#ifdef BED_CHECKED_BUILD

static uint64_t tickets;

uint64_t
event_ticket(void)
{
	return __atomic_fetch_add(&tickets, 1, __ATOMIC_SEQ_CST);
}

void
event_record(enum bed_event_type type, uint64_t a0, uint64_t a1, uint64_t a2)
{
	struct cpu_info *ci = curcpu();
	struct bed_cpushare *share = ci->ci_share;
	uint64_t flags = intr_save(), head = share->event_head;

	while (head - __atomic_load_n(&share->event_tail, __ATOMIC_ACQUIRE) >= BED_EVENTS)
		bed_exit(BED_EXIT_EVENTS);
	share->event[head % BED_EVENTS] = (struct bed_event){
		.ticket = event_ticket(),
		.type = (uint16_t)type,
		.cpu = (uint16_t)ci->ci_id,
		.pc = (uint32_t)((uint64_t)__builtin_return_address(0) - BED_IMAGE_BASE),
		.a = { a0, a1, a2 },
	};
	__atomic_store_n(&share->event_head, head + 1, __ATOMIC_RELEASE);
	intr_restore(flags);
}

#endif
