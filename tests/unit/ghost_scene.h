/* SPDX-License-Identifier: ISC */
/*
 * A world for the specification, made by hand: one map, some free pages, tables; no machine.
 */
#ifndef TESTS_UNIT_GHOST_SCENE_H
#define TESTS_UNIT_GHOST_SCENE_H

#include "shared/layout.h"
#include "shared/paging.h"
#include "vmm/ghost/ghost.h"

#define PAGE    BED_PAGE_SIZE
#define VA(n)   (BED_KVA_BASE + (n)*PAGE)
#define PAGES   1024  /* of kernel_map */
#define FRAME   0x800 /* the first free one */
#define NFRAMES 256

struct ghost_scene {
	struct ghost_world world;
	struct ghost_memory memory;
	struct ghost_state before, now, seen;
	struct ghost_sleep sleep;
	bool resumed; /* the call was asleep before */
	struct ghost_call call;
	struct ghost_step step;
};

/* kernel_map of PAGES pages, pageable, best fit; NFRAMES free frames; tables for all of it. */
void ghost_scene_up(struct ghost_scene *);
void ghost_scene_down(struct ghost_scene *);

/* [n, n + pages) of kernel_map is in use, plain and bare; in all states. */
void ghost_scene_use(struct ghost_scene *, uint64_t n, uint64_t pages);
/* ... with pages of kernel_object behind it, from that frame on. */
void ghost_scene_back(struct ghost_scene *, uint64_t n, uint64_t pages, uint64_t frame);

/* What is seen after a call of an allocator that did right: [n, n + pages) with frames from `frame` on. */
void ghost_scene_sees(struct ghost_scene *, uint64_t n, uint64_t pages, uint64_t frame);

/* Put the call to the specification; then, if it has nothing against it, compare. */
enum ghost_verdict ghost_scene_apply(struct ghost_scene *);

#define CALL(s, name, result, ...)                                                      \
	((s)->call =                                                                    \
		(struct ghost_call){                                                    \
		    .id = BED_CALL_##name, .arg = { __VA_ARGS__ }, .value = (result) }, \
	    ghost_scene_apply(s))

#endif
