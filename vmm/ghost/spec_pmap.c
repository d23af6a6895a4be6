/* SPDX-License-Identifier: ISC */
/*
 * pmap(9): leaves put in and taken out by hand.
 */
#include "vmm/ghost/spec.h"

#define ENTER_WIRED 0x10u /* PMAP_WIRED */

static enum ghost_verdict
enter(struct ghost_step *st, uint32_t soft)
{
	uint64_t va = arg(st, 0), frame = (arg(st, 1) & PTE_FRAME) >> BED_PAGE_SHIFT;

	if (!in_kva(st, va))
		return spec_returns(st, BED_EINVAL);
	if (!spec_make_path(st, va))
		return spec_returns(st, BED_ENOMEM);
	runs_put(&st->now->leaf, (struct ghost_run){ .at = va >> BED_PAGE_SHIFT,
				     .n = 1,
				     .to = frame,
				     .attr = kernel_leaf((unsigned)arg(st, 2), soft) });
	return spec_returns(st, 0);
}

enum ghost_verdict
spec_pmap_kenter_pa(struct ghost_step *st)
{
	return enter(st, 0);
}

enum ghost_verdict
spec_pmap_enter(struct ghost_step *st)
{
	uint64_t frame = (arg(st, 1) & PTE_FRAME) >> BED_PAGE_SHIFT;
	bool managed = runs_have(&st->world->managed, frame, 1);

	return enter(st,
	    (managed ? GHOST_LEAF_MANAGED : 0) | (arg(st, 3) & ENTER_WIRED ? GHOST_LEAF_WIRED : 0));
}

static enum ghost_verdict
leave(struct ghost_step *st, uint64_t start, uint64_t end)
{
	start &= ~BED_PAGE_MASK;
	end = page_up(end);
	if (start >= end)
		return spec_returns(st, 0);
	if (!in_kva(st, start) || end - start > st->world->kva_end - start)
		return spec_refuse(st, "came back; a range that is not all kernel_map's is the end "
				       "of the guest");
	runs_remove(&st->now->leaf, start >> BED_PAGE_SHIFT, pages_of(end - start));
	return spec_returns(st, 0);
}

enum ghost_verdict
spec_pmap_kremove(struct ghost_step *st)
{
	return leave(st, arg(st, 0), arg(st, 0) + arg(st, 1));
}

enum ghost_verdict
spec_pmap_remove(struct ghost_step *st)
{
	return leave(st, arg(st, 0), arg(st, 1));
}

enum ghost_verdict
spec_pmap_extract(struct ghost_step *st)
{
	uint64_t va = arg(st, 0), pa;
	const struct ghost_run *run = runs_at(&st->now->leaf, va >> BED_PAGE_SHIFT);
	enum ghost_verdict v = spec_returns(st, run != NULL ? 0 : BED_EFAULT);

	if (v != GHOST_OK || run == NULL)
		return v;
	pa = (run->to << BED_PAGE_SHIFT) + (va - (run->at << BED_PAGE_SHIFT));
	return st->call->value2 == pa
	           ? GHOST_OK
	           : spec_refuse(st, "gave %#lx, must give %#lx", st->call->value2, pa);
}

enum ghost_verdict
spec_pmap_growkernel(struct ghost_step *st)
{
	uint64_t va = arg(st, 0);

	if (va < st->world->kva_min || va > st->world->kva_end || !spec_pmap_can_grow(st, va))
		return spec_returns(st, 0);
	spec_pmap_grow(st, va);
	return spec_returns(st, st->now->pm_end);
}

/* A frame of its own goes in and out: what was mapped there is gone. */
enum ghost_verdict
spec_floor(struct ghost_step *st)
{
	uint64_t start = arg(st, 0) & ~BED_PAGE_MASK, n = arg(st, 1);

	if (!in_kva(st, start) || n > pages_of(st->world->kva_end - start) ||
	    !spec_pmap_can_grow(st, start + (n << BED_PAGE_SHIFT)))
		return spec_refuse(st, "came back, and there are no tables for it");
	spec_pmap_grow(st, start + (n << BED_PAGE_SHIFT));
	if (arg(st, 2) != 0)
		runs_remove(&st->now->leaf, start >> BED_PAGE_SHIFT, n);
	return spec_returns(st, 0);
}
