/* SPDX-License-Identifier: ISC */
/*
 * See watch.h. run.c calls back into watch_step() and watch_store().
 */
#include "vmm/bed/watch.h"

#include "vmm/bed/bed_priv.h"

static bool
one_cpu(const struct bed *bed, struct bed_err *err)
{
	return bed->cfg.ncpu == 1 ||
	       bed_fail(err, BED_E_USAGE, "a guest of %u CPUs cannot be watched, only one of 1",
		   bed->cfg.ncpu);
}

bool
bed_watch_steps(struct bed *bed, bed_step_fn *fn, void *arg, struct bed_err *err)
{
	if (!one_cpu(bed, err) || !hv_cpu_step(bed->at->hv, fn != NULL, err))
		return false;
	bed->stepping = fn != NULL;
	bed->on_step = fn;
	bed->on_step_arg = arg;
	return true;
}

/*
 * A slot cannot become read-only: it goes and comes back. With it goes what KVM noted of stores to it: for a reset
 * all of it counts as stored to.
 */
bool
bed_watch_tables(struct bed *bed, bed_store_fn *fn, void *arg, struct bed_err *err)
{
	struct memory_slot slot[MEMORY_SLOTS];
	const struct memory_slot *pool = &slot[MEMORY_SLOT_POOL];
	unsigned flags = bed->snap != NULL ? HV_SLOT_DIRTY : 0;

	memory_slots(&bed->mem, slot);
	if (!one_cpu(bed, err) ||
	    !hv_vm_slot(bed->vm, MEMORY_SLOT_POOL, GPA(pool->gpa), 0, NULL, 0, err) ||
	    !hv_vm_slot(bed->vm, MEMORY_SLOT_POOL, GPA(pool->gpa), pool->len,
		bed->mem.base + pool->offset, fn != NULL ? HV_SLOT_READONLY : flags, err))
		return false;
	bed_pokes(bed, bed->mem.base + pool->offset, pool->len);
	bed->on_store = fn;
	bed->on_store_arg = arg;
	return true;
}

void
watch_step(struct bed *bed)
{
	struct hv_regs regs;

	if (bed->on_step == NULL)
		return;
	hv_cpu_regs(bed->at->hv, &regs);
	bed->on_step(bed->on_step_arg, &regs);
}

bool
watch_store(struct bed *bed, const struct hv_exit *e)
{
	struct hv_regs regs;

	if (bed->on_store == NULL || e->kind != HV_EXIT_MMIO || !e->write ||
	    e->size > sizeof(e->value) || e->addr < bed->mem.pool_start ||
	    e->addr > bed->mem.pool_end - e->size)
		return false;
	bed->stores++;
	hv_cpu_regs(bed->at->hv, &regs);
	bed->on_store(bed->on_store_arg, GPA(e->addr), &e->value, e->size, &regs);
	return true;
}
