/* SPDX-License-Identifier: ISC */
/*
 * Asking the guest to do something (shared/calls.def). One request costs one exit: the call runs on a
 * guest thread and control comes back when the guest has nothing left to run, so the call is either
 * done or asleep.
 *
 * Three forms: bed_call_try() returns what went wrong; bed_call() and the stubs of stubs.h hand it to
 * bed_call_failed, which does not return: for tests, where a failure ends the test; bed_call_start()
 * and bed_call_wait() keep several calls in flight.
 */
#ifndef VMM_BED_CALL_H
#define VMM_BED_CALL_H

#include "shared/calls.h"
#include "vmm/bed/bed.h"

enum bed_call_state {
	BED_STATE_DONE,
	BED_STATE_BLOCKED, /* asleep on wchan; the slot stays taken until the call is done */
};

struct bed_result {
	enum bed_call_state state;
	unsigned slot;
	uint64_t value, value2; /* DONE */
	gva_t wchan;            /* BLOCKED */
	char wmesg[16];         /* BLOCKED: zero terminated, printable */
};

/* "uvm_km_alloc", or NULL if no call has that id. */
const char *bed_call_name(unsigned id);
/* How many arguments it takes, or -1. */
int bed_call_nargs(unsigned id);

/* Run a call; true if it is done or blocked, false if it was refused or the guest died. */
bool bed_call_try(struct bed *, enum bed_call_id, const uint64_t *args, unsigned nargs,
    struct bed_result *, struct bed_err *);

/* The same; the result's slot is for bed_call_wait() if the state is BLOCKED. */
bool bed_call_start(struct bed *, enum bed_call_id, const uint64_t *args, unsigned nargs,
    struct bed_result *, struct bed_err *);
/* Look again at a blocked call. Does what is runnable first; no time passes when nothing is. */
bool bed_call_wait(struct bed *, unsigned slot, struct bed_result *, struct bed_err *);

/*
 * From a bed_on_sync() callback, once: leave a call for the guest to begin before the stopped thread goes
 * on. It runs as far as it can; bed_call_wait() on its slot, after the call that was stopped has come
 * back, tells how far that was.
 */
bool bed_call_post(struct bed *, enum bed_call_id, const uint64_t *args, unsigned nargs,
    unsigned *slot, struct bed_err *);

/*
 * Several vCPUs. The functions above ask the first one; these say which. bed_start_on() is
 * bed_call_start() there. bed_post_on() leaves a call, one a vCPU, and bed_wait() runs all that were
 * left, which begin at the same moment, until every call is done or blocked and every vCPU asleep;
 * bed_call_wait() then tells how each came out. Slots are numbered through over all vCPUs.
 */
bool bed_start_on(struct bed *, unsigned cpu, enum bed_call_id, const uint64_t *args,
    unsigned nargs, struct bed_result *, struct bed_err *);
bool bed_post_on(struct bed *, unsigned cpu, enum bed_call_id, const uint64_t *args, unsigned nargs,
    unsigned *slot, struct bed_err *);
bool bed_wait(struct bed *, struct bed_err *);
/* Calls that may be blocked at a time on a vCPU other than the first, which has BED_SLOTS. */
#define BED_CPU_CALLS 7

/* Asserting form: the value; a failure or a blocked call goes to bed_call_failed. */
uint64_t bed_call(struct bed *, enum bed_call_id, const uint64_t *args, unsigned nargs);
uint64_t bed_call_on(
    struct bed *, unsigned cpu, enum bed_call_id, const uint64_t *args, unsigned nargs);
/* Second value of the last call that was done. */
uint64_t bed_result2(const struct bed *);

/* Must not return. Unless set, prints the text and aborts. */
extern void (*bed_call_failed)(const struct bed_err *);

#endif
