/* SPDX-License-Identifier: ISC */
/*
 * Edits of a guest's memory that can be undone (audit_scene.h).
 */
#include <stdlib.h>
#include <string.h>

#include "guest/pmap.h"
#include "guest/uvm/uvm_map.h"
#include "guest/uvm/uvm_page.h"
#include "guest/uvm/uvm_pmemrange.h"
#include "tests/bed/audit_scene.h"
#include "tests/bed/inside.h"

struct scene_edit {
	uint8_t *at;
	size_t len;
	uint8_t old[BED_PAGE_SIZE];
};

#define MAX_EDITS 64

struct scene
scene_up(unsigned live)
{
	struct scene s = { .bed = BED() };
	struct bed_err err;
	gva_t gap, tail;

	s.a = bed_uvm_km_alloc(s.bed, KERNEL, 4 * PAGE);
	gap = bed_uvm_km_alloc(s.bed, KERNEL, 2 * PAGE);
	bed_uvm_km_alloc(s.bed, KERNEL, 4 * PAGE);
	s.kmem = bed_uvm_km_kmemalloc(s.bed, BED_MAP_KMEM, 0, 4 * PAGE, 0);
	s.page = bed_uvm_pagealloc(s.bed);
	for (unsigned i = 0; i < live; i++) {
		bed_uvm_km_alloc(s.bed, KERNEL, PAGE);
		tail = bed_uvm_km_valloc(s.bed, KERNEL, PAGE);
		if (i % 4 == 0)
			bed_uvm_km_free(s.bed, KERNEL, tail, PAGE);
	}
	bed_uvm_km_free(s.bed, KERNEL, gap, 2 * PAGE);
	/* One table that nothing uses. */
	bed_pmap_growkernel(s.bed, GVA(GLOBAL(&s, struct pmap, "kernel_pmap_store")->pm_end + 1));
	s.edit = calloc(MAX_EDITS, sizeof(*s.edit));
	s.audit = audit_new(s.bed, &err);
	CHECK(s.audit != NULL && s.edit != NULL, "%s", err.text);
	s.src = audit_source(s.bed);
	return s;
}

void
scene_down(struct scene *s)
{
	audit_free(s->audit);
	snapshot_free(&s->snap);
	free(s->edit);
	bed_down(s->bed);
}

void *
scene_ptr(const struct scene *s, uint64_t va, size_t len)
{
	struct bed_pointers pointers = bed_pointers(s->bed);
	uint64_t pa = UINT64_MAX;
	void *host;

	bed_pointer_pa(&pointers, va, &pa);
	host = bed_ptr(s->bed, GPA(pa), len);

	CHECK(host != NULL, "the guest's pointer %#lx leads nowhere", va);
	return host;
}

void
poke(struct scene *s, volatile void *host, const void *bytes, size_t len)
{
	struct scene_edit *e = &s->edit[s->nedit];

	CHECK(s->nedit < MAX_EDITS && len <= sizeof(e->old), "too many edits");
	e->at = (uint8_t *)(uintptr_t)host;
	e->len = len;
	memcpy(e->old, e->at, len);
	memcpy(e->at, bytes, len);
	s->nedit++;
}

void
poke_bits(struct scene *s, uint64_t *word, uint64_t clear, uint64_t set)
{
	POKE(s, *word, (*word & ~clear) | set);
}

void
scene_undo(struct scene *s)
{
	while (s->nedit > 0) {
		struct scene_edit *e = &s->edit[--s->nedit];

		memcpy(e->at, e->old, e->len);
	}
	s->src = audit_source(s->bed);
}

static void
audit(struct scene *s, enum audit_kind kind)
{
	struct bed_err err;

	CHECK(snapshot_take(&s->snap, &s->src.view, NULL, &err) &&
		  audit_run(s->audit, &s->src, &s->snap, kind, &err),
	    "%s", err.text);
}

void
scene_audit(struct scene *s)
{
	audit(s, AUDIT_CONTENT);
}

void
scene_audit_always(struct scene *s)
{
	audit(s, AUDIT_ALWAYS);
}

void
scene_must_hold(const struct scene *s, const char *when)
{
	unsigned i;
	const struct audit_verdict *v = audit_broken(s->audit, &i);

	CHECK(v == NULL, "%s: rule %u %s is broken: %s", when, audit_rule(i)->number,
	    audit_rule(i)->id, v->text);
}

struct vm_map *
scene_map(const struct scene *s)
{
	return FOLLOW(s, *GLOBAL(s, struct vm_map *, "kernel_map"));
}

struct vm_map_entry *
scene_entry(const struct scene *s, gva_t va)
{
	struct vm_map *map = scene_map(s);
	struct vm_map_entry *e;

	if (va.v == s->kmem.v)
		map = FOLLOW(s, *GLOBAL(s, struct vm_map *, "kmem_map"));
	for (e = FOLLOW(s, map->header.next); e != &map->header; e = FOLLOW(s, e->next)) {
		if (va.v >= e->start && va.v < e->end)
			return e;
	}
	FAIL("no entry for %#lx", va.v);
}

struct vm_page *
scene_page(const struct scene *s, uint64_t frame)
{
	const struct vm_physseg *seg =
	    scene_ptr(s, inside_symbol(s->bed, "vm_physmem").v, VM_PHYSSEG_MAX * sizeof(*seg));

	for (unsigned i = 0; i < VM_PHYSSEG_MAX; i++) {
		if (frame >= seg[i].start && frame < seg[i].end)
			return FOLLOW(s, seg[i].pgs + (frame - seg[i].start));
	}
	FAIL("frame %#lx is not managed", frame);
}

uint64_t
scene_free_frame(const struct scene *s)
{
	const struct uvm_pmemrange *pmr = GLOBAL(s, struct uvm_pmemrange, "uvm_pmr");
	const struct vm_physseg *seg =
	    scene_ptr(s, inside_symbol(s->bed, "vm_physmem").v, VM_PHYSSEG_MAX * sizeof(*seg));

	for (unsigned n = 1; n <= UVM_PMR_QUICK; n++) {
		for (unsigned i = 0; i < VM_PHYSSEG_MAX; i++) {
			if (pmr->quick[n] != NULL && pmr->quick[n] >= seg[i].pgs &&
			    pmr->quick[n] < seg[i].lastpg)
				return seg[i].start + (uint64_t)(pmr->quick[n] - seg[i].pgs);
		}
	}
	FAIL("no free page on a stack");
}

struct pmap_l1 *
scene_l1(const struct scene *s, gva_t va)
{
	struct pmap *pm = GLOBAL(s, struct pmap, "kernel_pmap_store");

	return FOLLOW(s, pm->pm_l1 + (va.v - BED_KVA_BASE) / PMAP_L1_SPAN);
}
