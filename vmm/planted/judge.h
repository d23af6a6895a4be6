/* SPDX-License-Identifier: ISC */
/*
 * Putting a trace to a guest with a planted bug, and to a sound one, with every check on and none of them
 * ending the run: who sees what, and when.
 */
#ifndef VMM_PLANTED_JUDGE_H
#define VMM_PLANTED_JUDGE_H

#include "vmm/bed/bed.h"
#include "vmm/bed/planted.h"
#include "vmm/planted/checks.h"
#include "vmm/trace/trace.h"

/* What all checks said of one run. */
struct sightings {
	unsigned operations; /* run */
	unsigned at
	    [CHECKS_MAX]; /* by check: the first operation at which it disagreed, from 1; 0: none */
	unsigned first;   /* the first operation at which any did; 0: none */
	char text[1000];  /* the first finding of all */
};

/*
 * Run the trace with this bug (PLANTED_NONE: a sound guest). False: nothing can be said (this host cannot,
 * the trace does not fit the machine); a guest that dies is a sighting.
 */
bool sightings_of(const struct trace *, const struct bed_config *, unsigned bug, struct sightings *,
    struct bed_err *);

enum planted_verdict {
	PLANTED_KILLED,     /* by all checks that the bug names, one of them first */
	PLANTED_SURVIVED,   /* nobody saw anything */
	PLANTED_BY_OTHERS,  /* somebody saw it first whom the bug does not name */
	PLANTED_MISSED,     /* a check that the bug names did not see it */
	PLANTED_LATE,       /* the trace is longer than PLANTED_OPERATIONS */
	PLANTED_BAD_TRACE,  /* the sound guest does not pass it */
	PLANTED_UNKNOWN,    /* the bug names a check that does not exist */
	PLANTED_NOT_JUDGED, /* err says why */
};

/* Operations of a bug's own trace, at most. */
#define PLANTED_OPERATIONS 40

struct planted_result {
	const struct planted *bug;
	enum planted_verdict verdict;
	struct sightings seen;
	bool named[CHECKS_MAX]; /* checks of bug->killers */
	char why[1600];         /* one line or more if not PLANTED_KILLED */
};

/* The bug against its trace, `file`. */
void planted_judge(
    const struct planted *, const char *file, const struct bed_config *, struct planted_result *);

#endif
