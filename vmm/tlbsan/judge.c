/* SPDX-License-Identifier: ISC */
/*
 * Deadlines: which records they concern, and what is said of a record that missed one. The verdict waits
 * for the next event that decides it: an invalidation that comes after all (late), or another deadline.
 */
#include "vmm/tlbsan/priv.h"

/* What the record's CPUs did instead. May take the wasted invalidation that it explains. */
static enum tlb_kind
reason(struct tlb *t, const struct oblig *o, uint64_t mask, uint64_t *hint)
{
	for (unsigned cpu = 0; cpu < t->ncpu; cpu++) {
		struct tlb_cpu *c = &t->cpu[cpu];

		if (!(mask & CPU_BIT(cpu)))
			continue;
		if (o->global && c->clean_but_global > o->ticket)
			return TLB_GLOBAL;
		if (c->has_wasted && c->wasted_begin > o->ticket) {
			c->has_wasted = false;
			*hint = c->wasted.va;
			return TLB_WRONG_ADDRESS;
		}
	}
	return mask & CPU_BIT(o->cpu) ? TLB_MISSING : TLB_LOCAL_ONLY;
}

static uint8_t
severity(const struct tlb *t, unsigned rule)
{
	return rule < TLB_NDEADLINES ? t->policy.rule[rule] : (uint8_t)TLB_ERROR;
}

/* These CPUs are spoken of; when they are all, the record only waits for what settles it. */
static void
told(struct tlb *t, uint32_t i, uint64_t mask)
{
	struct oblig *o = &t->ledger.at[i];

	o->told |= mask;
	o->due &= ~mask;
	if (o->due == 0)
		o->due_rule = TLB_NRULES;
	if ((o->pending & ~o->told) == 0 && o->kind == OBLIG_HARD)
		ledger_turn(&t->ledger, i, OBLIG_TOLD);
}

void
judge_overdue(struct tlb *t, uint32_t i)
{
	struct oblig *o = &t->ledger.at[i];
	uint64_t mask = o->due & o->pending, hint = 0;
	struct tlb_event at = { .ticket = o->due_ticket, .pc = o->due_pc, .cpu = o->due_cpu };

	if (o->due_rule < TLB_NRULES && mask != 0) {
		enum tlb_kind kind = reason(t, o, mask, &hint);
		struct tlb_finding f = find_about(o, kind, mask, &at);

		f.rule = o->due_rule;
		f.severity = severity(t, o->due_rule);
		f.hint = hint;
		find_emit(t, &f);
	}
	told(t, i, mask);
}

bool
judge_away(struct tlb *t, uint32_t i, uint64_t mask)
{
	struct oblig *o = &t->ledger.at[i];

	for (unsigned cpu = 0; cpu < t->ncpu; cpu++) {
		struct tlb_cpu *c = &t->cpu[cpu];
		uint64_t *missed = o->global ? &c->missed_global : &c->missed;

		if ((mask & CPU_BIT(cpu)) && *missed < o->ticket)
			*missed = o->ticket;
	}
	o->pending &= ~mask;
	o->told &= ~mask;
	if (o->pending == 0) {
		ledger_drop(&t->ledger, i);
		return true;
	}
	if (o->kind == OBLIG_HARD && (o->pending & ~o->told) == 0)
		ledger_turn(&t->ledger, i, OBLIG_TOLD);
	return false;
}

void
judge(struct tlb *t, uint32_t i, enum tlb_rule rule, const struct tlb_event *ev)
{
	struct oblig *o = &t->ledger.at[i];
	uint64_t mask = o->pending & ~o->told & t->on, away = o->pending & ~o->told & ~t->on;
	bool again = o->due_rule < TLB_NRULES;

	if (o->kind != OBLIG_HARD || severity(t, rule) == TLB_SILENT)
		return;
	/* What is only frowned upon makes no debt: the deadline that counts is still to come. */
	if (severity(t, rule) < TLB_ERROR)
		away = 0;
	if ((away != 0 && judge_away(t, i, away)) || mask == 0)
		return;
	if (!again || severity(t, rule) > severity(t, o->due_rule)) {
		o->due = mask;
		o->due_rule = (uint8_t)rule;
		o->due_ticket = ev->ticket;
		o->due_pc = ev->pc;
		o->due_cpu = ev->cpu;
	}
	if (again)
		judge_overdue(t, i);
}

void
judge_cpu(struct tlb *t, enum tlb_rule rule, const struct tlb_event *ev, uint64_t since)
{
	for (uint32_t i = t->ledger.head[ev->cpu], next; i != 0; i = next) {
		next = t->ledger.at[i].next;
		if (t->ledger.at[i].ticket > since)
			judge(t, i, rule, ev);
	}
}

static void
judge_table(struct tlb *t, uint32_t i, const struct tlb_event *ev)
{
	struct oblig *o = &t->ledger.at[i];
	uint64_t mask = o->pending & t->on, away = o->pending & ~t->on;

	if (away != 0 && judge_away(t, i, away))
		return;
	if (mask != 0) {
		struct tlb_finding f = find_about(o, TLB_TABLE_FREED, mask, ev);

		f.rule = TLB_RULE_D5;
		f.severity = severity(t, TLB_RULE_D5);
		find_emit(t, &f);
	}
	ledger_drop(&t->ledger, i);
}

/* Does [start, end) meet the record's pages (by address) or frames? */
static bool
meets(const struct oblig *o, uint64_t start, uint64_t end, bool frames)
{
	uint64_t first = frames ? o->frame : o->va, last = first + pt_span(o->level) - 1;

	return first < end && last >= start;
}

/* Judge every hard record that meets [start, end): a look-up a page, or all records, whichever is less. */
static void
judge_range(struct tlb *t, uint64_t start, uint64_t end, bool frames, enum tlb_rule r,
    const struct tlb_event *ev)
{
	struct ledger *l = &t->ledger;
	uint64_t n = (end - start) >> BED_PAGE_SHIFT;
	uint32_t next;

	if (l->hard == 0)
		return;
	if (n <= l->hard && l->large == 0) {
		for (uint64_t k = 0; k <= n; k++) {
			uint64_t a = (start & ~BED_PAGE_MASK) + (k << BED_PAGE_SHIFT);
			uint32_t i = frames ? ledger_frame(l, a) : ledger_va(l, a, 1);

			for (; a < end && i != 0; i = next) {
				next = frames ? ledger_frame_next(l, i) : ledger_va_next(l, i);
				judge(t, i, r, ev);
			}
		}
		return;
	}
	for (unsigned cpu = 0; cpu < t->ncpu; cpu++) {
		for (uint32_t i = l->head[cpu]; i != 0; i = next) {
			next = l->at[i].next;
			if (meets(&l->at[i], start, end, frames))
				judge(t, i, r, ev);
		}
	}
}

void
judge_va(struct tlb *t, uint64_t start, uint64_t end, const struct tlb_event *ev)
{
	judge_range(t, start, end, false, TLB_RULE_D3, ev);
}

void
judge_frames(struct tlb *t, uint64_t pa, uint64_t n, const struct tlb_event *ev)
{
	uint64_t end = pa + (n << BED_PAGE_SHIFT);

	judge_range(t, pa, end, true, TLB_RULE_D2, ev);
	for (uint32_t i = t->ledger.head[LIST_TABLE], next; i != 0; i = next) {
		next = t->ledger.at[i].next;
		if (t->ledger.at[i].frame >= pa && t->ledger.at[i].frame < end)
			judge_table(t, i, ev);
	}
}

void
judge_moved(struct tlb *t, uint64_t frame, uint64_t va, const struct tlb_event *ev)
{
	for (uint32_t i = ledger_frame(&t->ledger, frame), next; i != 0; i = next) {
		const struct oblig *o = &t->ledger.at[i];

		next = ledger_frame_next(&t->ledger, i);
		if (o->va != va && !(o->new &PTE_P && (o->new &PTE_FRAME) == frame))
			judge(t, i, TLB_RULE_D2, ev);
	}
}

/* A CPU says that it has done what it was asked: nothing from before the request may be open on it. */
void
judge_ack(struct tlb *t, const struct tlb_event *ev)
{
	uint64_t bit = CPU_BIT(ev->cpu), asked = t->cpu[ev->a[0]].sent;
	uint64_t start = ev->a[1] & ~BED_PAGE_MASK, end = start + (ev->a[2] << BED_PAGE_SHIFT);

	for (unsigned cpu = 0; cpu < t->ncpu; cpu++) {
		for (uint32_t i = t->ledger.head[cpu], next; i != 0; i = next) {
			struct oblig *o = &t->ledger.at[i];

			next = o->next;
			if (!(o->pending & ~o->told & bit) || o->ticket >= asked)
				continue;
			if (ev->a[2] == 0 || meets(o, start, end, false)) {
				struct tlb_finding f = find_about(o, TLB_EARLY_ACK, bit, ev);

				f.rule = TLB_RULE_ACK;
				find_emit(t, &f);
				told(t, i, bit);
			}
		}
	}
}
