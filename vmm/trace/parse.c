/* SPDX-License-Identifier: ISC */
/*
 * Text to trace: one pass, a line at a time, every error with its line and column.
 */
#include "vmm/trace/trace.h"

#include "shared/layout.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct token {
	char text[TRACE_TOKEN];
	unsigned column; /* from 1 */
};

struct parser {
	struct trace *trace;
	struct bed_err *err;
	unsigned number; /* of the line, from 1 */
	unsigned ntoken;
	struct token token[TRACE_WORDS + 3];
	char *comment;
	bool seen_op; /* a call came: settings of the machine are over */
	/* Names in use: open addressing over the index of the defining line. */
	int *names;
	unsigned names_cap, names_used;
};

static bool fail_at(struct parser *, unsigned column, const char *fmt, ...)
    __attribute__((__format__(__printf__, 3, 4)));

static bool
fail_at(struct parser *p, unsigned column, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return bed_fail(
	    p->err, BED_E_INPUT, "%s:%u:%u: %s", p->trace->file, p->number, column, text);
}

static unsigned
name_hash(const char *name)
{
	unsigned h = 2166136261u;

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h;
}

/* The slot where name is, or where it would go. */
static int *
name_slot(struct parser *p, const char *name)
{
	unsigned i = name_hash(name) & (p->names_cap - 1);

	while (p->names[i] != -1 && strcmp(p->trace->line[p->names[i]].name, name) != 0)
		i = (i + 1) & (p->names_cap - 1);
	return &p->names[i];
}

static bool
names_grow(struct parser *p)
{
	unsigned old_cap = p->names_cap;
	int *old = p->names;

	p->names_cap = old_cap ? old_cap * 2 : 64;
	p->names = malloc(p->names_cap * sizeof(*p->names));
	if (p->names == NULL) {
		p->names = old;
		p->names_cap = old_cap;
		return fail_at(p, 1, "out of memory");
	}
	memset(p->names, 0xff, p->names_cap * sizeof(*p->names));
	for (unsigned i = 0; i < old_cap; i++) {
		if (old[i] != -1)
			*name_slot(p, p->trace->line[old[i]].name) = old[i];
	}
	free(old);
	return true;
}

/* A later definition hides an earlier one of the same name. */
static bool
name_define(struct parser *p, const char *name, int line)
{
	int *slot;

	if (2 * (p->names_used + 1) > p->names_cap && !names_grow(p))
		return false;
	slot = name_slot(p, name);
	if (*slot == -1)
		p->names_used++;
	*slot = line;
	return true;
}

static int
name_find(struct parser *p, const char *name)
{
	return p->names_cap == 0 ? -1 : *name_slot(p, name);
}

static bool
is_name(const char *text, size_t len)
{
	if (len == 0 || (!isalpha((unsigned char)text[0]) && text[0] != '_'))
		return false;
	for (size_t i = 1; i < len; i++) {
		if (!isalnum((unsigned char)text[i]) && text[i] != '_')
			return false;
	}
	return true;
}

/* A comment may be in any language, but not hold what would end it early or play with a terminal. */
static bool
comment(struct parser *p, const char *s, size_t from, size_t len)
{
	while (len > from && (s[len - 1] == ' ' || s[len - 1] == '\t'))
		len--;
	for (size_t i = from; i < len; i++) {
		if (iscntrl((unsigned char)s[i]) && s[i] != '\t')
			return fail_at(p, (unsigned)i + 1, "control character %#x in a comment",
			    (unsigned char)s[i]);
	}
	p->comment = strndup(s + from, len - from);
	return p->comment != NULL || fail_at(p, 1, "out of memory");
}

/* Split into tokens at blanks; a '#' starts the comment, which keeps the blanks before it. */
static bool
tokenize(struct parser *p, const char *s, size_t len)
{
	size_t i = 0;

	p->ntoken = 0;
	p->comment = NULL;
	for (;;) {
		size_t start, blanks = i;

		while (i < len && (s[i] == ' ' || s[i] == '\t'))
			i++;
		if (i == len)
			return true;
		if (s[i] == '#')
			return comment(p, s, blanks, len);
		for (start = i; i < len && s[i] != ' ' && s[i] != '\t' && s[i] != '#'; i++) {
			if (!isprint((unsigned char)s[i]))
				return fail_at(p, (unsigned)i + 1,
				    "byte %#x; a trace is plain ASCII text", (unsigned char)s[i]);
		}
		if (p->ntoken == TRACE_WORDS + 3)
			return fail_at(p, (unsigned)start + 1, "too many words on one line");
		if (i - start >= TRACE_TOKEN)
			return fail_at(p, (unsigned)start + 1, "word longer than %d characters",
			    TRACE_TOKEN - 1);
		memcpy(p->token[p->ntoken].text, s + start, i - start);
		p->token[p->ntoken].text[i - start] = '\0';
		p->token[p->ntoken++].column = (unsigned)start + 1;
	}
}

static const char *
kind_text(enum bed_kind kind)
{
	switch (kind) {
	case A_MAP:
		return "a map (kernel_map, or a name given to uvm_km_suballoc)";
	case A_PROT:
		return "a protection such as rw-";
	case A_FLAGS:
		return "flags: 0, a number, or words joined by |";
	case A_KV:
		return "a mode: any, intrsafe, page or exec";
	case A_KP:
		return "a mode: dirty, zero, dma, dma_contig, dma_zero, pageable or none";
	case A_KD:
		return "a mode: waitok, nowait or trylock";
	case A_PAGES:
		return "a number of pages, or the name of an earlier result";
	case A_SIZE:
		return "a size such as 3p, 64k or 0x1000";
	default:
		return "a number or the name of an earlier result";
	}
}

/* A name with an optional +number or -number. False without an error: it is no such thing. */
static bool
parse_reference(struct parser *p, const char *text, struct trace_value *v)
{
	size_t len = strcspn(text, "+-");
	char name[TRACE_TOKEN];
	uint64_t offset = 0;

	if (!is_name(text, len))
		return false;
	memcpy(name, text, len);
	name[len] = '\0';
	v->ref = name_find(p, name);
	if (v->ref == -1)
		return false;
	if (text[len] != '\0' && !trace_number(text + len + 1, A_VAL, &offset))
		return false;
	v->number = text[len] == '-' ? 0 - offset : offset;
	return true;
}

static bool
parse_value(struct parser *p, const struct token *t, enum bed_kind kind, const char *what,
    struct trace_value *v)
{
	memcpy(v->text, t->text, sizeof(v->text));
	v->ref = -1;
	if (kind == A_NONE)
		return true;
	if (trace_number(t->text, kind, &v->number) || parse_reference(p, t->text, v))
		return true;
	if (is_name(t->text, strcspn(t->text, "+-")) && kind != A_MAP && kind != A_FLAGS &&
	    kind != A_PROT)
		return fail_at(
		    p, t->column, "\"%s\" as %s: no earlier line defines that name", t->text, what);
	return fail_at(p, t->column, "\"%s\" is no value for %s; it must be %s", t->text, what,
	    kind_text(kind));
}

/* The known word nearest to a mistyped one, by letters in common at both ends. */
static const char *
nearest_call(const char *text)
{
	const char *best = NULL;
	size_t best_score = 3;

	for (unsigned id = 1; id < BED_CALL_LIMIT; id++) {
		const struct call_shape *shape = call_shape(id);
		size_t head = 0, tail = 0, a = strlen(text), b;

		if (shape == NULL)
			continue;
		b = strlen(shape->name);
		while (head < a && head < b && text[head] == shape->name[head])
			head++;
		while (tail < a - head && tail < b - head &&
		       text[a - 1 - tail] == shape->name[b - 1 - tail])
			tail++;
		if (head + tail > best_score && head + tail + 4 > a) {
			best_score = head + tail;
			best = shape->name;
		}
	}
	return best;
}

static unsigned
call_by_name(const char *name)
{
	for (unsigned id = 1; id < BED_CALL_LIMIT; id++) {
		const struct call_shape *shape = call_shape(id);

		if (shape != NULL && strcmp(shape->name, name) == 0)
			return id;
	}
	return BED_CALL_NONE;
}

static bool
parse_call(struct parser *p, struct trace_line *l, unsigned at)
{
	const struct token *verb = &p->token[at];
	const struct call_shape *shape;
	unsigned given = p->ntoken - at - 1;

	l->kind = TRACE_CALL;
	l->which = (uint16_t)call_by_name(verb->text);
	if (l->which == BED_CALL_NONE) {
		const char *near = nearest_call(verb->text);

		return fail_at(p, verb->column, "unknown operation \"%s\"%s%s%s", verb->text,
		    near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	}
	shape = call_shape(l->which);
	if (given != shape->nargs)
		return fail_at(p, verb->column, "%s takes %u arguments, here are %u", shape->name,
		    shape->nargs, given);
	for (unsigned i = 0; i < given; i++) {
		if (!parse_value(
			p, &p->token[at + 1 + i], shape->kind[i], shape->arg[i], &l->value[i]))
			return false;
	}
	l->nvalue = (uint8_t)given;
	p->seen_op = true;
	return true;
}

static bool
parse_form(struct parser *p, struct trace_line *l, const struct trace_form *form, unsigned at)
{
	unsigned given = p->ntoken - at - 1;

	l->which = form->which;
	if (given < form->min || given > form->max)
		return fail_at(p, p->token[at].column, "%s takes %u%s values, here are %u",
		    form->word, form->min, form->max > form->min ? " or more" : "", given);
	if (form->early && p->seen_op)
		return fail_at(p, p->token[at].column,
		    "%s describes the machine; it must come before the first operation",
		    form->word);
	for (unsigned i = 0; i < given; i++) {
		if (!parse_value(p, &p->token[at + 1 + i], form->kind[i], form->word, &l->value[i]))
			return false;
	}
	l->nvalue = (uint8_t)given;
	return true;
}

/* beside CPU VERB VALUE...: a call that begins on that vCPU together with the next one. */
static bool
parse_beside(struct parser *p, struct trace_line *l)
{
	uint64_t cpu;

	if (p->ntoken < 3)
		return fail_at(p, p->token[0].column, "beside takes a vCPU and a call");
	if (!trace_number(p->token[1].text, A_INT, &cpu) || cpu == 0 || cpu >= BED_CPU_MAX)
		return fail_at(p, p->token[1].column,
		    "\"%s\" is no vCPU beside the first; they are 1 to %d", p->token[1].text,
		    BED_CPU_MAX - 1);
	l->beside = (unsigned)cpu;
	return parse_call(p, l, 2);
}

/* at STOP VERB VALUE...: a call that begins while the next one stands at a stop point. */
static bool
parse_at(struct parser *p, struct trace_line *l)
{
	uint64_t stop;

	if (p->ntoken < 3)
		return fail_at(p, p->token[0].column, "at takes a stop point and a call");
	if (!trace_number(p->token[1].text, A_INT, &stop) || stop == 0 || stop > TRACE_STOP_MAX)
		return fail_at(p, p->token[1].column, "\"%s\" is no stop point; they are 1 to %d",
		    p->token[1].text, TRACE_STOP_MAX);
	l->stop = (unsigned)stop;
	return parse_call(p, l, 2);
}

static bool
parse_tokens(struct parser *p, struct trace_line *l)
{
	const char *first = p->token[0].text;
	const struct trace_form *form;

	if (p->ntoken >= 2 && strcmp(p->token[1].text, "=") == 0) {
		if (!is_name(first, strlen(first)))
			return fail_at(p, p->token[0].column,
			    "\"%s\" cannot be a name; use letters, digits and _", first);
		if (p->ntoken == 2)
			return fail_at(p, p->token[1].column, "an operation must follow the =");
		memcpy(l->name, first, sizeof(l->name));
		return parse_call(p, l, 2);
	}
	if (strcmp(first, "expect") == 0) {
		l->kind = TRACE_EXPECT;
		form = p->ntoken < 2 ? NULL : trace_form_find(TRACE_EXPECT, p->token[1].text);
		if (form == NULL)
			return fail_at(p, p->token[p->ntoken < 2 ? 0 : 1].column,
			    "expect what? one of: mapped absent zero filled equal differ asleep awake frames");
		return parse_form(p, l, form, 1);
	}
	if (strcmp(first, "beside") == 0)
		return parse_beside(p, l);
	if (strcmp(first, "at") == 0)
		return parse_at(p, l);
	form = trace_form_find(TRACE_SET, first);
	if (form != NULL) {
		l->kind = TRACE_SET;
		return parse_form(p, l, form, 0);
	}
	return parse_call(p, l, 0);
}

static struct trace_line *
new_line(struct parser *p)
{
	struct trace *t = p->trace;
	struct trace_line *bigger;

	if (t->nline == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		bigger = realloc(t->line, t->cap * sizeof(*t->line));
		if (bigger == NULL) {
			t->cap = t->nline;
			return NULL;
		}
		t->line = bigger;
	}
	memset(&t->line[t->nline], 0, sizeof(*t->line));
	return &t->line[t->nline];
}

static bool
parse_line(struct parser *p, const char *s, size_t len)
{
	struct trace_line *l;

	if (len > TRACE_LINE)
		return fail_at(p, TRACE_LINE + 1, "line longer than %d characters", TRACE_LINE);
	if (p->trace->nline == TRACE_LINES)
		return fail_at(p, 1, "more than %d lines", TRACE_LINES);
	l = new_line(p);
	if (l == NULL)
		return fail_at(p, 1, "out of memory");
	if (!tokenize(p, s, len)) {
		free(p->comment);
		return false;
	}
	l->number = p->number;
	l->comment = p->comment;
	p->trace->nline++; /* from here trace_free() sees the comment */
	if (p->ntoken == 0)
		return true;
	if (!parse_tokens(p, l))
		return false;
	return l->name[0] == '\0' || name_define(p, l->name, (int)p->trace->nline - 1);
}

static bool
parse_header(struct parser *p, const char *s, size_t len)
{
	uint64_t version;

	if (!tokenize(p, s, len < TRACE_LINE ? len : TRACE_LINE)) {
		free(p->comment);
		return false;
	}
	free(p->comment);
	if (p->ntoken != 2 || strcmp(p->token[0].text, "uvmbed-trace") != 0 ||
	    !trace_number(p->token[1].text, A_INT, &version))
		return fail_at(
		    p, 1, "not a trace; the first line must be \"uvmbed-trace %d\"", TRACE_VERSION);
	if (version != TRACE_VERSION)
		return fail_at(p, p->token[1].column,
		    "trace version %s; this uvmbed reads version %d", p->token[1].text,
		    TRACE_VERSION);
	return true;
}

bool
trace_parse(struct trace *t, const char *file, const char *text, size_t len, struct bed_err *err)
{
	struct parser p = { .trace = t, .err = err };
	const char *s = text, *end = text + len;
	bool ok = true;

	memset(t, 0, sizeof(*t));
	snprintf(t->file, sizeof(t->file), "%s", file);
	for (p.number = 1; ok && (s < end || p.number == 1); p.number++) {
		const char *nl = s < end ? memchr(s, '\n', (size_t)(end - s)) : NULL;

		if (nl == NULL && s < end)
			ok = fail_at(&p, (unsigned)(end - s) + 1,
			    "the last line has no end; the trace is cut short");
		else if (p.number == 1)
			ok = parse_header(&p, s, nl ? (size_t)(nl - s) : 0);
		else
			ok = parse_line(&p, s, (size_t)(nl - s));
		s = nl ? nl + 1 : end;
	}
	free(p.names);
	if (!ok)
		trace_free(t);
	return ok;
}

void
trace_free(struct trace *t)
{
	for (unsigned i = 0; i < t->nline; i++)
		free(t->line[i].comment);
	free(t->line);
	t->line = NULL;
	t->nline = t->cap = 0;
}
