/* SPDX-License-Identifier: ISC */
/*
 * The text form of a TLB log: docs/man/uvmbed-tlblog.5. Reading takes a line at a time and keeps nothing.
 */
#ifndef VMM_TLBSAN_LOG_H
#define VMM_TLBSAN_LOG_H

#include <stdio.h>

#include "vmm/tlbsan/core.h"

#define TLBLOG_VERSION 1
#define TLBLOG_LINE    256 /* characters of a line, at most */

/* One event; false (err filled, without a place) ends the reading. */
typedef bool tlblog_fn(void *arg, const struct tlb_event *, struct bed_err *);

/* Read a whole log. Every error, that of fn too, has the file's name, the line and the column. */
bool tlblog_read(FILE *, const char *name, tlblog_fn *, void *arg, struct bed_err *);

/* Write; false: the stream has an error. */
bool tlblog_header(FILE *);
bool tlblog_print(FILE *, const struct tlb_event *);

#endif
