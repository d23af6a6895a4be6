/* SPDX-License-Identifier: ISC */
/*
 * Expectations as one line of text, both ways: see expect.h.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "vmm/view/expect.h"

/* Words that set a field to yes, and with "!" before them to no. */
static const struct {
	const char *word;
	size_t field;
} tri_word[] = {
	{ "global", offsetof(struct pt_expect, global) },
	{ "wired", offsetof(struct pt_expect, wired) },
	{ "managed", offsetof(struct pt_expect, managed) },
	{ "accessed", offsetof(struct pt_expect, accessed) },
	{ "dirty", offsetof(struct pt_expect, dirty) },
	{ "zero", offsetof(struct pt_expect, zero) },
};
#define NTRI (sizeof(tri_word) / sizeof(tri_word[0]))

static enum pt_tri *
tri_field(struct pt_expect *e, size_t i)
{
	return (enum pt_tri *)(void *)((char *)e + tri_word[i].field);
}

static bool
get_hex(const char *s, uint64_t *value, const char **end)
{
	char *stop;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		s += 2;
	if (!isxdigit((unsigned char)s[0]))
		return false;
	errno = 0;
	*value = strtoull(s, &stop, 16);
	*end = stop;
	return errno == 0;
}

/* The whole of s is one hex number. */
static bool
hex(const char *s, uint64_t *value)
{
	const char *end;

	return get_hex(s, value, &end) && *end == '\0';
}

enum verdict { NOT_MINE, TAKEN, TWICE };

static enum verdict
set_tri(enum pt_tri *field, enum pt_tri value)
{
	if (*field != PT_ANY)
		return TWICE;
	*field = value;
	return TAKEN;
}

static enum verdict
take_state(struct pt_expect *e, const char *word)
{
	enum pt_state state = strcmp(word, "present") == 0  ? PT_PRESENT
	                      : strcmp(word, "absent") == 0 ? PT_ABSENT
	                                                    : PT_EITHER;

	if (state == PT_EITHER)
		return NOT_MINE;
	if (e->state != PT_EITHER)
		return TWICE;
	e->state = state;
	return TAKEN;
}

static enum verdict
take_size(struct pt_expect *e, const char *word)
{
	for (int level = 1; level <= 3; level++) {
		if (strcmp(word, pt_size_name(level)) != 0)
			continue;
		if (e->size != PT_ANY_SIZE)
			return TWICE;
		e->size = (enum pt_size)level;
		return TAKEN;
	}
	return NOT_MINE;
}

/* r w x u: each the letter, '-' or '?'; the first one not '-', for that is what "absent" is for. */
static enum verdict
take_rights(struct pt_expect *e, const char *word)
{
	static const char letter[] = "rwxu";

	if (strlen(word) != 4 || word[0] == '-')
		return NOT_MINE;
	for (int i = 0; i < 4; i++) {
		if (word[i] != letter[i] && word[i] != '-' && word[i] != '?')
			return NOT_MINE;
	}
	if (e->perm != PT_ANY_PERM || e->nx != PT_ANY || e->user != PT_ANY ||
	    (word[0] == 'r' && e->state != PT_EITHER))
		return TWICE;
	if (word[0] == 'r')
		e->state = PT_PRESENT;
	e->perm = word[1] == 'w' ? PT_RW : word[1] == '-' ? PT_R : PT_ANY_PERM;
	e->nx = word[2] == 'x' ? PT_NO : word[2] == '-' ? PT_YES : PT_ANY;
	e->user = word[3] == 'u' ? PT_YES : word[3] == '-' ? PT_NO : PT_ANY;
	return TAKEN;
}

static enum verdict
take_tri(struct pt_expect *e, const char *word)
{
	bool no = word[0] == '!';

	for (size_t i = 0; i < NTRI; i++) {
		if (strcmp(word + no, tri_word[i].word) == 0)
			return set_tri(tri_field(e, i), no ? PT_NO : PT_YES);
	}
	return NOT_MINE;
}

static enum verdict
add_kind(struct pt_frames *f, unsigned kinds)
{
	if ((f->kinds & kinds) != 0)
		return TWICE;
	f->kinds |= kinds;
	return TAKEN;
}

static enum verdict
take_frames(struct pt_expect *e, const char *word)
{
	struct pt_frames *f = &e->frames;
	uint64_t a, b;
	const char *end;

	if (strcmp(word, "distinct") == 0)
		return add_kind(f, PT_F_DISTINCT);
	if (strcmp(word, "contig") == 0)
		return add_kind(f, PT_F_CONTIG);
	if (strncmp(word, "contig=", 7) == 0 && hex(word + 7, &a)) {
		f->first = GPA(a);
		return add_kind(f, PT_F_CONTIG | PT_F_FIRST);
	}
	if (strncmp(word, "pa=", 3) == 0 && hex(word + 3, &a)) {
		f->first = GPA(a);
		return add_kind(f, PT_F_FIRST);
	}
	if (strncmp(word, "same=", 5) == 0 && hex(word + 5, &a)) {
		f->same = GVA(a);
		return add_kind(f, PT_F_SAME);
	}
	if (strncmp(word, "in=", 3) == 0 && get_hex(word + 3, &a, &end) && *end == '-' &&
	    hex(end + 1, &b)) {
		f->from = GPA(a);
		f->to = GPA(b);
		return add_kind(f, PT_F_IN);
	}
	return NOT_MINE;
}

static enum verdict
take_word(struct pt_expect *e, const char *word)
{
	static enum verdict (*const take[])(struct pt_expect *, const char *) = { take_state,
		take_size, take_rights, take_tri, take_frames };
	enum verdict verdict = strcmp(word, "?") == 0 ? TAKEN : NOT_MINE;

	for (size_t i = 0; i < sizeof(take) / sizeof(take[0]) && verdict == NOT_MINE; i++)
		verdict = take[i](e, word);
	return verdict;
}

/* The next blank-separated word: false at the end of the line; *too_long if it does not fit. */
static bool
next_word(const char **line, const char **start, char word[64], bool *too_long)
{
	size_t len;

	*line += strspn(*line, " \t");
	*start = *line;
	len = strcspn(*line, " \t");
	*line += len;
	*too_long = len >= 64;
	if (*too_long)
		len = 63;
	memcpy(word, *start, len);
	word[len] = '\0';
	return len > 0;
}

bool
pt_parse(const char *line, struct pt_expect *e, struct bed_err *err)
{
	const char *at = line, *start;
	struct pt_expect got = { .npages = 1 };
	char word[64];
	bool too_long, pages_given = false;

	if (!next_word(&at, &start, word, &too_long) || !hex(word, &got.va.v))
		return bed_fail(err, BED_E_INPUT,
		    "expectation: column %td: wants an address in hex, not \"%s\"",
		    start - line + 1, word);
	while (next_word(&at, &start, word, &too_long)) {
		enum verdict verdict;
		char *end;

		if (word[0] == '+' && isdigit((unsigned char)word[1]) && !pages_given) {
			errno = 0;
			got.npages = strtoull(word + 1, &end, 10);
			pages_given = true;
			if (errno == 0 && *end == '\0' && got.npages > 0)
				continue;
			return bed_fail(err, BED_E_INPUT,
			    "expectation: column %td: bad number of pages \"%s\"", start - line + 1,
			    word);
		}
		verdict = too_long ? NOT_MINE : take_word(&got, word);
		if (verdict != TAKEN)
			return bed_fail(err, BED_E_INPUT, "expectation: column %td: %s \"%s\"",
			    start - line + 1,
			    verdict == TWICE ? "said twice, or against a word before:"
					     : "unknown word",
			    word);
	}
	*e = got;
	return true;
}

static void
print_frames(struct text *text, const struct pt_frames *f)
{
	const unsigned first_contig = PT_F_CONTIG | PT_F_FIRST;

	if ((f->kinds & PT_F_DISTINCT) != 0)
		text_add(text, " distinct");
	if ((f->kinds & first_contig) == first_contig)
		text_add(text, " contig=%" PRIx64, f->first.v);
	else if ((f->kinds & PT_F_CONTIG) != 0)
		text_add(text, " contig");
	else if ((f->kinds & PT_F_FIRST) != 0)
		text_add(text, " pa=%" PRIx64, f->first.v);
	if ((f->kinds & PT_F_SAME) != 0)
		text_add(text, " same=%016" PRIx64, f->same.v);
	if ((f->kinds & PT_F_IN) != 0)
		text_add(text, " in=%" PRIx64 "-%" PRIx64, f->from.v, f->to.v);
}

static char
letter(bool any, bool set, char c)
{
	return any ? '?' : set ? c : '-';
}

void
pt_print(struct text *text, const struct pt_expect *e)
{
	struct pt_expect copy = *e;
	bool rights = e->perm != PT_ANY_PERM || e->nx != PT_ANY || e->user != PT_ANY;

	text_add(text, "%016" PRIx64 " +%" PRIu64, e->va.v, pt_npages(e));
	if (e->state == PT_ABSENT)
		text_add(text, " absent");
	else if (e->state == PT_PRESENT && !rights)
		text_add(text, " present");
	if (rights)
		text_add(text, " %c%c%c%c", e->state == PT_PRESENT ? 'r' : '?',
		    letter(e->perm == PT_ANY_PERM, e->perm == PT_RW, 'w'),
		    letter(e->nx == PT_ANY, e->nx == PT_NO, 'x'),
		    letter(e->user == PT_ANY, e->user == PT_YES, 'u'));
	if (e->size != PT_ANY_SIZE)
		text_add(text, " %s", pt_size_name((int)e->size));
	for (size_t i = 0; i < NTRI; i++) {
		enum pt_tri tri = *tri_field(&copy, i);

		if (tri != PT_ANY)
			text_add(text, " %s%s", tri == PT_NO ? "!" : "", tri_word[i].word);
	}
	print_frames(text, &e->frames);
}
