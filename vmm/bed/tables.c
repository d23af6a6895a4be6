/* SPDX-License-Identifier: ISC */
/*
 * The guest's first page tables, made by the host in the page-table pool: the image with the rights of
 * its segments, the direct map of all RAM, and an empty level-3 table for kernel_map, whose pages the
 * guest enters itself. Upper levels allow everything, the leaves decide. Accessed and dirty are set
 * beforehand: the CPU never needs to write an entry of ours.
 */
#include "vmm/bed/memory.h"

#include "shared/layout.h"
#include "shared/paging.h"

#include <string.h>

#define TABLE (PTE_P | PTE_W | PTE_A)
#define LEAF  (PTE_P | PTE_A | PTE_G)
#define DATA  (LEAF | PTE_W | PTE_D | PTE_NX)

struct maker {
	struct memory *m;
	uint64_t root;
	bool full; /* the pool ran out */
};

static uint64_t *
table_new(struct maker *mk, uint64_t *pa)
{
	if (mk->m->pool_next + BED_PAGE_SIZE > mk->m->pool_end) {
		mk->full = true;
		return NULL;
	}
	*pa = mk->m->pool_next;
	mk->m->pool_next += BED_PAGE_SIZE;
	return memory_at(mk->m, *pa); /* fresh memory is zero */
}

/* The entry for va in its table at `level`; tables above are made as needed. NULL: pool empty. */
static uint64_t *
entry_at(struct maker *mk, uint64_t va, int level)
{
	uint64_t *table = memory_at(mk->m, mk->root), *entry, pa;

	for (int l = PT_LEVELS; l > level; l--) {
		entry = &table[pt_index(va, l)];
		if (*entry == 0) {
			table = table_new(mk, &pa);
			if (table == NULL)
				return NULL;
			*entry = pa | TABLE;
		} else {
			table = memory_at(mk->m, *entry & PTE_FRAME);
		}
	}
	return &table[pt_index(va, level)];
}

/* n bytes at va to pa with leaves at `level`; both multiples of its span. */
static void
map_range(struct maker *mk, uint64_t va, uint64_t pa, uint64_t n, int level, uint64_t bits)
{
	uint64_t span = pt_span(level), *entry = NULL;

	if (level > 1)
		bits |= PTE_PS;
	for (uint64_t done = 0; done < n; done += span) {
		if (entry == NULL || pt_index(va + done, level) == 0)
			entry = entry_at(mk, va + done, level);
		else
			entry++;
		if (entry == NULL)
			return;
		*entry = (pa + done) | bits;
	}
}

static void
map_direct(struct maker *mk, uint64_t start, uint64_t end, bool pages_1g)
{
	uint64_t n, giant = pt_span(3);

	for (uint64_t pa = start; pa < end; pa += n) {
		if (pages_1g && pa % giant == 0 && end - pa >= giant) {
			n = (end - pa) & ~(giant - 1);
			map_range(mk, BED_DIRECT_BASE + pa, pa, n, 3, DATA);
		} else {
			n = giant - pa % giant < end - pa ? giant - pa % giant : end - pa;
			map_range(mk, BED_DIRECT_BASE + pa, pa, n, 2, DATA);
		}
	}
}

static uint64_t
segment_bits(const struct image_seg *s)
{
	if (s->exec)
		return LEAF;
	return s->write ? DATA : LEAF | PTE_NX;
}

bool
tables_build(struct memory *m, const struct image *im, const struct hv_features *feat,
    uint64_t *root, struct bed_err *err)
{
	struct maker mk = { .m = m };

	if (table_new(&mk, &mk.root) != NULL) {
		entry_at(&mk, BED_KVA_BASE, 3); /* makes the level-3 table, no more */
		map_direct(&mk, 0, m->low_end, feat->pages_1g);
		if (m->high_end != 0)
			map_direct(&mk, BED_HOLE_END, m->high_end, feat->pages_1g);
		for (unsigned i = 0; i < im->nseg; i++) {
			const struct image_seg *s = &im->seg[i];

			map_range(&mk, s->va, s->pa, (s->memsz + BED_PAGE_MASK) & ~BED_PAGE_MASK, 1,
			    segment_bits(s));
		}
	}
	*root = mk.root;
	if (!mk.full)
		return true;
	return bed_fail(err, BED_E_USAGE,
	    "%lu KiB of page-table pool do not hold the tables the VMM makes itself: a larger pool",
	    (m->pool_end - m->pool_start) / 1024);
}
