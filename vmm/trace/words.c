/* SPDX-License-Identifier: ISC */
/*
 * Numbers and the words that stand for them: sizes with units, protections, flags, map names; and the
 * shapes of the calls as calls.def gives them.
 */
#include "vmm/trace/trace.h"

#include "shared/paging.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct call_shape shapes[BED_CALL_LIMIT] = {
#define PAIRS0(...)  \
	{ 0 },       \
	{            \
		NULL \
	}
#define PAIRS1(a, b) \
	{ a },       \
	{            \
#b   \
	}
#define PAIRS2(a, b, c, d) \
	{ a, c },          \
	{                  \
#b, #d     \
	}
#define PAIRS3(a, b, c, d, e, f) \
	{ a, c, e },             \
	{                        \
#b, #d, #f       \
	}
#define PAIRS4(a, b, c, d, e, f, g, h) \
	{ a, c, e, g },                \
	{                              \
#b, #d, #f, #h         \
	}
#define PAIRS5(a, b, c, d, e, f, g, h, i, j) \
	{ a, c, e, g, i },                   \
	{                                    \
#b, #d, #f, #h, #j           \
	}
#define PAIRS10(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t) \
	{ a, c, e, g, i, k, m, o, q, s },                                   \
	{                                                                   \
#b, #d, #f, #h, #j, #l, #n, #p, #r, #t                      \
	}
#define PAIRS6(a, b, c, d, e, f, g, h, i, j, k, l) \
	{ a, c, e, g, i, k },                      \
	{                                          \
#b, #d, #f, #h, #j, #l             \
	}
#define BED_ROW(id, name, result, nargs, text, ...) \
	[id] = { #name, text, nargs, result, PAIRS##nargs(__VA_ARGS__) },
#include "shared/calls_rows.h"
#undef BED_ROW
};

const struct call_shape *
call_shape(unsigned id)
{
	return id < BED_CALL_LIMIT && shapes[id].name != NULL ? &shapes[id] : NULL;
}

static const struct trace_form forms[] = {
	{ "mapped", TRACE_EXPECT, TRACE_MAPPED, 2, 3, { A_VA, A_SIZE, A_PROT }, false },
	{ "absent", TRACE_EXPECT, TRACE_ABSENT, 2, 2, { A_VA, A_SIZE }, false },
	{ "zero", TRACE_EXPECT, TRACE_ZERO, 2, 2, { A_VA, A_SIZE }, false },
	{ "filled", TRACE_EXPECT, TRACE_FILLED, 3, 3, { A_VA, A_SIZE, A_VAL }, false },
	{ "equal", TRACE_EXPECT, TRACE_EQUAL, 2, 2, { A_VAL, A_VAL }, false },
	{ "differ", TRACE_EXPECT, TRACE_DIFFER, 2, 2, { A_VAL, A_VAL }, false },
	{ "asleep", TRACE_EXPECT, TRACE_ASLEEP, 2, 2, { A_VAL, A_NONE }, false },
	{ "awake", TRACE_EXPECT, TRACE_AWAKE, 1, 1, { A_VAL }, false },
	{ "frames", TRACE_EXPECT, TRACE_FRAMES, 4, 4, { A_VA, A_SIZE, A_PA, A_PA }, false },
	{ "cpu", TRACE_SET, TRACE_CPU, 1, 1, { A_INT }, false },
	{ "ram", TRACE_SET, TRACE_RAM, 1, 1, { A_SIZE }, true },
	{ "kva", TRACE_SET, TRACE_KVA, 1, 1, { A_SIZE }, true },
	{ "guard", TRACE_SET, TRACE_GUARD, 1, 1, { A_INT }, true },
	{ "seed", TRACE_SET, TRACE_SEED, 1, 1, { A_VAL }, true },
};

const struct trace_form *
trace_form_find(enum trace_line_kind kind, const char *word)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (forms[i].line == kind && strcmp(forms[i].word, word) == 0)
			return &forms[i];
	}
	return NULL;
}

const struct trace_form *
trace_form_of(const struct trace_line *l)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (forms[i].line == l->kind && forms[i].which == l->which)
			return &forms[i];
	}
	return NULL;
}

static const struct word {
	enum bed_kind kind;
	const char *word;
	uint64_t value;
} words[] = {
#define X(upper, name, handle) { A_MAP, #name, handle },
	BED_MAPS(X)
#undef X
#define X(name, value) { A_FLAGS, #name, value },
	    BED_FLAG_WORDS(X)
#undef X
#define X(name) { A_KV, #name, BED_KV_##name },
		BED_KV_MODES(X)
#undef X
#define X(name) { A_KP, #name, BED_KP_##name },
		    BED_KP_MODES(X)
#undef X
#define X(name) { A_KD, #name, BED_KD_##name },
			BED_KD_MODES(X)
#undef X
};
#define NWORDS (sizeof(words) / sizeof(words[0]))

static bool
word_value(const char *token, size_t len, enum bed_kind kind, uint64_t *value)
{
	for (size_t i = 0; i < NWORDS; i++) {
		if (words[i].kind == kind && strlen(words[i].word) == len &&
		    memcmp(words[i].word, token, len) == 0) {
			*value = words[i].value;
			return true;
		}
	}
	return false;
}

static bool
flags_value(const char *token, uint64_t *value)
{
	uint64_t one, all = 0;

	for (;;) {
		size_t len = strcspn(token, "|");

		if (!word_value(token, len, A_FLAGS, &one))
			return false;
		all |= one;
		if (token[len] == '\0')
			break;
		token += len + 1;
	}
	*value = all;
	return true;
}

static bool
prot_value(const char *token, uint64_t *value)
{
	static const char letters[] = "rwx";
	uint64_t prot = 0;

	if (strlen(token) != 3)
		return false;
	for (unsigned i = 0; i < 3; i++) {
		if (token[i] == letters[i])
			prot |= UINT64_C(1) << i;
		else if (token[i] != '-')
			return false;
	}
	*value = prot;
	return true;
}

/* Decimal or 0x hexadecimal with an optional unit: p pages, k, m, g binary multiples. */
static bool
plain_value(const char *token, uint64_t *value)
{
	static const struct {
		char unit;
		unsigned shift;
	} units[] = { { 'p', 12 }, { 'k', 10 }, { 'm', 20 }, { 'g', 30 } };
	bool hex = token[0] == '0' && token[1] == 'x';
	unsigned long long n;
	char *end;

	if (!isdigit((unsigned char)token[0]) || (hex && !isxdigit((unsigned char)token[2])))
		return false;
	errno = 0;
	n = strtoull(token, &end, hex ? 16 : 10);
	if (errno != 0)
		return false;
	*value = n;
	if (*end == '\0')
		return true;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (end[0] == units[i].unit && end[1] == '\0' &&
		    n <= UINT64_MAX >> units[i].shift) {
			*value = n << units[i].shift;
			return true;
		}
	}
	return false;
}

/* A count of pages may carry the unit that says so; no other count has a unit. */
static bool
count_value(const char *token, enum bed_kind kind, uint64_t *value)
{
	size_t len = strlen(token);
	char digits[TRACE_TOKEN];

	if (kind == A_PAGES && len > 1 && len < sizeof(digits) && token[len - 1] == 'p') {
		memcpy(digits, token, len - 1);
		digits[len - 1] = '\0';
		token = digits;
	}
	return strpbrk(token, "pkmg") == NULL && plain_value(token, value);
}

bool
trace_number(const char *token, enum bed_kind kind, uint64_t *value)
{
	if (kind == A_PAGES || kind == A_INT)
		return count_value(token, kind, value);
	if (plain_value(token, value))
		return true;
	switch (kind) {
	case A_MAP:
	case A_KV:
	case A_KP:
	case A_KD:
		return word_value(token, strlen(token), kind, value);
	case A_FLAGS:
		return flags_value(token, value);
	case A_PROT:
		return prot_value(token, value);
	default:
		return false;
	}
}

void
trace_token(char *token, size_t size, enum bed_kind kind, uint64_t value)
{
	if (kind != A_FLAGS) {
		for (size_t i = 0; i < NWORDS; i++) {
			if (words[i].kind == kind && words[i].value == value) {
				snprintf(token, size, "%s", words[i].word);
				return;
			}
		}
	}
	if (kind == A_PROT && value < 8) {
		snprintf(token, size, "%c%c%c", value & 1 ? 'r' : '-', value & 2 ? 'w' : '-',
		    value & 4 ? 'x' : '-');
		return;
	}
	if (kind == A_SIZE && value != 0 && (value & (BED_PAGE_SIZE - 1)) == 0)
		snprintf(token, size, "%llup", (unsigned long long)(value >> BED_PAGE_SHIFT));
	else if (kind == A_INT || kind == A_PAGES || value < 10)
		snprintf(token, size, "%llu", (unsigned long long)value);
	else
		snprintf(token, size, "%#llx", (unsigned long long)value);
}
