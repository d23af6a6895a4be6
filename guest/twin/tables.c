/* SPDX-License-Identifier: ISC */
/*
 * The twin's first page tables, in the same pages of the pool in which the VMM makes the guest's: root,
 * an empty level-3 table for kernel_map, the direct map, the image.
 */
#include <machine/mmu.h>

#include "guest/twin/priv.h"
#include "guest/twin/twin.h"

#define TABLE (PTE_P | PTE_W | PTE_A)
#define DATA  (PTE_P | PTE_A | PTE_G | PTE_W | PTE_D | PTE_NX)

static pt_entry_t *
new_table(struct bed_bootinfo *b, paddr_t *pa)
{
	if (b->ptpool_next == b->ptpool_end)
		twin_die("twin: the page-table pool is too small for the first tables");
	*pa = b->ptpool_next;
	b->ptpool_next += PAGE_SIZE;
	return PMAP_DIRECT_MAP(*pa);
}

/* The entry for va at `level`; tables above it are made as needed. */
static pt_entry_t *
entry_at(struct bed_bootinfo *b, vaddr_t va, int level)
{
	pt_entry_t *table = PMAP_DIRECT_MAP(b->root);

	for (int l = PT_LEVELS; l > level; l--) {
		pt_entry_t *entry = &table[pt_index(va, l)];
		paddr_t pa = *entry & PTE_FRAME;

		table = PMAP_DIRECT_MAP(pa);
		if (*entry == 0) {
			table = new_table(b, &pa);
			*entry = pa | TABLE;
		}
	}
	return &table[pt_index(va, level)];
}

void
twin_tables(struct bed_bootinfo *b)
{
	b->ptpool_next = b->ptpool_start;
	new_table(b, &b->root);
	entry_at(b, BED_KVA_BASE, 3);
	for (unsigned i = 0; i < 2; i++) {
		for (paddr_t pa = b->ram[i].start; pa < b->ram[i].end; pa += pt_span(2))
			*entry_at(b, BED_DIRECT_BASE + pa, 2) = pa | DATA | PTE_PS;
	}
	/* The image's rights do not matter here: its code is this process. */
	for (paddr_t pa = b->image_start; pa < b->image_end; pa += PAGE_SIZE)
		*entry_at(b, BED_IMAGE_BASE + pa, 1) = pa | DATA;
}
