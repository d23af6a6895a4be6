/* SPDX-License-Identifier: ISC */
/*
 * The walk of one virtual address, as the processor does it, with everything it met on the way. Nothing
 * is cached and nothing is kept: two walks read memory twice.
 */
#ifndef VMM_VIEW_WALK_H
#define VMM_VIEW_WALK_H

#include "vmm/view/pte.h"
#include "vmm/view/view.h"

/* Why a walk ended. The same names tell what is wrong with an entry found by the iterator. */
enum walk_stop {
	WALK_LEAF,         /* a leaf: the address is mapped */
	WALK_NOT_PRESENT,  /* an entry with P clear */
	WALK_RESERVED,     /* a present entry with a reserved bit set; bits in .bad */
	WALK_PS_L4,        /* PS in the PML4 */
	WALK_OUTSIDE,      /* the next table (.table) is not wholly inside the view's memory */
	WALK_NONCANONICAL, /* the address itself; nothing was read */
	WALK_LOOP,         /* the next table (.table) is one the walk went through already */
	WALK_NSTOPS
};

struct walk_step {
	gpa_t entry; /* where the entry lies */
	uint64_t raw;
	uint16_t index; /* in its table */
	uint8_t level;  /* 4..1 */
};

struct walk {
	gva_t va;
	enum walk_stop stop;
	/* Level of the entry that ended the walk; for WALK_OUTSIDE and WALK_LOOP of the table that was not
	 * entered; 0 for WALK_NONCANONICAL. */
	int level;
	unsigned nsteps;                  /* entries read */
	struct walk_step step[PT_LEVELS]; /* step[0] is in the PML4 */
	gpa_t pa;                         /* WALK_LEAF: what va translates to, offset included */
	uint64_t size;                    /* WALK_LEAF: bytes of the page */
	/* WALK_LEAF: of the leaf. Otherwise only .rights: what the levels passed would let through. */
	struct view_attr attr;
	/* Level (4..1) of the first entry that denies the right, 0 if none does. */
	uint8_t w_lost, x_lost, u_lost;
	uint8_t
	    looped; /* view_walk_through() only: level at which an ancestor was entered again, or 0 */
	uint64_t bad; /* WALK_RESERVED, WALK_PS_L4: the offending bits */
	gpa_t table;  /* WALK_OUTSIDE, WALK_LOOP */
};

/* Walk va. A table met again on the way down ends the walk (WALK_LOOP): in a tree built by the bed's own
 * guest that is a defect. */
struct walk view_walk(const struct view *, gva_t va);

/* The same, but go through a table met again, as a processor does: for kernels that map their page tables
 * through a recursive slot, and for comparing with KVM_TRANSLATE. Never returns WALK_LOOP. */
struct walk view_walk_through(const struct view *, gva_t va);

const char *walk_stop_name(enum walk_stop); /* "leaf", "not present", "reserved bit set", ... */

static inline bool
walk_mapped(const struct walk *walk)
{
	return walk->stop == WALK_LEAF;
}

#endif
