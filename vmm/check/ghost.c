/* SPDX-License-Identifier: ISC */
/*
 * The specification as a witness of a bed's calls: its records made from results, its memory the bed's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/audit/input.h"
#include "vmm/check/check.h"
#include "vmm/ghost/read.h"
#include "vmm/ghost/session.h"

struct check_ghost {
	struct bed *bed;
	struct ghost_session *session;
	char wmesg[BED_SLOTS * BED_CPU_MAX][16];
};

static bool
word_at(void *arg, uint64_t pa, uint64_t *value)
{
	const struct check_ghost *g = arg;
	const void *host = bed_ptr(g->bed, GPA(pa), sizeof(*value));

	if (host == NULL)
		return false;
	memcpy(value, host, sizeof(*value));
	return true;
}

static bool
is_zero(void *arg, uint64_t frame, unsigned from, unsigned to)
{
	static const uint8_t zero[BED_PAGE_SIZE];
	const struct check_ghost *g = arg;
	const uint8_t *host = bed_ptr(g->bed, GPA(frame << BED_PAGE_SHIFT), BED_PAGE_SIZE);

	return host != NULL && memcmp(host, zero, from) == 0 &&
	       memcmp(host + to, zero, BED_PAGE_SIZE - to) == 0;
}

struct check_ghost *
check_ghost_new(struct bed *bed, struct bed_err *err)
{
	struct check_ghost *g = calloc(1, sizeof(*g));
	struct ghost_memory memory = { g, word_at, is_zero };

	if (g != NULL && (g->session = ghost_session_new(&memory)) != NULL) {
		g->bed = bed;
		return g;
	}
	free(g);
	bed_fail(err, BED_E_HOST, "out of memory for the specification");
	return NULL;
}

void
check_ghost_free(struct check_ghost *g)
{
	if (g != NULL)
		ghost_session_free(g->session);
	free(g);
}

static bool
read_state(struct check_ghost *g, const struct audit *audit, struct bed_err *err)
{
	return ghost_read(audit_reading(audit), ghost_session_world(g->session),
	    ghost_session_seen(g->session), err);
}

bool
check_ghost_adopt(struct check_ghost *g, const struct audit *audit, struct bed_err *err)
{
	if (!read_state(g, audit, err))
		return false;
	ghost_session_adopt(g->session);
	return true;
}

bool
check_ghost_untouched(struct check_ghost *g, const struct audit *audit, struct bed_err *err)
{
	char why[GHOST_WHY];

	if (!read_state(g, audit, err))
		return false;
	return ghost_session_untouched(g->session, why) ||
	       bed_fail(err, BED_E_FINDING,
		   "specification: something has changed since the last call%s", why);
}

void
check_ghost_owner(const struct check_ghost *g, gva_t va, char *owner, size_t size)
{
	ghost_owner(ghost_session_state(g->session), va.v, owner, size);
}

void
check_ghost_sleeps(struct check_ghost *g, const struct bed_result *r)
{
	ghost_session_sleeps(g->session, r->slot, r->wmesg);
}

void
check_ghost_woke(struct check_ghost *g, const struct bed_result *r)
{
	ghost_session_woke(g->session, r->slot, r->value, r->value2);
}

bool
check_ghost_call(struct check_ghost *g, const struct audit *audit, enum bed_call_id id,
    const uint64_t *args, unsigned nargs, const struct bed_result *r, char open[160],
    struct bed_err *err)
{
	struct ghost_call call = { .id = id,
		.asleep = r->state == BED_STATE_BLOCKED,
		.value = r->value,
		.value2 = r->value2 };
	char why[GHOST_WHY];

	open[0] = '\0';
	if (nargs != 0)
		memcpy(call.arg, args, nargs * sizeof(*args));
	if (call.asleep) {
		memcpy(g->wmesg[r->slot], r->wmesg, sizeof(g->wmesg[0]));
		call.wmesg = g->wmesg[r->slot];
	}
	if (!read_state(g, audit, err))
		return false;
	switch (ghost_session_call(g->session, &call, r->slot, why)) {
	case GHOST_VIOLATION:
		return bed_fail(
		    err, BED_E_FINDING, "specification: %s", why[0] == '\n' ? why + 3 : why);
	case GHOST_INCONCLUSIVE:
		snprintf(open, 160, "%.150s", why);
		return true;
	default:
		return true;
	}
}
