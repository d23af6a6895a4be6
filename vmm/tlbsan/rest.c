/* SPDX-License-Identifier: ISC */
/*
 * What can be asked while all CPUs are at rest: do the tables in memory hold what the log says, and what is
 * still owed for a page.
 */
#include "vmm/tlbsan/priv.h"

static uint64_t
entry_va(const struct shadow_page *page, unsigned i)
{
	return page->level == 0 ? 0 : va_canonical(page->va + i * pt_span(page->level));
}

static void
unlogged(struct tlb *t, const struct shadow_page *page, unsigned i, uint64_t is)
{
	struct tlb_finding f = {
		.kind = TLB_UNLOGGED,
		.rule = TLB_NRULES,
		.severity = t->policy.unlogged,
		.level = page->level != 0 ? page->level : 1,
		.va = entry_va(page, i),
		.npages = 1,
		.frame = page->entry[i] & PTE_FRAME,
		.cpus = t->on,
		.old = is,
		.new = is,
		.ticket = t->ticket,
		.hint = page->entry[i],
	};

	find_emit(t, &f);
}

bool
tlb_at_rest(struct tlb *t, uint64_t pa, const uint64_t entry[PT_ENTRIES], struct bed_err *err)
{
	struct shadow_page *page = shadow_find(&t->shadow, pa);

	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		uint64_t was = page != NULL ? page->entry[i] : 0;
		bool known = page != NULL && !(page->guess && was == 0);

		if (((was ^ entry[i]) & ~(PTE_A | PTE_D)) == 0)
			continue;
		if (known)
			unlogged(t, page, i, entry[i]);
		/* Told once: from here on it counts as logged. */
		if (!tables_entry(t, pa + i * sizeof(*entry), entry[i]))
			return bed_fail(err, BED_E_HOST, "out of memory for the TLB sanitizer");
		page = shadow_find(&t->shadow, pa);
	}
	return true;
}

static size_t
open_at_level(const struct tlb *t, uint64_t va, unsigned level, struct tlb_open *out, size_t max)
{
	size_t n = 0;

	for (uint32_t i = ledger_va(&t->ledger, va & ~(pt_span((int)level) - 1), level);
	     i != 0 && n < max; i = ledger_va_next(&t->ledger, i)) {
		const struct oblig *o = &t->ledger.at[i];

		if (o->kind != OBLIG_HARD && o->kind != OBLIG_TOLD)
			continue;
		out[n++] = (struct tlb_open){ .va = o->va,
			.frame = o->frame,
			.old = o->old,
			.new = o->new,
			.ticket = o->ticket,
			.pc = o->pc,
			.cpus = o->pending,
			.cpu = o->cpu,
			.level = o->level };
	}
	return n;
}

size_t
tlb_open_at(const struct tlb *t, uint64_t va, struct tlb_open *out, size_t max)
{
	size_t n = 0;

	for (unsigned level = 1; level < PT_LEVELS; level++)
		n += open_at_level(t, va, level, out + n, max - n);
	return n;
}
