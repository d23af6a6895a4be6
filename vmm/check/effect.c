/* SPDX-License-Identifier: ISC */
/*
 * What each call must do to the mappings, as rows for the frame rule. One function a kind of effect; the
 * table says which call has which.
 */
#include <stdlib.h>
#include <string.h>

#include "shared/layout.h"
#include "vmm/bed/inspect.h"
#include "vmm/check/check.h"

struct context {
	struct bed *bed;
	const struct snapshot *before;
	enum bed_call_id id;
	const uint64_t *arg;
	const struct bed_result *result;
	struct call_effect *effect;
};

#define KMF_VALLOC  0x2  /* UVM_KMF_VALLOC */
#define ENTER_WIRED 0x10 /* PMAP_WIRED */

bool
call_effect_add(struct call_effect *e, const struct pt_delta *row)
{
	if (e->n == e->room) {
		size_t room = e->room ? 2 * e->room : 8;
		struct pt_delta *bigger = realloc(e->row, room * sizeof(*bigger));

		if (bigger == NULL)
			return false;
		e->row = bigger;
		e->room = room;
	}
	e->row[e->n++] = *row;
	return true;
}

static bool
add_row(struct context *c, const struct pt_delta *row)
{
	return call_effect_add(c->effect, row);
}

static uint64_t
round_up(uint64_t x)
{
	return (x + BED_PAGE_MASK) & ~BED_PAGE_MASK;
}

/* [from, to) of what a row of that kind says about new pages. */
static bool
part_of(
    struct context *c, enum pt_delta_kind kind, struct pt_expect map, uint64_t from, uint64_t to)
{
	map.va = GVA(from);
	map.npages = (to - from) >> BED_PAGE_SHIFT;
	c->effect->set += map.npages;
	if (kind == PT_CHANGED)
		c->effect->clear += map.npages;
	return from >= to || add_row(c, &(struct pt_delta){ .kind = kind, .map = map });
}

/*
 * [va, va + size): new, private, writable, not executable, each page a frame of its own. Where a stray access
 * brought a page in while the call slept (managed, not wired), another one is there now.
 */
static bool
new_range(struct context *c, uint64_t size, enum pt_tri wired, enum pt_tri managed)
{
	struct pt_expect map = { .va = GVA(c->result->value),
		.npages = round_up(size) >> BED_PAGE_SHIFT,
		.size = PT_4K,
		.perm = PT_RW,
		.nx = PT_YES,
		.user = PT_NO,
		.wired = wired,
		.managed = managed,
		.frames = PT_DISTINCT };

	uint64_t at = map.va.v, end = at + (map.npages << BED_PAGE_SHIFT);

	for (size_t i = 0; i < c->before->nrun && managed == PT_YES; i++) {
		const struct view_run *run = &c->before->run[i];
		uint64_t from = run->va.v > at ? run->va.v : at;
		uint64_t to = run->va.v + view_run_bytes(run);

		to = to < end ? to : end;
		if (from >= to || run->attr.soft != VIEW_SOFT_M)
			continue;
		if (!part_of(c, PT_ADDED, map, at, from) || !part_of(c, PT_CHANGED, map, from, to))
			return false;
		at = to;
	}
	return part_of(c, PT_ADDED, map, at, end);
}

static bool
effect_alloc(struct context *c)
{
	return c->result->value == 0 || new_range(c, c->arg[1], PT_YES, PT_YES);
}

static bool
effect_kmemalloc(struct context *c)
{
	bool pla = c->id == BED_CALL_uvm_km_kmemalloc_pla;
	uint64_t flags = c->arg[pla ? 4 : 3];
	enum pt_tri managed = c->arg[1] != 0 ? PT_YES : PT_NO;

	if (c->result->value == 0 || (flags & KMF_VALLOC) != 0)
		return true;
	return new_range(c, c->arg[2], managed, managed);
}

/* Modes that map: not kv_page, not one contiguous segment (direct map both), not kp_pageable, kp_none. */
static bool
km_alloc_maps(uint64_t kv, uint64_t kp)
{
	return kv != BED_KV_page && kp != BED_KP_dma_contig && kp != BED_KP_pageable &&
	       kp != BED_KP_none;
}

static bool
effect_km_alloc(struct context *c)
{
	if (c->result->value == 0 || !km_alloc_maps(c->arg[1], c->arg[2]))
		return true;
	return new_range(c, c->arg[0], PT_NO, PT_NO);
}

/* Whatever leaf there was in [start, end) is gone, as far as it is kernel_map's. */
static bool
removed_range(struct context *c, uint64_t start, uint64_t end)
{
	const uint64_t low = BED_KVA_BASE, high = BED_KVA_BASE + bed_config(c->bed)->kva_size;

	start = start > low ? start : low;
	end = end < high ? end : high;
	for (size_t i = 0; i < c->before->nrun; i++) {
		const struct view_run *run = &c->before->run[i];
		uint64_t from = run->va.v > start ? run->va.v : start;
		uint64_t to =
		    run->va.v + view_run_bytes(run) < end ? run->va.v + view_run_bytes(run) : end;
		struct pt_delta row = { .kind = PT_REMOVED,
			.map = { .va = GVA(from), .state = PT_PRESENT } };

		if (from >= to)
			continue;
		row.map.npages = (to - from) >> BED_PAGE_SHIFT;
		c->effect->clear += row.map.npages;
		if (!add_row(c, &row))
			return false;
	}
	return true;
}

/* Does [start, end) cut into the addresses of a submap of this map? Then a free through it is misuse. */
static bool
cuts_into_submap(struct context *c, const struct bed_extent *map, uint64_t start, uint64_t end)
{
	struct bed_extent sub;

	for (uint64_t handle = 0; handle < BED_MAPS_MAX; handle++) {
		if (bed_map_extent(c->bed, handle, &sub) && sub.min >= map->min &&
		    sub.max <= map->max && sub.max - sub.min < map->max - map->min &&
		    sub.min < end && sub.max > start)
			return true;
	}
	return false;
}

/* The pages of [addr, addr + size) that lie in the map, rounded outward. Misuse has no effect. */
static bool
removed_from_map(struct context *c, uint64_t handle, uint64_t addr, uint64_t size)
{
	uint64_t start = addr & ~BED_PAGE_MASK, end = round_up(addr + size);
	struct bed_extent map;

	if (addr + size < addr || !bed_map_extent(c->bed, handle, &map) ||
	    cuts_into_submap(c, &map, start, end))
		return true;
	return removed_range(c, start > map.min ? start : map.min, end < map.max ? end : map.max);
}

static bool
effect_free(struct context *c)
{
	return removed_from_map(c, c->arg[0], c->arg[1], c->arg[2]);
}

static bool
effect_km_free(struct context *c)
{
	if (c->arg[2] == BED_KV_page || c->arg[3] == BED_KP_dma_contig)
		return true;
	return removed_range(c, c->arg[0], c->arg[0] + c->arg[1]);
}

/* Pages of [va, va + n pages) that had no leaf were brought in: managed; wired if their page is. */
static bool
touched_range(struct context *c, uint64_t va, uint64_t npages)
{
	va &= ~BED_PAGE_MASK;
	for (uint64_t i = 0; i < npages; i++) {
		struct pt_delta row = { .kind = PT_ADDED,
			.map = { .va = GVA(va + (i << BED_PAGE_SHIFT)),
			    .npages = 1,
			    .size = PT_4K,
			    .nx = PT_YES,
			    .user = PT_NO,
			    .managed = PT_YES } };

		if (snapshot_lookup(c->before, row.map.va) != NULL)
			continue;
		c->effect->set++;
		if (!add_row(c, &row))
			return false;
	}
	return true;
}

/* 8 bytes, which may lie on two pages. A store may also widen the rights of a page: protection is lazy. */
static bool
effect_access(struct context *c)
{
	uint64_t last = c->arg[0] + 7;

	bool two_pages = (last & ~BED_PAGE_MASK) != (c->arg[0] & ~BED_PAGE_MASK);

	if (c->result->value != 0) {
		c->effect->checkable =
		    !two_pages; /* the first may have come before the second failed */
		return true;
	}
	if (c->id == BED_CALL_store)
		c->effect->may_widen = true;
	return touched_range(c, c->arg[0], two_pages ? 2 : 1);
}

static bool
effect_touch_pages(struct context *c)
{
	c->effect->may_widen = c->id == BED_CALL_fill;
	/* fill stopped at some page, verify could not read some: which, they do not say. */
	if (c->result->value != 0) {
		c->effect->checkable = false;
		return true;
	}
	return touched_range(c, c->arg[0], c->arg[1]);
}

static bool
entered_page(struct context *c, enum pt_tri managed, enum pt_tri wired)
{
	uint64_t va = c->arg[0] & ~BED_PAGE_MASK, prot = c->arg[2];
	struct pt_delta row = { .kind = PT_ADDED,
		.map = { .va = GVA(va),
		    .npages = 1,
		    .size = PT_4K,
		    .perm = prot & BED_PROT_WRITE ? PT_RW : PT_R,
		    .nx = PT_YES, /* above it all, the tables of kernel_map deny execution */
		    .user = PT_NO,
		    .managed = managed,
		    .wired = wired,
		    .frames = PT_PA(c->arg[1] & ~BED_PAGE_MASK) } };

	if (c->result->value != 0)
		return true;
	if (snapshot_lookup(c->before, row.map.va) == NULL) {
		c->effect->set = 1;
		return add_row(c, &row);
	}
	/* Entering the same page in the same way changes nothing; the frame rule cannot state "maybe". */
	c->effect->checkable = false;
	return true;
}

static bool
effect_kenter(struct context *c)
{
	return entered_page(c, PT_NO, PT_NO);
}

static bool
effect_enter(struct context *c)
{
	return entered_page(c, PT_YES, (c->arg[3] & ENTER_WIRED) != 0 ? PT_YES : PT_NO);
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

/* Rights go at once, and come back at the next touch; PROT_NONE takes the leaf away. */
static bool
effect_protect(struct context *c)
{
	uint64_t start = c->arg[1], end = c->arg[1] + c->arg[2];

	if (c->result->value != 0)
		return true;
	if (c->arg[4] != 0) { /* what is left depends on what there was: the specification knows */
		c->effect->checkable = false;
		return true;
	}
	if ((c->arg[3] & (BED_PROT_READ | BED_PROT_WRITE | BED_PROT_EXEC)) == 0)
		return removed_range(c, start, end);
	for (size_t i = 0; i < c->before->nrun && !(c->arg[3] & BED_PROT_WRITE); i++) {
		const struct view_run *run = &c->before->run[i];
		uint64_t from = run->va.v > start ? run->va.v : start;
		uint64_t run_end = run->va.v + view_run_bytes(run);
		uint64_t to = run_end < end ? run_end : end;
		struct pt_delta row = { .kind = PT_CHANGED,
			.what = SNAP_RIGHTS,
			.map = { .va = GVA(from), .perm = PT_R, .nx = PT_YES } };

		if (from >= to || !(run->attr.rights & VIEW_W))
			continue;
		row.map.npages = (to - from) >> BED_PAGE_SHIFT;
		if (!add_row(c, &row))
			return false;
	}
	return true;
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
	[BED_CALL_load] = effect_access,
	[BED_CALL_store] = effect_access,
	[BED_CALL_fill] = effect_touch_pages,
	[BED_CALL_verify] = effect_touch_pages,
	[BED_CALL_uvm_km_alloc] = effect_alloc,
	[BED_CALL_uvm_km_zalloc] = effect_alloc,
	[BED_CALL_uvm_km_alloc1] = effect_alloc,
	[BED_CALL_uvm_km_free] = effect_free,
	[BED_CALL_uvm_km_free_wakeup] = effect_free,
	[BED_CALL_uvm_unmap] = effect_free,
	[BED_CALL_uvm_km_kmemalloc] = effect_kmemalloc,
	[BED_CALL_uvm_km_kmemalloc_pla] = effect_kmemalloc,
	[BED_CALL_km_alloc] = effect_km_alloc,
	[BED_CALL_km_free] = effect_km_free,
	[BED_CALL_uvm_fault] = effect_unknown,
	[BED_CALL_uvm_map] = effect_unknown, /* with UVM_FLAG_UNMAP it removes */
	[BED_CALL_uvm_map_protect] = effect_protect,
	[BED_CALL_uvm_map_pageable] = effect_unknown, /* pages come, software bits change */
	[BED_CALL_pmap_kenter_pa] = effect_kenter,
	[BED_CALL_pmap_enter] = effect_enter,
	[BED_CALL_pmap_kremove] = effect_kremove,
	[BED_CALL_pmap_remove] = effect_remove,
	[BED_CALL_floor] = effect_unknown,
	[BED_CALL_work_setup] = effect_unknown,
	[BED_CALL_work_run] = effect_unknown,
	[BED_CALL_work_end] = effect_unknown,
};

bool
call_in_steps(enum bed_call_id id)
{
	return id == BED_CALL_fill || id == BED_CALL_verify || id == BED_CALL_load ||
	       id == BED_CALL_store || id == BED_CALL_uvm_map_pageable || id == BED_CALL_batch ||
	       id == BED_CALL_uvm_fault;
}

bool
call_effect(struct call_effect *effect, struct bed *bed, const struct snapshot *before,
    enum bed_call_id id, const uint64_t *args, const struct bed_result *result)
{
	struct context c = { .bed = bed,
		.before = before,
		.id = id,
		.arg = args,
		.result = result,
		.effect = effect };

	if (result->state != BED_STATE_DONE) {
		effect->checkable = effect->checkable && !call_in_steps(id);
		return true;
	}
	return effects[id] == NULL || effects[id](&c);
}
