/* SPDX-License-Identifier: ISC */
/*
 * Runs and changes as lines of text: see diff.h.
 */
#include "vmm/view/diff.h"

#include <inttypes.h>

static void
attr_text(struct text *text, struct view_attr attr)
{
	char rights[5];

	text_add(text, "%s %s", view_rights_text(attr.rights, rights), pt_size_name(attr.level));
}

static void
extras_text(struct text *text, struct view_attr attr)
{
	if ((attr.flags & VIEW_G) != 0)
		text_add(text, " global");
	pte_soft_text(text, attr.soft);
	if (attr.memtype != 0)
		text_add(text, " pat%u", attr.memtype);
	if ((attr.flags & VIEW_A) != 0)
		text_add(text, " accessed");
	if ((attr.flags & VIEW_D) != 0)
		text_add(text, " dirty");
}

void
view_run_text(struct text *text, const struct view_run *run)
{
	text_add(text, "%016" PRIx64 " +%" PRIu64 " ", run->va.v, run->npages);
	attr_text(text, run->attr);
	text_add(text, " pa=0x%" PRIx64, run->pa.v);
	extras_text(text, run->attr);
}

static void
changed_text(struct text *text, const struct snap_change *change)
{
	const struct view_run *a = &change->before, *b = &change->after;
	const unsigned what = change->what;
	char ra[5], rb[5];

	text_add(text, "~ %016" PRIx64 " +%" PRIu64, change->va.v, change->npages);
	if ((what & SNAP_RIGHTS) != 0)
		text_add(text, " rights %s -> %s", view_rights_text(a->attr.rights, ra),
		    view_rights_text(b->attr.rights, rb));
	if ((what & SNAP_SIZE) != 0)
		text_add(text, " page size %s -> %s", pt_size_name(a->attr.level),
		    pt_size_name(b->attr.level));
	if ((what & SNAP_FRAME) != 0)
		text_add(text, " frame 0x%" PRIx64 " -> 0x%" PRIx64, a->pa.v, b->pa.v);
	if ((what & SNAP_MEMTYPE) != 0)
		text_add(text, " memory type pat%u -> pat%u", a->attr.memtype, b->attr.memtype);
	if ((what & SNAP_GLOBAL) != 0)
		text_add(text, " global %s", (b->attr.flags & VIEW_G) != 0 ? "set" : "cleared");
	if ((what & SNAP_SOFT) != 0) {
		text_add(text, " software bits");
		pte_soft_text(text, a->attr.soft);
		text_add(text, " ->");
		pte_soft_text(text, b->attr.soft);
		if (b->attr.soft == 0)
			text_add(text, " none");
	}
	if ((what & SNAP_AD) != 0)
		text_add(text, " accessed/dirty %c%c -> %c%c",
		    (a->attr.flags & VIEW_A) != 0 ? 'a' : '-',
		    (a->attr.flags & VIEW_D) != 0 ? 'd' : '-',
		    (b->attr.flags & VIEW_A) != 0 ? 'a' : '-',
		    (b->attr.flags & VIEW_D) != 0 ? 'd' : '-');
}

void
snap_change_text(struct text *text, const struct snap_change *change)
{
	const struct snap_table *table = &change->table;
	const struct iter_fault *fault = &change->fault;

	if ((change->what & SNAP_ADDED) != 0) {
		text_add(text, "+ ");
		view_run_text(text, &change->after);
	} else if ((change->what & SNAP_REMOVED) != 0) {
		text_add(text, "- ");
		view_run_text(text, &change->before);
	} else if ((change->what & (SNAP_TABLE_GAINED | SNAP_TABLE_LOST)) != 0) {
		text_add(text, "T %016" PRIx64 " %s table %s, page 0x%" PRIx64 " with %u entries",
		    table->va.v, pt_level_name(table->level),
		    (change->what & SNAP_TABLE_GAINED) != 0 ? "gained" : "lost", table->gpa.v,
		    table->present);
	} else if ((change->what & (SNAP_FAULT_GAINED | SNAP_FAULT_LOST)) != 0) {
		text_add(text,
		    "! %016" PRIx64 " bad entry %s: %s, %s entry at 0x%" PRIx64 " = 0x%" PRIx64,
		    fault->va.v, (change->what & SNAP_FAULT_GAINED) != 0 ? "appeared" : "gone",
		    walk_stop_name(fault->why),
		    fault->level > PT_LEVELS ? "root" : pt_level_name(fault->level), fault->entry.v,
		    fault->raw);
	} else {
		changed_text(text, change);
	}
}
