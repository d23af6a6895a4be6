/* SPDX-License-Identifier: ISC */
/*
 * What happened lately, kept so that a finding can say how it came to this: the last event records of a bed,
 * and for each page-table entry who stored to it last. Memory is bounded: of events the last
 * RECORDER_EVENTS, of each entry the last RECORDER_WRITES stores, of entries those stored to last.
 *
 * It passes events on to whoever received them before; what was attached last is detached first.
 */
#ifndef VMM_FINDING_RECORDER_H
#define VMM_FINDING_RECORDER_H

#include <stdio.h>

#include "vmm/bed/bed.h"
#include "vmm/bed/symbols.h"

#define RECORDER_EVENTS 32768
#define RECORDER_WRITES 4

struct recorder_write {
	uint64_t ticket, pc; /* number of the event, from 1, as in a TLB log; where in the guest */
	uint64_t old, new;
	uint32_t op; /* the operation that recorder_operation() had named */
	uint16_t cpu;
};

struct recorder_event {
	struct bed_event ev;
	uint64_t pc; /* where in the guest */
	uint32_t op;
};

struct recorder;

/* Of the release flavour, which logs nothing, it will know nothing: no error. NULL: no memory. */
struct recorder *recorder_attach(struct bed *, struct bed_err *);
void recorder_detach(struct recorder *); /* NULL is fine; before bed_destroy() */

/* What comes from now on belongs to operation `op`, a number of the caller's. */
void recorder_operation(struct recorder *, uint32_t op);

/* Stores to the entry at this physical address, the latest first; how many. */
unsigned recorder_writes(
    const struct recorder *, gpa_t entry, struct recorder_write out[RECORDER_WRITES]);

/* Events kept; the i-th, 0 is the oldest. */
size_t recorder_count(const struct recorder *);
const struct recorder_event *recorder_event(const struct recorder *, size_t i);
uint64_t recorder_seen(const struct recorder *); /* all there ever were */

/* "1041 op 5 cpu 0 PTE_STORE entry 0x... old 0x0 new 0x...  at pte_set+0x10 file:line" */
void recorder_event_print(FILE *, struct symbols *, const struct recorder_event *);

#endif
