/* SPDX-License-Identifier: ISC */
/*
 * Address-space bookkeeping by itself, for counting instructions: uvm_map() and uvm_unmap() of
 * kernel_object ranges without a page, on the twin. Prints nothing but a check sum; count it with
 *
 *	valgrind --tool=callgrind --toggle-collect=measured twin_map W2 1000 100000
 *
 * once as it is and once with `-n` (the same loop, with empty functions), and divide the difference by
 * the number of pairs. bench/twin/count does that for all workloads.
 *
 *	W1	one allocation of 1 page and its free, in an empty map
 *	W6	the same with N fragmented live allocations present
 *	W2	N live allocations of 1..32 pages; each step frees a random one and allocates another
 *	W2L	the same with 1..256 pages
 *	W3	first in, first out: N live allocations of 1..32 pages
 *	W4	N live allocations of 1..16 pages, aligned to `align` pages; random replacement
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uvm/uvm_map.h"
#include "uvm/uvm_object.h"

#include "pmap.h"
#include "bench/twin/twin_map.h"

struct step {
	uint32_t slot;  /* which live allocation goes */
	uint32_t pages; /* of the one that takes its place */
};

struct live {
	vaddr_t va;
	vsize_t size;
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

/* Stand in for uvm_map() and uvm_unmap() to measure what the loop itself costs. */
static __attribute__((__noinline__)) int
empty_map(struct vm_map *m, vaddr_t *va, vsize_t size, struct uvm_object *uobj, voff_t offset,
    vsize_t align, unsigned flags)
{
	__asm__ volatile("" ::"r"(m), "r"(va), "r"(size), "r"(uobj), "r"(offset), "r"(align), "r"(flags));
	return 0;
}

static __attribute__((__noinline__)) void
empty_unmap(struct vm_map *m, vaddr_t start, vaddr_t end)
{
	__asm__ volatile("" ::"r"(m), "r"(start), "r"(end));
}

struct calls {
	__typeof__(uvm_map) *map;
	__typeof__(uvm_unmap) *unmap;
};

static void
replace(struct live *l, vsize_t size, vsize_t align, const struct calls *c)
{
	if (l->size != 0)
		c->unmap(&map, l->va, l->va + l->size);
	l->size = size;
	if (c->map(&map, &l->va, size, &uvm_kernel_object, UVM_UNKNOWN_OFFSET, align,
		UVM_MAPFLAG(PROT_READ | PROT_WRITE, PROT_MASK, MAP_INHERIT_NONE, MADV_RANDOM, 0)) != 0)
		exit(3);
}

void measured(struct live *, const struct step *, size_t n, vsize_t align, const struct calls *);

__attribute__((__noinline__)) void
measured(struct live *live, const struct step *step, size_t n, vsize_t align, const struct calls *c)
{
	for (size_t i = 0; i < n; i++)
		replace(&live[step[i].slot], (vsize_t)step[i].pages << PAGE_SHIFT, align, c);
}

int
main(int argc, char **argv)
{
	bool empty = argc > 1 && strcmp(argv[1], "-n") == 0;
	const char *work = argc > 1 + empty ? argv[1 + empty] : "W2";
	size_t n = argc > 2 + empty ? strtoul(argv[2 + empty], NULL, 0) : 1000;
	size_t steps = argc > 3 + empty ? strtoul(argv[3 + empty], NULL, 0) : 100000;
	vsize_t align = (argc > 4 + empty ? strtoul(argv[4 + empty], NULL, 0) : 1) << PAGE_SHIFT;
	uint32_t most = work[2] == 'L' ? 256 : work[1] == '4' ? 16 : 32;
	size_t slots = work[1] == '1' ? 1 : work[1] == '6' ? n + 1 : n;
	struct live *live = calloc(slots, sizeof(*live));
	struct step *step = calloc(steps, sizeof(*step));
	const struct calls real = { uvm_map, uvm_unmap }, none = { empty_map, empty_unmap };
	uint64_t sum = 0;

	twin_map_start();
	uvm_map_setup(&map, pmap_kernel(), VM_MIN_KERNEL_ADDRESS,
	    VM_MIN_KERNEL_ADDRESS + (UINT64_C(64) << 30), VM_MAP_PAGEABLE, UVM_ADDR_BESTFIT, "bench");

	for (size_t i = 0; i < slots && work[1] != '1'; i++) {
		replace(&live[i], (vsize_t)(1 + draw(most)) << PAGE_SHIFT, align, &real);
	}
	/* Age it: the loop below, four times over each slot. */
	for (size_t i = 0; i < 4 * slots && work[1] != '1'; i++) {
		struct live *l = &live[work[1] == '3' ? i % slots : draw((uint32_t)slots)];

		replace(l, (vsize_t)(1 + draw(most)) << PAGE_SHIFT, align, &real);
	}
	for (size_t i = 0; i < steps; i++) {
		switch (work[1]) {
		case '1':
			step[i] = (struct step){ 0, 1 };
			break;
		case '6':
			step[i] = (struct step){ (uint32_t)n, 1 };
			break;
		case '3':
			step[i] = (struct step){ (uint32_t)(i % slots), 1 + draw(most) };
			break;
		default:
			step[i] = (struct step){ draw((uint32_t)slots), 1 + draw(most) };
		}
	}
	if (work[1] == '6') {
		uvm_unmap(&map, live[n].va, live[n].va + live[n].size);
		live[n].size = 0;
	}
	measured(live, step, steps, align, empty ? &none : &real);
	for (size_t i = 0; i < slots; i++)
		sum += live[i].va;
	printf("%s %zu: %#llx, %u entries, %u nodes\n", work, n, (unsigned long long)sum, map.nentries,
	    map.addr.nnodes);
	free(live);
	free(step);
	return 0;
}
