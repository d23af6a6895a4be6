/* SPDX-License-Identifier: ISC */
/*
 * The text form of a TLB log: reading and printing, both by the table of events in core.h.
 */
#include "vmm/tlbsan/log.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define WORDS 8 /* of a line: more than any event has */

struct word {
	const char *text;
	unsigned column; /* from 1 */
};

struct reader {
	const char *name;
	unsigned line; /* from 1 */
	unsigned nword;
	struct word word[WORDS];
	struct bed_err *err;
};

static bool fail_at(struct reader *, unsigned column, const char *fmt, ...)
    __attribute__((__format__(__printf__, 3, 4)));

static bool
fail_at(struct reader *r, unsigned column, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return bed_fail(r->err, BED_E_INPUT, "%s:%u:%u: %s", r->name, r->line, column, text);
}

/* Words end at blanks, the line at a '#'. Words are cut out of the line in place. */
static bool
split(struct reader *r, char *s)
{
	char *p = s;

	r->nword = 0;
	for (;;) {
		while (*p == ' ' || *p == '\t')
			p++;
		if (*p == '\0' || *p == '#')
			return true;
		if (r->nword == WORDS)
			return fail_at(r, (unsigned)(p - s) + 1, "too many words on one line");
		r->word[r->nword++] = (struct word){ p, (unsigned)(p - s) + 1 };
		for (; *p != '\0' && *p != ' ' && *p != '\t' && *p != '#'; p++) {
			if (!isgraph((unsigned char)*p))
				return fail_at(r, (unsigned)(p - s) + 1,
				    "byte %#x; a log is plain ASCII text", (unsigned char)*p);
		}
		if (*p == '#') {
			*p = '\0';
			return true;
		}
		if (*p != '\0')
			*p++ = '\0';
	}
}

/* Decimal, or hexadecimal after 0x; the whole of text. */
static bool
number(const char *text, uint64_t *value)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	char *end;

	if (!isdigit((unsigned char)text[0]) || (hex && !isxdigit((unsigned char)text[2])))
		return false;
	errno = 0;
	*value = strtoull(text, &end, hex ? 16 : 10);
	return *end == '\0' && errno == 0;
}

static bool
take_number(struct reader *r, unsigned at, const char *what, uint64_t *value)
{
	return number(r->word[at].text, value) ||
	       fail_at(r, r->word[at].column, "\"%s\" is no %s; write 4096 or 0x1000",
		   r->word[at].text, what);
}

static bool
take_argument(struct reader *r, unsigned at, char kind, uint64_t *value)
{
	const char *text = r->word[at].text;

	if (kind == 'r') {
		for (*value = 0; *value < TLB_NDEADLINES; (*value)++) {
			if (strcmp(text, tlb_rule_word((enum tlb_rule) * value)) == 0)
				return true;
		}
		return fail_at(r, r->word[at].column, "\"%s\" is no rule; D0 to D5 are", text);
	}
	if (kind == 's') {
		for (*value = 0; *value <= TLB_ERROR; (*value)++) {
			if (strcmp(text, tlb_severity_word((enum tlb_severity) * value)) == 0)
				return true;
		}
		return fail_at(r, r->word[at].column,
		    "\"%s\" is no severity; off, note, warning and error are", text);
	}
	return take_number(r, at, kind == 'x' ? "address" : "number", value);
}

static bool
take_verb(struct reader *r, unsigned at, struct tlb_event *ev)
{
	const char *text = r->word[at].text;

	for (unsigned type = 0; type < TLB_NTYPES; type++) {
		if (strcmp(text, tlb_word((enum tlb_type)type)) != 0)
			continue;
		ev->type = (uint8_t)type;
		if ((type >= TLB_FIRST_TIMED) != (at == 2))
			return fail_at(r, r->word[at].column,
			    at == 2 ? "%s describes the start: it has no ticket and no CPU"
				    : "%s is an event: a ticket and a CPU must stand before it",
			    text);
		return true;
	}
	return fail_at(r, r->word[at].column, "unknown event \"%s\"", text);
}

static bool
take_line(struct reader *r, struct tlb_event *ev)
{
	bool timed = isdigit((unsigned char)r->word[0].text[0]);
	unsigned at = timed ? 2 : 0;
	const char *args;
	uint64_t cpu;
	size_t nargs;

	memset(ev, 0, sizeof(*ev));
	if (timed) {
		if (r->nword < 3)
			return fail_at(r, 1, "an event is TICKET CPU WORD ARGUMENT...");
		if (!take_number(r, 0, "ticket", &ev->ticket) || !take_number(r, 1, "CPU", &cpu))
			return false;
		if (cpu >= TLB_CPU_MAX)
			return fail_at(r, r->word[1].column, "CPU %s: there are at most %d",
			    r->word[1].text, TLB_CPU_MAX);
		ev->cpu = (uint16_t)cpu;
		if (r->word[r->nword - 1].text[0] == '@' && r->nword > 3) {
			struct word *w = &r->word[--r->nword];

			if (!number(w->text + 1, &ev->pc))
				return fail_at(
				    r, w->column, "\"%s\" is no place; write @0x1000", w->text);
		}
	}
	if (!take_verb(r, at, ev))
		return false;
	args = tlb_args(ev->type);
	nargs = strlen(args);
	if (r->nword - at - 1 != nargs)
		return fail_at(r, r->word[at].column, "%s takes %zu arguments, here are %u",
		    tlb_word(ev->type), nargs, r->nword - at - 1);
	for (unsigned i = 0; i < nargs; i++) {
		if (!take_argument(r, at + 1 + i, args[i], &ev->a[i]))
			return false;
	}
	return true;
}

static bool
header(struct reader *r)
{
	uint64_t version;

	if (r->nword != 2 || strcmp(r->word[0].text, "uvmbed-tlblog") != 0 ||
	    !number(r->word[1].text, &version))
		return fail_at(r, 1, "not a TLB log; the first line must be \"uvmbed-tlblog %d\"",
		    TLBLOG_VERSION);
	if (version != TLBLOG_VERSION)
		return fail_at(r, r->word[1].column, "log version %s; this uvmbed reads version %d",
		    r->word[1].text, TLBLOG_VERSION);
	return true;
}

static bool
one_line(struct reader *r, char *s, tlblog_fn *fn, void *arg)
{
	struct tlb_event ev;
	struct bed_err why;

	if (!split(r, s))
		return false;
	if (r->line == 1)
		return header(r);
	if (r->nword == 0)
		return true;
	if (!take_line(r, &ev))
		return false;
	if (fn(arg, &ev, &why))
		return true;
	fail_at(r, r->word[0].column, "%.280s", why.text);
	if (r->err != NULL)
		r->err->class = why.class;
	return false;
}

bool
tlblog_read(FILE *in, const char *name, tlblog_fn *fn, void *arg, struct bed_err *err)
{
	struct reader r = { .name = name, .err = err };
	char s[TLBLOG_LINE + 2];

	for (r.line = 1; fgets(s, sizeof(s), in) != NULL; r.line++) {
		size_t len = strlen(s);

		if (len == TLBLOG_LINE + 1 && s[len - 1] != '\n')
			return fail_at(
			    &r, TLBLOG_LINE + 1, "line longer than %d characters", TLBLOG_LINE);
		if (len == 0 || s[len - 1] != '\n')
			return fail_at(&r, (unsigned)len + 1,
			    feof(in) ? "the last line has no end; the log is cut short"
				     : "byte 0x0; a log is plain ASCII text");
		s[len - 1] = '\0';
		if (!one_line(&r, s, fn, arg))
			return false;
	}
	if (ferror(in))
		return fail_at(&r, 1, "cannot read: %s", strerror(errno));
	return r.line > 1 || header(&r);
}

bool
tlblog_header(FILE *out)
{
	return fprintf(out, "uvmbed-tlblog %d\n", TLBLOG_VERSION) > 0;
}

bool
tlblog_print(FILE *out, const struct tlb_event *ev)
{
	const char *args = tlb_args(ev->type);

	if (ev->type >= TLB_FIRST_TIMED)
		fprintf(out, "%" PRIu64 " %u ", ev->ticket, ev->cpu);
	fprintf(out, "%s", tlb_word(ev->type));
	for (unsigned i = 0; args[i] != '\0'; i++) {
		if (args[i] == 'r')
			fprintf(out, " %s", tlb_rule_word((enum tlb_rule)ev->a[i]));
		else if (args[i] == 's')
			fprintf(out, " %s", tlb_severity_word((enum tlb_severity)ev->a[i]));
		else if (args[i] == 'x')
			fprintf(out, " 0x%" PRIx64, ev->a[i]);
		else
			fprintf(out, " %" PRIu64, ev->a[i]);
	}
	if (ev->pc != 0 && ev->type >= TLB_FIRST_TIMED)
		fprintf(out, " @0x%" PRIx64, ev->pc);
	fputc('\n', out);
	return !ferror(out);
}
