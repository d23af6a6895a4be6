/* SPDX-License-Identifier: ISC */
/*
 * A finding as JSON: see finding.h, docs/reports.md and docs/finding.schema.json.
 */
#include "vmm/finding/finding.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/events.h"
#include "vmm/view/json.h"
#include "vmm/view/print.h"

static const char *const event_names[] = {
#define X(id, name, a0, a1, a2) [id] = #name,
	BED_EVENT_TYPES(X)
#undef X
};

static json_t *
hex(uint64_t value)
{
	return json_sprintf("0x%" PRIx64, value);
}

/* A file's name may be anything; JSON is UTF-8. */
static json_t *
string_or_null(const char *text)
{
	json_t *string = text != NULL ? json_string(text) : json_null();
	char *plain;

	if (string != NULL)
		return string;
	plain = strdup(text);
	for (char *c = plain; c != NULL && *c != '\0'; c++)
		if (*c < ' ')
			*c = '?';
	string = plain != NULL ? json_string(plain) : NULL;
	free(plain);
	return string;
}

static json_t *
operation_json(const struct finding *f)
{
	if (f->operation == 0)
		return json_null();
	return json_pack("{s:i, s:o, s:o, s:i}", "number", (int)f->operation, "text",
	    string_or_null(f->text), "file", string_or_null(f->file), "line", (int)f->line);
}

/* Where in the guest (pc is a return address): "symbol" and "source", null if not known. */
static json_t *
code_json(struct symbols *symbols, uint64_t pc)
{
	const char *name, *file;
	uint64_t offset;
	int number;
	json_t *symbol = symbols_name(symbols, pc - 1, &name, &offset)
	                     ? json_sprintf("%s+0x%" PRIx64, name, offset + 1)
	                     : json_null();
	json_t *source = symbols_own_line(symbols, pc - 1, &file, &number)
	                     ? json_sprintf("%s:%d", file, number)
	                     : json_null();

	return json_pack("{s:o, s:o, s:o}", "pc", hex(pc), "symbol", symbol, "source", source);
}

static json_t *
rung_json(const struct finding *f, int level)
{
	char want[256] = "", is[256] = "", note[256] = "";
	struct text w = text_on(want, sizeof(want)), a = text_on(is, sizeof(is)),
		    n = text_on(note, sizeof(note));
	unsigned i = (unsigned)(PT_LEVELS - level);
	bool read = i < f->walk.nsteps;

	if (f->expected_by != NULL)
		ladder_rung_text(&w, &f->rung[level], level);
	if (read)
		pte_text(&a, level, f->walk.step[i].raw);
	if (read && f->expected_by != NULL)
		ladder_note_text(&n, &f->rung[level], level, f->walk.step[i].raw);
	return json_pack("{s:s, s:i, s:o, s:s, s:o, s:o, s:s}", "level", pt_level_name(level),
	    "index", (int)pt_index(f->walk.va.v, level), "entry",
	    read ? hex(f->walk.step[i].entry.v) : json_null(), "expected", want, "actual",
	    read ? json_string(is) : json_null(), "raw",
	    read ? hex(f->walk.step[i].raw) : json_null(), "note",
	    note[0] == '<' ? note + 3 : note);
}

static json_t *
ladder_json(const struct finding *f)
{
	json_t *list = json_array();

	for (int level = PT_LEVELS; level >= 1; level--)
		json_array_append_new(list, rung_json(f, level));
	return list;
}

static json_t *
place_json(const struct audit_place *p)
{
	static const char *const word[] = { "outside", "unreadable", "entry", "guard", "hole" };
	char line[300];
	struct text text = text_on(line, sizeof(line));

	audit_place_text(&text, p);
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:i, s:i, s:i, s:b, s:o}", "kind",
	    word[p->kind], "text", line, "map", p->map, "start", hex(p->start), "end", hex(p->end),
	    "protection", (int)p->prot, "max_protection", (int)p->max, "wired_count", (int)p->wired,
	    "object", p->object, "vm_map_entry", hex(p->entry));
}

static json_t *
expected_json(const struct finding *f)
{
	char line[400];
	struct text text = text_on(line, sizeof(line));

	if (f->expected_by == NULL)
		return json_null();
	if (f->expect.state == PT_ABSENT || pt_expect_wants_leaf(&f->expect))
		pt_print(&text, &f->expect);
	return json_pack("{s:s, s:s}", "by", f->expected_by, "text", line);
}

static json_t *
page_json(const struct finding *f)
{
	if (!f->has_va)
		return json_null();
	return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "va", hex(f->walk.va.v),
	    "region", view_region(f->walk.va), "expected", expected_json(f), "differs_at",
	    f->differs != 0 ? json_string(pt_level_name(f->differs)) : json_null(), "ladder",
	    ladder_json(f), "walk", view_walk_json(&f->walk), "owner_by_map",
	    f->has_place ? place_json(&f->place) : json_null(), "owner_by_model",
	    f->model[0] != '\0' ? json_string(f->model) : json_null());
}

static json_t *
write_json(const struct finding *f, const struct recorder_write *w)
{
	return json_pack("{s:I, s:i, s:i, s:o, s:o, s:o}", "event", (json_int_t)w->ticket,
	    "operation", (int)w->op, "cpu", (int)w->cpu, "old", hex(w->old), "new", hex(w->new),
	    "at", code_json(f->symbols, w->pc));
}

static json_t *
entry_json(const struct finding *f)
{
	json_t *writers;

	if (!f->has_entry)
		return json_null();
	writers = json_array();
	for (unsigned i = 0; i < f->nwrite; i++)
		json_array_append_new(writers, write_json(f, &f->write[i]));
	return json_pack("{s:s, s:o, s:o, s:b, s:o}", "level", pt_level_name(f->entry_level),
	    "address", hex(f->entry.v), "value", hex(f->now), "changed_unlogged", f->unlogged,
	    "last_writers", writers);
}

static json_t *
open_json(const struct finding *f)
{
	json_t *list = json_array();

	for (size_t i = 0; i < f->nopen; i++) {
		const struct tlb_open *o = &f->open[i];
		json_t *cpus = json_array();

		for (unsigned cpu = 0; cpu < TLB_CPU_MAX; cpu++)
			if ((o->cpus >> cpu & 1) != 0)
				json_array_append_new(cpus, json_integer(cpu));
		json_array_append_new(
		    list, json_pack("{s:o, s:i, s:o, s:o, s:o, s:I, s:i, s:o}", "va", hex(o->va),
			      "level", (int)o->level, "frame", hex(o->frame), "old", hex(o->old),
			      "new", hex(o->new), "event", (json_int_t)o->ticket, "cpu",
			      (int)o->cpu, "not_invalidated_on", cpus));
	}
	return list;
}

static json_t *
frame_json(const struct finding *f)
{
	json_t *also, *last = NULL;

	if (!f->has_frame)
		return json_null();
	also = json_array();
	for (unsigned i = 0; i < f->nalias && i < FINDING_ALIAS; i++)
		json_array_append_new(also, hex(f->alias[i].v));
	if (f->has_last)
		last = json_pack("{s:I, s:i, s:s, s:o}", "event", (json_int_t)f->last.ev.ticket + 1,
		    "operation", (int)f->last.op, "what", event_names[f->last.ev.type], "at",
		    code_json(f->symbols, f->last.pc));
	return json_pack("{s:o, s:o, s:i, s:o, s:i, s:o}", "pa", hex(f->frame.v), "owner",
	    f->has_owner ? json_string(audit_frame_word(f->owner.kind)) : json_null(), "wire_count",
	    (int)f->owner.wire_count, "also_mapped_at", also, "mappings_besides", (int)f->nalias,
	    "last_event", last != NULL ? last : json_null());
}

json_t *
finding_json(const struct finding *f)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "schema",
	    "uvmbed-finding-1", "witness", f->witness != NULL ? f->witness : "check", "message",
	    string_or_null(f->message), "operation", operation_json(f), "page", page_json(f),
	    "entry", entry_json(f), "tlb_owed", open_json(f), "frame", frame_json(f), "replay",
	    string_or_null(f->replay));
}
