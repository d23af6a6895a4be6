/* SPDX-License-Identifier: ISC */
/*
 * Running a trace in a bed with every check on.
 */
#ifndef VMM_TRACE_REPLAY_H
#define VMM_TRACE_REPLAY_H

#include "vmm/check/check.h"
#include "vmm/trace/trace.h"

/* What the settings of a trace say about the machine, laid over cfg. False: a value is out of range. */
bool trace_config(const struct trace *, struct bed_config *cfg, struct bed_err *err);

/* Called after each line that did something; may be NULL. False, with err, makes that line fail. */
typedef bool replay_step_fn(void *arg, const struct trace_line *, struct bed_err *);

/*
 * Run all lines in order. False at the first line that fails; the text names file and line. A call that
 * is still asleep when its result is needed is a failure, one still asleep at the end is not.
 */
bool trace_replay(const struct trace *, struct bed *, struct check *, replay_step_fn *, void *arg,
    struct bed_err *);

/* The same, and where it failed. Operations are the lines that call or expect, counted from 1. */
struct replay_failure {
	const struct trace_line *line;
	unsigned operation;
	struct pt_expect
	    expect; /* of a line that expects a mapping: what, of the first page that is not so; */
	bool has_expect; /* else nothing */
};
bool trace_replay_to(const struct trace *, struct bed *, struct check *, replay_step_fn *,
    void *arg, struct replay_failure *, struct bed_err *);

#endif
