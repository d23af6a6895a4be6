/* SPDX-License-Identifier: ISC */
/*
 * Shrinking: see shrink.h. First whole stretches of lines, halves down to single ones, then pairs of lines (an
 * allocation and its free make no difference alone), then the values. Each success starts the round anew.
 *
 * Lines are left out by a mask; a line whose name's definition is left out goes with it.
 */
#include "vmm/trace/shrink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shrinker {
	struct trace *best;
	shrink_fails_fn *fails;
	void *arg;
	unsigned most;
	struct shrink_totals *totals;
	bool oom;
};

static bool
is_operation(const struct trace_line *l)
{
	return l->kind == TRACE_CALL || l->kind == TRACE_EXPECT;
}

unsigned
trace_operations(const struct trace *t)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->nline; i++)
		n += is_operation(&t->line[i]);
	return n;
}

static bool
copy_line(struct trace_line *to, const struct trace_line *from)
{
	*to = *from;
	to->comment = from->comment == NULL ? NULL : strdup(from->comment);
	return from->comment == NULL || to->comment != NULL;
}

bool
trace_copy(struct trace *to, const struct trace *from)
{
	*to = *from;
	to->nline = 0;
	to->cap = from->nline + 1;
	to->line = calloc(to->cap, sizeof(*to->line));
	for (; to->line != NULL && to->nline < from->nline; to->nline++) {
		if (!copy_line(&to->line[to->nline], &from->line[to->nline])) {
			trace_free(to);
			return false;
		}
	}
	return to->line != NULL;
}

/* The lines of `from` that are not in the mask, and do not refer to one that is; numbered anew. */
static bool
without(struct trace *to, const struct trace *from, const uint8_t *left_out)
{
	int *where = calloc(from->nline + 1, sizeof(*where));

	*to = *from;
	to->nline = 0;
	to->cap = from->nline + 1;
	to->line = calloc(to->cap, sizeof(*to->line));
	for (unsigned i = 0; where != NULL && to->line != NULL && i < from->nline; i++) {
		const struct trace_line *l = &from->line[i];
		struct trace_line *copy = &to->line[to->nline];
		bool drop = left_out[i] != 0;

		for (unsigned k = 0; k < l->nvalue; k++)
			drop = drop || (l->value[k].ref >= 0 && where[l->value[k].ref] < 0);
		where[i] = drop ? -1 : (int)to->nline;
		if (drop)
			continue;
		if (!copy_line(copy, l))
			break;
		copy->number = ++to->nline + 1;
		for (unsigned k = 0; k < l->nvalue; k++) {
			if (l->value[k].ref >= 0)
				copy->value[k].ref = where[l->value[k].ref];
		}
	}
	if (where == NULL || to->line == NULL) {
		free(where);
		free(to->line);
		return false;
	}
	free(where);
	return true;
}

static bool
exhausted(const struct shrinker *s)
{
	return s->oom || (s->most != 0 && s->totals->tried >= s->most);
}

/* Take the candidate, or drop it. */
static bool
consider(struct shrinker *s, struct trace *candidate)
{
	s->totals->tried++;
	if (!s->fails(s->arg, candidate)) {
		trace_free(candidate);
		return false;
	}
	s->totals->taken++;
	trace_free(s->best);
	*s->best = *candidate;
	return true;
}

static bool
try_without(struct shrinker *s, const uint8_t *left_out)
{
	struct trace candidate;

	if (exhausted(s))
		return false;
	if (!without(&candidate, s->best, left_out)) {
		s->oom = true;
		return false;
	}
	if (candidate.nline == s->best->nline) {
		trace_free(&candidate);
		return false;
	}
	return consider(s, &candidate);
}

/* Stretches of n lines, from the end: what comes late depends on what came early. */
static bool
remove_stretches(struct shrinker *s, unsigned n, uint8_t *mask)
{
	bool any = false;

	for (unsigned end = s->best->nline; end > 0 && !exhausted(s);) {
		unsigned start = end > n ? end - n : 0;

		if (end > s->best->nline) {
			end = s->best->nline;
			continue;
		}
		memset(mask, 0, s->best->nline);
		for (unsigned i = start; i < end; i++)
			mask[i] = s->best->line[i].kind != TRACE_SET;
		any |= try_without(s, mask);
		end = start;
	}
	return any;
}

#define PAIR_REACH 64 /* lines between the two of a pair, at most */

static bool
remove_pairs(struct shrinker *s, uint8_t *mask)
{
	bool any = false;

	for (unsigned i = 0; i < s->best->nline && !exhausted(s); i++) {
		for (unsigned k = i + 1; k < s->best->nline && k - i < PAIR_REACH; k++) {
			if (!is_operation(&s->best->line[i]) || !is_operation(&s->best->line[k]))
				continue;
			memset(mask, 0, s->best->nline);
			mask[i] = mask[k] = 1;
			any |= try_without(s, mask);
		}
	}
	return any;
}

/* Value k of line i becomes `number`, if that is something else. */
static bool
try_value(struct shrinker *s, unsigned i, unsigned k, enum bed_kind kind, uint64_t number)
{
	struct trace candidate;
	struct trace_value *v;

	if (exhausted(s) || s->best->line[i].value[k].ref >= 0 ||
	    s->best->line[i].value[k].number == number)
		return false;
	if (!trace_copy(&candidate, s->best)) {
		s->oom = true;
		return false;
	}
	v = &candidate.line[i].value[k];
	v->number = number;
	trace_token(v->text, sizeof(v->text), kind, number);
	return consider(s, &candidate);
}

/* "a+3p" becomes "a". */
static bool
try_without_offset(struct shrinker *s, unsigned i, unsigned k)
{
	struct trace candidate;
	struct trace_value *v;

	if (exhausted(s) || s->best->line[i].value[k].number == 0)
		return false;
	if (!trace_copy(&candidate, s->best)) {
		s->oom = true;
		return false;
	}
	v = &candidate.line[i].value[k];
	v->number = 0;
	v->text[strcspn(v->text, "+-")] = '\0';
	return consider(s, &candidate);
}

static bool
simplify_value(struct shrinker *s, unsigned i, unsigned k, enum bed_kind kind)
{
	uint64_t number = s->best->line[i].value[k].number;

	if (s->best->line[i].value[k].ref >= 0)
		return try_without_offset(s, i, k);
	switch (kind) {
	case A_SIZE:
		return try_value(s, i, k, kind, 4096) ||
		       (number > 8192 && try_value(s, i, k, kind, number / 2 & ~UINT64_C(4095)));
	case A_PAGES:
		return try_value(s, i, k, kind, 1);
	case A_FLAGS:
	case A_VAL:
	case A_INT:
		return try_value(s, i, k, kind, 0);
	case A_MAP:
		return try_value(s, i, k, kind, BED_MAP_KERNEL);
	default:
		return false;
	}
}

static bool
simplify_values(struct shrinker *s)
{
	bool any = false;

	for (unsigned i = 0; i < s->best->nline && !exhausted(s); i++) {
		const struct call_shape *shape = call_shape(s->best->line[i].which);

		if (s->best->line[i].kind != TRACE_CALL)
			continue;
		for (unsigned k = 0; k < s->best->line[i].nvalue; k++)
			any |= simplify_value(s, i, k, (enum bed_kind)shape->kind[k]);
	}
	return any;
}

bool
trace_shrink(
    struct trace *t, shrink_fails_fn *fails, void *arg, unsigned most, struct shrink_totals *totals)
{
	struct shrinker s = { t, fails, arg, most, totals, false };
	uint8_t *mask = malloc(t->nline + 1);
	bool again = mask != NULL;

	*totals = (struct shrink_totals){ .from = trace_operations(t) };
	while (again && !exhausted(&s)) {
		again = false;
		for (unsigned n = t->nline / 2; n > 0; n /= 2)
			again |= remove_stretches(&s, n, mask);
		if (!again)
			again = simplify_values(&s) || remove_pairs(&s, mask);
	}
	free(mask);
	totals->to = trace_operations(t);
	return mask != NULL && !s.oom;
}
