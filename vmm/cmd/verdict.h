/* SPDX-License-Identifier: ISC */
/*
 * One program run under every witness: what it did, how it ended, and of a failure everything that explains it.
 */
#ifndef VMM_CMD_VERDICT_H
#define VMM_CMD_VERDICT_H

#include "vmm/cmd/session.h"

struct verdict {
	const char *file;
	bool passed;
	struct bed_err err;
	struct check_totals totals;
	struct bed_counters count;
	struct bed_stats stats;
	struct bed_boot boot;
	struct tlb_totals tlb;
	uint64_t hash;
	bool audited;
	struct logaudit_totals audit;
	unsigned operations;
	struct bed_config config; /* as the command line has it */
	char *report;             /* of a failure */
	json_t *finding;          /* NULL: none */
	char *bundle;             /* NULL: none was made */
};

/* How to run it. */
struct verdict_opts {
	const char
	    *file; /* what the command line called the trace; NULL: the program that is built in */
	struct session_opts session; /* its log, if any, is open for reading too */
	const char *bundle;          /* directory for a bundle of a failure; NULL: none is made */
};

void verdict_run(
    struct verdict *, const struct trace *, const struct bed_config *, const struct verdict_opts *);
void verdict_print(const struct verdict *);
json_t *verdict_json(const struct verdict *);
void verdict_free(struct verdict *);

#endif
