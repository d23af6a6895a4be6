/* SPDX-License-Identifier: ISC */
/*
 * Random programs over every call and every map: honest ones mostly, and wrong frees where they are tolerated.
 * What is alive is remembered in slots, so that frees, touches and changes of rights hit something.
 */
#ifndef TESTS_BED_GHOST_GEN_H
#define TESTS_BED_GHOST_GEN_H

#include "tests/bed/fixture.h"
#include "vmm/check/check.h"

#define GEN_SLOTS 64

/* How something came to be, which is how it must be given back. */
enum gen_kind {
	GEN_NOTHING,
	GEN_MEMORY, /* uvm_km_free() of its map */
	GEN_BARE,   /* addresses with no object: leaves may be put in by hand */
	GEN_KM,     /* km_free() with its modes */
	GEN_SUBMAP,
	GEN_PAGE, /* uvm_pagefree() */
};

struct gen_slot {
	enum gen_kind kind;
	uint64_t map, va, size;
	uint64_t kv, kp; /* GEN_KM */
	uint64_t handle; /* GEN_SUBMAP */
	bool touchable;  /* a load or store there is no panic */
	bool
	    hand; /* GEN_BARE: a page of slot `page` is mapped at its start; GEN_PAGE: it is mapped */
	size_t page;
};

/* One call, as it will be made. */
struct gen_call {
	enum bed_call_id id;
	unsigned nargs;
	uint64_t arg[BED_ARGS_MAX];
	struct gen_slot makes; /* what success makes of it, but for its address */
	size_t slot;           /* that is made, or changed */
};

struct gen {
	struct rng rng;
	struct gen_slot slot[GEN_SLOTS];
	bool misuse; /* wrong frees, too */
	uint64_t kva_size;
};

/* The next call. */
struct gen_call gen_next(struct gen *);
/* One that gives something back, as long as there is anything: others are asleep for want of it. */
bool gen_give(struct gen *, struct gen_call *);
/* It has come back with this. */
void gen_done(struct gen *, const struct gen_call *, const struct bed_result *);

#endif
