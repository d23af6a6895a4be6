/* SPDX-License-Identifier: ISC */
/*
 * The standard workloads, for counting the allocator's instructions: set one up, then run its steps, for
 * real or with empty functions in place of the allocator, so that the difference is the allocator alone.
 */
#include <machine/kva.h>
#include "guest/calls.h"
#include "uvm/km_alloc.h"
#include "uvm/uvm_extern.h"
#include "uvm/uvm_object.h"

struct live {
	vaddr_t va;
	vsize_t size;
};

static struct {
	uint64_t kind; /* enum bed_work */
	uint64_t live, most, align;
	uint64_t rng, turn;
	struct live *slot; /* [live], in kernel_map */
	vsize_t bytes;
} work;

static uint64_t
draw(uint64_t n)
{
	work.rng ^= work.rng << 13;
	work.rng ^= work.rng >> 7;
	work.rng ^= work.rng << 17;
	return (work.rng >> 32) % n;
}

/* What stands in for the allocator in an empty run: the same calls, which do nothing. */
static __noinline vaddr_t
nothing(vaddr_t va, vsize_t size)
{
	__asm__ volatile("" : "+r"(va) : "r"(size));
	return va;
}

static __noinline int
no_map(struct vm_map *map, vaddr_t *va, vsize_t size, struct uvm_object *uobj, voff_t offset,
    vsize_t align, unsigned flags)
{
	__asm__ volatile("" ::"r"(map), "r"(size), "r"(uobj), "r"(offset), "r"(align), "r"(flags));
	*va = size;
	return 0;
}

static __noinline void
no_unmap(struct vm_map *map, vaddr_t start, vaddr_t end)
{
	__asm__ volatile("" ::"r"(map), "r"(start), "r"(end));
}

static __noinline vaddr_t
no_km_alloc1(struct vm_map *map, vsize_t size, vsize_t align, boolean_t zeroit)
{
	__asm__ volatile("" ::"r"(map), "r"(align), "r"(zeroit));
	return size;
}

/* What is counted. */
static const struct {
	__typeof__(uvm_map) *map;
	__typeof__(uvm_unmap) *unmap;
	__typeof__(uvm_km_alloc1) *km_alloc1;
	__typeof__(uvm_km_free) *km_free;
} calls[2] = {
	{ uvm_map, uvm_unmap, uvm_km_alloc1, uvm_km_free },
	{ no_map, no_unmap, no_km_alloc1, no_unmap },
};

static vaddr_t
take(vsize_t size, bool empty)
{
	vaddr_t va = 0;
	int error;

	if (work.kind >= BED_WORK_KM)
		return calls[empty].km_alloc1(kernel_map, size, 0, FALSE);
	error = calls[empty].map(kernel_map, &va, size, &uvm_kernel_object, UVM_UNKNOWN_OFFSET,
	    work.align,
	    UVM_MAPFLAG(PROT_READ | PROT_WRITE, PROT_MASK, MAP_INHERIT_NONE, MADV_RANDOM, 0));
	return error == 0 ? va : 0;
}

static void
give(const struct live *l, bool empty)
{
	if (work.kind >= BED_WORK_KM)
		calls[empty].km_free(kernel_map, l->va, l->size);
	else
		calls[empty].unmap(kernel_map, l->va, l->va + l->size);
}

/* A new allocation in the place of an old one; false: the allocator had none. */
static bool
replace(struct live *l, vsize_t size, bool empty)
{
	if (l->size != 0)
		give(l, empty);
	l->size = size;
	l->va = take(size, empty);
	if (l->va == 0)
		l->size = 0;
	return l->va != 0;
}

static vsize_t
random_size(void)
{
	return (1 + draw(work.most)) << PAGE_SHIFT;
}

/* Forget the workload there is: free what is live, then the table. */
static void
tear_down(void)
{
	for (uint64_t i = 0; work.slot != NULL && i < work.live; i++) {
		if (work.slot[i].size != 0)
			give(&work.slot[i], false);
	}
	if (work.slot != NULL)
		uvm_km_free(kernel_map, (vaddr_t)work.slot, work.bytes);
	work.slot = NULL;
}

uint64_t
call_work_setup(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	tear_down();
	if (arg[0] >= BED_WORK_LIMIT || arg[1] == 0 || arg[1] > 1000000 || arg[2] == 0)
		return EINVAL;
	work.kind = arg[0];
	work.live = arg[1];
	work.most = arg[2];
	work.align = arg[3];
	work.rng = 88172645463325252;
	work.turn = 0;
	work.bytes = round_page(work.live * sizeof(*work.slot));
	work.slot = (struct live *)uvm_km_zalloc(kernel_map, work.bytes);
	if (work.slot == NULL)
		return ENOMEM;
	for (uint64_t i = 0; i < work.live; i++) {
		if (!replace(&work.slot[i], random_size(), false))
			return ENOMEM;
	}
	/* Age it: what was laid down in order is no test of a search. */
	for (uint64_t i = 0; i < work.live; i++) {
		if (!replace(&work.slot[draw(work.live)], random_size(), false))
			return ENOMEM;
	}
	return 0;
}

/* One allocation of the kind's own size and its free, beside what is live. */
static bool
pair_step(uint64_t kind, uint64_t pages, bool empty)
{
	struct live l = { 0, pages << PAGE_SHIFT };

	switch (kind) {
	case BED_WORK_VALLOC:
		l.va = empty ? nothing(l.size, l.size) : uvm_km_valloc(kernel_map, l.size);
		if (!empty && l.va != 0)
			kva_write(l.va, 1);
		break;
	case BED_WORK_KM_PAGE:
		if (empty) {
			nothing(nothing(PAGE_SIZE, PAGE_SIZE), PAGE_SIZE);
			return true;
		}
		l.va = (vaddr_t)km_alloc(PAGE_SIZE, &kv_page, &kp_dirty, &kd_nowait);
		if (l.va != 0)
			km_free((void *)l.va, PAGE_SIZE, &kv_page, &kp_dirty);
		return l.va != 0;
	default:
		l.va = take(l.size, empty);
		break;
	}
	if (l.va != 0)
		give(&l, empty);
	return l.va != 0;
}

uint64_t
call_work_run(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	bool empty = arg[2] != 0, ok = work.slot != NULL;
	uint64_t steps = 0;
	/* An empty run must not lose what is live: it works on a copy of one slot. */
	struct live dummy = { PAGE_SIZE, PAGE_SIZE };

	for (; ok && steps < arg[0]; steps++) {
		uint64_t i;

		switch (work.kind) {
		case BED_WORK_RANDOM:
		case BED_WORK_FIFO:
			i = work.kind == BED_WORK_FIFO ? work.turn++ % work.live : draw(work.live);
			ok = replace(empty ? &dummy : &work.slot[i], random_size(), empty);
			break;
		default:
			ok = pair_step(work.kind, arg[1], empty);
		}
	}
	return ok ? steps : 0;
}

uint64_t
call_work_end(const uint64_t *arg __unused_arg, uint64_t *result2 __unused_arg)
{
	tear_down();
	return 0;
}
