/* SPDX-License-Identifier: ISC */
/*
 * The allocator's main path, for counting instructions natively: the twin without sanitizers, so the very
 * sources of the guest. Prints a check sum only; bench/twin/count runs it under callgrind, once as it is
 * and once with -n, which does the same loop with empty functions, and divides the difference.
 *
 * Address space alone, uvm_map() and uvm_unmap() of kernel_object ranges without a page in an otherwise
 * empty map:
 *	W1	one allocation of 1 page and its free
 *	W6	the same with N fragmented live allocations present
 *	W2	N live allocations of 1..32 pages; each step frees a random one and makes another
 *	W2L	the same with 1..256 pages
 *	W3	first in, first out: N live allocations of 1..32 pages
 *	W4	N live allocations of 1..16 pages at multiples of `align` pages; random replacement
 * With pages, object and page tables, uvm_km_alloc() and uvm_km_free() in kernel_map:
 *	K	one allocation of `align` pages and its free, with N single pages live
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest/pmap.h"
#include "guest/twin/twin.h"
#include "guest/uvm/uvm_map.h"
#include "guest/uvm/uvm_object.h"

#define GIB (UINT64_C(1) << 30)

/* The calls under measurement, or functions that do nothing in their place. */
struct calls {
	__typeof__(uvm_map) *map;
	__typeof__(uvm_unmap) *unmap;
	__typeof__(uvm_km_alloc1) *km_alloc;
	__typeof__(uvm_km_free) *km_free;
};

struct live {
	vaddr_t va;
	vsize_t size;
};

struct step {
	uint32_t slot;  /* which live allocation goes */
	uint32_t pages; /* of the one that takes its place */
};

struct work {
	char kind;     /* the digit of W1..W6, or K */
	uint32_t most; /* pages of an allocation */
	vsize_t align;
	size_t slots, nsteps;
	struct live *live;
	struct step *step;
};

static uint64_t seed = 88172645463325252;
static struct vm_map map;

static uint32_t
draw(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 32) % n);
}

static __noinline int
no_map(struct vm_map *m, vaddr_t *va, vsize_t size, struct uvm_object *uobj, voff_t offset,
    vsize_t align, unsigned flags)
{
	__asm__ volatile(
	    "" ::"r"(m), "r"(va), "r"(size), "r"(uobj), "r"(offset), "r"(align), "r"(flags));
	return 0;
}

static __noinline void
no_unmap(struct vm_map *m, vaddr_t start, vaddr_t end)
{
	__asm__ volatile("" ::"r"(m), "r"(start), "r"(end));
}

static __noinline vaddr_t
no_km_alloc(struct vm_map *m, vsize_t size, vsize_t align, boolean_t zeroit)
{
	__asm__ volatile("" ::"r"(m), "r"(size), "r"(align), "r"(zeroit));
	return 1;
}

static const struct calls real = { uvm_map, uvm_unmap, uvm_km_alloc1, uvm_km_free };
static const struct calls none = { no_map, no_unmap, no_km_alloc, no_unmap };

static inline void
replace(struct live *l, vsize_t size, vsize_t align, const struct calls *c)
{
	if (l->size != 0)
		c->unmap(&map, l->va, l->va + l->size);
	l->size = size;
	if (c->map(&map, &l->va, size, &uvm_kernel_object, UVM_UNKNOWN_OFFSET, align,
		UVM_MAPFLAG(PROT_READ | PROT_WRITE, PROT_MASK, MAP_INHERIT_NONE, MADV_RANDOM, 0)) !=
	    0)
		exit(3);
}

/* What callgrind counts: --toggle-collect=measured. */
void measured(const struct work *, const struct calls *);

__noinline void
measured(const struct work *w, const struct calls *c)
{
	const struct step *step = w->step;

	for (size_t i = w->nsteps; i != 0; i--, step++) {
		if (w->kind != 'K') {
			replace(
			    &w->live[step->slot], (vsize_t)step->pages << PAGE_SHIFT, w->align, c);
		} else {
			vaddr_t va = c->km_alloc(kernel_map, w->align, 0, FALSE);

			if (va == 0)
				exit(3);
			c->km_free(kernel_map, va, w->align);
		}
	}
}

static void
plan_steps(struct work *w)
{
	for (size_t i = 0; i < w->nsteps; i++) {
		struct step *s = &w->step[i];

		switch (w->kind) {
		case '1':
		case '6':
			*s = (struct step){ (uint32_t)w->slots - 1, 1 };
			break;
		case '3':
			*s = (struct step){ (uint32_t)(i % w->slots), 1 + draw(w->most) };
			break;
		default:
			*s = (struct step){ draw((uint32_t)w->slots), 1 + draw(w->most) };
		}
	}
}

/* Fill the map, and age it: random replacement, or in turn, four times over each slot. */
static void
age(struct work *w)
{
	for (size_t i = 0; i < w->slots; i++)
		replace(&w->live[i], (vsize_t)(1 + draw(w->most)) << PAGE_SHIFT, w->align, &real);
	for (size_t i = 0; i < 4 * w->slots; i++)
		replace(&w->live[w->kind == '3' ? i % w->slots : draw((uint32_t)w->slots)],
		    (vsize_t)(1 + draw(w->most)) << PAGE_SHIFT, w->align, &real);
}

static void
start(struct work *w, size_t n)
{
	struct twin_config config = { .ram = GIB / 2, .kva = 64 * GIB };

	twin_boot_config(&config);
	uvm_map_setup(&map, pmap_kernel(), vm_map_min(kernel_map), vm_map_max(kernel_map),
	    VM_MAP_PAGEABLE, UVM_ADDR_BESTFIT, "bench");
	if (w->kind == 'K') {
		for (size_t i = 0; i < n; i++) {
			if (uvm_km_alloc(kernel_map, PAGE_SIZE) == 0)
				exit(3);
		}
		return;
	}
	/* No page of it is touched: no need for tables. */
	uvm_maxkaddr = vm_map_max(&map);
	if (w->kind != '1')
		age(w);
}

int
main(int argc, char **argv)
{
	bool empty = argc > 1 && strcmp(argv[1], "-n") == 0;
	struct work w = { .align = PAGE_SIZE, .most = 32 };
	uint64_t sum = 0;
	size_t n;

	argv += empty;
	argc -= empty;
	if (argc < 4) {
		fprintf(stderr, "usage: twin_map [-n] W1|W2|W2L|W3|W4|W6|K live steps [pages]\n");
		return 2;
	}
	w.kind = argv[1][0] == 'K' ? 'K' : argv[1][1];
	n = strtoul(argv[2], NULL, 0);
	w.nsteps = strtoul(argv[3], NULL, 0);
	if (argc > 4)
		w.align = strtoul(argv[4], NULL, 0) << PAGE_SHIFT;
	if (w.kind == '4')
		w.most = 16;
	else if (argv[1][0] == 'W' && argv[1][2] == 'L')
		w.most = 256;
	w.slots = w.kind == '1' || w.kind == 'K' ? 1 : w.kind == '6' ? n + 1 : n;
	w.live = calloc(w.slots, sizeof(*w.live));
	w.step = calloc(w.nsteps, sizeof(*w.step));

	start(&w, n);
	plan_steps(&w);
	measured(&w, empty ? &none : &real);
	for (size_t i = 0; i < w.slots; i++)
		sum += w.live[i].va;
	printf("%s %zu: sum 0x%lx, %u entries, %u index nodes\n", argv[1], n, sum, map.nentries,
	    map.addr.nnodes);
	free(w.live);
	free(w.step);
	return 0;
}
