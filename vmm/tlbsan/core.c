/* SPDX-License-Identifier: ISC */
/*
 * The stream of events: each is checked for sense, then goes to who knows what it means.
 */
#include "vmm/tlbsan/priv.h"

#include <inttypes.h>
#include <stdlib.h>

const struct tlb_policy tlb_policy_default = {
	.rule = { [TLB_RULE_D0] = TLB_SILENT,
	    [TLB_RULE_D1] = TLB_ERROR,
	    [TLB_RULE_D2] = TLB_ERROR,
	    [TLB_RULE_D3] = TLB_ERROR,
	    [TLB_RULE_D4] = TLB_WARNING,
	    [TLB_RULE_D5] = TLB_ERROR },
	.unlogged = TLB_ERROR,
	.lint = TLB_NOTE,
};

struct tlb *
tlb_new(const struct tlb_policy *policy, tlb_report_fn *report, void *arg, struct bed_err *err)
{
	struct tlb *t = calloc(1, sizeof(*t));

	if (t == NULL || !ledger_init(&t->ledger) || !shadow_init(&t->shadow)) {
		tlb_free(t);
		bed_fail(err, BED_E_HOST, "out of memory for the TLB sanitizer");
		return NULL;
	}
	t->policy = policy != NULL ? *policy : tlb_policy_default;
	t->report = report;
	t->report_arg = arg;
	t->ncpu = 1;
	t->on = CPU_BIT(0);
	t->ever = 1;
	return t;
}

void
tlb_free(struct tlb *t)
{
	if (t == NULL)
		return;
	ledger_free(&t->ledger);
	shadow_free(&t->shadow);
	free(t);
}

struct tlb_totals
tlb_totals(const struct tlb *t)
{
	struct tlb_totals totals = t->totals;

	totals.open = t->ledger.hard;
	totals.peak = t->ledger.peak;
	totals.tables = t->shadow.npage;
	return totals;
}

static bool
bad(struct bed_err *err, const struct tlb_event *ev, const char *what)
{
	return bed_fail(err, BED_E_INPUT, "%s: %s", tlb_word(ev->type), what);
}

static bool
pages_fit(uint64_t start, uint64_t n, uint64_t limit)
{
	return n != 0 && n <= limit >> BED_PAGE_SHIFT && start <= limit - (n << BED_PAGE_SHIFT);
}

static bool
setup_sound(const struct tlb *t, const struct tlb_event *ev, struct bed_err *err)
{
	if (t->started)
		return bad(err, ev, "describes the start; it must come before the first event");
	switch (ev->type) {
	case TLB_CPUS:
		if (ev->a[0] == 0 || ev->a[0] > TLB_CPU_MAX)
			return bad(err, ev, "1 to 64 CPUs");
		break;
	case TLB_RULE:
		if (ev->a[0] >= TLB_NDEADLINES || ev->a[1] > TLB_ERROR)
			return bad(err, ev, "a rule D0 to D5, and off, note, warning or error");
		break;
	case TLB_TABLE:
		if (ev->a[1] < 1 || ev->a[1] > PT_LEVELS)
			return bad(err, ev, "the level must be 1 to 4");
		if ((ev->a[2] & (pt_span((int)ev->a[1] + 1) - 1)) != 0)
			return bad(err, ev, "a table of that level cannot begin at that address");
		/* FALLTHROUGH */
	case TLB_ROOT:
		if ((ev->a[0] & ~PTE_FRAME) != 0)
			return bad(err, ev, "the table must lie at a page address");
		break;
	case TLB_ENTRY:
		if ((ev->a[0] & 7) != 0)
			return bad(err, ev, "the entry must lie at a multiple of 8");
		break;
	default:
		break;
	}
	return true;
}

static bool
setup(struct tlb *t, const struct tlb_event *ev, struct bed_err *err)
{
	bool ok = true;

	if (!setup_sound(t, ev, err))
		return false;
	switch (ev->type) {
	case TLB_CPUS:
		t->ncpu = (unsigned)ev->a[0];
		t->on = t->ncpu == TLB_CPU_MAX ? ~UINT64_C(0) : CPU_BIT(t->ncpu) - 1;
		t->ever = t->on;
		break;
	case TLB_RULE:
		t->policy.rule[ev->a[0]] = (uint8_t)ev->a[1];
		break;
	case TLB_TCE:
		t->policy.tce = true;
		break;
	case TLB_ROOT:
		ok = tables_pin(t, ev->a[0], PT_LEVELS, 0);
		break;
	case TLB_TABLE:
		ok = tables_pin(t, ev->a[0], (unsigned)ev->a[1], ev->a[2]);
		break;
	default:
		ok = tables_entry(t, ev->a[0], ev->a[1]);
		break;
	}
	return ok || bed_fail(err, BED_E_HOST, "out of memory for the TLB sanitizer");
}

static bool
sound(const struct tlb *t, const struct tlb_event *ev, struct bed_err *err)
{
	const uint64_t *a = ev->a;

	if (ev->ticket <= t->ticket)
		return bed_fail(err, BED_E_INPUT,
		    "%s: ticket %" PRIu64 " after %" PRIu64 "; tickets must ascend",
		    tlb_word(ev->type), ev->ticket, t->ticket);
	if (ev->cpu >= t->ncpu)
		return bed_fail(err, BED_E_INPUT,
		    "%s: there is no cpu %u; cpus says how many there are", tlb_word(ev->type),
		    ev->cpu);
	switch (ev->type) {
	case TLB_STORE:
		return (a[0] & 7) == 0 || bad(err, ev, "the entry must lie at a multiple of 8");
	case TLB_FLUSH:
		return a[0] < ev->ticket || bad(err, ev, "begin must be less than the ticket");
	case TLB_INVLPG:
	case TLB_CR3:
		return a[1] < ev->ticket || bad(err, ev, "begin must be less than the ticket");
	case TLB_ACK:
		return a[0] < t->ncpu || bad(err, ev, "there is no such sender");
	case TLB_PAGE_ALLOC:
	case TLB_PAGE_FREE:
		return ((a[0] & BED_PAGE_MASK) == 0 && pages_fit(a[0], a[1], PTE_FRAME)) ||
		       bad(err, ev, "a page address and a number of pages that are memory");
	case TLB_VA_ALLOC:
	case TLB_VA_FREE:
		return a[1] < a[2] || bad(err, ev, "the end must be above the start");
	case TLB_TABLE_ALLOC:
	case TLB_TABLE_FREE:
		return (a[0] & ~PTE_FRAME) == 0 ||
		       bad(err, ev, "the table must lie at a page address");
	default:
		return true;
	}
}

/* Which frames are free now: of a long run the first ones, which is enough to notice. */
static void
remember_free(struct tlb *t, const struct tlb_event *ev)
{
	uint64_t n = ev->a[1] < FREED / 4 ? ev->a[1] : FREED / 4;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t frame = ev->a[0] + (i << BED_PAGE_SHIFT);
		struct freed *slot = freed_slot(t, frame);

		if (ev->type == TLB_PAGE_FREE)
			*slot = (struct freed){ frame, ev->ticket };
		else if (slot->frame == frame)
			slot->ticket = 0;
	}
}

/* Frames are given back or handed out: some may be tables. */
static void
frames(struct tlb *t, const struct tlb_event *ev)
{
	judge_frames(t, ev->a[0], ev->a[1], ev);
	remember_free(t, ev);
	if (ev->a[1] <= t->shadow.npage) {
		for (uint64_t i = 0; i < ev->a[1]; i++)
			tables_gone(t, ev, ev->a[0] + (i << BED_PAGE_SHIFT));
		return;
	}
	for (size_t b = 0; b < t->shadow.nbucket; b++) {
		for (struct shadow_page *p = t->shadow.bucket[b], *next; p != NULL; p = next) {
			next = p->next;
			if (p->pa >= ev->a[0] && p->pa - ev->a[0] < ev->a[1] << BED_PAGE_SHIFT)
				tables_gone(t, ev, p->pa);
		}
	}
}

static void
lock(struct tlb_cpu *c, const struct tlb_event *ev)
{
	if (c->nlock < LOCKS_HELD)
		c->lock[c->nlock++] = (struct held_lock){ ev->a[0], ev->ticket };
}

static void
unlock(struct tlb *t, const struct tlb_event *ev)
{
	struct tlb_cpu *c = &t->cpu[ev->cpu];

	for (unsigned i = c->nlock; i-- > 0;) {
		if (c->lock[i].lock != ev->a[0])
			continue;
		judge_cpu(t, TLB_RULE_D4, ev, c->lock[i].ticket);
		for (c->nlock--; i < c->nlock; i++)
			c->lock[i] = c->lock[i + 1];
		return;
	}
}

static bool
timed(struct tlb *t, const struct tlb_event *ev)
{
	switch (ev->type) {
	case TLB_STORE:
		t->totals.stores++;
		return tables_store(t, ev);
	case TLB_INVLPG:
		t->totals.invalidations++;
		settle_invlpg(t, ev);
		return true;
	case TLB_FLUSH:
	case TLB_CR3:
		t->totals.invalidations++;
		settle_all(
		    t, ev, ev->type == TLB_FLUSH ? ev->a[0] : ev->a[1], ev->type == TLB_FLUSH);
		return true;
	case TLB_ON:
		settle_on(t, ev);
		return true;
	case TLB_OFF:
		settle_off(t, ev);
		return true;
	case TLB_SEND:
		t->cpu[ev->cpu].sent = ev->ticket;
		return true;
	case TLB_ACK:
		judge_ack(t, ev);
		return true;
	case TLB_PAGE_ALLOC:
	case TLB_PAGE_FREE:
		frames(t, ev);
		return true;
	case TLB_VA_ALLOC:
		judge_va(t, ev->a[1], ev->a[2], ev);
		return true;
	case TLB_TABLE_ALLOC:
		judge_frames(t, ev->a[0], 1, ev);
		return tables_alloc(t, ev, ev->a[0]);
	case TLB_TABLE_FREE:
		judge_frames(t, ev->a[0], 1, ev);
		tables_gone(t, ev, ev->a[0]);
		return true;
	case TLB_LEAVE:
		judge_cpu(t, TLB_RULE_D0, ev, 0);
		return true;
	case TLB_LOCK:
		lock(&t->cpu[ev->cpu], ev);
		return true;
	case TLB_UNLOCK:
		unlock(t, ev);
		return true;
	case TLB_UPDATE:
		judge_cpu(t, TLB_RULE_D1, ev, 0);
		return true;
	default: /* VA_FREE, ENTER: nothing is due */
		return true;
	}
}

bool
tlb_event(struct tlb *t, const struct tlb_event *ev, struct bed_err *err)
{
	if (ev->type >= TLB_NTYPES)
		return bed_fail(err, BED_E_INPUT, "event of unknown type %u", ev->type);
	if (ev->type < TLB_FIRST_TIMED)
		return setup(t, ev, err);
	if (!sound(t, ev, err))
		return false;
	t->started = true;
	t->ticket = ev->ticket;
	t->totals.events++;
	return timed(t, ev) || bed_fail(err, BED_E_HOST, "out of memory for the TLB sanitizer");
}

void
tlb_settle(struct tlb *t)
{
	for (unsigned cpu = 0; cpu < t->ncpu; cpu++) {
		for (uint32_t i = t->ledger.head[cpu], next; i != 0; i = next) {
			next = t->ledger.at[i].next;
			if (t->ledger.at[i].due != 0)
				judge_overdue(t, i);
		}
	}
	for (unsigned cpu = 0; cpu < t->ncpu; cpu++)
		settle_wasted(t, cpu);
	find_out(t);
}
