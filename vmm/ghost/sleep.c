/* SPDX-License-Identifier: ISC */
/*
 * Calls that stay asleep: is there still a reason to?
 */
#include <string.h>

#include "vmm/ghost/spec.h"

/* What a sleeping call asks for. */
struct wish {
	unsigned map;
	uint64_t size; /* 0: nothing is known */
	bool constrained;
};

static struct wish
wish_of(const struct ghost_step *st)
{
	switch (st->call->id) {
	case BED_CALL_uvm_km_alloc:
	case BED_CALL_uvm_km_zalloc:
	case BED_CALL_uvm_km_alloc1:
	case BED_CALL_uvm_km_valloc_wait:
		return (struct wish){ (unsigned)arg(st, 0), page_up(arg(st, 1)), false };
	case BED_CALL_uvm_km_kmemalloc:
		return (struct wish){ (unsigned)arg(st, 0), page_up(arg(st, 2)), false };
	case BED_CALL_km_alloc:
		return (struct wish){ BED_MAP_EXEC, arg(st, 0), arg(st, 2) != BED_KP_dirty };
	case BED_CALL_load:
	case BED_CALL_store:
	case BED_CALL_uvm_fault:
		return (struct wish){ BED_MAP_KERNEL, BED_PAGE_SIZE, false };
	default:
		return (struct wish){ 0, 0, true };
	}
}

bool
ghost_may_sleep_on(struct ghost_step *st)
{
	struct wish w = wish_of(st);
	const struct ghost_map *m = &st->now->map[w.map];
	uint64_t guard, va, woken = st->sleep->wakeups;

	if (w.size == 0 || st->sleep->unknown || !st->sleep->taken_up)
		return true;
	if (strcmp(st->call->wmesg, "vallocwait") == 0 ||
	    strcmp(st->call->wmesg, "km_allocva") == 0) {
		st->sleep->wakeups = m->wakeups;
		va = ghost_place(m, w.size, 0, &guard);
		if (m->wakeups == woken || va == 0 || !spec_can_grow(st, va + w.size) ||
		    spec_may_lack(st, 0))
			return true;
		spec_refuse(st,
		    "still asleep on \"%s\": it was woken, and %#lx bytes are free at %#lx",
		    st->call->wmesg, w.size, va);
		return false;
	}
	if (w.constrained || spec_may_lack(st, pages_of(w.size)) ||
	    strcmp(st->call->wmesg, "vmmapbsy") == 0)
		return true;
	spec_refuse(st, "still asleep on \"%s\", and %lu pages are free", st->call->wmesg,
	    spec_free_pages(st));
	return false;
}
