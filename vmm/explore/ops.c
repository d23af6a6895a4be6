/* SPDX-License-Identifier: ISC */
/*
 * Operations that make and free: what each does with the fields of struct xop.
 */
#include "vmm/explore/priv.h"

#define KMF_NOWAIT  0x1
#define KMF_VALLOC  0x2
#define KMF_CANFAIL 0x4
#define KMF_ZERO    0x8
#define KMF_TRYLOCK 0x100000

/* Bytes: whole pages, or a few less. */
static uint64_t
size_of(const struct xop *op)
{
	uint64_t pages = 1 + (op->size & 0x3ff);

	return pages * PAGE - (op->flags & 0x80 ? op->arg & 0xfff : 0);
}

static uint64_t
align_of(const struct xop *op)
{
	static const uint64_t aligns[] = { 0, 0, PAGE, 2 * PAGE, 16 * PAGE, 512 * PAGE, 4, 0 };

	return aligns[op->arg & 7];
}

/* One of the maps whose memory an object backs: the standard ones, or a submap. */
static struct xvalue
choose_map(struct xlab *lab, const struct xop *op, struct xslot *s)
{
	static const uint64_t maps[] = { BED_MAP_KERNEL, BED_MAP_KERNEL, BED_MAP_KERNEL,
		BED_MAP_EXEC, BED_MAP_PHYS };
	struct xsubmap *sub = &lab->submap[op->map % XSUBMAPS];

	if ((op->map & 0x30) == 0x30 && sub->handle != 0) {
		s->map = sub->handle;
		s->map_name = sub->name;
		s->pageable = true;
		return XREF(sub->name, sub->handle, 0);
	}
	s->map = maps[op->map % (sizeof(maps) / sizeof(maps[0]))];
	s->map_name = XNO_NAME;
	s->pageable = s->map != BED_MAP_PHYS;
	return XV(s->map);
}

static struct xvalue
map_of(const struct xslot *s)
{
	return s->map_name == XNO_NAME ? XV(s->map) : XREF(s->map_name, s->map, 0);
}

static struct xvalue
address_of(const struct xslot *s, uint64_t offset)
{
	return s->name == XNO_NAME ? XV(s->base + s->offset + offset)
	                           : XREF(s->name, s->base, s->offset + offset);
}

/* Pages that were entered into the slot by hand are taken out before its addresses go. */
static bool
take_out_pages(struct xlab *lab, const struct xslot *s)
{
	struct bed_result r;

	for (unsigned i = 0; i < XPAGES; i++) {
		struct xpage *p = &lab->page[i];

		if (p->va == 0 || &lab->slot[p->slot] != s)
			continue;
		p->va = 0;
		if (!xcall(lab, BED_CALL_pmap_kremove,
			(struct xvalue[]){ address_of(s, 0), XV(s->size) }, 2, NULL, &r))
			return false;
	}
	return true;
}

static bool
free_range(struct xlab *lab, struct xslot *s, uint64_t offset, uint64_t size, bool wake)
{
	struct xvalue map = map_of(s), va = address_of(s, offset), len = XV(size);
	struct bed_result r;

	if (s->pageable)
		lab->freed = va.value;
	switch (s->kind) {
	case XSLOT_MODES:
		return xcall(lab, BED_CALL_km_free,
		    (struct xvalue[]){ va, len, XV(s->kv), XV(s->kp) }, 4, NULL, &r);
	case XSLOT_MAP:
		return xcall(
		    lab, BED_CALL_uvm_unmap, (struct xvalue[]){ map, va, len }, 3, NULL, &r);
	default:
		return xcall(lab, wake ? BED_CALL_uvm_km_free_wakeup : BED_CALL_uvm_km_free,
		    (struct xvalue[]){ map, va, len }, 3, NULL, &r);
	}
}

bool
xslot_free(struct xlab *lab, struct xslot *s, bool wake)
{
	uint8_t kind = s->kind;

	if (!xslot_live(s))
		return true;
	if (!take_out_pages(lab, s))
		return false;
	for (unsigned i = 0; i < XSUBMAPS; i++)
		lab->submap[i].used -= lab->submap[i].handle == s->map && s->map_name != XNO_NAME;
	if (!free_range(lab, s, 0, s->size, wake))
		return false;
	if (s->kind == kind)
		s->kind = XSLOT_EMPTY;
	return true;
}

/* The slot of an operation, emptied; NULL: its call is asleep, or a finding (then *ok is false). */
static struct xslot *
empty_slot(struct xlab *lab, const struct xop *op, bool *ok)
{
	struct xslot *s = &lab->slot[op->slot];

	*ok = s->kind == XSLOT_PENDING || xslot_free(lab, s, true);
	if (!*ok || s->kind == XSLOT_PENDING)
		return NULL;
	*s = (struct xslot){ .size = size_of(op) };
	return s;
}

/* The submap a slot was made in counts what is in it. */
static bool
made(struct xlab *lab, struct xslot *s, bool ok)
{
	for (unsigned i = 0; i < XSUBMAPS && s->kind != XSLOT_EMPTY; i++)
		lab->submap[i].used += lab->submap[i].handle == s->map && s->map_name != XNO_NAME;
	return ok;
}

bool
xop_alloc(struct xlab *lab, const struct xop *op)
{
	bool ok;
	struct xslot *s = empty_slot(lab, op, &ok);
	struct xvalue arg[4];

	if (s == NULL)
		return ok;
	arg[0] = choose_map(lab, op, s);
	s->mapped = true;
	arg[1] = XV(s->size);
	arg[2] = XV(align_of(op));
	arg[3] = XV(op->flags & 1);
	if ((op->flags & 6) == 0)
		ok = xmake(lab, s, XSLOT_KM, BED_CALL_uvm_km_alloc1, arg, 4);
	else
		ok = xmake(lab, s, XSLOT_KM,
		    op->flags & 1 ? BED_CALL_uvm_km_zalloc : BED_CALL_uvm_km_alloc, arg, 2);
	return made(lab, s, ok);
}

bool
xop_valloc(struct xlab *lab, const struct xop *op)
{
	bool ok;
	struct xslot *s = empty_slot(lab, op, &ok);
	struct xvalue arg[4];

	if (s == NULL)
		return ok;
	arg[0] = choose_map(lab, op, s);
	arg[1] = XV(s->size);
	arg[2] = XV(align_of(op));
	arg[3] = XV(op->flags & 8 ? KMF_TRYLOCK : 0);
	if ((op->flags & 3) == 0)
		ok = xmake(lab, s, XSLOT_KM, BED_CALL_uvm_km_valloc_align, arg, 4);
	else
		ok = xmake(lab, s, XSLOT_KM,
		    op->flags & 4 ? BED_CALL_uvm_km_valloc_try : BED_CALL_uvm_km_valloc, arg, 2);
	return made(lab, s, ok);
}

bool
xop_wait(struct xlab *lab, const struct xop *op)
{
	struct xop in_submap = *op;
	bool ok;
	struct xslot *s = empty_slot(lab, op, &ok);
	struct xvalue arg[2];

	if (s == NULL)
		return ok;
	in_submap.map |= 0x30;
	arg[0] = choose_map(lab, &in_submap, s);
	arg[1] = XV(s->size);
	return made(lab, s, xmake(lab, s, XSLOT_KM, BED_CALL_uvm_km_valloc_wait, arg, 2));
}

/* Every other one may sleep for pages. */
static uint64_t
kmem_flags(const struct xop *op)
{
	return (op->flags & 1 ? KMF_NOWAIT : 0) | (op->flags & 2 ? KMF_CANFAIL : 0) |
	       (op->flags & 4 ? KMF_ZERO : 0) | ((op->flags & 0x18) == 0x18 ? KMF_VALLOC : 0) |
	       ((op->flags & 0x60) == 0x60 ? KMF_TRYLOCK : 0);
}

bool
xop_kmem(struct xlab *lab, const struct xop *op)
{
	bool ok, object = op->map & 1;
	struct xslot *s = empty_slot(lab, op, &ok);
	struct xvalue arg[4];

	if (s == NULL)
		return ok;
	arg[0] = choose_map(lab, op, s);
	if (!object) {
		s->map = BED_MAP_KMEM;
		s->map_name = XNO_NAME;
		s->pageable = false;
		arg[0] = XV(BED_MAP_KMEM);
	}
	s->mapped = (kmem_flags(op) & KMF_VALLOC) == 0;
	arg[1] = XV(object);
	arg[2] = XV(s->size);
	arg[3] = XV(kmem_flags(op));
	return made(lab, s, xmake(lab, s, XSLOT_KM, BED_CALL_uvm_km_kmemalloc, arg, 4));
}

bool
xop_pla(struct xlab *lab, const struct xop *op)
{
	static const uint64_t boundaries[] = { 0, 0, 16 * PAGE, 64 * PAGE };
	bool ok;
	struct xslot *s = empty_slot(lab, op, &ok);
	uint64_t high;

	if (s == NULL)
		return ok;
	high = op->arg & 0x100 ? UINT64_MAX : lab->cfg.bed.ram / 2 + (op->arg >> 9) * 16 * PAGE;
	s->map = BED_MAP_KMEM;
	s->mapped = (kmem_flags(op) & KMF_VALLOC) == 0;
	return xmake(lab, s, XSLOT_KM, BED_CALL_uvm_km_kmemalloc_pla,
	    (struct xvalue[]){ XV(BED_MAP_KMEM), XV(0), XV(s->size), XV(align_of(op)),
		XV(kmem_flags(op) | KMF_NOWAIT), XV(0), XV(high), XV(op->arg & 8 ? 4 * PAGE : 0),
		XV(boundaries[op->arg >> 4 & 3]), XV(op->arg >> 6 & 3) },
	    10);
}

bool
xop_modes(struct xlab *lab, const struct xop *op)
{
	bool ok;
	struct xslot *s = empty_slot(lab, op, &ok);
	uint64_t kd = op->flags % BED_KD_LIMIT;

	if (s == NULL)
		return ok;
	s->kv = op->map % BED_KV_LIMIT;
	s->kp = (uint8_t)(op->arg % BED_KP_LIMIT);
	if (s->kv == BED_KV_page)
		s->size = PAGE;
	s->bare = s->kp == BED_KP_none;
	s->mapped = !s->bare && s->kp != BED_KP_pageable;
	s->pageable = s->kv == BED_KV_any || s->kv == BED_KV_exec;
	return xmake(lab, s, XSLOT_MODES, BED_CALL_km_alloc,
	    (struct xvalue[]){ XV(s->size), XV(s->kv), XV(s->kp), XV(kd) }, 4);
}

bool
xop_free(struct xlab *lab, const struct xop *op)
{
	return xslot_free(lab, &lab->slot[op->slot], op->flags & 1);
}

/* Only what has pages of its own at addresses of its own can be given back in parts. */
bool
xop_part(struct xlab *lab, const struct xop *op)
{
	struct xslot *s = &lab->slot[op->slot], *rest = &lab->slot[(op->slot + 1) % XSLOTS];
	uint64_t pages, from, n;

	/* Whoever is asleep may have the last page; a free that needs one to split an entry is a panic then. */
	if (lab->npending > 0 || !xslot_live(s) || s->bare || xpages(s->size) < 2 ||
	    (s->kind == XSLOT_MODES && (s->kv == BED_KV_page || s->kp == BED_KP_dma_contig)))
		return true;
	pages = xpages(s->size);
	from = op->arg % pages;
	n = 1 + op->size % (pages - from);
	if (n == pages)
		n--;
	if (from > 0 && from + n < pages) {
		if (rest->kind == XSLOT_PENDING)
			return true;
		if (!xslot_free(lab, rest, true))
			return false;
		*rest = *s;
		rest->offset += (from + n) * PAGE;
		rest->size = (pages - from - n) * PAGE;
		made(lab, rest, true);
	}
	if (!free_range(lab, s, from * PAGE, n * PAGE, false))
		return false;
	if (from == 0) {
		s->offset += n * PAGE;
		s->size = (pages - n) * PAGE;
	} else {
		s->size = from * PAGE;
	}
	return true;
}

/* Sizes and alignments that nobody gets. */
bool
xop_bad(struct xlab *lab, const struct xop *op)
{
	static const uint64_t sizes[] = { 0, UINT64_MAX, UINT64_MAX - 4094, UINT64_C(1) << 63,
		UINT64_C(1) << 40, UINT64_C(1) << 47 };
	uint64_t size = sizes[op->size % 6];
	struct xslot none = { 0 };
	struct xvalue map = choose_map(lab, op, &none);
	struct bed_result r;
	unsigned name;

	switch (op->flags % 5) {
	case 0:
		return xcall(
		    lab, BED_CALL_uvm_km_alloc, (struct xvalue[]){ map, XV(size) }, 2, &name, &r);
	case 1:
		return xcall(lab, BED_CALL_uvm_km_valloc_wait, (struct xvalue[]){ map, XV(size) },
		    2, &name, &r);
	case 2:
		return xcall(lab, BED_CALL_uvm_km_alloc1,
		    (struct xvalue[]){ map, XV(PAGE), XV(3 * PAGE), XV(1) }, 4, &name, &r);
	case 3:
		return xcall(lab, BED_CALL_uvm_km_kmemalloc,
		    (struct xvalue[]){ XV(BED_MAP_KMEM), XV(0), XV(size), XV(KMF_NOWAIT) }, 4,
		    &name, &r);
	default:
		return xcall(lab, BED_CALL_uvm_km_alloc,
		    (struct xvalue[]){ XV(BED_MAP_KMEM), XV(PAGE) }, 2, &name, &r);
	}
}
