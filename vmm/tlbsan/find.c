/* SPDX-License-Identifier: ISC */
/*
 * Findings: pages in a row joined into one, handed to the receiver, and put into words.
 */
#include "vmm/tlbsan/priv.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const words[] = {
#define X(name, word, args) word,
	TLB_EVENTS(X)
#undef X
};
static const char *const arguments[] = {
#define X(name, word, args) args,
	TLB_EVENTS(X)
#undef X
};
static const char *const rule_words[] = {
#define X(name, word, text) word,
	TLB_RULES(X)
#undef X
};
static const char *const rule_texts[] = {
#define X(name, word, text) text,
	TLB_RULES(X)
#undef X
};
static const char *const kind_words[] = {
#define X(name, word, text) word,
	TLB_KINDS(X)
#undef X
};
static const char *const kind_texts[] = {
#define X(name, word, text) text,
	TLB_KINDS(X)
#undef X
};
static const char *const severity_words[] = { "off", "note", "warning", "error" };

const char *
tlb_word(enum tlb_type type)
{
	return type < TLB_NTYPES ? words[type] : NULL;
}

const char *
tlb_args(enum tlb_type type)
{
	return type < TLB_NTYPES ? arguments[type] : NULL;
}

const char *
tlb_rule_word(enum tlb_rule rule)
{
	return rule < TLB_NRULES ? rule_words[rule] : NULL;
}

const char *
tlb_severity_word(enum tlb_severity severity)
{
	return severity <= TLB_ERROR ? severity_words[severity] : NULL;
}

const char *
tlb_kind_word(enum tlb_kind kind)
{
	return kind < TLB_NKINDS ? kind_words[kind] : NULL;
}

void
find_out(struct tlb *t)
{
	if (!t->has_held)
		return;
	t->has_held = false;
	t->totals.found[t->held.kind]++;
	t->totals.at[t->held.severity]++;
	if (t->report != NULL)
		t->report(t->report_arg, &t->held);
}

static bool
is_lint(const struct tlb_finding *f)
{
	return f->kind == TLB_USELESS || f->kind == TLB_REPEATED;
}

/* b is about the page after those of a, and would say the same. */
static bool
continues(const struct tlb_finding *a, const struct tlb_finding *b)
{
	if (a->kind != b->kind || a->rule != b->rule || a->severity != b->severity ||
	    a->cpus != b->cpus || a->level != b->level || a->cpu != b->cpu ||
	    a->store_cpu != b->store_cpu || a->npages == 0 || b->npages == 0 ||
	    b->va != a->va + a->npages * pt_span(a->level))
		return false;
	if (is_lint(a))
		return true;
	return a->ticket == b->ticket && a->kind != TLB_WRONG_ADDRESS && a->kind != TLB_UNLOGGED;
}

void
find_emit(struct tlb *t, const struct tlb_finding *f)
{
	if (f->severity == TLB_SILENT)
		return;
	if (t->has_held && continues(&t->held, f)) {
		t->held.npages += f->npages;
		t->held.hint = f->hint;
		return;
	}
	find_out(t);
	t->held = *f;
	t->has_held = true;
}

struct tlb_finding
find_about(const struct oblig *o, enum tlb_kind kind, uint64_t cpus, const struct tlb_event *ev)
{
	return (struct tlb_finding){
		.kind = (uint8_t)kind,
		.rule = TLB_NRULES,
		.severity = TLB_ERROR,
		.level = o->level,
		.va = o->va,
		.npages = 1,
		.frame = o->frame,
		.cpus = cpus,
		.old = o->old,
		.new = o->new,
		.store_ticket = o->ticket,
		.store_pc = o->pc,
		.store_cpu = o->cpu,
		.cpu = ev->cpu,
		.ticket = ev->ticket,
		.pc = ev->pc,
	};
}

struct text {
	char *buf;
	size_t size;
	int used;
};

static void add(struct text *, const char *fmt, ...) __attribute__((__format__(__printf__, 2, 3)));

static void
add(struct text *t, const char *fmt, ...)
{
	size_t used = (size_t)t->used;
	va_list ap;

	va_start(ap, fmt);
	t->used += vsnprintf(
	    used < t->size ? t->buf + used : NULL, used < t->size ? t->size - used : 0, fmt, ap);
	va_end(ap);
}

static void
add_pc(struct text *t, uint64_t pc)
{
	if (pc != 0)
		add(t, " at pc %#" PRIx64, pc);
}

static void
add_cpus(struct text *t, uint64_t mask)
{
	const char *comma = "";

	add(t, " on cpu ");
	for (unsigned cpu = 0; cpu < TLB_CPU_MAX; cpu++) {
		if (mask & CPU_BIT(cpu)) {
			add(t, "%s%u", comma, cpu);
			comma = ",";
		}
	}
}

static void
add_what(struct text *t, const struct tlb_finding *f)
{
	static const char *const sizes[] = { "", "4 KiB", "2 MiB", "1 GiB", "512 GiB" };

	if (f->kind == TLB_WOKE)
		return;
	if (f->kind == TLB_TABLE_FREED || f->kind == TLB_TABLE_LINKED) {
		add(t, " table %#" PRIx64 ", level %u, of %#" PRIx64, f->frame, f->level, f->va);
		return;
	}
	if (f->npages == 0) {
		add(t, " the whole TLB");
		return;
	}
	add(t, " %#" PRIx64, f->va);
	if (f->npages > 1)
		add(t, " and the next %" PRIu64, f->npages - 1);
	if (f->level <= 4)
		add(t, " (%s)", sizes[f->level]);
	if (!is_lint(f) && f->kind != TLB_UNLOGGED)
		add(t, ", was frame %#" PRIx64, f->frame);
}

static void
add_hint(struct text *t, const struct tlb_finding *f)
{
	if (f->kind == TLB_LATE)
		add(t, "\n  invalidated at %" PRIu64, f->hint);
	else if (f->kind == TLB_PAGE_MAPPED)
		add(t, "\n  freed at %" PRIu64, f->hint);
	else if (f->kind == TLB_WRONG_ADDRESS)
		add(t, "\n  invalidated in its place: %#" PRIx64, f->hint);
	else if (f->kind == TLB_UNLOGGED && f->store_ticket == 0)
		add(t, "\n  the log says %#" PRIx64 ", memory has %#" PRIx64, f->hint, f->old);
	else if (f->kind == TLB_UNLOGGED)
		add(t, "\n  the log said %#" PRIx64 ", the store found %#" PRIx64, f->hint, f->old);
}

int
tlb_finding_text(char *buf, size_t size, const struct tlb_finding *f)
{
	struct text t = { buf, size, 0 };

	if (size > 0)
		buf[0] = '\0';
	add(&t, "%s: %s:", severity_words[f->severity], kind_words[f->kind]);
	add_what(&t, f);
	add_cpus(&t, f->cpus);
	add(&t, "\n  %s", kind_texts[f->kind]);
	if (!is_lint(f) && f->kind != TLB_UNLOGGED && f->kind != TLB_WOKE &&
	    f->kind != TLB_TABLE_LINKED) {
		add(&t, "\n  stored at %" PRIu64 " by cpu %u", f->store_ticket, f->store_cpu);
		add_pc(&t, f->store_pc);
		add(&t, ": %#" PRIx64 " -> %#" PRIx64, f->old, f->new);
	}
	add_hint(&t, f);
	if (f->rule < TLB_NRULES)
		add(&t, "\n  due %s (%s): %" PRIu64 ", cpu %u", rule_texts[f->rule],
		    rule_words[f->rule], f->ticket, f->cpu);
	else
		add(&t, "\n  seen at %" PRIu64 ", cpu %u", f->ticket, f->cpu);
	add_pc(&t, f->pc);
	return t.used;
}
