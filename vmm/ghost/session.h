/* SPDX-License-Identifier: ISC */
/*
 * A ghost that goes along with a machine, call by call. The driver reads the machine's state into
 * session_seen() and hands over call records; which machine, and how its state is read, is its business
 * (read.h reads a guest).
 *
 *	ghost_session_adopt(g);                     // once: what is seen is the state
 *	for each call:
 *		... run it; read the state into *ghost_session_seen(g) ...
 *		ghost_session_woke(g, slot, ...);   // for each call that slept and has come back
 *		verdict = ghost_session_call(g, &record, slot);
 *
 * Serial: one call runs at a time, others sleep.
 */
#ifndef VMM_GHOST_SESSION_H
#define VMM_GHOST_SESSION_H

#include "vmm/ghost/ghost.h"

#define GHOST_SLEEPERS 256 /* calls asleep at a time; slots are below */

struct ghost_session;

struct ghost_totals {
	uint64_t calls;
	uint64_t inconclusive;     /* of these; the state was then adopted as it was seen */
	uint64_t placed;           /* addresses predicted */
	uint64_t ns_read, ns_spec; /* reading the state (as the driver says), everything else */
	char last_open[160];       /* why the last inconclusive one was */
};

struct ghost_session *ghost_session_new(const struct ghost_memory *);
void ghost_session_free(struct ghost_session *); /* NULL is fine */

struct ghost_state *ghost_session_seen(struct ghost_session *);
struct ghost_world *ghost_session_world(struct ghost_session *);
/* The state as of the last call. */
const struct ghost_state *ghost_session_state(const struct ghost_session *);
struct ghost_totals *ghost_session_totals(struct ghost_session *);

void ghost_session_adopt(struct ghost_session *);
/* Nobody has changed anything since: false, with why. */
bool ghost_session_untouched(struct ghost_session *, char why[GHOST_WHY]);

/* A call that was asleep in the slot still is, on this. */
void ghost_session_sleeps(struct ghost_session *, unsigned slot, const char *wmesg);
/* A call that was asleep in the slot has returned. Judged with the next call. */
void ghost_session_woke(struct ghost_session *, unsigned slot, uint64_t value, uint64_t value2);
/*
 * The call, which is asleep in `slot` if it is asleep; wmesg must live until it wakes. What is seen becomes the
 * state unless it is a violation.
 */
enum ghost_verdict ghost_session_call(
    struct ghost_session *, const struct ghost_call *, unsigned slot, char why[GHOST_WHY]);

#endif
