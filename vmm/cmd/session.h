/* SPDX-License-Identifier: ISC */
/*
 * A trace run in a guest of its own under every witness, kept after the run so that a failure can be
 * examined: reported, put into a bundle.
 */
#ifndef VMM_CMD_SESSION_H
#define VMM_CMD_SESSION_H

#include "vmm/check/check.h"
#include "vmm/cmd/cmd.h"
#include "vmm/finding/finding.h"
#include "vmm/finding/recorder.h"
#include "vmm/logaudit/logaudit.h"
#include "vmm/tlbsan/bed.h"
#include "vmm/trace/replay.h"

struct session {
	struct bed_config config;
	struct bed *bed;
	struct check *check;
	struct tlbsan *tlb; /* NULL: the release flavour logs nothing */
	struct recorder *recorder;
	struct logaudit *audit; /* NULL: the log is not audited */
	unsigned done, all;     /* operations */
	bool shown;             /* a progress bar */
	struct replay_failure failure;
	struct bed_err err;
};

struct session_opts {
	unsigned witnesses;       /* enum check_witness */
	FILE *log;                /* gets the events as a TLB log; NULL: nobody */
	bool audited;             /* compare the event log with what is seen from outside, */
	enum logaudit_mode audit; /* like this */
};

/* Runs it all; false: s->err says why not. Call session_end() in any case. No trace: only boots. */
bool session_run(
    struct session *, const struct trace *, const struct bed_config *, const struct session_opts *);
void session_end(struct session *);

/*
 * Why it failed, for a person: the finding with all around it, or the report of a death. NULL: no memory. For a
 * program, *finding: the finding, or NULL. There must be a bed. `replay` is the command that does it again.
 */
char *session_report(struct session *, const struct trace *, const char *replay, json_t **finding);

/* "uvmbed replay --ram=8M 'a file.trace'": the command with what differs from the defaults. file NULL:
 * "uvmbed run". NULL: no memory. */
char *session_command(const struct bed_config *, const struct session_opts *, const char *file);

#endif
