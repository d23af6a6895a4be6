/* SPDX-License-Identifier: ISC */
/*
 * A finding with everything around it: which operation, how the page should be and how it is, level by level,
 * who owns it, who stored to the entry that differs, what is still owed for it, where else its frame is mapped,
 * and the command that does it again. Made once, at the failure, from a bed that stands still; then shown as
 * text for a person (finding_print()) or JSON for a program (finding_json(), docs/reports.md).
 *
 * The error names its witness and its page or frame (bed_fail_by(), bed_fail_at(), bed_fail_frame());
 * everything else is looked up here. Nothing in guest memory is believed.
 */
#ifndef VMM_FINDING_FINDING_H
#define VMM_FINDING_FINDING_H

#include <jansson.h>
#include <stdio.h>

#include "vmm/audit/owner.h"
#include "vmm/bed/symbols.h"
#include "vmm/check/check.h"
#include "vmm/finding/recorder.h"
#include "vmm/tlbsan/bed.h"
#include "vmm/view/report.h"

/* Who owns an address by a model of the guest's maps: one line to buf; false: the model knows nothing of it. */
typedef bool finding_model_fn(void *arg, gva_t, char *buf, size_t size);

/* What the caller knows. All but bed and err may be missing. */
struct finding_source {
	struct bed *bed;
	const struct bed_err *err;
	const struct check *check;
	struct tlbsan *tlb;
	const struct recorder *recorder;
	finding_model_fn *model;
	void *model_arg;
	/* The operation that failed. */
	const char *file, *text; /* NULL: not known */
	unsigned line, operation;
	/* What the operation itself expected, if it did. */
	const struct pt_expect *expect;
	const char *replay; /* command */
};

#define FINDING_OPEN   4
#define FINDING_ALIAS  4
#define FINDING_LEVELS (PT_LEVELS + 1)

struct finding {
	struct symbols *symbols;
	const char *witness;
	char *message; /* of the witness */
	char *file, *text, *replay;
	unsigned line, operation;

	bool has_va;
	struct walk walk;        /* of va, as it is */
	const char *expected_by; /* NULL: how it should be is not known */
	struct pt_expect expect;
	struct ladder_rung rung[FINDING_LEVELS];
	int differs; /* level of the first entry that is not as expected; 0: none */
	struct audit_place place;
	bool has_place;
	char model[160]; /* owner by the model; "": not known */

	/* The entry that differs, or else the last one of the walk. */
	bool has_entry;
	gpa_t entry;
	int entry_level;
	uint64_t now;
	struct recorder_write write[RECORDER_WRITES]; /* the latest first */
	unsigned nwrite;
	bool logged;   /* there is a log to look for writers in */
	bool unlogged; /* it is not what the last logged store left (A and D aside) */

	struct tlb_open open[FINDING_OPEN];
	size_t nopen;

	bool has_frame;
	gpa_t frame;
	struct audit_frame_owner owner;
	bool has_owner;
	gva_t alias[FINDING_ALIAS]; /* where else in kernel_map and image the frame is mapped */
	unsigned nalias;            /* in all; may be more than are kept */
	struct recorder_event last; /* when it was allocated or freed last */
	bool has_last;
};

/* Never fails: what cannot be found out is left out. */
void finding_make(struct finding *, const struct finding_source *);
void finding_free(struct finding *);

/* The report, a line each thing, the first without indent. */
void finding_print(FILE *, const struct finding *);
/* One object of schema "uvmbed-finding-1"; NULL: out of memory. */
json_t *finding_json(const struct finding *);

/* A text with a name and line behind each "pc 0x..." in it. */
void finding_print_text(FILE *, struct symbols *, const char *indent, const char *text);

#endif
