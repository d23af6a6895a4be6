/* SPDX-License-Identifier: ISC */
/*
 * Shrinking a failing trace, for explore and replay.
 */
#ifndef VMM_CMD_SHRINK_H
#define VMM_CMD_SHRINK_H

#include "vmm/bed/bed.h"
#include "vmm/trace/trace.h"

/*
 * Run the trace: if it fails, make it as small as it gets with the same finding, verify that, and write it to `path`
 * ("-": standard output). Says on standard output what it did. Exit code: BED_OK if a minimal trace was written;
 * BED_E_FINDING if the trace does not fail.
 */
int cmd_shrink(struct trace *, const char *path, const struct bed_config *, struct bed_err *);
/* The same for the text of a trace. */
int cmd_shrink_text(
    const char *text, size_t len, const char *path, const struct bed_config *, struct bed_err *);

/* Run a trace in a bed of its own with every check and the TLB sanitizer. */
bool cmd_run_quietly(const struct trace *, const struct bed_config *, struct bed_err *);

#endif
