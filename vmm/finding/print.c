/* SPDX-License-Identifier: ISC */
/*
 * A finding as text: see finding.h.
 */
#include "vmm/finding/finding.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shared/events.h"
#include "vmm/view/print.h"

#define LABEL "  %-15s"

/* The address behind "pc ", if a known one begins at text; *len: its characters. */
static bool
is_pc(struct symbols *symbols, const char *text, uint64_t *pc, size_t *len)
{
	const char *name;
	uint64_t offset;
	char *end;

	if (strncmp(text, "pc 0x", 5) != 0)
		return false;
	*pc = strtoull(text + 3, &end, 16);
	*len = (size_t)(end - text);
	return symbols_name(symbols, *pc - 1, &name, &offset);
}

void
finding_print_text(FILE *out, struct symbols *symbols, const char *indent, const char *text)
{
	while (*text != '\0') {
		uint64_t pc;
		size_t len;

		if (is_pc(symbols, text, &pc, &len)) {
			symbols_print_return(symbols, out, pc);
			text += len;
			continue;
		}
		fputc(*text, out);
		if (*text++ == '\n' && *text != '\0')
			fputs(indent, out);
	}
	fputc('\n', out);
}

static void
print_operation(FILE *out, const struct finding *f)
{
	if (f->operation == 0)
		return;
	fprintf(out, LABEL "%u", "operation", f->operation);
	if (f->text != NULL)
		fprintf(out, ": %s", f->text);
	if (f->file != NULL)
		fprintf(out, "  (%s:%u)", f->file, f->line);
	fputc('\n', out);
}

/* The two walks side by side, or the one there is. */
static void
print_walks(FILE *out, const struct finding *f)
{
	char owner[300], buf[6000];
	struct text place = text_on(owner, sizeof(owner)), text = text_on(buf, sizeof(buf));
	struct ladder_facts facts = { .owner_model = f->model[0] != '\0' ? f->model : NULL };

	if (f->has_place) {
		audit_place_text(&place, &f->place);
		facts.owner_map = owner;
	}
	if (f->expected_by != NULL) {
		ladder_expect(&text, &f->expect, &f->walk, &facts);
		fputs(buf, out);
		fprintf(out, LABEL "%s", "expected by", f->expected_by);
		if (f->differs != 0)
			fprintf(out, "; they part at %s[%u]", pt_level_name(f->differs),
			    pt_index(f->walk.va.v, f->differs));
		fputc('\n', out);
		return;
	}
	fprintf(out, LABEL "%016" PRIx64 " (%s)\n", "va", f->walk.va.v, view_region(f->walk.va));
	if (facts.owner_map != NULL)
		fprintf(out, LABEL "%s\n", "owner by map", facts.owner_map);
	if (facts.owner_model != NULL)
		fprintf(out, LABEL "%s\n", "owner by model", facts.owner_model);
	view_walk_print(out, &f->walk);
}

static void
print_write(FILE *out, const struct finding *f, const struct recorder_write *w)
{
	fprintf(out, "    event %-8" PRIu64 " op %-4u cpu %u  %#" PRIx64 " -> %#" PRIx64 "  ",
	    w->ticket, w->op, w->cpu, w->old, w->new);
	if (w->pc != 0)
		symbols_print_return(f->symbols, out, w->pc);
	fputc('\n', out);
}

static void
print_writers(FILE *out, const struct finding *f)
{
	if (!f->has_entry || !f->logged)
		return;
	fprintf(out, LABEL "%s[%u] at %#" PRIx64, "last writers", pt_level_name(f->entry_level),
	    pt_index(f->walk.va.v, f->entry_level), f->entry.v);
	fputs(f->nwrite == 0 ? ": none in the log\n" : "\n", out);
	if (f->unlogged)
		fprintf(out,
		    "    not logged                 %#" PRIx64 " -> %#" PRIx64
		    "  changed past pte_set() and pte_swap()\n",
		    f->write[0].new, f->now);
	for (unsigned i = 0; i < f->nwrite; i++)
		print_write(out, f, &f->write[i]);
}

static void
print_open(FILE *out, const struct finding *f)
{
	for (size_t i = 0; i < f->nopen; i++) {
		const struct tlb_open *o = &f->open[i];

		fprintf(out,
		    LABEL "since event %" PRIu64 " (cpu %u, %#" PRIx64 " -> %#" PRIx64
			  "), not invalidated on cpu",
		    "TLB, owed", o->ticket, o->cpu, o->old, o->new);
		for (unsigned cpu = 0; cpu < TLB_CPU_MAX; cpu++)
			if ((o->cpus >> cpu & 1) != 0)
				fprintf(out, " %u", cpu);
		if (o->pc != 0) {
			fputs("  ", out);
			symbols_print_return(f->symbols, out, o->pc);
		}
		fputc('\n', out);
	}
}

static void
print_frame(FILE *out, const struct finding *f)
{
	char line[200];
	struct text text = text_on(line, sizeof(line));

	if (!f->has_frame)
		return;
	fprintf(out, LABEL "%#" PRIx64, "frame", f->frame.v);
	if (f->has_owner) {
		audit_frame_text(&text, &f->owner);
		fprintf(out, ": %s", line);
	}
	fputc('\n', out);
	if (f->has_last) {
		fprintf(out,
		    "    event %-8" PRIu64 " op %-4u cpu %u  %s with %" PRIu64
		    " pages from %#" PRIx64 "  ",
		    f->last.ev.ticket + 1, f->last.op, f->last.ev.cpu,
		    f->last.ev.type == BED_EV_PAGE_FREE ? "freed" : "allocated", f->last.ev.a[1],
		    f->last.ev.a[0]);
		symbols_print_return(f->symbols, out, f->last.pc);
		fputc('\n', out);
	}
	for (unsigned i = 0; i < f->nalias && i < FINDING_ALIAS; i++)
		fprintf(out, "    also mapped at %016" PRIx64 " (%s)\n", f->alias[i].v,
		    view_region(f->alias[i]));
	if (f->nalias > FINDING_ALIAS)
		fprintf(out, "    and at %u more\n", f->nalias - FINDING_ALIAS);
}

void
finding_print(FILE *out, const struct finding *f)
{
	/* Many texts begin with their witness themselves. */
	if (f->message == NULL || f->witness == NULL ||
	    strncmp(f->message, f->witness, strlen(f->witness)) != 0)
		fprintf(out, "%s: ", f->witness != NULL ? f->witness : "check");
	finding_print_text(out, f->symbols, "  ", f->message != NULL ? f->message : "");
	print_operation(out, f);
	if (f->has_va)
		print_walks(out, f);
	print_writers(out, f);
	print_open(out, f);
	print_frame(out, f);
	if (f->replay != NULL)
		fprintf(out, LABEL "%s\n", "replay", f->replay);
}
