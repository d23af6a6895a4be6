/* SPDX-License-Identifier: ISC */
/*
 * What each call must do to the mappings, as rows for the frame rule. One function a kind of effect; the
 * table says which call has which.
 */
#include <stdlib.h>
#include <string.h>

#include "shared/layout.h"
#include "vmm/check/check.h"

struct context {
	const struct bed *bed;
	const struct snapshot *before;
	const uint64_t *arg;
	const struct bed_result *result;
	struct call_effect *effect;
	size_t room;
};

static bool
add_row(struct context *c, const struct pt_delta *row)
{
	struct call_effect *e = c->effect;

	if (e->n == c->room) {
		size_t room = c->room ? 2 * c->room : 8;
		struct pt_delta *bigger = realloc(e->row, room * sizeof(*bigger));

		if (bigger == NULL)
			return false;
		e->row = bigger;
		c->room = room;
	}
	e->row[e->n++] = *row;
	return true;
}

static uint64_t
round_up(uint64_t x)
{
	return (x + BED_PAGE_MASK) & ~BED_PAGE_MASK;
}

/* Page tables may be made for a mapping, and are kept: pmap_growkernel() is monotone. */
static bool
tables_only_grow(struct context *c)
{
	return add_row(c, &(struct pt_delta){ PT_TABLES, .lost = PT_EXACTLY(0) });
}

static bool
effect_none(struct context *c)
{
	return tables_only_grow(c);
}

/* [va, va + size): new, wired, private, writable, not executable, each page a frame of its own. */
static bool
wired_range(struct context *c, uint64_t size)
{
	struct pt_expect map = { .va = GVA(c->result->value),
		.npages = round_up(size) >> BED_PAGE_SHIFT,
		.size = PT_4K,
		.perm = PT_RW,
		.nx = PT_YES,
		.user = PT_NO,
		.wired = PT_YES,
		.managed = PT_YES,
		.frames = PT_DISTINCT };

	c->effect->set = map.npages;
	return tables_only_grow(c) && add_row(c, &(struct pt_delta){ PT_ADDED, .map = map });
}

static bool
effect_alloc(struct context *c)
{
	return c->result->value == 0 ? effect_none(c) : wired_range(c, c->arg[1]);
}

/* Whatever leaf there was in [start, end) is gone. */
static bool
removed_range(struct context *c, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < c->before->nrun; i++) {
		const struct view_run *run = &c->before->run[i];
		uint64_t from = run->va.v > start ? run->va.v : start;
		uint64_t to =
		    run->va.v + view_run_bytes(run) < end ? run->va.v + view_run_bytes(run) : end;
		struct pt_delta row = { PT_REMOVED,
			.map = { .va = GVA(from), .state = PT_PRESENT } };

		if (from >= to)
			continue;
		row.map.npages = (to - from) >> BED_PAGE_SHIFT;
		c->effect->clear += row.map.npages;
		if (!add_row(c, &row))
			return false;
	}
	return tables_only_grow(c);
}

static bool
effect_free(struct context *c)
{
	uint64_t low = BED_KVA_BASE, high = BED_KVA_BASE + bed_config(c->bed)->kva_size;
	uint64_t start = c->arg[1] & ~BED_PAGE_MASK, end = round_up(c->arg[1] + c->arg[2]);

	if (c->arg[1] + c->arg[2] < c->arg[1])
		return effect_none(c); /* wraps: refused */
	return removed_range(c, start > low ? start : low, end < high ? end : high);
}

static bool
entered_page(struct context *c, bool managed, bool wired)
{
	uint64_t va = c->arg[0] & ~BED_PAGE_MASK, prot = c->arg[2];
	struct pt_delta row = { PT_ADDED,
		.map = { .va = GVA(va),
		    .npages = 1,
		    .size = PT_4K,
		    .perm = prot & BED_PROT_WRITE ? PT_RW : PT_R,
		    .nx = PT_YES, /* above it all, the tables of kernel_map deny execution */
		    .user = PT_NO,
		    .managed = managed ? PT_YES : PT_NO,
		    .wired = wired ? PT_YES : PT_NO,
		    .frames = PT_PA(c->arg[1] & ~BED_PAGE_MASK) } };
	const struct view_run *old;

	if (c->result->value != 0)
		return effect_none(c);
	old = snapshot_lookup(c->before, row.map.va);
	if (old == NULL) {
		c->effect->set = 1;
		return tables_only_grow(c) && add_row(c, &row);
	}
	/* Entering the same page in the same way changes nothing; the frame rule cannot state "maybe". */
	c->effect->change = 1;
	c->effect->checkable = false;
	return true;
}

static bool
effect_kenter(struct context *c)
{
	return entered_page(c, false, false);
}

static bool
effect_enter(struct context *c)
{
	return entered_page(c, true, (c->arg[3] & 0x10) != 0);
}

static bool
effect_kremove(struct context *c)
{
	return removed_range(c, c->arg[0] & ~BED_PAGE_MASK, c->arg[0] + c->arg[1]);
}

static bool
effect_remove(struct context *c)
{
	return removed_range(c, c->arg[0], c->arg[1]);
}

static bool
effect_unknown(struct context *c)
{
	c->effect->checkable = false;
	return true;
}

/* Calls that are not here change no mapping. */
static bool (*const effects[BED_CALL_LIMIT])(struct context *) = {
	[BED_CALL_batch] = effect_unknown,
	[BED_CALL_uvm_km_alloc] = effect_alloc,
	[BED_CALL_uvm_km_zalloc] = effect_alloc,
	[BED_CALL_uvm_km_alloc1] = effect_alloc,
	[BED_CALL_uvm_km_free] = effect_free,
	[BED_CALL_pmap_kenter_pa] = effect_kenter,
	[BED_CALL_pmap_enter] = effect_enter,
	[BED_CALL_pmap_kremove] = effect_kremove,
	[BED_CALL_pmap_remove] = effect_remove,
};

bool
call_effect(struct call_effect *effect, const struct bed *bed, const struct snapshot *before,
    enum bed_call_id id, const uint64_t *args, const struct bed_result *result)
{
	struct context c = {
		.bed = bed, .before = before, .arg = args, .result = result, .effect = effect
	};

	*effect = (struct call_effect){ .checkable = true };
	if (effects[id] == NULL || result->state != BED_STATE_DONE)
		return effect_none(&c);
	return effects[id](&c);
}
