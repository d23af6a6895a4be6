/* SPDX-License-Identifier: ISC */
/*
 * Running random programs and finding out what is wrong. Each program runs in a machine as after boot; what
 * it does is written down as a trace (docs/trace-format.md), so that a finding is a trace from the
 * beginning.
 */
#ifndef VMM_EXPLORE_EXPLORE_H
#define VMM_EXPLORE_EXPLORE_H

#include "vmm/bed/bed.h"
#include "vmm/explore/program.h"

/* How much is looked at. */
enum xchecks {
	XCHECK_NONE,       /* deaths alone */
	XCHECK_INVARIANTS, /* and the invariants, every so many operations */
	XCHECK_CALLS,      /* and all of check_call() and the TLB sanitizer, each operation */
};

struct xlab; /* a machine, and all that is needed to run one program after the other in it */

struct xlab_config {
	struct bed_config bed;
	enum xchecks checks;
	unsigned every; /* XCHECK_INVARIANTS */
	bool record;    /* write the trace; costs about a microsecond an operation */
};

struct xlab *xlab_new(const struct xlab_config *, struct bed_err *);
void xlab_free(struct xlab *); /* NULL is fine */

/* What one program did. */
struct xresult {
	uint64_t ops;   /* operations of the program that were run */
	uint64_t calls; /* calls they made */
	uint64_t hash;  /* of everything, XCHECK_CALLS only: check_hash() */
	const char *
	    trace; /* if recorded: text, up to and with the call that went wrong; until the next run */
	size_t trace_len;
};

/* Run a program from the beginning. False: err is the finding, or why it could not be run. */
bool xlab_run(struct xlab *, const uint8_t *bytes, size_t len, struct xresult *, struct bed_err *);

/*
 * The same finding in the same words, whatever the numbers in it: "guest panic: assertion ...". Two runs
 * found the same if their keys are equal. size: 128 is enough.
 */
void finding_key(char *key, size_t size, const struct bed_err *);

#endif
