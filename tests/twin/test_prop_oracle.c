/* SPDX-License-Identifier: ISC */
/*
 * The oracle over events finds what it is for: each kind of wrong order, made by hand, is named.
 */
#include "tests/twin/prop.h"

#include <string.h>

#include "guest/pmap_table.h"

static struct prop_map m;
static vaddr_t va;
static struct vm_page *pg;

/* Four pages of kernel_map; pg is the second. Events count from here on. */
static void
scene(void)
{
	m = prop_boot(PROP_KERNEL_MAP, 0);
	va = prop_alloc(&m, P(4));
	pg = PHYS_TO_VM_PAGE(leaf_at(va + P(1)) & PTE_FRAME);
	prop_events_start();
}

static void
finds(const char *what)
{
	struct prop_work w;
	const char *found = prop_events_find(&w);

	cr_assert_not_null(found, "nothing is found, not even: %s", what);
	cr_assert_not_null(strstr(found, what), "found: %s; not: %s", found, what);
}

static void
take_out(vaddr_t at)
{
	pte_swap(pmap_leaf(at), 0);
}

/* property 36 37 38: kernel_map */
BED_TEST(prop_oracle, finds_every_wrong_order)
{
	uint64_t leaf;

	scene();
	uvm_pagefree(pg);
	finds("is free and mapped");

	scene();
	take_out(va + P(1));
	uvm_pagefree(pg);
	finds("is free and may be in a TLB");

	scene();
	take_out(va + P(1));
	finds("1 translations are left");

	scene();
	take_out(va + P(1));
	tlb_invlpg(va + P(2));
	finds("for nothing");

	scene();
	take_out(va + P(1));
	tlb_flush_full();
	tlb_flush_full();
	finds("full flush for nothing");

	scene();
	take_out(va + P(1));
	vm_map_lock(kernel_map);
	vm_map_unlock(kernel_map);
	finds("unlocked with 1");

	scene();
	leaf = leaf_at(va + P(1));
	pte_swap(pmap_leaf(va + P(1)), leaf & ~PTE_W);
	finds("1 translations are left");

	scene();
	leaf = leaf_at(va + P(1));
	take_out(va + P(1));
	pte_set(pmap_leaf(va + P(1)), leaf_at(va + P(2)));
	finds("another frame while its old");

	scene();
	pte_set(pmap_leaf(va + P(1)), leaf_at(va + P(2)));
	finds("at once");

	scene();
	leaf = leaf_at(va + P(1));
	take_out(va + P(1));
	tlb_invlpg(va + P(1));
	uvm_pagefree(pg);
	pte_set(pmap_leaf(va + P(1)), leaf);
	finds("which is free");

	/* And nothing where all is in order. */
	scene();
	prop_free(&m, va, P(4));
	cr_assert_eq(prop_events_check("in order").freed, 4);
}
