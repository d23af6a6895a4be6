/* SPDX-License-Identifier: ISC */
/*
 * Walks, snapshots and diffs as JSON: see json.h.
 */
#include "vmm/view/json.h"

#include <inttypes.h>
#include <stdio.h>

#include "vmm/view/print.h"

static json_t *
hex(uint64_t value)
{
	return json_sprintf("0x%" PRIx64, value);
}

static json_t *
number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

/* Every piece is put in with this: a NULL value (no memory) makes the whole fail. */
static bool
put(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) == 0;
}

static json_t *
all_or_none(json_t *object, bool ok)
{
	if (ok)
		return object;
	json_decref(object);
	return NULL;
}

static bool
put_attr(json_t *object, struct view_attr attr)
{
	char rights[5];

	return put(object, "size", json_string(pt_size_name(attr.level))) &&
	       put(object, "rights", json_string(view_rights_text(attr.rights, rights))) &&
	       put(object, "pat", number(attr.memtype)) &&
	       put(object, "global", json_boolean((attr.flags & VIEW_G) != 0)) &&
	       put(object, "accessed", json_boolean((attr.flags & VIEW_A) != 0)) &&
	       put(object, "dirty", json_boolean((attr.flags & VIEW_D) != 0)) &&
	       put(object, "wired", json_boolean((attr.soft & VIEW_SOFT_W) != 0)) &&
	       put(object, "managed", json_boolean((attr.soft & VIEW_SOFT_M) != 0)) &&
	       put(object, "soft", number(attr.soft));
}

/* The level that took a right, by name; null: none did. */
static json_t *
taken(uint8_t level)
{
	return level != 0 ? json_string(pt_level_name(level)) : json_null();
}

static json_t *
step_json(const struct walk_step *step)
{
	json_t *object = json_object();
	char words[256];
	struct text text = text_on(words, sizeof(words));

	pte_text(&text, step->level, step->raw);
	return all_or_none(object, put(object, "level", json_string(pt_level_name(step->level))) &&
				       put(object, "index", number(step->index)) &&
				       put(object, "entry", hex(step->entry.v)) &&
				       put(object, "raw", hex(step->raw)) &&
				       put(object, "text", json_string(words)));
}

json_t *
view_walk_json(const struct walk *walk)
{
	json_t *object = json_object(), *steps = json_array();
	char rights[5];
	bool ok = true;

	for (unsigned i = 0; i < walk->nsteps; i++)
		ok = json_array_append_new(steps, step_json(&walk->step[i])) == 0 && ok;
	ok = put(object, "steps", steps) && ok;
	ok = ok && put(object, "schema", json_string("uvmbed-walk-1")) &&
	     put(object, "va", hex(walk->va.v)) &&
	     put(object, "region", json_string(view_region(walk->va))) &&
	     put(object, "stop", json_string(walk_stop_name(walk->stop))) &&
	     put(object, "level", number((uint64_t)walk->level)) &&
	     put(object, "mapped", json_boolean(walk_mapped(walk))) &&
	     put(object, "rights", json_string(view_rights_text(walk->attr.rights, rights))) &&
	     put(object, "w_taken", taken(walk->w_lost)) &&
	     put(object, "x_taken", taken(walk->x_lost)) &&
	     put(object, "u_taken", taken(walk->u_lost)) && put(object, "bad_bits", hex(walk->bad));
	if (ok && walk_mapped(walk))
		ok = put(object, "pa", hex(walk->pa.v)) && put_attr(object, walk->attr);
	if (ok && (walk->stop == WALK_OUTSIDE || walk->stop == WALK_LOOP))
		ok = put(object, "table", hex(walk->table.v));
	return all_or_none(object, ok);
}

static json_t *
run_json(const struct view_run *run)
{
	json_t *object = json_object();

	return all_or_none(object,
	    put(object, "va", hex(run->va.v)) && put(object, "npages", number(run->npages)) &&
		put(object, "pa", hex(run->pa.v)) && put_attr(object, run->attr));
}

static json_t *
table_json(const struct snap_table *table)
{
	json_t *object = json_object();

	return all_or_none(
	    object, put(object, "page", hex(table->gpa.v)) &&
			put(object, "level", json_string(pt_level_name(table->level))) &&
			put(object, "va", hex(table->va.v)) &&
			put(object, "present", number(table->present)));
}

static json_t *
fault_json(const struct iter_fault *fault)
{
	json_t *object = json_object();
	const char *level = fault->level > PT_LEVELS ? "root" : pt_level_name(fault->level);

	return all_or_none(object,
	    put(object, "va", hex(fault->va.v)) &&
		put(object, "why", json_string(walk_stop_name(fault->why))) &&
		put(object, "level", json_string(level)) &&
		put(object, "entry", hex(fault->entry.v)) && put(object, "raw", hex(fault->raw)));
}

json_t *
view_snapshot_json(const struct snapshot *snap)
{
	json_t *object = json_object(), *runs = json_array(), *tables = json_array(),
	       *faults = json_array();
	bool ok = true;

	for (size_t i = 0; i < snap->nrun; i++) {
		json_t *run = run_json(&snap->run[i]);

		if (run != NULL)
			ok = put(run, "region", json_string(view_region(snap->run[i].va))) && ok;
		ok = json_array_append_new(runs, run) == 0 && ok;
	}
	for (size_t i = 0; i < snap->ntable; i++)
		ok = json_array_append_new(tables, table_json(&snap->table[i])) == 0 && ok;
	for (size_t i = 0; i < snap->nfault; i++)
		ok = json_array_append_new(faults, fault_json(&snap->fault[i])) == 0 && ok;
	/* Each put takes its array over, whether it succeeds or not. */
	ok = put(object, "runs", runs) && ok;
	ok = put(object, "tables", tables) && ok;
	ok = put(object, "faults", faults) && ok;
	ok = ok && put(object, "schema", json_string("uvmbed-map-1")) &&
	     put(object, "root", hex(snap->root.v)) &&
	     put(object, "pages", number(snapshot_pages(snap))) &&
	     put(object, "with_ad", json_boolean(snap->opts.with_ad)) &&
	     put(object, "complete", json_boolean(!snap->capped));
	return all_or_none(object, ok);
}

static json_t *
change_json(const struct snap_change *change)
{
	static const char *const name[] = { "added", "removed", "frame", "rights", "size",
		"memtype", "global", "soft", "accessed-dirty", "table-gained", "table-lost",
		"fault-gained", "fault-lost" };
	json_t *object = json_object(), *what = json_array();
	char words[512];
	struct text text = text_on(words, sizeof(words));
	bool ok = true;

	for (unsigned i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
		if ((change->what & (1u << i)) != 0)
			ok = json_array_append_new(what, json_string(name[i])) == 0 && ok;
	}
	ok = put(object, "what", what) && ok;
	snap_change_text(&text, change);
	ok = ok && put(object, "va", hex(change->va.v)) && put(object, "text", json_string(words));
	if (ok && (change->what & SNAP_MAPPINGS) != 0)
		ok = put(object, "npages", number(change->npages));
	if (ok && change->before.npages != 0)
		ok = put(object, "before", run_json(&change->before));
	if (ok && change->after.npages != 0)
		ok = put(object, "after", run_json(&change->after));
	if (ok && (change->what & (SNAP_TABLE_GAINED | SNAP_TABLE_LOST)) != 0)
		ok = put(object, "table", table_json(&change->table));
	if (ok && (change->what & (SNAP_FAULT_GAINED | SNAP_FAULT_LOST)) != 0)
		ok = put(object, "fault", fault_json(&change->fault));
	return all_or_none(object, ok);
}

json_t *
view_diff_json(const struct snap_diff *diff)
{
	json_t *object = json_object(), *changes = json_array();
	bool ok = true;

	for (size_t i = 0; i < diff->n; i++)
		ok = json_array_append_new(changes, change_json(&diff->change[i])) == 0 && ok;
	ok = put(object, "changes", changes) && ok;
	ok = ok && put(object, "schema", json_string("uvmbed-diff-1"));
	return all_or_none(object, ok);
}
