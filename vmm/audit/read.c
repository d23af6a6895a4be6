/* SPDX-License-Identifier: ISC */
/*
 * Reading for an audit: guest pointers made host pointers, the globals, the tables. What the maps and the
 * pages say is read_map.c and read_page.c.
 */
#include <stdarg.h>
#include <stdio.h>

#include "vmm/audit/input.h"

const void *
audit_ptr(const struct audit_input *in, uint64_t va, uint64_t len, uint64_t align)
{
	uint64_t pa;

	if ((va & (align - 1)) != 0 || !bed_pointer_pa(&in->src->pointers, va, &pa))
		return NULL;
	/* The page before the boot information is never used, and no RAM is at its physical address 0. */
	return pa < BED_BOOTINFO_PA ? NULL : view_ptr(&in->src->view, GPA(pa), len);
}

void
audit_tear(struct audit_torn *t, const char *fmt, ...)
{
	va_list ap;

	if (audit_is_torn(t))
		return;
	va_start(ap, fmt);
	vsnprintf(t->text, sizeof(t->text), fmt, ap);
	va_end(ap);
}

bool
audit_finding(struct audit_input *in, const char *fmt, ...)
{
	struct audit_verdict *v = in->verdict;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v->text, sizeof(v->text), fmt, ap);
	va_end(ap);
	v->broken = true;
	return false;
}

bool
audit_mark(struct audit_input *in, uint64_t frame)
{
	if (frame >= in->nmark || in->mark[frame] == in->gen)
		return false;
	in->mark[frame] = in->gen;
	return true;
}

static void
scan_table(struct audit_table *t)
{
	bool leaf = t->level == 1;

	t->all = ~UINT64_C(0);
	t->stray = t->dirty_only = -1;
	for (int i = 0; i < PT_ENTRIES; i++) {
		uint64_t raw = t->entry[i];

		if (raw == 0)
			continue;
		if ((raw & PTE_P) == 0) {
			if (t->stray < 0)
				t->stray = i;
			continue;
		}
		t->present++;
		t->any |= raw;
		t->all &= raw;
		if (!leaf && (raw & PTE_PS) == 0)
			continue;
		t->wired += (raw & PTE_SW_W) != 0;
		if ((raw & (PTE_D | PTE_A)) == PTE_D && t->dirty_only < 0)
			t->dirty_only = i;
	}
}

static void
read_tables(struct audit_input *in)
{
	unsigned slot = pt_index(BED_KVA_BASE, PT_LEVELS);

	for (size_t i = 0; i < in->snap->ntable; i++) {
		const struct snap_table *s = &in->snap->table[i];
		const uint64_t *entry = view_ptr(&in->src->view, s->gpa, BED_PAGE_SIZE);
		struct audit_table *t = entry == NULL ? NULL : AUDIT_PUSH(in, &in->table);

		if (t == NULL)
			continue;
		*t = (struct audit_table){ .gpa = s->gpa,
			.va = s->va,
			.level = s->level,
			.entry = entry,
			.kernel_map =
			    s->level < PT_LEVELS && pt_index(s->va.v, PT_LEVELS) == slot };
		scan_table(t);
	}
}

/* The image is always memory, so these are: the loader checked its extent. */
static bool
read_globals(struct audit_input *in)
{
	const struct audit_symbols *sym = in->sym;
	const uint64_t *maxkaddr = AUDIT_AT(in, uint64_t, sym->uvm_maxkaddr);
	const unsigned *nseg = AUDIT_AT(in, unsigned, sym->vm_nphysseg);

	in->pmap = AUDIT_AT(in, struct pmap, sym->kernel_pmap_store);
	in->exp = AUDIT_AT(in, struct uvmexp, sym->uvmexp);
	in->pmr = AUDIT_AT(in, struct uvm_pmemrange, sym->uvm_pmr);
	in->obj = AUDIT_AT(in, struct uvm_object, sym->uvm_kernel_object);
	in->seg = audit_ptr(in, sym->vm_physmem, VM_PHYSSEG_MAX * sizeof(*in->seg), 8);
	if (in->pmap == NULL || in->exp == NULL || in->pmr == NULL || in->obj == NULL ||
	    in->seg == NULL || maxkaddr == NULL || nseg == NULL)
		return false;
	in->maxkaddr = *maxkaddr;
	in->nseg = *nseg;
	in->kva_end = BED_KVA_BASE + in->src->boot->kva_size;
	in->nl1 = (in->src->boot->kva_size + PMAP_L1_SPAN - 1) / PMAP_L1_SPAN;
	in->l1 = audit_ptr(in, (uint64_t)in->pmap->pm_l1, in->nl1 * sizeof(*in->l1), 8);
	return true;
}

bool
audit_read(struct audit_input *in)
{
	/* Keep the memory of the last time. */
	in->oom = false;
	in->table.n = in->run.n = in->by_frame.n = in->objpage.n = 0;
	in->map.n = in->entry.n = in->stock.n = in->span.n = in->piece.n = 0;
	in->segs = in->trees = in->stacks = in->object = in->maps = (struct audit_torn){ "" };
	if (!read_globals(in))
		return false;
	if (in->mark == NULL) {
		in->nmark = in->src->boot->direct_end >> BED_PAGE_SHIFT;
		in->mark = calloc(in->nmark + 1, sizeof(*in->mark));
		in->oom = in->mark == NULL;
		if (in->oom)
			return false;
	}
	read_tables(in);
	audit_read_pages(in);
	audit_read_object(in);
	audit_read_maps(in);
	audit_read_spans(in);
	return !in->oom;
}

void
audit_input_free(struct audit_input *in)
{
	free(in->table.at);
	free(in->run.at);
	free(in->by_frame.at);
	free(in->objpage.at);
	free(in->map.at);
	free(in->entry.at);
	free(in->stock.at);
	free(in->span.at);
	free(in->piece.at);
	free(in->indexed.at);
	free(in->mark);
}
