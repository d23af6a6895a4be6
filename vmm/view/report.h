/* SPDX-License-Identifier: ISC */
/*
 * The failure message: what was expected and what is there, side by side, level by level, with the place
 * where they part and the level that took a right away.
 */
#ifndef VMM_VIEW_REPORT_H
#define VMM_VIEW_REPORT_H

#include "vmm/view/expect.h"

/* What the caller knows and the tables do not tell. Each is a text of one line, or NULL: left out. */
struct ladder_facts {
	const char *where;       /* file:line of the check */
	const char *op;          /* operation number, text, vCPU, seed */
	const char *owner_map;   /* owner of the address by the guest's map */
	const char *owner_model; /* and by the model */
	const char *writers;     /* who last stored to the entry */
	const char *frame;       /* who owns the frame, where else it is mapped */
	const char *replay;      /* command */
};

/* What is expected of one entry: the bits that matter, and what they should be. */
struct ladder_rung {
	uint64_t care, want;
	const char *bad; /* not NULL: whatever is expected, the entry is malformed, like this */
};

/*
 * An expectation about one page as rungs, by level (1..4), for the entries that a walk of it met. Returns the
 * first level, from the top, whose entry is not as it should be; 0: none of those read.
 */
int ladder_rungs(
    const struct pt_expect *, const struct walk *actual, struct ladder_rung rung[PT_LEVELS + 1]);
/* "P W NX pa=0x800000": what a rung wants; "any" if nothing. */
void ladder_rung_text(struct text *, const struct ladder_rung *, int level);
/* "<- W lost here": how the entry differs from it; nothing if it does not. */
void ladder_note_text(struct text *, const struct ladder_rung *, int level, uint64_t raw);

/* An expectation against the walk of one page of its range. Facts may be NULL. */
void ladder_expect(struct text *, const struct pt_expect *, const struct walk *actual,
    const struct ladder_facts *);

/* Two walks of the same address, such as before and after, or model and guest. A and D do not count. */
void ladder_walks(struct text *, const struct walk *expected, const struct walk *actual,
    const struct ladder_facts *);

/* "rw-- (W allowed by all; X taken at PT[3]; U taken at PML4[256])" */
void walk_rights_text(struct text *, const struct walk *);

/* How the walk ended, in words: "leaf 4k pa=0x812345", "not present at PT[3]", ... */
void walk_end_text(struct text *, const struct walk *);

#endif
