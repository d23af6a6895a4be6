/* SPDX-License-Identifier: ISC */
/*
 * The hash of what calls did: see hash.h.
 */
#include "vmm/check/hash.h"

#include <stdlib.h>
#include <string.h>

#include "shared/layout.h"
#include "vmm/trace/trace.h"

static void
mix(struct call_hash *h, uint64_t word)
{
	h->value = (h->value ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	h->value ^= h->value >> 29;
}

bool
call_hash_init(struct call_hash *h, const struct bed *bed)
{
	*h = (struct call_hash){ .nframes = bed_bootinfo(bed)->direct_end >> BED_PAGE_SHIFT };
	h->number = calloc(h->nframes + 1, sizeof(*h->number));
	return h->number != NULL;
}

void
call_hash_free(struct call_hash *h)
{
	free(h->number);
	h->number = NULL;
}

static void
mix_pa(struct call_hash *h, uint64_t pa)
{
	uint64_t frame = pa >> BED_PAGE_SHIFT;

	if (frame >= h->nframes) {
		mix(h, pa);
		return;
	}
	if (h->number[frame] == 0)
		h->number[frame] = ++h->seen;
	mix(h, (uint64_t)h->number[frame] << BED_PAGE_SHIFT | (pa & BED_PAGE_MASK));
}

/* An address is itself, but in the direct map it stands for a frame. */
static void
mix_va(struct call_hash *h, uint64_t va)
{
	if (va >= BED_DIRECT_BASE && va - BED_DIRECT_BASE < h->nframes << BED_PAGE_SHIFT)
		mix_pa(h, va - BED_DIRECT_BASE);
	else
		mix(h, va);
}

/* A word of memory: where it is a pointer of the kernel, only that it is one. */
static void
mix_word(struct call_hash *h, const struct bed *bed, uint64_t word)
{
	struct bed_pointers pointers = bed_pointers(bed);
	uint64_t pa;

	mix(h, bed_pointer_pa(&pointers, word, &pa) ? UINT64_MAX : word);
}

static void
mix_second(
    struct call_hash *h, const struct bed *bed, enum bed_call_id id, const struct bed_result *r)
{
	if (id == BED_CALL_pmap_extract && r->value == 0)
		mix_pa(h, r->value2);
	else if (id == BED_CALL_load && r->value == 0)
		mix_word(h, bed, r->value2);
	else
		mix(h, r->value2);
}

void
call_hash_result(
    struct call_hash *h, const struct bed *bed, enum bed_call_id id, const struct bed_result *r)
{
	const struct call_shape *shape = call_shape(id);

	mix(h, id);
	mix(h, r->state);
	if (r->state != BED_STATE_DONE) {
		for (size_t i = 0; i < sizeof(r->wmesg) && r->wmesg[i] != '\0'; i++)
			mix(h, (uint8_t)r->wmesg[i]);
		return;
	}
	if (shape != NULL && shape->result == R_PA)
		mix_pa(h, r->value);
	else if (shape != NULL && shape->result == R_VA)
		mix_va(h, r->value);
	else
		mix(h, r->value);
	mix_second(h, bed, id, r);
}

static void
mix_change(struct call_hash *h, const struct snap_change *c)
{
	mix(h, c->what);
	mix(h, c->va.v);
	if ((c->what & SNAP_MAPPINGS) == 0)
		return;
	mix(h, c->npages);
	mix(h, c->after.attr.rights);
	for (uint64_t i = 0; i < c->npages && c->what != SNAP_REMOVED; i++)
		mix_pa(h, c->after.pa.v + (i << BED_PAGE_SHIFT));
}

void
call_hash_changes(struct call_hash *h, const struct snap_diff *diff,
    const struct bed_counters *before, const struct bed_counters *after)
{
	for (size_t i = 0; i < diff->n; i++)
		mix_change(h, &diff->change[i]);
#define X(name, text) mix(h, after->name - before->name);
	BED_COUNTERS(X)
#undef X
}
