/* SPDX-License-Identifier: ISC */
/*
 * Random programs: what they are made of. An operation is 8 bytes, and every byte string is a program, so that
 * what searches for bugs can mutate bytes as it likes: a field that names too much is folded into range, a
 * rest of less than 8 bytes is ignored, an operation that makes no sense where it comes (the free of an
 * empty slot) does nothing. Operations name slots, not the k-th live object: removing one leaves the
 * meaning of the others.
 */
#ifndef VMM_EXPLORE_PROGRAM_H
#define VMM_EXPLORE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XOP_BYTES 8
#define XSLOTS    64 /* allocations */
#define XSUBMAPS  4
#define XPAGES    8 /* single pages, for pmap calls */

/* X(name, function in ops.c, what it does) */
#define XOPS(X)                                                                         \
	X(alloc, "uvm_km_alloc, _zalloc or _alloc1 into a slot")                        \
	X(valloc, "uvm_km_valloc, _align or _try")                                      \
	X(wait, "uvm_km_valloc_wait in a submap: may sleep")                            \
	X(kmem, "uvm_km_kmemalloc in kmem_map or a map with an object")                 \
	X(pla, "uvm_km_kmemalloc_pla with constraints")                                 \
	X(modes, "km_alloc in any modes")                                               \
	X(map, "uvm_map")                                                               \
	X(bad, "an allocation that must be refused")                                    \
	X(free, "free all of a slot")                                                   \
	X(part, "free a part: the rest stays in the slot, or goes to the next")         \
	X(touch, "one load or store, straddling two pages now and then")                \
	X(fill, "fill some pages, verify them")                                         \
	X(stray, "a load of freed memory, or an attempt to execute data")               \
	X(protect, "uvm_map_protect")                                                   \
	X(wire, "uvm_map_pageable, uvm_map_checkprot")                                  \
	X(fault, "uvm_fault")                                                           \
	X(page, "uvm_pagealloc, or uvm_pagefree of the page in the slot")               \
	X(enter, "pmap_kenter_pa of a page into an address-only slot, or pmap_kremove") \
	X(suballoc, "uvm_km_suballoc, or uvm_km_subfree if it is empty")                \
	X(tick, "virtual time")

enum xop_kind {
#define X(name, text) XOP_##name,
	XOPS(X)
#undef X
	    XOP_LIMIT
};

struct xop {
	uint8_t kind; /* enum xop_kind */
	uint8_t slot; /* below XSLOTS */
	uint8_t map;
	uint8_t flags;
	uint16_t size;
	uint16_t arg;
};

/* The operation in 8 bytes; total. */
struct xop xop_decode(const uint8_t bytes[XOP_BYTES]);

/* A mix of operations. */
struct xprofile {
	const char *name, *text;
	uint64_t ram, kva;  /* of the machine; 0: as it comes */
	bool guard;         /* guard pages */
	unsigned max_pages; /* largest ordinary allocation; 0: no mix, just bytes */
	uint8_t weight[XOP_LIMIT];
};
const struct xprofile *xprofile_find(const char *name); /* NULL: none of that name */
const struct xprofile *xprofile_at(unsigned i);         /* NULL: no more */

/* Program `index` of the sequence a seed means: n operations, 8 bytes each. */
void xprogram_make(
    uint8_t *bytes, size_t n, uint64_t seed, uint64_t index, const struct xprofile *);

#endif
