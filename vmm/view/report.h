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
