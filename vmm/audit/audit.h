/* SPDX-License-Identifier: ISC */
/*
 * The allocator's invariants, checked from outside on a guest that stands still. An audit reads the page
 * tables and the guest's own structures (maps, pages, free runs, the kernel object, counters, threads)
 * through the guest's own headers and puts each rule of the table to them. docs/invariants.md lists the
 * rules.
 *
 * Nothing in guest memory is believed: a pointer that leads nowhere, a list without an end, a number out
 * of range is a finding, with the address it was found at.
 */
#ifndef VMM_AUDIT_AUDIT_H
#define VMM_AUDIT_AUDIT_H

#include "vmm/bed/bed.h"
#include "vmm/kvm/hv.h"
#include "vmm/view/snapshot.h"

/* When a rule is checked. */
enum audit_kind {
	AUDIT_ALWAYS,  /* after every call */
	AUDIT_CONTENT, /* reads what free pages hold: on demand */
};

struct audit_rule {
	unsigned number; /* stays the same for ever; gaps are rules of other checkers */
	const char *id;
	const char *statement;
	enum audit_kind kind;
};

unsigned audit_rules(void);
const struct audit_rule *audit_rule(unsigned i);

struct audit_verdict {
	bool checked, broken;
	uint64_t ns;
	char text[400]; /* if broken: what, and at which address */
	bool has_va, has_pa;
	uint64_t va, pa; /* the page, the frame it is about */
};

/* What is audited. From a bed by audit_source(); a test may change it before the audit. */
struct audit_source {
	struct view view;
	const struct bed_bootinfo *boot; /* as the host made it, not as guest memory has it */
	enum bed_flavour flavour;
	struct bed_pointers pointers;
	bool has_regs;
	struct hv_regs regs;
	bool image_stacks; /* threads run on stacks of the image */
};
struct audit_source audit_source(const struct bed *);

struct audit;

/* Looks up what it needs of the guest's symbols. NULL: one is missing, or no memory. */
struct audit *audit_new(const struct bed *, struct bed_err *);
void audit_free(struct audit *); /* NULL is fine */

/*
 * Read everything and check all rules up to `kind`. The snapshot is of the same memory, as it is now, and
 * whole. False: out of memory. The verdicts are valid until the next run.
 */
bool audit_run(struct audit *, const struct audit_source *, const struct snapshot *,
    enum audit_kind kind, struct bed_err *);

/* Read everything and check nothing. What was read stays readable until the next run (audit_reading(), input.h). */
bool audit_look(
    struct audit *, const struct audit_source *, const struct snapshot *, struct bed_err *);

const struct audit_verdict *audit_verdict(const struct audit *, unsigned i);
/* The first rule that is broken, or NULL; *i is its place in the table. */
const struct audit_verdict *audit_broken(const struct audit *, unsigned *i);
/* The broken rule i as an error, with the page or frame it is about; false. */
bool audit_fail(const struct audit *, unsigned i, struct bed_err *);
uint64_t audit_read_ns(const struct audit *); /* time for reading, before any rule */

#endif
