/* SPDX-License-Identifier: ISC */
/*
 * Submaps of every kind in every kind of map: where they lie, what is refused, what belongs to whom, and
 * that taking them apart leaves nothing.
 */
#include "tests/twin/prop.h"

#include <machine/thread.h>
#include <string.h>

static const int kinds[] = { 0, VM_MAP_PAGEABLE, VM_MAP_INTRSAFE,
	VM_MAP_PAGEABLE | VM_MAP_GUARDPAGES };

static struct vm_map storage;

static int
fixed_at(struct vm_map *map, vaddr_t va, vsize_t size)
{
	return uvm_map(map, &va, size, NULL, UVM_UNKNOWN_OFFSET, 0,
	    UVM_MAPFLAG(RW, RW, MAP_INHERIT_NONE, MADV_RANDOM, UVM_FLAG_FIXED));
}

/* Memory in the submap, by the call that its flags allow. */
static vaddr_t
inside(struct vm_map *sub, vsize_t size)
{
	return uvm_km_kmemalloc(
	    sub, sub->flags & VM_MAP_INTRSAFE ? NULL : KO, size, UVM_KMF_NOWAIT);
}

/* property 62 63 64 66 71: kernel_map exec_map phys_map submap nested */
BED_TEST(prop_submap, made_filled_and_unmade)
{
	FOR_EACH_MAP(m, 0)
	{
		struct prop_map s = m;

		if (m.intrsafe)
			continue;
		prop_free(&m, prop_alloc(&m, P(80)), P(80));
		for (unsigned i = 0; i < 2 * nitems(kinds); i++) {
			bool fixed = i & 1;
			struct prop_state was = prop_state();
			vaddr_t at = uvm_km_valloc(m.map, P(40)), min, max = 1, va, other;

			uvm_km_free(m.map, at, P(40));
			min = fixed ? at + P(3) : 0;
			s.map = uvm_km_suballoc(m.map, &min, &max, P(20) - 5, kinds[i / 2], fixed,
			    i & 4 ? &storage : NULL);
			cr_assert_not_null(s.map, "%s", m.name);
			cr_assert(!fixed || min == at + P(3), "%s: moved", m.name);
			cr_assert_eq(max, min + P(20));
			cr_assert(vm_map_min(s.map) == min && vm_map_max(s.map) == max);
			cr_assert(s.map->pmap == pmap_kernel() && s.map->ref_count == 2);
			/* The range is the submap's now. */
			for (unsigned k = 0; k < 20; k++)
				cr_assert_eq(fixed_at(m.map, min + P(k), P(1)), ENOMEM);
			cr_assert_eq(fixed_at(m.map, min - P(1), P(22)), ENOMEM);
			while ((va = inside(s.map, P(3))) != 0) {
				cr_assert(va >= min && va + P(3) <= max, "%s: 0x%lx", m.name, va);
				if (!(kinds[i / 2] & VM_MAP_INTRSAFE))
					cr_assert_eq(
					    PHYS_TO_VM_PAGE(leaf_at(va + P(2)) & PTE_FRAME)->offset,
					    va + P(2) - KVA);
			}
			/* Full; the parent is not. */
			other = prop_alloc(&m, P(2));
			cr_assert(
			    other != 0 && (other + P(2) <= min || other >= max), "%s", m.name);
			prop_free(&m, other, P(2));
			prop_check(m.name);
			cr_assert_eq(uvm_km_subfree(m.map, s.map), EBUSY);
			uvm_km_free(s.map, min, P(20));
			cr_assert_eq(uvm_km_subfree(m.map, s.map), 0);
			prop_same(&was, m.name);
			prop_check(m.name);
		}
	}
}

/* property 65: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_submap, refused)
{
	FOR_EACH_MAP(m, 0)
	{
		vaddr_t used = prop_alloc(&m, P(4)), lo = vm_map_min(m.map), hi = vm_map_max(m.map);
		const struct {
			vaddr_t min;
			vsize_t size;
			bool fixed;
		} row[] = {
			{ used, P(4), true },
			{ used + P(3), P(4), true },
			{ used + P(6), P(8) + hi - lo, true },
			{ used + P(6) + 1, P(4), true },
			{ used + P(6) + 2048, P(4), true },
			{ hi, P(1), true },
			{ hi - P(1), P(2), true },
			{ lo - P(1), P(1), true },
			{ lo - P(2), P(4), true },
			{ 0, P(1), true },
			{ UINT64_MAX - P(1) + 1, P(4), true },
			{ used + P(6), 0, true },
			{ used + P(6), UINT64_MAX, true },
			{ used + P(6), UINT64_MAX - P(4), true },
			{ 0, 0, false },
			{ 0, UINT64_MAX, false },
			{ 0, UINT64_MAX - P(2), false },
			{ 0, hi - lo + P(1), false },
			{ 0, UINT64_C(1) << 63, false },
		};
		struct prop_state was = prop_state();

		for (unsigned i = 0; i < nitems(row); i++) {
			for (unsigned k = 0; k < nitems(kinds); k++) {
				vaddr_t min = row[i].min, max = 77;

				cr_assert_null(uvm_km_suballoc(m.map, &min, &max, row[i].size,
						   kinds[k], row[i].fixed, k & 1 ? &storage : NULL),
				    "%s: row %u", m.name, i);
				cr_assert(min == row[i].min && max == 77, "%s: row %u", m.name, i);
			}
		}
		prop_unchanged(&was, m.name);
		if (m.intrsafe) {
			vaddr_t min = 0, max = 0;

			cr_assert_null(
			    uvm_km_suballoc(m.map, &min, &max, P(4), VM_MAP_INTRSAFE, FALSE, NULL));
			prop_unchanged(&was, m.name);
		}
		prop_check(m.name);
	}
}

/* With memory in it or without, whole or in part, with neighbours or without: only uvm_km_subfree() does it. */
/* property 70 71: kernel_map exec_map phys_map submap nested */
BED_TEST(prop_submap, the_parent_cannot_free_it)
{
	FOR_EACH_MAP(m, 0)
	{
		vaddr_t left, min = 0, max = 0, right;
		struct prop_state was;
		struct vm_map *sub;
		uint64_t wrong;

		if (m.intrsafe)
			continue;
		left = prop_alloc(&m, P(2));
		sub = uvm_km_suballoc(m.map, &min, &max, P(8), VM_MAP_PAGEABLE, FALSE, NULL);
		right = prop_alloc(&m, P(2));
		cr_assert(min == left + P(2) && right == max, "%s: not side by side", m.name);
		for (unsigned full = 0; full < 2; full++) {
			const vaddr_t range[][2] = { { min, max }, { min, min + P(1) },
				{ max - P(1), max }, { min + P(2), min + P(3) }, { left, max },
				{ left + P(1), min + P(1) }, { max - P(1), right + P(1) },
				{ left, right + P(2) } };

			if (full)
				cr_assert_neq(uvm_km_alloc(sub, P(8)), 0);
			was = prop_state();
			wrong = uvm_misuse.free_submap;
			for (unsigned i = 0; i < nitems(range); i++) {
				uvm_km_free(m.map, range[i][0], range[i][1] - range[i][0]);
				was.misuse++;
				cr_assert_eq(
				    uvm_misuse.free_submap, wrong + i + 1, "%s: row %u", m.name, i);
				prop_unchanged(&was, m.name);
			}
			uvm_km_free_wakeup(m.map, min, P(8));
			was.misuse++;
			prop_unchanged(&was, m.name);
			cr_assert_eq(uvm_map_protect(m.map, left, right, PROT_READ, FALSE), EINVAL);
			cr_assert_eq(
			    uvm_map(m.map, &(vaddr_t){ min }, P(1), NULL, UVM_UNKNOWN_OFFSET, 0,
				UVM_MAPFLAG(RW, RW, MAP_INHERIT_NONE, MADV_RANDOM,
				    UVM_FLAG_FIXED | UVM_FLAG_UNMAP)),
			    EINVAL);
			prop_unchanged(&was, m.name);
			prop_check(m.name);
		}
		uvm_km_free(sub, min, P(8));
		cr_assert_eq(uvm_km_subfree(m.map, sub), 0);
		prop_free(&m, left, P(2));
		prop_free(&m, right, P(2));
		prop_check(m.name);
	}
}

/* Only the parent takes a submap apart, only while it is empty, and only if nobody else holds it. */
/* property 70 71: kernel_map submap nested */
BED_TEST(prop_submap, taken_apart_by_its_parent_alone)
{
	struct prop_map m = prop_boot(PROP_NESTED, 0);
	struct prop_state was = prop_state();

	cr_assert_eq(uvm_km_subfree(kernel_map, m.map), EINVAL);
	cr_assert_eq(uvm_km_subfree(exec_map, m.map), EINVAL);
	cr_assert_eq(uvm_km_subfree(m.map, m.parent), EINVAL);
	cr_assert_eq(uvm_km_subfree(kernel_map, m.parent), EINVAL);
	prop_unchanged(&was, "by others");
	uvm_map_reference(m.map);
	cr_assert_eq(uvm_km_subfree(m.parent, m.map), EBUSY);
	uvm_map_deallocate(m.map);
	prop_unchanged(&was, "held by another");
	cr_assert_eq(uvm_km_subfree(m.parent, m.map), 0);
	prop_check("the innermost is gone");
}

static void
hold_lock(void *map)
{
	vm_map_lock(map);
	tsleep_nsec(&storage, PVM, "hold", INFSLP);
	vm_map_unlock(map);
}

/* property 67 68: nested */
BED_TEST(prop_submap, five_deep)
{
	struct vm_map *map[6] = { NULL };
	vaddr_t va[6];

	prop_boot(PROP_KERNEL_MAP, 0);
	map[0] = kernel_map;
	for (unsigned i = 1; i < nitems(map); i++) {
		vaddr_t min = 0, max = 0;

		map[i] = uvm_km_suballoc(
		    map[i - 1], &min, &max, P(100 - 10 * i), VM_MAP_PAGEABLE, FALSE, NULL);
		cr_assert_not_null(map[i]);
	}
	for (unsigned i = 0; i < nitems(map); i++) {
		va[i] = uvm_km_valloc(map[i], P(3));
		prop_store(va[i] + P(1), i);
		cr_assert_eq(leaf_at(va[i]), 0);
	}
	prop_check("five deep");
	for (unsigned i = 0; i < nitems(map); i++) {
		/* A lock of one is no other's. */
		cr_assert_not(twin_call(hold_lock, map[i], NULL));
		for (unsigned k = 0; k < nitems(map); k++) {
			vaddr_t other = uvm_km_valloc_try(map[k], P(1));

			cr_assert_eq(other == 0, k == i, "%u while %u is locked", k, i);
			if (other != 0)
				uvm_km_free(map[k], other, P(1));
		}
		wakeup(&storage);
		twin_run();
	}
	for (unsigned i = 0; i < nitems(map); i++) {
		cr_assert_eq(prop_load(va[i] + P(1)), i);
		uvm_km_free(map[i], va[i], P(3));
	}
	for (unsigned i = nitems(map) - 1; i > 0; i--)
		cr_assert_eq(uvm_km_subfree(map[i - 1], map[i]), 0);
	prop_check("all gone");
}
