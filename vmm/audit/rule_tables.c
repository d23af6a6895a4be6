/* SPDX-License-Identifier: ISC */
/*
 * Rules about the page tables alone: their shape, their bits, what lies outside kernel_map.
 */
#include "vmm/audit/input.h"
#include "vmm/view/diff.h"

static bool
no_fault(struct audit_input *in, enum walk_stop why)
{
	for (size_t i = 0; i < in->snap->nfault; i++) {
		const struct iter_fault *f = &in->snap->fault[i];

		if (f->why == why)
			return audit_finding_at(in, f->va.v,
			    "level %d entry at %#lx = %#lx (%s), translates from %#lx", f->level,
			    f->entry.v, f->raw, walk_stop_name(f->why), f->va.v);
	}
	return true;
}

/* An entry of a table, for a text. */
static bool
bad_entry(struct audit_input *in, const struct audit_table *t, unsigned i, const char *what)
{
	uint64_t va = va_canonical(t->va.v + i * pt_span(t->level));

	return audit_finding_at(in, va, "level %d entry at %#lx = %#lx %s, translates from %#lx",
	    t->level, t->gpa.v + 8 * i, t->entry[i], what, va);
}

static bool
bad_run(struct audit_input *in, const struct view_run *run, const char *what)
{
	char line[200];
	struct text t = text_on(line, sizeof(line));

	view_run_text(&t, run);
	return audit_finding_at(in, run->va.v, "%s: %s", what, line);
}

static bool
is_kernel_map(const struct audit_input *in, uint64_t va)
{
	return va >= BED_KVA_BASE && va < in->kva_end;
}

bool
audit_root(struct audit_input *in)
{
	const struct bed_bootinfo *boot = in->src->boot;

	if (in->snap->root.v != (boot->root & PTE_FRAME))
		return audit_finding(
		    in, "CR3 names %#lx, at boot it was %#lx", in->snap->root.v, boot->root);
	if (in->pmap->pm_root != in->snap->root.v)
		return audit_finding(in, "CR3 names %#lx, kernel_pmap_store.pm_root is %#lx",
		    in->snap->root.v, in->pmap->pm_root);
	return true;
}

bool
audit_tables_in_pool(struct audit_input *in)
{
	const struct bed_bootinfo *boot = in->src->boot;

	for (size_t i = 0; i < in->snap->ntable; i++) {
		const struct snap_table *t = &in->snap->table[i];

		if (t->gpa.v < boot->ptpool_start || t->gpa.v >= boot->ptpool_end)
			return audit_finding_at(in, t->va.v,
			    "the level %d table for %#lx is at %#lx, the pool is %#lx..%#lx",
			    t->level, t->va.v, t->gpa.v, boot->ptpool_start, boot->ptpool_end);
	}
	return no_fault(in, WALK_OUTSIDE);
}

bool
audit_tables_once(struct audit_input *in)
{
	size_t n;
	struct snap_table *alias;
	bool ok = no_fault(in, WALK_LOOP);

	in->gen++;
	for (size_t i = 0; i < in->snap->ntable && ok; i++) {
		const struct snap_table *t = &in->snap->table[i];

		if (audit_mark(in, t->gpa.v >> BED_PAGE_SHIFT) ||
		    t->gpa.v >> BED_PAGE_SHIFT >= in->nmark)
			continue;
		alias = snapshot_aliases(in->snap, &n);
		ok = audit_finding_at(in, t->va.v,
		    "table %#lx is reached from %zu places, one of them %#lx", t->gpa.v, n,
		    t->va.v);
		free(alias);
	}
	return ok;
}

bool
audit_ps_bits(struct audit_input *in)
{
	return no_fault(in, WALK_PS_L4);
}

bool
audit_reserved_bits(struct audit_input *in)
{
	return no_fault(in, WALK_RESERVED);
}

bool
audit_empty_is_zero(struct audit_input *in)
{
	for (size_t i = 0; i < in->table.n; i++) {
		const struct audit_table *t = &in->table.at[i];

		if (t->stray >= 0)
			return bad_entry(in, t, (unsigned)t->stray, "is not present");
	}
	return true;
}

/* The first present entry of the table with (entry & mask) == value. */
static int
find_entry(const struct audit_table *t, uint64_t mask, uint64_t value)
{
	for (int i = 0; i < PT_ENTRIES; i++) {
		if ((t->entry[i] & PTE_P) != 0 && (t->entry[i] & mask) == value)
			return i;
	}
	return -1;
}

bool
audit_global_leaves(struct audit_input *in)
{
	for (size_t i = 0; i < in->table.n; i++) {
		const struct audit_table *t = &in->table.at[i];
		int bad = -1;

		if (t->level == 1 && t->present != 0 && (t->all & PTE_G) == 0)
			bad = find_entry(t, PTE_G, 0);
		else if (t->level > 1 && (t->any & PTE_G) != 0)
			bad = find_entry(t, PTE_G | PTE_PS, PTE_G);
		if (bad >= 0)
			return bad_entry(in, t, (unsigned)bad,
			    t->level == 1 ? "is a leaf without G" : "is no leaf and has G");
	}
	return true;
}

bool
audit_write_back(struct audit_input *in)
{
	for (size_t i = 0; i < in->snap->nrun; i++) {
		if (in->snap->run[i].attr.memtype != 0)
			return bad_run(in, &in->snap->run[i], "not write-back");
	}
	return true;
}

bool
audit_unmapped_traps(struct audit_input *in)
{
	if (snapshot_lookup(in->snap, GVA(0)) != NULL)
		return audit_finding_at(in, 0, "the page at address 0 is mapped");
	for (unsigned i = 0; i < audit_nthreads(in); i++) {
		uint64_t guard = audit_stack_guard(in, i);

		if (snapshot_lookup(in->snap, GVA(guard)) != NULL)
			return audit_finding_at(in, guard,
			    "%#lx, the page below the stack of thread %u, is mapped", guard, i);
	}
	return true;
}

/* No RAM without a direct map address. */
static bool
direct_map_is_whole(struct audit_input *in)
{
	const struct bed_bootinfo *boot = in->src->boot;

	for (unsigned i = 0; i < 2 && boot->ram[i].end != 0; i++) {
		uint64_t pa = boot->ram[i].start;

		while (pa < boot->ram[i].end) {
			const struct view_run *run =
			    snapshot_lookup(in->snap, GVA(BED_DIRECT_BASE + pa));

			if (run == NULL)
				return audit_finding_at(in, BED_DIRECT_BASE + pa,
				    "the direct map has no %#lx", BED_DIRECT_BASE + pa);
			pa = view_run_last(run).v + 1 - BED_DIRECT_BASE;
		}
	}
	return true;
}

bool
audit_layout(struct audit_input *in)
{
	for (size_t i = 0; i < in->snap->nrun; i++) {
		const struct view_run *run = &in->snap->run[i];
		uint64_t va = run->va.v, end = view_run_last(run).v + 1;

		if (is_kernel_map(in, va) && end <= in->kva_end)
			continue;
		if (va >= in->sym->image_start &&
		    end <= BED_IMAGE_BASE + in->src->boot->image_end) {
			if (run->pa.v != va - BED_IMAGE_BASE)
				return bad_run(in, run, "not where the image was loaded");
		} else if (va >= BED_DIRECT_BASE &&
			   end - BED_DIRECT_BASE <= in->src->boot->direct_end) {
			if (run->pa.v != va - BED_DIRECT_BASE)
				return bad_run(in, run, "direct map to another frame");
		} else {
			return bad_run(in, run, "outside image, direct map and kernel_map");
		}
	}
	return direct_map_is_whole(in);
}

bool
audit_upper_rights(struct audit_input *in)
{
	for (size_t i = 0; i < in->table.n; i++) {
		const struct audit_table *t = &in->table.at[i];
		/* The VMM's own tables let execution through; those the guest makes do not. */
		uint64_t need = PTE_W | (t->kernel_map ? PTE_NX : 0);
		uint64_t mask = need | PTE_PS | PTE_PWT | PTE_PCD;

		if (t->level == 1)
			continue;
		for (unsigned k = 0; k < PT_ENTRIES; k++) {
			uint64_t raw = t->entry[k];

			if ((raw & PTE_P) != 0 && (raw & PTE_PS) == 0 && (raw & mask) != need)
				return bad_entry(in, t, k, "is not P W, and NX for kernel_map");
		}
	}
	return true;
}

/* What the image's part at va must allow, by the linker's symbols. */
static unsigned
image_rights(const struct audit_input *in, uint64_t va)
{
	if (va < in->sym->rodata_start)
		return VIEW_R | VIEW_X;
	return va < in->sym->data_start ? VIEW_R : VIEW_R | VIEW_W;
}

bool
audit_w_xor_x(struct audit_input *in)
{
	for (size_t i = 0; i < in->snap->nrun; i++) {
		const struct view_run *run = &in->snap->run[i];
		unsigned rights = run->attr.rights & (VIEW_R | VIEW_W | VIEW_X);

		if ((rights & VIEW_W) && (rights & VIEW_X))
			return bad_run(in, run, "writable and executable");
		if (run->va.v >= in->sym->image_start) {
			/* A run never crosses a change of rights, so its two ends tell. */
			if (rights != image_rights(in, run->va.v) ||
			    rights != image_rights(in, view_run_last(run).v))
				return bad_run(in, run, "not the rights of that part of the image");
		} else if (!is_kernel_map(in, run->va.v) && rights != (VIEW_R | VIEW_W)) {
			return bad_run(in, run, "not readable and writable");
		}
	}
	return true;
}

bool
audit_no_user(struct audit_input *in)
{
	for (size_t i = 0; i < in->table.n; i++) {
		const struct audit_table *t = &in->table.at[i];

		if ((t->any & PTE_U) != 0)
			return bad_entry(
			    in, t, (unsigned)find_entry(t, PTE_U, PTE_U), "lets user mode through");
	}
	return true;
}

bool
audit_tables_not_mapped(struct audit_input *in)
{
	const struct bed_bootinfo *boot = in->src->boot;

	for (size_t i = 0; i < in->snap->nrun; i++) {
		const struct view_run *run = &in->snap->run[i];

		if (run->va.v >= BED_DIRECT_BASE && run->va.v < BED_IMAGE_BASE)
			continue;
		if (run->pa.v < boot->ptpool_end &&
		    run->pa.v + view_run_bytes(run) > boot->ptpool_start)
			return bad_run(in, run, "maps the page-table pool");
	}
	return true;
}

bool
audit_dirty_accessed(struct audit_input *in)
{
	for (size_t i = 0; i < in->table.n; i++) {
		const struct audit_table *t = &in->table.at[i];

		if (t->dirty_only >= 0)
			return bad_entry(in, t, (unsigned)t->dirty_only, "has D and no A");
	}
	return true;
}

/* The VMM sets them beforehand, so that the CPU never stores to these tables. */
bool
audit_preset_bits(struct audit_input *in)
{
	for (size_t i = 0; i < in->table.n; i++) {
		const struct audit_table *t = &in->table.at[i];
		int bad = -1;

		if (t->kernel_map || t->level == PT_LEVELS)
			continue;
		if (t->present != 0 && (t->all & PTE_A) == 0)
			bad = find_entry(t, PTE_A, 0);
		else if (t->level == 1)
			bad = find_entry(t, PTE_W | PTE_D, PTE_W);
		else
			bad = find_entry(t, PTE_PS | PTE_W | PTE_D, PTE_PS | PTE_W);
		if (bad >= 0)
			return bad_entry(in, t, (unsigned)bad, "lacks A or D");
	}
	return true;
}

bool
audit_large_pages(struct audit_input *in)
{
	for (size_t i = 0; i < in->snap->nrun; i++) {
		const struct view_run *run = &in->snap->run[i];
		bool direct = run->va.v >= BED_DIRECT_BASE && run->va.v < BED_IMAGE_BASE;

		if (run->attr.level > 1 && !direct)
			return bad_run(in, run, "large page outside the direct map");
	}
	return true;
}
