/* SPDX-License-Identifier: ISC */
/*
 * The structure around allocations in every kind of map: guards, rights, wiring, page tables.
 */
#include "tests/twin/prop.h"

#include <stdlib.h>
#include <string.h>

#include "guest/twin/priv.h"

static struct vm_map_entry *
entry_of(const struct prop_map *m, vaddr_t va)
{
	struct vm_map_entry *e;

	cr_assert(uvm_map_lookup_entry(m->map, va, &e), "%s: no entry at 0x%lx", m->name, va);
	return e;
}

/* property 74 75: kernel_map kmem_map submap nested */
BED_TEST(prop_map, guards)
{
	FOR_EACH_MAP(m, BED_BOOT_GUARDPAGES)
	{
		struct prop_state was;
		vsize_t hole;
		vaddr_t a, b, c;

		if (!m.guarded)
			continue;
		prop_free(&m, prop_alloc(&m, P(20)), P(20));
		was = prop_state();
		a = prop_alloc(&m, P(2));
		b = prop_alloc(&m, P(3));
		c = prop_alloc(&m, P(1));
		cr_assert(b == a + P(3) && c == b + P(4), "%s: guards between", m.name);
		cr_assert(
		    leaf_at(a + P(2)) == 0 && leaf_at(b + P(3)) == 0 && leaf_at(c + P(1)) == 0);
		cr_assert_eq(entry_of(&m, a)->guard, P(1));
		cr_assert_eq(prop_fault(a + P(2), true), PF_W);
		/* The guard goes with its allocation: hole and guard together are four pages again. */
		prop_free(&m, b, P(3));
		cr_assert_eq(prop_alloc(&m, P(4)) < b || prop_alloc(&m, P(4)) > c, true,
		    "%s: four pages and a guard in four", m.name);
		cr_assert_eq(prop_alloc(&m, P(3)), b, "%s", m.name);
		prop_check(m.name);
		for (struct vm_map_entry *e = m.map->header.next, *next; e != &m.map->header;
		     e = next) {
			next = e->next;
			if (!UVM_ET_ISSUBMAP(e))
				prop_free(&m, e->start, e->end - e->start);
		}
		prop_same(&was, m.name);
		/* Two pages left would leave one that nobody can have: both become the guard. */
		hole = uvm_map_largest_hole(m.map);
		cr_assert_eq(prop_addresses(&m, hole, 0), 0, "%s: no room for the guard", m.name);
		a = prop_addresses(&m, hole - P(2), 0);
		cr_assert_eq(entry_of(&m, a)->guard, P(2), "%s", m.name);
		cr_assert_eq(uvm_map_largest_hole(m.map), 0, "%s", m.name);
		prop_check(m.name);
		prop_free(&m, a, hole - P(2));
		prop_same(&was, m.name);
		a = prop_addresses(&m, hole - P(1), 0);
		cr_assert_eq(entry_of(&m, a)->guard, P(1), "%s", m.name);
		prop_free(&m, a, hole - P(1));
		prop_same(&was, m.name);
	}
}

/* property 85 87: kernel_map exec_map submap nested */
BED_TEST(prop_map, wiring)
{
	FOR_EACH_MAP(m, 0)
	{
		struct prop_state was;
		vaddr_t va;

		if (!m.pageable || m.intrsafe)
			continue;
		prop_free(&m, prop_alloc(&m, P(8)), P(8));
		was = prop_state();
		va = uvm_km_valloc(m.map, P(8));
		prop_store(va + P(3), 33);
		cr_assert_eq(uvm_map_pageable(m.map, va + P(1), va + P(6), FALSE), 0, "%s", m.name);
		cr_assert_eq(uvmexp.wired, was.wired + 5);
		for (unsigned i = 0; i < 8; i++) {
			struct vm_page *pg = uvm_pagelookup(KO, va + P(i) - KVA);
			bool in = i >= 1 && i < 6;

			cr_assert_eq(pg != NULL, in, "%s: page %u", m.name, i);
			cr_assert(!in || (pg->wire_count == 1 && (leaf_at(va + P(i)) & PTE_SW_W)));
		}
		prop_check(m.name);
		cr_assert_eq(uvm_map_pageable(m.map, va + P(1), va + P(6), TRUE), 0);
		cr_assert_eq(uvmexp.wired, was.wired);
		cr_assert_eq(prop_load(va + P(3)), 33);
		for (unsigned i = 1; i < 6; i++)
			cr_assert(leaf_at(va + P(i)) != 0 && !(leaf_at(va + P(i)) & PTE_SW_W));
		/* Freed while wired, once and twice. */
		cr_assert_eq(uvm_map_pageable(m.map, va, va + P(8), FALSE), 0);
		cr_assert_eq(uvm_map_pageable(m.map, va + P(2), va + P(4), FALSE), 0);
		prop_events_start();
		prop_free(&m, va, P(8));
		cr_assert_eq(prop_events_check(m.name).freed, 8);
		prop_same(&was, m.name);
		prop_check(m.name);
	}
}

/* Wiring that fails at page `bad`, for each: nothing is wired, what was wired before still is. */
/* property 86: kernel_map exec_map submap nested */
BED_TEST(prop_map, wiring_that_fails)
{
	FOR_EACH_MAP(m, 0)
	{
		for (unsigned bad = 1; bad < 6 && m.pageable && !m.intrsafe; bad++) {
			struct prop_state was;
			vaddr_t va = uvm_km_valloc(m.map, P(6)), at = va + P(bad);

			prop_load(va);
			uvm_km_free(m.map, at, P(1));
			cr_assert_eq(
			    uvm_map(m.map, &at, P(1), NULL, UVM_UNKNOWN_OFFSET, 0,
				UVM_MAPFLAG(RW, RW, MAP_INHERIT_NONE, MADV_RANDOM, UVM_FLAG_FIXED)),
			    0);
			if (bad > 2)
				cr_assert_eq(
				    uvm_map_pageable(m.map, va + P(1), va + P(2), FALSE), 0);
			was = prop_state();
			cr_assert_eq(uvm_map_pageable(m.map, va, va + P(6), FALSE), EFAULT,
			    "%s: %u", m.name, bad);
			cr_assert_eq(uvmexp.wired, was.wired, "%s: %u", m.name, bad);
			for (struct vm_map_entry *e = entry_of(&m, va);
			     e->start < va + P(6) && e != &m.map->header; e = e->next)
				cr_assert_eq(e->wired_count, bad > 2 && e->start == va + P(1),
				    "%s: %u: 0x%lx", m.name, bad, e->start - va);
			prop_check(m.name);
			uvm_km_free(m.map, va, P(6));
			cr_assert_eq(uvmexp.wired, 0);
		}
	}
}

/* property 88: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_map, rights_of_a_part)
{
	FOR_EACH_MAP(m, 0)
	{
		struct prop_state was = prop_state();
		vaddr_t va = prop_alloc(&m, P(9)), next;

		prop_events_start();
		cr_assert_eq(uvm_map_protect(m.map, va + P(3), va + P(5), PROT_READ, FALSE), 0);
		cr_assert_eq(prop_events_check(m.name).narrowed, 2);
		for (unsigned i = 0; i < 9; i++) {
			bool in = i == 3 || i == 4;

			cr_assert_eq(entry_of(&m, va + P(i))->protection, in ? PROT_READ : RW);
			cr_assert_eq(
			    (leaf_at(va + P(i)) & PTE_W) == 0, in, "%s: page %u", m.name, i);
		}
		cr_assert_eq(entry_of(&m, va + P(3))->start, va + P(3));
		cr_assert_eq(entry_of(&m, va + P(3))->end, va + P(5));
		cr_assert_eq(entry_of(&m, va)->end, va + P(3));
		/* What comes next to it has other rights and is not joined to it. */
		prop_free(&m, va + P(5), P(4));
		next = prop_alloc(&m, P(4));
		cr_assert_eq(next, va + P(5), "%s", m.name);
		cr_assert_eq(entry_of(&m, next)->start, next);
		cr_assert_eq(entry_of(&m, va + P(4))->protection, PROT_READ);
		prop_check(m.name);
		prop_free(&m, va, P(9));
		prop_same(&was, m.name);
	}
}

/* property 89: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_map, write_and_execute)
{
	FOR_EACH_MAP(m, 0)
	{
		vaddr_t va = prop_alloc(&m, P(2)), at = 0;
		struct prop_state was = prop_state();
		const char *msg;

		msg =
		    TWIN_PANIC(uvm_map(m.map, &at, P(1), m.intrsafe ? NULL : KO, UVM_UNKNOWN_OFFSET,
			0, UVM_MAPFLAG(PROT_MASK, PROT_MASK, MAP_INHERIT_NONE, MADV_RANDOM, 0)));
		cr_assert(
		    msg != NULL && strstr(msg, "write and execute") && strstr(msg, m.map->name),
		    "%s: %s", m.name, msg);
		msg = TWIN_PANIC(uvm_map_protect(m.map, va, va + P(1), PROT_MASK, FALSE));
		cr_assert(msg != NULL && strstr(msg, "write and execute"), "%s: %s", m.name, msg);
		prop_unchanged(&was, m.name);
	}
}

/* Each table below the root: from the pool, pointed to once, P W NX above it, and never mapped by a leaf. */
static uint64_t
check_tables(paddr_t table, int level, uint8_t *seen, const char *when)
{
	const uint64_t *entry = (const uint64_t *)(twin_ram + table);
	uint64_t n = 0;

	for (unsigned i = 0; i < 512; i++) {
		paddr_t next = entry[i] & PTE_FRAME;

		if (level == 4 && i != 256)
			continue;
		if (!(entry[i] & PTE_P)) {
			cr_assert_eq(
			    entry[i], 0, "%s: level %d entry 0x%lx", when, level, entry[i]);
			continue;
		}
		if (level == 1) {
			cr_assert(next < twin_info.ptpool_start || next >= twin_info.ptpool_end,
			    "%s: a leaf maps the table 0x%lx", when, next);
			continue;
		}
		/* The root's is the loader's, and may leave NX to the levels below. */
		cr_assert_eq(entry[i] & ~(PTE_FRAME | PTE_A | (level == 4 ? PTE_NX : 0)),
		    PTE_P | PTE_W | (level == 4 ? 0 : PTE_NX), "%s: level %d entry 0x%lx", when,
		    level, entry[i]);
		cr_assert(next >= twin_info.ptpool_start && next < twin_info.ptpool_end,
		    "%s: table 0x%lx is not from the pool", when, next);
		cr_assert_null(PHYS_TO_VM_PAGE(next), "%s: table 0x%lx has a vm_page", when, next);
		cr_assert_eq(seen[(next - twin_info.ptpool_start) >> 12]++, 0,
		    "%s: table 0x%lx is pointed to twice", when, next);
		n += 1 + check_tables(next, level - 1, seen, when);
	}
	return n;
}

static void
tables_are_right(const char *when)
{
	uint64_t pages = (twin_info.ptpool_end - twin_info.ptpool_start) >> 12;
	uint8_t *seen = calloc(pages, 1);
	uint64_t n = check_tables(twin_info.root, 4, seen, when);
	const uint64_t *word = (const uint64_t *)(twin_ram + pmap_kernel()->pm_pool);
	uint64_t l1 = (pmap_kernel()->pm_end - KVA) / (2 * MIB), l2 = (l1 + 511) / 512;

	cr_assert_eq(n, pmap_kernel()->pm_ptps, "%s: %lu tables, counted %lu", when, n,
	    pmap_kernel()->pm_ptps);
	cr_assert_eq(n, 1 + (l2 > 0 ? l2 : 0) + l1, "%s: %lu tables for 0x%lx", when, n,
	    pmap_kernel()->pm_end);
	/* What is left of the pool is zero, so a table made of it is empty. */
	for (uint64_t i = 0; i < (pmap_kernel()->pm_poolend - pmap_kernel()->pm_pool) / 8; i++)
		cr_assert_eq(word[i], 0, "%s: the pool is not zero", when);
	free(seen);
}

/* property 79 80 82: kernel_map kmem_map exec_map phys_map submap nested */
BED_TEST(prop_map, tables_only_grow)
{
	FOR_EACH_MAP(m, 0)
	{
		const uint64_t *root = (const uint64_t *)(twin_ram + twin_info.root);
		uint64_t slots[512], ptps = pmap_kernel()->pm_ptps;

		/* Whoever has the entries of the root as they were at boot sees all that comes. */
		memcpy(slots, root, sizeof(slots));
		tables_are_right(m.name);
		for (vsize_t size = P(1); size < 9 * MIB; size = size * 5 + P(1)) {
			vaddr_t va = prop_addresses(&m, size, 0);

			cr_assert(va != 0 || m.parent != NULL, "%s: 0x%lx", m.name, size);
			tables_are_right(m.name);
			cr_assert_geq(pmap_kernel()->pm_ptps, ptps);
			ptps = pmap_kernel()->pm_ptps;
			if (va != 0)
				prop_free(&m, va, size);
			cr_assert_eq(pmap_kernel()->pm_ptps, ptps, "%s: tables went", m.name);
		}
		prop_alloc(&m, P(3));
		tables_are_right(m.name);
		for (unsigned i = 0; i < 512; i++)
			cr_assert_eq(
			    (slots[i] ^ root[i]) & ~(uint64_t)PTE_A, 0, "%s: slot %u", m.name, i);
		prop_check(m.name);
	}
}
