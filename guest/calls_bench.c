/* SPDX-License-Identifier: ISC */
/*
 * Floors for the benchmarks: what the machine itself costs, without an allocator.
 */
#include <machine/assert.h>
#include "guest/calls.h"
#include "guest/exit.h"
#include "guest/mmu.h"
#include "pmap.h"

uint64_t
call_nop_exits(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	for (uint64_t i = 0; i < arg[0]; i++)
		bed_exit(BED_EXIT_NOP);
	return 0;
}

/* One table's worth: store every entry, touch every page, clear every entry, invalidate each page. */
static void
floor_run(pt_entry_t *pte, vaddr_t va, uint64_t n, pt_entry_t leaf)
{
	for (uint64_t i = 0; i < n; i++)
		pte_set(&pte[i], leaf);
	for (uint64_t i = 0; i < n; i++)
		*(volatile uint64_t *)(va + i * PAGE_SIZE) = i;
	for (uint64_t i = 0; i < n; i++)
		pte_swap(&pte[i], 0);
	for (uint64_t i = 0; i < n; i++)
		tlb_invlpg(va + i * PAGE_SIZE);
	COUNT(pte_set, n);
	COUNT(pte_clear, n);
}

/*
 * The least that mapping, using and unmapping n pages can be, for comparison with the allocator in the
 * same run: all pages are one frame of the image, and the caller names addresses that nobody uses. The
 * tables are made first and stay; each is found once, then used for all rounds.
 */
uint64_t
call_floor(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	static uint8_t frame[PAGE_SIZE] __attribute__((__aligned__(PAGE_SIZE)));
	const pt_entry_t leaf =
	    ((uint64_t)frame - BED_IMAGE_BASE) | PTE_P | PTE_W | PTE_A | PTE_D | PTE_G | PTE_NX;
	vaddr_t start = trunc_page(arg[0]), end = start + arg[1] * PAGE_SIZE;

	if (end < start || pmap_growkernel(end) < end)
		panic("floor: no page tables for 0x%lx-0x%lx", start, end);
	for (vaddr_t va = start; va != end;) {
		uint64_t left = (end - va) / PAGE_SIZE, in_table = PT_ENTRIES - pt_index(va, 1);
		uint64_t n = left < in_table ? left : in_table;
		pt_entry_t *pte = mmu_leaf(va);

		for (uint64_t round = 0; round < arg[2]; round++)
			floor_run(pte, va, n, leaf);
		va += n * PAGE_SIZE;
	}
	return 0;
}
