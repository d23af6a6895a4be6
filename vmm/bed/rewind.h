/* SPDX-License-Identifier: ISC */
/*
 * A twin's bed can go back to where it was, in tens of microseconds: what programs that try things out by the
 * thousand are made for. Not for beds on KVM.
 */
#ifndef VMM_BED_REWIND_H
#define VMM_BED_REWIND_H

#include "vmm/bed/bed.h"

/* Remember the machine as it is, between two calls and with none in flight. */
bool bed_mark(struct bed *, struct bed_err *);
/*
 * Back to the mark: memory, threads, counters, console, and a dead bed lives again. Calls in flight are
 * forgotten. Checkers of the bed (check.h, tlbsan) must be made anew.
 */
bool bed_rewind(struct bed *, struct bed_err *);
/* Right after bed_rewind(): is every byte as it was? The text names the first that is not. */
bool bed_is_rewound(const struct bed *, struct bed_err *);

#endif
