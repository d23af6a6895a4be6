/* SPDX-License-Identifier: ISC */
/*
 * Operations that use what others have made: accesses, rights, wiring, pages entered by hand, submaps.
 */
#include "vmm/explore/priv.h"

static struct xvalue
at(const struct xslot *s, uint64_t offset)
{
	return s->name == XNO_NAME ? XV(s->base + s->offset + offset)
	                           : XREF(s->name, s->base, s->offset + offset);
}

static struct xvalue
map_of(const struct xslot *s)
{
	return s->map_name == XNO_NAME ? XV(s->map) : XREF(s->map_name, s->map, 0);
}

/* A slot whose memory lies in one of the maps of this program's choice, and what it can be asked for. */
static bool
in_a_map(const struct xslot *s)
{
	return xslot_live(s) && s->kind != XSLOT_MODES && s->pageable;
}

bool
xop_touch(struct xlab *lab, const struct xop *op)
{
	struct xslot *s = &lab->slot[op->slot];
	uint64_t offset;
	struct bed_result r;

	if (!xslot_may_touch(s))
		return true;
	offset = op->size % xpages(s->size) * PAGE;
	/* The first crosses into the next page, which must be ours. */
	offset += op->flags & 8 && offset + PAGE < s->size ? 0xffc : op->arg & 0xff8;
	if (op->flags & 1)
		return xcall(lab, BED_CALL_store, (struct xvalue[]){ at(s, offset), XV(op->arg) },
		    2, NULL, &r);
	return xcall(lab, BED_CALL_load, (struct xvalue[]){ at(s, offset) }, 1, NULL, &r);
}

bool
xop_fill(struct xlab *lab, const struct xop *op)
{
	struct xslot *s = &lab->slot[op->slot];
	uint64_t from, n;
	struct bed_result r;

	if (!xslot_may_touch(s))
		return true;
	from = op->arg % xpages(s->size);
	n = 1 + op->size % (xpages(s->size) - from);
	if (!xcall(lab, BED_CALL_fill,
		(struct xvalue[]){ at(s, from * PAGE), XV(n), XV(op->flags) }, 3, NULL, &r))
		return false;
	if (r.state != BED_STATE_DONE || r.value != 0)
		return true;
	return xcall(lab, BED_CALL_verify,
		   (struct xvalue[]){ at(s, from * PAGE), XV(n), XV(op->flags) }, 3, NULL, &r) &&
	       (r.state != BED_STATE_DONE || r.value == 0 ||
		   bed_fail(lab->err, BED_E_FINDING,
		       "verify: %llu pages do not hold what fill wrote",
		       (unsigned long long)r.value));
}

bool
xop_stray(struct xlab *lab, const struct xop *op)
{
	struct xslot *s = &lab->slot[op->slot];
	struct xvalue va = XV(lab->freed);
	struct bed_result r;

	if ((op->flags & 2) && xslot_live(s) && s->pageable) {
		va = at(s, 0);
		return xcall(lab, BED_CALL_exec, &va, 1, NULL, &r);
	}
	/* Who is asleep in an allocation may have these addresses by now, and no pages yet. */
	return lab->freed == 0 || lab->npending > 0 || xcall(lab, BED_CALL_load, &va, 1, NULL, &r);
}

/* A range of whole pages inside the slot. */
static void
range_of(const struct xslot *s, const struct xop *op, uint64_t *from, uint64_t *len)
{
	uint64_t pages = xpages(s->size);

	*from = op->arg % pages * PAGE;
	*len = (1 + op->size % (pages - op->arg % pages)) * PAGE;
}

bool
xop_protect(struct xlab *lab, const struct xop *op)
{
	static const uint64_t prots[] = { BED_PROT_READ, BED_PROT_READ | BED_PROT_WRITE,
		BED_PROT_READ | BED_PROT_WRITE, BED_PROT_NONE };
	struct xslot *s = &lab->slot[op->slot];
	uint64_t from, len;
	struct bed_result r;

	if (!in_a_map(s))
		return true;
	range_of(s, op, &from, &len);
	return xcall(lab, BED_CALL_uvm_map_protect,
	    (struct xvalue[]){ map_of(s), at(s, from), XV(len), XV(prots[op->flags & 3]), XV(0) },
	    5, NULL, &r);
}

bool
xop_wire(struct xlab *lab, const struct xop *op)
{
	struct xslot *s = &lab->slot[op->slot];
	uint64_t from, len;
	struct bed_result r;

	if (!in_a_map(s))
		return true;
	range_of(s, op, &from, &len);
	if (op->flags & 2)
		return xcall(lab, BED_CALL_uvm_map_checkprot,
		    (struct xvalue[]){ map_of(s), at(s, from), XV(len), XV(op->flags >> 2 & 7) }, 4,
		    NULL, &r);
	return xcall(lab, BED_CALL_uvm_map_pageable,
	    (struct xvalue[]){ map_of(s), at(s, from), XV(len), XV(op->flags & 1) }, 4, NULL, &r);
}

bool
xop_fault(struct xlab *lab, const struct xop *op)
{
	struct xslot *s = &lab->slot[op->slot];
	struct bed_result r;

	if (!in_a_map(s))
		return true;
	return xcall(lab, BED_CALL_uvm_fault,
	    (struct xvalue[]){ XV(BED_MAP_KERNEL), at(s, op->size % xpages(s->size) * PAGE),
		XV(op->flags & 1 ? BED_PROT_WRITE : BED_PROT_READ) },
	    3, NULL, &r);
}

/* The address comes as a second result, which a trace has no name for: it is written as a number. */
bool
xop_map(struct xlab *lab, const struct xop *op)
{
	static const uint64_t flags[] = { 0, 0x40000, 0x100000,
		0x800000 }; /* nomerge trylock nofault */
	struct xslot *s = &lab->slot[op->slot];
	uint64_t size = (1 + (op->size & 0x3ff)) * PAGE;
	struct bed_result r;

	if (s->kind == XSLOT_PENDING || !xslot_free(lab, s, true))
		return s->kind == XSLOT_PENDING;
	*s = (struct xslot){ .size = size, .map = BED_MAP_KERNEL, .pageable = true };
	if (!xcall(lab, BED_CALL_uvm_map,
		(struct xvalue[]){ XV(BED_MAP_KERNEL), XV(0), XV(size), XV(op->map & 1),
		    XV(op->arg & 1 ? 16 * PAGE : 0), XV(flags[op->flags & 3]) },
		6, NULL, &r))
		return false;
	if (r.state != BED_STATE_DONE || r.value != 0)
		return true; /* asleep: nobody will know where it is */
	s->kind = XSLOT_MAP;
	s->base = r.value2;
	return true;
}

bool
xop_page(struct xlab *lab, const struct xop *op)
{
	struct xpage *p = &lab->page[op->slot % XPAGES];
	struct bed_result r;

	if (p->va != 0)
		return true;
	if (p->pa != 0) {
		struct xvalue pa = XREF(p->name, p->pa, 0);

		p->pa = 0;
		return xcall(lab, BED_CALL_uvm_pagefree, &pa, 1, NULL, &r);
	}
	if (!xcall(lab, BED_CALL_uvm_pagealloc, NULL, 0, &p->name, &r))
		return false;
	p->pa = r.state == BED_STATE_DONE ? r.value : 0;
	return true;
}

bool
xop_enter(struct xlab *lab, const struct xop *op)
{
	struct xpage *p = &lab->page[op->arg % XPAGES];
	struct xslot *s = &lab->slot[p->va != 0 ? p->slot : op->slot];
	uint64_t offset;
	struct bed_result r;

	if (p->pa == 0)
		return true;
	if (p->va != 0) {
		struct xvalue va = at(s, p->va - s->base - s->offset);

		p->va = 0;
		return xcall(
		    lab, BED_CALL_pmap_kremove, (struct xvalue[]){ va, XV(PAGE) }, 2, NULL, &r);
	}
	if (!xslot_live(s) || !s->bare || s->kv == BED_KV_page)
		return true;
	offset = op->size % xpages(s->size) * PAGE;
	for (unsigned i = 0; i < XPAGES; i++) {
		if (lab->page[i].va == s->base + s->offset + offset)
			return true;
	}
	if (!xcall(lab, BED_CALL_pmap_kenter_pa,
		(struct xvalue[]){ at(s, offset), XREF(p->name, p->pa, 0),
		    XV(op->flags & 1 ? BED_PROT_READ : BED_PROT_READ | BED_PROT_WRITE) },
		3, NULL, &r))
		return false;
	if (r.state == BED_STATE_DONE && r.value == 0) {
		p->va = s->base + s->offset + offset;
		p->slot = (uint8_t)(s - lab->slot);
	}
	return true;
}

bool
xop_suballoc(struct xlab *lab, const struct xop *op)
{
	struct xsubmap *m = &lab->submap[op->slot % XSUBMAPS];
	struct bed_result r;

	if (m->handle != 0) {
		if (m->used != 0 || lab->npending != 0)
			return true;
		if (!xcall(lab, BED_CALL_uvm_km_subfree,
			(struct xvalue[]){ XV(BED_MAP_KERNEL), XREF(m->name, m->handle, 0) }, 2,
			NULL, &r))
			return false;
		if (r.state == BED_STATE_DONE && r.value == 0)
			m->handle = 0;
		return true;
	}
	if (!xcall(lab, BED_CALL_uvm_km_suballoc,
		(struct xvalue[]){ XV(BED_MAP_KERNEL), XV(0), XV((8 + (op->size & 0x7f)) * PAGE),
		    XV(1 | (op->flags & 4 ? 0x20 : 0)), XV(0) },
		5, &m->name, &r))
		return false;
	m->handle = r.state == BED_STATE_DONE ? r.value : 0;
	m->used = 0;
	return true;
}

bool
xop_tick(struct xlab *lab, const struct xop *op)
{
	struct xvalue nsecs = XV((uint64_t)op->size << 16);
	struct bed_result r;

	return xcall(lab, BED_CALL_tick, &nsecs, 1, NULL, &r);
}
