/* SPDX-License-Identifier: ISC */
/*
 * Stores: what the change of an entry takes away, and from whom; which pages are tables, and of what.
 */
#include "vmm/tlbsan/priv.h"

#define RIGHTS_BITS (PTE_W | PTE_U)
#define TYPE_BITS   (PTE_PWT | PTE_PCD | PTE_PAT | PTE_G)

enum change { CHANGE_NONE, CHANGE_OPT, CHANGE_HARD };

static bool
is_table(unsigned level, uint64_t entry)
{
	return level > 1 && (entry & PTE_P) && (level == 4 || !(entry & PTE_PS));
}

static bool
is_leaf(unsigned level, uint64_t entry)
{
	return (entry & PTE_P) && !is_table(level, entry);
}

static uint64_t
frame_of(unsigned level, uint64_t entry)
{
	return entry & PTE_FRAME & ~(pt_span((int)level) - 1);
}

/* What became of the translation that `old`, a leaf, made. */
static enum change
leaf_change(unsigned level, uint64_t old, uint64_t new)
{
	uint64_t type = level == 1 ? TYPE_BITS : TYPE_BITS | PTE_LPAT;

	if (!is_leaf(level, new) || frame_of(level, old) != frame_of(level, new))
		return CHANGE_HARD;
	if ((old & ~new &RIGHTS_BITS) || (new & ~old &PTE_NX) || ((old ^ new) & type))
		return CHANGE_HARD;
	if ((new & ~old &RIGHTS_BITS) || (old & ~new &(PTE_NX | PTE_A | PTE_D)))
		return CHANGE_OPT;
	return CHANGE_NONE;
}

/* Records of the same page that a new one makes superfluous go; the one to be renewed is returned. */
static uint32_t
supersede(struct tlb *t, uint64_t va, unsigned level, uint64_t frame, enum oblig_kind kind)
{
	uint32_t same = 0;

	for (uint32_t i = ledger_va(&t->ledger, va, level), next; i != 0; i = next) {
		const struct oblig *o = &t->ledger.at[i];

		next = ledger_va_next(&t->ledger, i);
		if (o->kind == OBLIG_HARD) {
			if (kind == OBLIG_HARD && o->frame == frame)
				same = i;
		} else if (kind == OBLIG_HARD || o->kind == OBLIG_OPT) {
			ledger_drop(&t->ledger, i);
		}
	}
	return same;
}

static bool
oblige(struct tlb *t, const struct tlb_event *ev, enum oblig_kind kind, uint64_t va, unsigned level,
    uint64_t old, uint64_t new)
{
	uint64_t frame = frame_of(level, old);
	uint32_t i = supersede(t, va, level, frame, kind);
	bool global = (old & PTE_G) != 0;
	struct oblig *o;

	if (i != 0) {
		judge_overdue(t, i);
		o = &t->ledger.at[i];
		/* Any of the older translations may be cached too: note the widest. */
		old = ((old | o->old) & ~PTE_NX) | (old & o->old & PTE_NX);
		global |= o->global;
		if (o->kind != OBLIG_HARD || o->cpu != ev->cpu) {
			ledger_drop(&t->ledger, i);
			i = 0;
		}
	}
	if (i == 0)
		i = ledger_add(&t->ledger, kind, ev->cpu, va, level, frame);
	if (i == 0)
		return false;
	o = &t->ledger.at[i];
	o->ticket = ev->ticket;
	o->pc = ev->pc;
	o->old = old;
	o->new = new;
	o->global = global;
	o->pending = kind == OBLIG_HARD ? t->ever : t->on;
	o->told = 0;
	t->totals.obligations += kind == OBLIG_HARD;
	if (o->pending == 0)
		ledger_drop(&t->ledger, i);
	return true;
}

static uint64_t
child_va(const struct shadow_page *page, unsigned index)
{
	return va_canonical(page->va + index * pt_span(page->level));
}

/* Every leaf below `page` must be invalidated: an entry above took something from all of them. */
static bool
oblige_leaves(
    struct tlb *t, const struct tlb_event *ev, const struct shadow_page *page, uint64_t gone)
{
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		uint64_t e = page->entry[i];

		if (is_leaf(page->level, e)) {
			if (!oblige(
				t, ev, OBLIG_HARD, child_va(page, i), page->level, e, e & ~gone))
				return false;
		} else if (is_table(page->level, e)) {
			struct shadow_page *child = shadow_find(&t->shadow, e & PTE_FRAME);

			if (child != NULL && child->level == page->level - 1 &&
			    !oblige_leaves(t, ev, child, gone))
				return false;
		}
	}
	return true;
}

static bool
oblige_table(
    struct tlb *t, const struct tlb_event *ev, const struct shadow_page *page, uint64_t old)
{
	struct oblig *o;
	uint32_t i;

	i = ledger_add(&t->ledger, OBLIG_TABLE, ev->cpu, page->va, page->level, page->pa);
	if (i == 0)
		return false;
	o = &t->ledger.at[i];
	o->ticket = ev->ticket;
	o->pc = ev->pc;
	o->old = old;
	o->pending = t->ever;
	return true;
}

/* An entry of a table that is in use points to pa now. */
static bool
hang(struct tlb *t, uint64_t pa, unsigned level, uint64_t va)
{
	struct shadow_page *page = shadow_find(&t->shadow, pa);

	if (page == NULL) {
		page = shadow_make(&t->shadow, pa);
		if (page == NULL)
			return false;
		page->guess = true;
	}
	page->refs++;
	if (page->level != 0) {
		t->totals.aliases += page->level != level || page->va != va;
		return true;
	}
	page->level = (uint8_t)level;
	page->va = va;
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		if (is_table(level, page->entry[i]) &&
		    !hang(t, page->entry[i] & PTE_FRAME, level - 1, child_va(page, i)))
			return false;
	}
	return true;
}

/* One entry less points to pa. With the last, all below is unreachable: ev says who must hear of it (NULL:
 * nobody). */
static bool
unhang(struct tlb *t, const struct tlb_event *ev, uint64_t entry)
{
	struct shadow_page *page = shadow_find(&t->shadow, entry & PTE_FRAME);
	unsigned level;

	if (page == NULL || page->level == 0 || --page->refs != 0)
		return true;
	level = page->level;
	if (ev != NULL && !oblige_table(t, ev, page, entry))
		return false;
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		uint64_t e = page->entry[i];

		if (is_table(level, e) && !unhang(t, ev, e))
			return false;
		if (ev != NULL && is_leaf(level, e) &&
		    !oblige(t, ev, OBLIG_HARD, child_va(page, i), level, e, 0))
			return false;
	}
	page->level = 0;
	return true;
}

/* The very translation that was taken away is back before anyone had to know: harmless. */
static void
restored(struct tlb *t, uint64_t va, unsigned level, uint64_t new)
{
	for (uint32_t i = ledger_va(&t->ledger, va, level), next; i != 0; i = next) {
		const struct oblig *o = &t->ledger.at[i];

		next = ledger_va_next(&t->ledger, i);
		if (o->kind == OBLIG_HARD && o->due_rule == TLB_NRULES && o->told == 0 &&
		    leaf_change(level, o->old, new) != CHANGE_HARD)
			ledger_turn(&t->ledger, i, OBLIG_OPT);
	}
}

/* The entry that goes has outlived the page it mapped: whoever got the page meanwhile shared it. */
static void
outlived(struct tlb *t, const struct tlb_event *ev, uint64_t va, uint64_t old, uint64_t new)
{
	const struct freed *freed = freed_slot(t, frame_of(1, old));
	struct oblig o = { .va = va,
		.level = 1,
		.frame = frame_of(1, old),
		.old = old,
		.new = new,
		.ticket = ev->ticket,
		.pc = ev->pc,
		.cpu = ev->cpu };
	struct tlb_finding f;

	if (freed->ticket == 0 || freed->frame != o.frame)
		return;
	f = find_about(&o, TLB_PAGE_MAPPED, t->on, ev);
	f.rule = TLB_RULE_D2;
	f.severity = t->policy.rule[TLB_RULE_D2];
	f.hint = freed->ticket;
	find_emit(t, &f);
}

static bool
leaf_store(struct tlb *t, const struct tlb_event *ev, uint64_t va, unsigned level, uint64_t old,
    uint64_t new)
{
	/* Whoever maps a page has it: not every log says that it was handed out. */
	if (level == 1 && is_leaf(1, new) &&
	    !(is_leaf(1, old) && frame_of(1, old) == frame_of(1, new)))
		freed_slot(t, frame_of(1, new))->ticket = 0;
	if (is_leaf(level, new) && t->ledger.hard != 0) {
		restored(t, va, level, new);
		if (level == 1 && (!is_leaf(level, old) || frame_of(1, old) != frame_of(1, new)))
			judge_moved(t, frame_of(1, new), va, ev);
	}
	if (is_leaf(level, old)) {
		enum change change = leaf_change(level, old, new);

		if (level == 1 && (!is_leaf(1, new) || frame_of(1, old) != frame_of(1, new)))
			outlived(t, ev, va, old, new);
		if (change != CHANGE_NONE)
			return oblige(t, ev, change == CHANGE_HARD ? OBLIG_HARD : OBLIG_OPT, va,
			    level, old, new);
	}
	return true;
}

static bool
table_store(struct tlb *t, const struct tlb_event *ev, const struct shadow_page *page, uint64_t va,
    uint64_t old, uint64_t new)
{
	unsigned level = page->level;
	bool was = is_table(level, old), is = is_table(level, new);

	if (was && is && frame_of(1, old) == frame_of(1, new)) {
		uint64_t gone = old & ~new &RIGHTS_BITS;
		struct shadow_page *child = shadow_find(&t->shadow, old & PTE_FRAME);

		if ((gone || (new & ~old &PTE_NX)) && child != NULL && child->level == level - 1)
			return oblige_leaves(t, ev, child, gone);
		return true;
	}
	if (was && !unhang(t, ev, old))
		return false;
	return !is || hang(t, new &PTE_FRAME, level - 1, va);
}

static void
unlogged(struct tlb *t, const struct tlb_event *ev, uint64_t va, unsigned level, uint64_t was)
{
	struct tlb_finding f = {
		.kind = TLB_UNLOGGED,
		.rule = TLB_NRULES,
		.severity = t->policy.unlogged,
		.level = (uint8_t)level,
		.va = va,
		.npages = 1,
		.frame = was & PTE_FRAME,
		.cpus = CPU_BIT(ev->cpu),
		.old = ev->a[1],
		.new = ev->a[2],
		.store_ticket = ev->ticket,
		.store_pc = ev->pc,
		.store_cpu = ev->cpu,
		.cpu = ev->cpu,
		.ticket = ev->ticket,
		.pc = ev->pc,
		.hint = was,
	};

	find_emit(t, &f);
}

bool
tables_store(struct tlb *t, const struct tlb_event *ev)
{
	uint64_t gpa = ev->a[0], old = ev->a[1], new = ev->a[2], was, va;
	struct shadow_page *page = shadow_find(&t->shadow, gpa & ~BED_PAGE_MASK);
	unsigned index = (unsigned)((gpa & BED_PAGE_MASK) / sizeof(uint64_t)), level;

	if (page == NULL) {
		page = shadow_make(&t->shadow, gpa & ~BED_PAGE_MASK);
		if (page == NULL)
			return false;
		page->guess = true;
	}
	was = page->entry[index];
	page->entry[index] = new;
	level = page->level;
	va = level != 0 ? child_va(page, index) : 0;
	/* The CPU itself sets A and D. */
	if (((was ^ old) & ~(PTE_A | PTE_D)) != 0 && !(page->guess && was == 0))
		unlogged(t, ev, va, level != 0 ? level : 1, was);
	if (level == 0)
		return true;
	if ((is_table(level, old) || is_table(level, new)) &&
	    !table_store(t, ev, page, va, old, new))
		return false;
	return leaf_store(t, ev, va, level, old, new);
}

bool
tables_entry(struct tlb *t, uint64_t gpa, uint64_t value)
{
	struct shadow_page *page = shadow_make(&t->shadow, gpa & ~BED_PAGE_MASK);
	unsigned index = (unsigned)((gpa & BED_PAGE_MASK) / sizeof(uint64_t));

	if (page == NULL)
		return false;
	page->guess = false;
	if (page->entry[index] == value)
		return true;
	if (page->level != 0 && is_table(page->level, page->entry[index]))
		unhang(t, NULL, page->entry[index]);
	page->entry[index] = value;
	return page->level == 0 || !is_table(page->level, value) ||
	       hang(t, value & PTE_FRAME, page->level - 1u, child_va(page, index));
}

bool
tables_pin(struct tlb *t, uint64_t pa, unsigned level, uint64_t va)
{
	struct shadow_page *page = shadow_make(&t->shadow, pa);

	if (page == NULL)
		return false;
	page->guess = false;
	return hang(t, pa, level, va);
}

void
tables_gone(struct tlb *t, const struct tlb_event *ev, uint64_t pa)
{
	struct shadow_page *page = shadow_find(&t->shadow, pa);

	if (page == NULL)
		return;
	if (page->level != 0) {
		struct oblig linked = { .va = page->va, .level = page->level, .frame = pa };
		struct tlb_finding f = find_about(&linked, TLB_TABLE_LINKED, t->on, ev);

		f.rule = TLB_RULE_D5;
		f.severity = t->policy.rule[TLB_RULE_D5];
		find_emit(t, &f);
		page->refs = 1;
		unhang(t, NULL, pa);
	}
	shadow_drop(&t->shadow, page);
}

bool
tables_alloc(struct tlb *t, const struct tlb_event *ev, uint64_t pa)
{
	tables_gone(t, ev, pa);
	return shadow_make(&t->shadow, pa) != NULL;
}
