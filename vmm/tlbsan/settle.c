/* SPDX-License-Identifier: ISC */
/*
 * Invalidations: which records they settle on their CPU, and which were for nothing. CPUs that go off
 * and come back.
 */
#include "vmm/tlbsan/priv.h"

/* The record is settled on this CPU; when on all, it is gone. */
static void
settle(struct tlb *t, uint32_t i, unsigned cpu, const struct tlb_event *ev)
{
	struct oblig *o = &t->ledger.at[i];
	uint64_t bit = CPU_BIT(cpu);

	o->pending &= ~bit;
	o->told &= ~bit;
	if ((o->due & bit) && (o->due & o->pending) == 0 && o->due_rule < TLB_NRULES) {
		struct tlb_event at = {
			.ticket = o->due_ticket, .pc = o->due_pc, .cpu = o->due_cpu
		};
		struct tlb_finding f = find_about(o, TLB_LATE, o->due, &at);

		f.rule = o->due_rule;
		f.severity = t->policy.rule[o->due_rule];
		f.hint = ev->ticket;
		find_emit(t, &f);
		o->due = 0;
		o->due_rule = TLB_NRULES;
	}
	if (o->pending == 0)
		ledger_drop(&t->ledger, i);
	else if (o->kind == OBLIG_HARD && (o->pending & ~o->told) == 0)
		ledger_turn(&t->ledger, i, OBLIG_TOLD);
}

/* True if the CPU had it open, settled by this or too new for it. */
static bool
try_settle(struct tlb *t, uint32_t i, uint64_t begin, const struct tlb_event *ev)
{
	const struct oblig *o = &t->ledger.at[i];

	if (!(o->pending & CPU_BIT(ev->cpu)))
		return false;
	if (o->ticket < begin)
		settle(t, i, ev->cpu, ev);
	return true;
}

static bool
settle_va(struct tlb *t, uint64_t va, unsigned level, uint64_t begin, const struct tlb_event *ev)
{
	bool any = false;

	for (uint32_t i = ledger_va(&t->ledger, va & ~(pt_span((int)level) - 1), level), next;
	     i != 0; i = next) {
		next = ledger_va_next(&t->ledger, i);
		any |= try_settle(t, i, begin, ev);
	}
	return any;
}

static bool
settle_tables(struct tlb *t, uint64_t va, uint64_t begin, const struct tlb_event *ev)
{
	bool any = false;

	for (uint32_t i = t->ledger.head[LIST_TABLE], next; i != 0; i = next) {
		const struct oblig *o = &t->ledger.at[i];

		next = o->next;
		if (!t->policy.tce || va - o->va < PT_ENTRIES * pt_span(o->level))
			any |= try_settle(t, i, begin, ev);
	}
	return any;
}

static uint64_t *
recent_slot(struct tlb *t, uint64_t key)
{
	return &t->recent[(key * UINT64_C(0x9e3779b97f4a7c15)) >> 54];
}

void
settle_wasted(struct tlb *t, unsigned cpu)
{
	struct tlb_cpu *c = &t->cpu[cpu];

	if (c->has_wasted) {
		c->has_wasted = false;
		find_emit(t, &c->wasted);
	}
}

static void
wasted(struct tlb *t, uint64_t va, uint64_t npages, enum tlb_kind kind, uint64_t begin,
    const struct tlb_event *ev)
{
	struct tlb_cpu *c = &t->cpu[ev->cpu];

	settle_wasted(t, ev->cpu);
	c->has_wasted = npages != 0;
	c->wasted_begin = begin;
	c->wasted = (struct tlb_finding){
		.kind = (uint8_t)kind,
		.rule = TLB_NRULES,
		.severity = t->policy.lint,
		.level = 1,
		.va = va,
		.npages = npages,
		.cpus = CPU_BIT(ev->cpu),
		.store_cpu = ev->cpu,
		.cpu = ev->cpu,
		.ticket = ev->ticket,
		.pc = ev->pc,
	};
	if (npages == 0)
		find_emit(t, &c->wasted);
}

void
settle_invlpg(struct tlb *t, const struct tlb_event *ev)
{
	uint64_t va = ev->a[0] & ~BED_PAGE_MASK, begin = ev->a[1];
	/* The low bits of a page address are free for the CPU. */
	uint64_t key = va | ev->cpu | BED_PAGE_SIZE >> 1, *recent = recent_slot(t, key);
	bool any = settle_va(t, va, 1, begin, ev);

	if (t->ledger.large != 0) {
		any |= settle_va(t, va, 2, begin, ev);
		any |= settle_va(t, va, 3, begin, ev);
	}
	if (t->ledger.head[LIST_TABLE] != 0)
		any |= settle_tables(t, va, begin, ev);
	if (!any)
		wasted(t, va, 1, *recent == key ? TLB_REPEATED : TLB_USELESS, begin, ev);
	*recent = key;
}

void
settle_all(struct tlb *t, const struct tlb_event *ev, uint64_t begin, bool globals)
{
	struct tlb_cpu *c = &t->cpu[ev->cpu];
	/* A CPU that was off cannot know whether there is something. */
	bool any = !(t->on & CPU_BIT(ev->cpu));

	for (unsigned list = 0; list < NLISTS; list++) {
		for (uint32_t i = t->ledger.head[list], next; i != 0; i = next) {
			next = t->ledger.at[i].next;
			if (globals || !t->ledger.at[i].global)
				any |= try_settle(t, i, begin, ev);
		}
	}
	c->clean_but_global = begin;
	if (c->missed < begin)
		c->missed = 0;
	if (globals) {
		c->clean = begin;
		if (c->missed_global < begin)
			c->missed_global = 0;
		if (!any)
			wasted(t, 0, 0, TLB_USELESS, begin, ev);
	}
}

/*
 * It may still be asked for what was stored before, and do it before or after it is back. Only what has a
 * deadline meanwhile becomes a debt, which a full flush pays (judge_away()).
 */
void
settle_off(struct tlb *t, const struct tlb_event *ev)
{
	uint64_t bit = CPU_BIT(ev->cpu);

	for (unsigned list = 0; list < NLISTS; list++) {
		for (uint32_t i = t->ledger.head[list], next; i != 0; i = next) {
			struct oblig *o = &t->ledger.at[i];

			next = o->next;
			if (!(o->pending & bit))
				continue;
			if (o->due & bit)
				judge_overdue(t, i);
			if (o->kind != OBLIG_OPT && !(o->told & bit))
				continue;
			o->pending &= ~bit;
			o->told &= ~bit;
			if (o->pending == 0)
				ledger_drop(&t->ledger, i);
		}
	}
	t->on &= ~bit;
}

void
settle_on(struct tlb *t, const struct tlb_event *ev)
{
	struct tlb_cpu *c = &t->cpu[ev->cpu];
	uint64_t last = c->missed > c->missed_global ? c->missed : c->missed_global;

	if (last != 0) {
		struct tlb_finding f = {
			.kind = TLB_WOKE,
			.rule = TLB_RULE_ON,
			.severity = TLB_ERROR,
			.cpus = CPU_BIT(ev->cpu),
			.store_ticket = last,
			.cpu = ev->cpu,
			.ticket = ev->ticket,
			.pc = ev->pc,
		};

		find_emit(t, &f);
	}
	c->missed = c->missed_global = 0;
	t->on |= CPU_BIT(ev->cpu);
	t->ever |= CPU_BIT(ev->cpu);
}
