/* SPDX-License-Identifier: ISC */
/*
 * Every kind of map behind one description, and what must be as it was (prop.h). The checks of whole
 * structures are prop_check.c, the oracle over events is prop_events.c.
 */
#include "tests/twin/prop.h"

#include <string.h>

#define SUBMAP_SIZE P(420)

static const char *const names[PROP_KINDS] = { "kernel_map", "kmem_map", "exec_map", "phys_map",
	"a submap", "a nested submap", "an INTRSAFE submap", "a submap that is not pageable" };

static struct vm_map *
make_submap(struct vm_map *parent, vsize_t size, int flags, struct vm_map *storage)
{
	vaddr_t min = 0, max = 0;
	struct vm_map *map = uvm_km_suballoc(parent, &min, &max, size, flags, FALSE, storage);

	cr_assert_not_null(map);
	cr_assert(vm_map_min(map) == min && vm_map_max(map) == max && max == min + size);
	return map;
}

struct prop_map
prop_boot(enum prop_kind kind, uint32_t flags)
{
	static struct vm_map storage;
	struct prop_map m = { .kind = kind, .name = names[kind] };
	int guard = flags & BED_BOOT_GUARDPAGES ? VM_MAP_GUARDPAGES : 0;

	twin_boot(16 * MIB, 64 * MIB, flags);
	uvm_misuse_panic = false;
	m.parent = kernel_map;
	switch (kind) {
	case PROP_KERNEL_MAP:
		m.map = kernel_map;
		m.parent = NULL;
		break;
	case PROP_KMEM_MAP:
		m.map = kmem_map;
		break;
	case PROP_EXEC_MAP:
		m.map = exec_map;
		break;
	case PROP_PHYS_MAP:
		m.map = phys_map;
		break;
	case PROP_SUBMAP:
		m.map = make_submap(kernel_map, SUBMAP_SIZE, VM_MAP_PAGEABLE | guard, &storage);
		break;
	case PROP_NESTED:
		m.parent = make_submap(kernel_map, 2 * SUBMAP_SIZE, VM_MAP_PAGEABLE, NULL);
		m.parent = make_submap(m.parent, SUBMAP_SIZE + P(20), VM_MAP_PAGEABLE, NULL);
		m.map = make_submap(m.parent, SUBMAP_SIZE, VM_MAP_PAGEABLE | guard, NULL);
		break;
	case PROP_INTRSAFE:
		m.map = make_submap(kernel_map, SUBMAP_SIZE, VM_MAP_INTRSAFE | guard, NULL);
		break;
	default:
		m.map = make_submap(kernel_map, SUBMAP_SIZE, guard, NULL);
		break;
	}
	m.intrsafe = (m.map->flags & VM_MAP_INTRSAFE) != 0;
	m.pageable = (m.map->flags & VM_MAP_PAGEABLE) != 0;
	m.best = m.map->addr.fit == UVM_ADDR_BESTFIT;
	m.guarded = (m.map->flags & VM_MAP_GUARDPAGES) != 0;
	return m;
}

vaddr_t
prop_alloc(const struct prop_map *m, vsize_t size)
{
	return uvm_km_kmemalloc(m->map, m->intrsafe ? NULL : KO, size, UVM_KMF_NOWAIT);
}

vaddr_t
prop_zalloc(const struct prop_map *m, vsize_t size)
{
	return uvm_km_kmemalloc(
	    m->map, m->intrsafe ? NULL : KO, size, UVM_KMF_NOWAIT | UVM_KMF_ZERO);
}

vaddr_t
prop_addresses(const struct prop_map *m, vsize_t size, vsize_t align)
{
	return uvm_km_kmemalloc_pla(
	    m->map, m->intrsafe ? NULL : KO, size, align, UVM_KMF_VALLOC, 0, (paddr_t)-1, 0, 0, 0);
}

void
prop_free(const struct prop_map *m, vaddr_t va, vsize_t size)
{
	uvm_km_free(m->map, va, size);
}

int
prop_map_at(const struct prop_map *m, vaddr_t *va, vsize_t size, unsigned flags)
{
	return uvm_map(m->map, va, size, m->intrsafe ? NULL : KO, UVM_UNKNOWN_OFFSET, 0,
	    UVM_MAPFLAG(RW, RW, MAP_INHERIT_NONE, MADV_RANDOM, flags));
}

uint64_t
prop_load(vaddr_t va)
{
	uint64_t value = 0, err = 0;

	cr_assert_eq(twin_load(va, &value, &err), 0, "load of 0x%lx: code 0x%lx", va, err);
	return value;
}

void
prop_store(vaddr_t va, uint64_t value)
{
	uint64_t err = 0;

	cr_assert_eq(twin_store(va, value, &err), 0, "store to 0x%lx: code 0x%lx", va, err);
}

uint64_t
prop_fault(vaddr_t va, bool write)
{
	uint64_t value, err = 0;

	if (write)
		cr_assert_eq(twin_store(va, 1, &err), EFAULT, "a store to 0x%lx works", va);
	else
		cr_assert_eq(twin_load(va, &value, &err), EFAULT, "a load of 0x%lx works", va);
	return err;
}

uint64_t
prop_leaf(const struct prop_map *m)
{
	return PTE_P | PTE_W | PTE_G | PTE_NX | (m->intrsafe ? 0 : PTE_SW_M | PTE_SW_W);
}

static void
add_maps(struct prop_state *s, unsigned *n, struct vm_map *map)
{
	cr_assert_lt(*n, PROP_MAPS);
	s->map[*n].map = map;
	s->map[*n].entries = map->nentries;
	s->map[*n].size = map->size;
	s->map[*n].largest = uvm_map_largest_hole(map);
	++*n;
	for (struct vm_map_entry *e = map->header.next; e != &map->header; e = e->next) {
		if (UVM_ET_ISSUBMAP(e))
			add_maps(s, n, e->object.sub_map);
	}
}

struct prop_state
prop_state(void)
{
	struct prop_state s = {
		.free = uvmexp.free + uvmexp.kernpages,
		.npages = KO->uo_npages,
		.resident = pmap_kernel()->pm_resident,
		.wired = uvmexp.wired,
		.pm_wired = pmap_kernel()->pm_wired,
		.ptps = pmap_kernel()->pm_ptps,
		.misuse = uvm_misuse.free_unmapped + uvm_misuse.free_submap + uvm_misuse.free_wraps,
	};
	unsigned n = 0;

	add_maps(&s, &n, kernel_map);
	return s;
}

void
prop_same(const struct prop_state *was, const char *when)
{
	struct prop_state is = prop_state();

	cr_assert_eq(
	    is.free, was->free, "%s: %ld pages are lost", when, (long)(was->free - is.free));
	cr_assert_eq(is.npages, was->npages, "%s: kernel_object has %lu pages, had %lu", when,
	    is.npages, was->npages);
	cr_assert_eq(is.resident, was->resident, "%s: %lu leaves, had %lu", when, is.resident,
	    was->resident);
	cr_assert_eq(is.wired, was->wired, "%s: uvmexp.wired", when);
	cr_assert_eq(is.pm_wired, was->pm_wired, "%s: wired leaves", when);
	cr_assert_eq(is.misuse, was->misuse, "%s: misuse was counted", when);
	for (unsigned i = 0; i < PROP_MAPS; i++) {
		const char *name = is.map[i].map != NULL ? is.map[i].map->name : "-";

		cr_assert_eq(is.map[i].map, was->map[i].map, "%s: maps", when);
		cr_assert_eq(is.map[i].entries, was->map[i].entries,
		    "%s: %s has %lu entries, had %lu", when, name, is.map[i].entries,
		    was->map[i].entries);
		cr_assert_eq(is.map[i].size, was->map[i].size, "%s: size of %s", when, name);
		cr_assert_eq(is.map[i].largest, was->map[i].largest, "%s: %s has lost addresses",
		    when, name);
	}
}

void
prop_unchanged(const struct prop_state *was, const char *when)
{
	prop_same(was, when);
	cr_assert_eq(pmap_kernel()->pm_ptps, was->ptps, "%s: tables were made", when);
}

struct vm_page *
prop_take_pages(uint64_t left)
{
	struct vm_page *list = NULL, *run;
	unsigned got;

	while (uvmexp.free > left && (run = uvm_pmr_getrun((unsigned)(uvmexp.free - left), &got,
					  UVM_PGA_USERESERVE)) != NULL) {
		run->fpgsz = got;
		run->pageq = list;
		list = run;
	}
	return list;
}

void
prop_give_pages(struct vm_page *list)
{
	for (struct vm_page *next; list != NULL; list = next) {
		next = list->pageq;
		if (list->pg_flags & PG_ZERO)
			uvm_pmr_unget(list, list->fpgsz);
		else
			uvm_pmr_putrun(list, list->fpgsz);
	}
}

void
prop_take_entries(void)
{
	struct vm_page *all = prop_take_pages(0);
	struct vm_map_entry *one;

	cr_assert(uvmexp.free <= uvmexp.reserve_pagedaemon);
	while (uvm_mapent_take(1, &one) == 1)
		continue;
	prop_give_pages(all);
}
