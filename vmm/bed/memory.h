/* SPDX-License-Identifier: ISC */
/*
 * Guest RAM: one memfd, mapped once; where in it the image, the page-table pool and the memory for the
 * allocator lie; and the first page tables, made in it.
 */
#ifndef VMM_BED_MEMORY_H
#define VMM_BED_MEMORY_H

#include "shared/bootinfo.h"
#include "vmm/bed/image.h"
#include "vmm/error.h"
#include "vmm/kvm/hv.h"
#include "vmm/view/view.h"

struct bed_config;

struct memory {
	int fd; /* -1: none */
	uint8_t *base;
	uint64_t bytes;
	uint64_t low_end,
	    high_end; /* RAM is [0, low_end) and, if high_end, [BED_HOLE_END, high_end) */
	uint64_t pool_start, pool_end, pool_next;
	uint64_t prog; /* programs of all vCPUs but the first, BED_PROG_BYTES each */
};

/* Reserve and seal the memory; nothing of it is touched. */
bool memory_create(struct memory *, uint64_t bytes, bool overcommit, struct bed_err *);
void memory_destroy(struct memory *);

/* Host address of a guest physical range that is known to be RAM. */
void *memory_at(const struct memory *, uint64_t gpa);
/* As segments of a view; the number of them. */
unsigned memory_segs(const struct memory *, struct view_seg seg[2]);

/* Where the program of a vCPU is put. */
uint64_t memory_prog(const struct memory *, unsigned cpu);

/* Decide where the pool and the allocator's segments lie; fills the parts of bootinfo that say so. */
bool memory_plan(struct memory *, const struct bed_config *, const struct image *,
    struct bed_bootinfo *, struct bed_err *);
/* How it is handed to the machine: low memory with the image, the pool, the rest, each a slot. */
enum {
	MEMORY_SLOT_LOW,
	MEMORY_SLOT_POOL,
	MEMORY_SLOT_REST,
	MEMORY_SLOT_HIGH, /* above the hole; there only if RAM reaches it */
	MEMORY_SLOTS,
};
struct memory_slot {
	uint64_t gpa, len, offset; /* offset in the memfd */
};
/* Fills slot[]; the number of slots. */
unsigned memory_slots(const struct memory *, struct memory_slot slot[MEMORY_SLOTS]);
bool memory_attach(const struct memory *, struct hv_vm *, unsigned flags, struct bed_err *);

/* A part of the RAM becomes the pages of a file, copied when written to. Before memory_attach(). */
bool memory_overlay(const struct memory *, uint64_t offset, uint64_t len, int fd, uint64_t at);

/* Copy the image's segments to where they run. */
void memory_load(const struct memory *, const struct image *);

/* tables.c: image, direct map and the empty top of kernel_map. Returns the root's address. */
bool tables_build(struct memory *, const struct image *, const struct hv_features *, uint64_t *root,
    struct bed_err *);

#endif
