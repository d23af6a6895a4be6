/* SPDX-License-Identifier: ISC */
/*
 * Two lists of what changed translations, compared: see logaudit.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/paging.h"
#include "vmm/logaudit/logaudit.h"

#define AD (PTE_A | PTE_D)

bool
logacts_add(struct logacts *l, const struct logact *act)
{
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 256;
		struct logact *more = realloc(l->at, room * sizeof(*more));

		if (more == NULL)
			return false;
		l->at = more;
		l->room = room;
	}
	l->at[l->n++] = *act;
	return true;
}

void
logacts_free(struct logacts *l)
{
	free(l->at);
	*l = (struct logacts){ .at = NULL };
}

static bool
same(const struct logact *a, const struct logact *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == LOGACT_STORE)
		return a->a[0] == b->a[0] && ((a->a[1] ^ b->a[1]) & ~AD) == 0 &&
		       ((a->a[2] ^ b->a[2]) & ~AD) == 0;
	if (a->kind == LOGACT_INVLPG)
		return ((a->a[0] ^ b->a[0]) & ~BED_PAGE_MASK) == 0;
	return a->kind == LOGACT_FLUSH || a->a[0] == b->a[0];
}

static void
act_text(char *buf, size_t size, const struct logact *a)
{
	int n = 0;

	switch (a == NULL ? LOGACT_OTHER + 1 : (int)a->kind) {
	case LOGACT_STORE:
		n = snprintf(buf, size, "store to entry %#" PRIx64 ": %#" PRIx64 " -> %#" PRIx64,
		    a->a[0], a->a[1], a->a[2]);
		break;
	case LOGACT_INVLPG:
		n = snprintf(buf, size, "INVLPG %#" PRIx64, a->a[0]);
		break;
	case LOGACT_FLUSH:
		n = snprintf(buf, size, "full flush (CR4.PGE)");
		break;
	case LOGACT_CR3:
		n = snprintf(buf, size, "CR3 = %#" PRIx64, a->a[0]);
		break;
	case LOGACT_OTHER:
		n = snprintf(buf, size, "an instruction no wrapper has, bytes %#" PRIx64, a->a[0]);
		break;
	default:
		snprintf(buf, size, "nothing more");
		return;
	}
	if (a->pc != 0 && n > 0 && (size_t)n < size)
		snprintf(buf + n, size - (size_t)n, " at pc %#" PRIx64, a->pc);
}

/* A store that changes nothing but A and D cannot be seen, and needs none. */
static bool
counts(const struct logact *a, bool stores_only)
{
	if (a->kind == LOGACT_STORE)
		return ((a->a[1] ^ a->a[2]) & ~AD) != 0;
	return !stores_only;
}

static const struct logact *
next(const struct logacts *l, size_t *i, bool stores_only)
{
	while (*i < l->n && !counts(&l->at[*i], stores_only))
		++*i;
	return *i < l->n ? &l->at[(*i)++] : NULL;
}

bool
logacts_compare(
    const struct logacts *log, const struct logacts *seen, bool stores_only, struct bed_err *err)
{
	char logged[160], found[160];
	size_t i = 0, k = 0;

	for (unsigned n = 1;; n++) {
		const struct logact *a = next(log, &i, stores_only);
		const struct logact *b = next(seen, &k, stores_only);

		if (a == NULL && b == NULL)
			return true;
		if (a != NULL && b != NULL && same(a, b))
			continue;
		act_text(logged, sizeof(logged), a);
		act_text(found, sizeof(found), b);
		return bed_fail(err, BED_E_FINDING,
			   "the event log is not what happened: at the %u%s\n  the log says  %s\n"
			   "  seen from outside  %s",
			   n,
			   n == 1   ? "st"
			   : n == 2 ? "nd"
			   : n == 3 ? "rd"
				    : "th",
			   logged, found) ||
		       bed_fail_by(err, "log audit");
	}
}
