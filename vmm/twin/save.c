/* SPDX-License-Identifier: ISC */
/*
 * Going back to a saved machine, at the price of what may have changed: see twin_save() in twin.h.
 *
 * The memory that can differ is known without a trap: what the kernel always writes (its data, the share
 * area, the first tables, what boot took for good), the frames that were in use when the machine was
 * saved, and those the machine has noted since (struct twin_taken). twin_differs() proves it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "shared/paging.h"
#include "vmm/twin/priv.h"

struct twin_saved {
	uint8_t *ram; /* all of it */
	uint64_t bytes;
	struct {
		uint8_t *low, *copy;
		size_t bytes;
	} stack[TWIN_STACKS];
	uint64_t *zero;  /* a bit a frame: nothing but zeroes */
	uint32_t *frame; /* handed out before */
	uint32_t nframe;
	uint64_t rings,
	    rings_end; /* physical; what the guest leaves there means nothing afterwards */
};

static void
forget(struct twin_saved *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < TWIN_STACKS; i++)
		free(s->stack[i].copy);
	if (s->ram != NULL)
		munmap(s->ram, s->bytes);
	free(s->zero);
	free(s->frame);
	free(s);
}

void
twin_forget(struct twin *t)
{
	forget(t->saved);
	t->saved = NULL;
}

static void
clear_taken(struct twin *t)
{
	for (uint32_t i = 0; i < t->taken.n; i++)
		t->taken.seen[t->taken.frame[i] / 64] = 0;
	t->taken.n = 0;
}

static bool
save_stacks(struct twin *t, struct twin_saved *s)
{
	for (unsigned i = 0; i < TWIN_STACKS; i++) {
		uint8_t *low, *high;

		t->machine->stack(i, &low, &high);
		s->stack[i].low = low;
		s->stack[i].bytes = (size_t)(high - low);
		s->stack[i].copy = malloc(s->stack[i].bytes + 1);
		if (s->stack[i].copy == NULL)
			return false;
		twin_copy(s->stack[i].copy, low, s->stack[i].bytes);
	}
	return true;
}

/* Handed out before the last time the machine was saved, and since. */
static bool
save_frames(const struct twin *t, const struct twin_saved *old, struct twin_saved *s)
{
	uint32_t before = old != NULL ? old->nframe : 0;

	s->frame = malloc((before + t->taken.n + 1) * sizeof(*s->frame));
	if (s->frame == NULL)
		return false;
	if (before != 0)
		memcpy(s->frame, old->frame, before * sizeof(*s->frame));
	for (uint32_t i = 0; i < t->taken.n; i++)
		s->frame[before + i] = t->taken.frame[i];
	s->nframe = before + t->taken.n;
	return true;
}

static bool
save(struct twin *t, const struct twin_saved *old, struct twin_saved *s)
{
	s->bytes = t->mem.bytes;
	s->rings = BED_SHARE_PA + offsetof(struct bed_cpushare, console);
	s->rings_end = BED_SHARE_PA + BED_SHARE_STRIDE;
	s->ram = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s->ram == MAP_FAILED)
		s->ram = NULL;
	s->zero = calloc(s->bytes / BED_PAGE_SIZE / 64 + 1, sizeof(*s->zero));
	if (s->ram == NULL || s->zero == NULL || !save_frames(t, old, s) || !save_stacks(t, s))
		return false;
	twin_copy(s->ram, t->mem.base, s->bytes);
	for (uint64_t f = 0; f < s->bytes / BED_PAGE_SIZE; f++) {
		const uint8_t *page = s->ram + f * BED_PAGE_SIZE;

		if (page[0] == 0 && memcmp(page, page + 1, BED_PAGE_SIZE - 1) == 0)
			s->zero[f / 64] |= UINT64_C(1) << f % 64;
	}
	clear_taken(t);
	return true;
}

bool
twin_save(struct twin *t, struct bed_err *err)
{
	struct twin_saved *old = t->saved;
	bool ok;

	t->saved = calloc(1, sizeof(*t->saved));
	ok = t->saved != NULL && save(t, old, t->saved);
	if (!ok)
		twin_forget(t);
	forget(old);
	return ok || bed_fail(err, BED_E_HOST, "no memory for a saved twin");
}

static void
restore_range(struct twin *t, uint64_t from, uint64_t to)
{
	twin_copy(t->mem.base + from, t->saved->ram + from, to - from);
}

static void
restore_frames(struct twin *t, const uint32_t *frame, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint64_t pa = (uint64_t)frame[i] << BED_PAGE_SHIFT;

		/* Most of memory: then there is nothing to be read. */
		if (t->saved->zero[frame[i] / 64] >> frame[i] % 64 & 1)
			memset(t->mem.base + pa, 0, BED_PAGE_SIZE);
		else
			restore_range(t, pa, pa + BED_PAGE_SIZE);
	}
}

bool
twin_restore(struct twin *t, struct bed_err *err)
{
	const struct twin_saved *s = t->saved;
	uint64_t age = t->machine->age(), from, to;

	if (s == NULL)
		return bed_fail(err, BED_E_USAGE, "the twin was not saved");
	/* The kernel's data first: the rest asks the machine, which must be sane again. */
	restore_range(
	    t, t->data_pa, t->data_pa + (uint64_t)(t->machine->data_end - t->machine->data_start));
	for (unsigned i = 0; t->machine->fixed(i, &from, &to); i++)
		restore_range(t, from, to);
	restore_frames(t, s->frame, s->nframe);
	restore_frames(t, t->taken.frame, t->taken.n);
	clear_taken(t);
	for (unsigned i = 0; i < TWIN_STACKS; i++)
		twin_copy(s->stack[i].low, s->stack[i].copy, s->stack[i].bytes);
	t->regs = (struct hv_regs){ 0 };
	t->machine->restored(age);
	return true;
}

uint64_t
twin_differs(const struct twin *t)
{
	const struct twin_saved *s = t->saved;
	uint64_t data_end = t->data_pa + (uint64_t)(t->machine->data_end - t->machine->data_start);

	for (uint64_t pa = 0; pa < s->bytes; pa += 8) {
		bool own = pa >= t->data_pa && pa < data_end; /* the TLB's age is among it */

		if ((pa < s->rings || pa >= s->rings_end) && !own &&
		    memcmp(t->mem.base + pa, s->ram + pa, 8) != 0)
			return pa;
	}
	return UINT64_MAX;
}
