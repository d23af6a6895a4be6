/* SPDX-License-Identifier: ISC */
/*
 * A trace as a Criterion test for tests/bed/, ready to paste.
 */
#ifndef VMM_TRACE_CRITERION_H
#define VMM_TRACE_CRITERION_H

#include "vmm/trace/trace.h"

/* False: a write failed. name: of the test, made of what a C name may have. */
bool trace_criterion(const struct trace *, const char *name, FILE *);

#endif
