/* SPDX-License-Identifier: ISC */
/*
 * See inside.h. The one test file that includes the allocator's headers: their errno and PROT_* are those of
 * the guest.
 */
#include "tests/bed/inside.h"

#include <string.h>

#include "guest/pmap.h"
#include "guest/uvm/uvm_extern.h"
#include "guest/uvm/uvm_map.h"
#include "guest/uvm/uvm_object.h"
#include "guest/uvm/uvm_page.h"
#include "vmm/bed/inspect.h"
#include "vmm/view/snapshot.h"

/* Looking one up is a walk through the whole symbol table: remembered, by flavour. */
#define REMEMBERED 16

gva_t
inside_symbol(const struct bed *bed, const char *name)
{
	static struct {
		const char *name;
		enum bed_flavour flavour;
		gva_t va;
	} known[REMEMBERED];
	enum bed_flavour flavour = bed_config(bed)->flavour;
	unsigned i = 0;
	gva_t va;

	for (; i < REMEMBERED && known[i].name != NULL; i++) {
		if (known[i].flavour == flavour && strcmp(known[i].name, name) == 0)
			return known[i].va;
	}
	CHECK(bed_symbol(bed, name, &va), "the guest has no symbol %s", name);
	if (i < REMEMBERED) {
		known[i].name = name;
		known[i].flavour = flavour;
		known[i].va = va;
	}
	return va;
}

/* The guest's pointers lead into its data or the direct map. */
static void *
guest_ptr(const struct bed *bed, const volatile void *ptr, size_t len)
{
	struct bed_pointers pointers = bed_pointers(bed);
	uint64_t va = (uint64_t)ptr, pa;
	void *host = bed_pointer_pa(&pointers, va, &pa) ? bed_ptr(bed, GPA(pa), len) : NULL;

	CHECK(host != NULL, "the guest's pointer %#lx leads nowhere", va);
	return host;
}
#define FOLLOW(bed, ptr) ((__typeof__(ptr))guest_ptr(bed, ptr, sizeof(*(ptr))))
#define GLOBAL(bed, type, name) \
	((type *)guest_ptr(bed, (const void *)inside_symbol(bed, name).v, sizeof(type)))

static struct vm_map *
the_map(const struct bed *bed)
{
	struct vm_map *map = *GLOBAL(bed, struct vm_map *, "kernel_map");

	return FOLLOW(bed, map);
}

struct inside
inside_look(const struct bed *bed)
{
	const struct uvmexp *exp = GLOBAL(bed, struct uvmexp, "uvmexp");
	const struct uvm_object *obj = GLOBAL(bed, struct uvm_object, "uvm_kernel_object");
	const struct pmap *pmap = GLOBAL(bed, struct pmap, "kernel_pmap_store");
	const struct uvm_misuse *misuse = GLOBAL(bed, struct uvm_misuse, "uvm_misuse");
	const struct vm_map *map = the_map(bed);

	return (struct inside){
		.free = exp->free,
		.obj_pages = obj->uo_npages,
		.map_pages = map->size >> BED_PAGE_SHIFT,
		.resident = pmap->pm_resident,
		.wired = pmap->pm_wired,
		.entries = map->nentries,
		.kernpages = exp->kernpages,
		.ptps = pmap->pm_ptps,
		.misuse = misuse->free_unmapped + misuse->free_submap + misuse->free_wraps,
	};
}

void
inside_must_be(const struct bed *bed, const struct inside *was, const char *file, int line)
{
	struct inside is = inside_look(bed);
	uint64_t nodes = is.kernpages - was->kernpages;

#define SAME(field, more)                                                                      \
	if (is.field + (more) != was->field)                                                   \
	test_fail(file, line, #field " is %lu, was %lu (%lu pages went into nodes)", is.field, \
	    was->field, nodes)
	SAME(obj_pages, 0);
	SAME(map_pages, 0);
	SAME(resident, 0);
	SAME(wired, 0);
	SAME(entries, 0);
	/* The map keeps pages of index nodes and spare entries, a few, for good. */
	if (is.free + nodes > was->free || is.free + nodes + 4 < was->free)
		SAME(free, nodes);
#undef SAME
}

static struct vm_page *
page_at(const struct bed *bed, uint64_t pa)
{
	const struct vm_physseg *seg = GLOBAL(bed, struct vm_physseg, "vm_physmem");
	unsigned n = *GLOBAL(bed, unsigned, "vm_nphysseg");

	for (; n > 0; n--, seg++) {
		if (pa >> BED_PAGE_SHIFT >= seg->start && pa >> BED_PAGE_SHIFT < seg->end)
			return FOLLOW(bed, seg->pgs + ((pa >> BED_PAGE_SHIFT) - seg->start));
	}
	return NULL;
}

struct inside_page
inside_page(const struct bed *bed, gpa_t pa)
{
	const struct vm_page *pg = page_at(bed, pa.v);

	if (pg == NULL)
		return (struct inside_page){ 0 };
	return (struct inside_page){
		.managed = true,
		.in_use = (pg->pg_flags & PQ_INUSE) != 0,
		.tabled = (pg->pg_flags & PG_TABLED) != 0 &&
		          (uint64_t)pg->uobject == inside_symbol(bed, "uvm_kernel_object").v,
		.offset = pg->offset,
		.wire_count = pg->wire_count,
	};
}

size_t
inside_used(const struct bed *bed, struct inside_range *range, size_t max)
{
	const struct vm_map *map = the_map(bed);
	const struct vm_map_entry *e = FOLLOW(bed, map->header.next);
	size_t n = 0;

	for (uint32_t i = 0; i < map->nentries; i++, e = FOLLOW(bed, e->next)) {
		if (e->start == e->end)
			continue;
		if (n > 0 && range[n - 1].end == e->start) {
			range[n - 1].end = VMMAP_FREE_START(e);
			continue;
		}
		CHECK(n < max, "more than %zu ranges", max);
		range[n++] = (struct inside_range){ e->start, VMMAP_FREE_START(e) };
	}
	return n;
}

/* The ring tiles [min, max); its lengths sum up to the size. Returns the number of pages in it. */
static void
check_ring(const struct bed *bed, const struct vm_map *map, const char *file, int line)
{
	const struct vm_map_entry *e = &map->header;
	uint64_t at = map->min_offset, size = 0;

	for (uint32_t i = 0; i <= map->nentries; i++, e = FOLLOW(bed, e->next)) {
		if (e->start != at || e->end < e->start || ((e->start | e->end) & BED_PAGE_MASK))
			test_fail(file, line, "entry %u is %#lx-%#lx, the one before ends at %#lx",
			    i, e->start, e->end, at);
		if (i > 0 && !UVM_ET_ISHOLE(e))
			size += e->end - e->start;
		at = VMMAP_FREE_END(e);
	}
	if (e != &map->header)
		test_fail(file, line, "the ring is not %u entries long", map->nentries);
	if (at != map->max_offset)
		test_fail(file, line, "the last hole ends at %#lx, not %#lx", at, map->max_offset);
	if (size != map->size)
		test_fail(file, line, "size is %#lx, the entries hold %#lx", map->size, size);
}

static bool
entry_has(const struct bed *bed, const struct vm_map *map, uint64_t start, uint64_t end)
{
	const struct vm_map_entry *e = &map->header;

	for (uint32_t i = 0; i < map->nentries; i++) {
		e = FOLLOW(bed, e->next);
		if (e->start <= start && e->end > start) {
			if (e->end >= end)
				return true;
			start = e->end;
		}
	}
	return false;
}

void
inside_must_agree(const struct bed *bed, const char *file, int line)
{
	const struct uvm_object *obj = GLOBAL(bed, struct uvm_object, "uvm_kernel_object");
	uint64_t object = inside_symbol(bed, "uvm_kernel_object").v, tabled = 0;
	const struct vm_map *map = the_map(bed);
	struct snapshot snap = bed_snapshot(bed);

	check_ring(bed, map, file, line);
	for (size_t i = 0; i < snap.nrun; i++) {
		const struct view_run *run = &snap.run[i];

		if (run->va.v < map->min_offset || run->va.v >= map->max_offset)
			continue;
		if (!entry_has(bed, map, run->va.v, view_run_last(run).v + 1))
			test_fail(file, line, "%#lx +%lu is mapped, but in no entry", run->va.v,
			    run->npages);
		for (uint64_t k = 0; k < run->npages; k++) {
			const struct vm_page *pg = page_at(bed, run->pa.v + k * BED_PAGE_SIZE);

			if (pg == NULL || !(pg->pg_flags & PQ_INUSE))
				test_fail(file, line, "%#lx maps a free page, %#lx",
				    page_of(run->va, k).v, run->pa.v + k * BED_PAGE_SIZE);
			if ((uint64_t)pg->uobject == object &&
			    pg->offset == page_of(run->va, k).v - BED_KVA_BASE)
				tabled++;
		}
	}
	if (tabled != obj->uo_npages)
		test_fail(file, line,
		    "kernel_object has %lu pages, %lu are mapped where they belong", obj->uo_npages,
		    tabled);
	snapshot_free(&snap);
}

void
inside_tolerate_misuse(struct bed *bed)
{
	*GLOBAL(bed, bool, "uvm_misuse_panic") = false;
}
