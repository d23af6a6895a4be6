/* SPDX-License-Identifier: ISC */
/*
 * See bed.h: a bed's records and page tables as a stream of events.
 */
#include "vmm/tlbsan/bed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/events.h"
#include "vmm/tlbsan/log.h"
#include "vmm/view/iterate.h"

struct tlbsan {
	struct bed *bed;
	struct tlb *tlb;
	FILE *log;
	bed_event_fn *next; /* who received events before */
	void *next_arg;
	/* Of several vCPUs, until they rest and the records can be put in order. */
	struct bed_event *kept;
	size_t nkept, kept_cap;
	struct bed_err failed; /* .text not empty: the stream could not be followed */
	char found[4096];      /* texts of the errors since the last poll */
	size_t used;
	unsigned errors;
	struct tlb_finding first; /* of these */
	tlb_report_fn *listener;  /* NULL: nobody */
	void *listener_arg;
};

static void
report(void *arg, const struct tlb_finding *f)
{
	struct tlbsan *s = arg;
	int n;

	if (s->listener != NULL)
		s->listener(s->listener_arg, f);
	if (f->severity != TLB_ERROR)
		return;
	if (s->errors++ == 0)
		s->first = *f;
	if (s->used + 2 >= sizeof(s->found))
		return;
	if (s->used > 0)
		s->found[s->used++] = '\n';
	n = tlb_finding_text(s->found + s->used, sizeof(s->found) - s->used, f);
	s->used += (size_t)n;
	if (s->used >= sizeof(s->found))
		s->used = sizeof(s->found) - 1;
}

static void
feed(struct tlbsan *s, const struct tlb_event *ev)
{
	if (s->failed.text[0] != '\0')
		return;
	if (s->log != NULL && !tlblog_print(s->log, ev)) {
		bed_fail(&s->failed, BED_E_OUTPUT, "cannot write the TLB log: %s", strerror(errno));
		return;
	}
	tlb_event(s->tlb, ev, &s->failed);
}

/* How a record becomes an event: its type, and which of the record's arguments become which. */
struct conversion {
	bool used;
	uint8_t type;
	uint8_t arg[3];
};

static const struct conversion conversions[] = {
	[BED_EV_PTE_STORE] = { true, TLB_STORE, { 0, 1, 2 } },
	[BED_EV_INVLPG] = { true, TLB_INVLPG, { 0, 1, 2 } },
	[BED_EV_TLB_FULL] = { true, TLB_FLUSH, { 1, 2, 2 } },
	[BED_EV_CR3] = { true, TLB_CR3, { 0, 1, 2 } },
	[BED_EV_CPU] = { true, TLB_ON, { 0, 1, 2 } },
	[BED_EV_IPI_SEND] = { true, TLB_SEND, { 0, 1, 2 } },
	[BED_EV_IPI_ACK] = { true, TLB_ACK, { 0, 1, 2 } },
	[BED_EV_PAGE_ALLOC] = { true, TLB_PAGE_ALLOC, { 0, 1, 2 } },
	[BED_EV_PAGE_FREE] = { true, TLB_PAGE_FREE, { 0, 1, 2 } },
	[BED_EV_VA_ALLOC] = { true, TLB_VA_ALLOC, { 0, 1, 2 } },
	[BED_EV_VA_FREE] = { true, TLB_VA_FREE, { 0, 1, 2 } },
	[BED_EV_PTP_ALLOC] = { true, TLB_TABLE_ALLOC, { 0, 1, 2 } },
	[BED_EV_PTP_FREE] = { true, TLB_TABLE_FREE, { 0, 1, 2 } },
	[BED_EV_CALL] = { true, TLB_ENTER, { 0, 1, 2 } },
	[BED_EV_RETURN] = { true, TLB_LEAVE, { 0, 1, 2 } },
	[BED_EV_LOCK] = { true, TLB_LOCK, { 0, 1, 2 } },
	[BED_EV_UNLOCK] = { true, TLB_UNLOCK, { 0, 1, 2 } },
	[BED_EV_UPDATE] = { true, TLB_UPDATE, { 0, 1, 2 } },
};

/* The guest counts tickets from 0, the sanitizer's first is 1. */
static void
convert(struct tlbsan *s, const struct bed_event *e)
{
	const struct conversion *c;
	struct tlb_event ev = { .ticket = e->ticket + 1,
		.cpu = e->cpu,
		.pc = e->pc != 0 ? bed_event_pc(s->bed, e->pc) : 0 };
	size_t nargs;

	if (e->type >= sizeof(conversions) / sizeof(conversions[0]) || !conversions[e->type].used)
		return;
	c = &conversions[e->type];
	ev.type = c->type;
	if (e->type == BED_EV_CPU && e->a[0] == 0)
		ev.type = TLB_OFF;
	nargs = strlen(tlb_args(ev.type));
	for (size_t i = 0; i < nargs; i++)
		ev.a[i] = e->a[c->arg[i]];
	if (ev.type == TLB_INVLPG || ev.type == TLB_CR3)
		ev.a[1]++;
	else if (ev.type == TLB_FLUSH)
		ev.a[0]++;
	feed(s, &ev);
}

static bool
keep(struct tlbsan *s, const struct bed_event *e, unsigned n)
{
	if (s->nkept + n > s->kept_cap) {
		size_t cap = 2 * (s->nkept + n);
		struct bed_event *bigger = realloc(s->kept, cap * sizeof(*bigger));

		if (bigger == NULL)
			return bed_fail(&s->failed, BED_E_HOST, "out of memory for event records");
		s->kept = bigger;
		s->kept_cap = cap;
	}
	memcpy(&s->kept[s->nkept], e, n * sizeof(*e));
	s->nkept += n;
	return true;
}

static void
receive(void *arg, const struct bed_event *e, unsigned n)
{
	struct tlbsan *s = arg;

	if (s->next != NULL)
		s->next(s->next_arg, e, n);
	if (bed_config(s->bed)->ncpu > 1) {
		keep(s, e, n);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		convert(s, &e[i]);
}

static int
by_ticket(const void *a, const void *b)
{
	uint64_t x = ((const struct bed_event *)a)->ticket,
		 y = ((const struct bed_event *)b)->ticket;

	return (x > y) - (x < y);
}

static void
convert_kept(struct tlbsan *s)
{
	if (s->nkept > 1)
		qsort(s->kept, s->nkept, sizeof(*s->kept), by_ticket);
	for (size_t i = 0; i < s->nkept; i++)
		convert(s, &s->kept[i]);
	s->nkept = 0;
}

static bool
seed_table(void *arg, const struct iter_table *table)
{
	struct tlbsan *s = arg;

	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		struct tlb_event ev = { .type = TLB_ENTRY,
			.a = { table->gpa.v + i * sizeof(uint64_t), table->entry[i] } };

		/* A zero says that the page is known: the first entry is always written. */
		if (table->entry[i] != 0 || i == 0)
			feed(s, &ev);
	}
	return s->failed.text[0] == '\0';
}

static bool
seed(struct tlbsan *s)
{
	const struct iter_ops ops = { .table = seed_table };
	struct view view = bed_view(s->bed);
	struct tlb_event cpus = { .type = TLB_CPUS, .a = { bed_config(s->bed)->ncpu } };
	struct tlb_event root = { .type = TLB_ROOT, .a = { view.root.v } };

	if (s->log != NULL && !tlblog_header(s->log))
		return bed_fail(
		    &s->failed, BED_E_OUTPUT, "cannot write the TLB log: %s", strerror(errno));
	feed(s, &cpus);
	feed(s, &root);
	view_iterate(&view, NULL, &ops, s);
	/* Several vCPUs at rest are all off. The records that follow have tickets far above these. */
	for (unsigned i = 0; cpus.a[0] > 1 && i < cpus.a[0]; i++)
		feed(
		    s, &(struct tlb_event){ .type = TLB_OFF, .cpu = (uint16_t)i, .ticket = 1 + i });
	return s->failed.text[0] == '\0';
}

struct tlbsan *
tlbsan_attach(struct bed *bed, const struct tlb_policy *policy, FILE *log, struct bed_err *err)
{
	struct tlbsan *s;

	if (bed_config(bed)->flavour != BED_CHECKED) {
		bed_fail(
		    err, BED_E_USAGE, "the TLB sanitizer needs the checked flavour of the guest");
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL) {
		bed_fail(err, BED_E_HOST, "out of memory for the TLB sanitizer");
		return NULL;
	}
	s->bed = bed;
	s->log = log;
	s->tlb = tlb_new(policy, report, s, err);
	if (s->tlb == NULL) {
		free(s);
		return NULL;
	}
	if (!seed(s)) {
		bed_fail(err, s->failed.class, "%s", s->failed.text);
		tlb_free(s->tlb);
		free(s);
		return NULL;
	}
	s->next = bed_config(bed)->on_events;
	s->next_arg = bed_config(bed)->on_events_arg;
	bed_on_events(bed, receive, s);
	return s;
}

void
tlbsan_detach(struct tlbsan *s)
{
	if (s == NULL)
		return;
	bed_on_events(s->bed, s->next, s->next_arg);
	tlb_free(s->tlb);
	free(s->kept);
	free(s);
}

static bool
compare_table(void *arg, const struct iter_table *table)
{
	struct tlbsan *s = arg;

	return tlb_at_rest(s->tlb, table->gpa.v, table->entry, &s->failed);
}

size_t
tlbsan_open_at(struct tlbsan *s, gva_t va, struct tlb_open *out, size_t max)
{
	convert_kept(s);
	return tlb_open_at(s->tlb, va.v, out, max);
}

bool
tlbsan_poll(struct tlbsan *s, struct bed_err *err)
{
	const struct iter_ops ops = { .table = compare_table };
	struct view view = bed_view(s->bed);
	unsigned errors;

	convert_kept(s);
	if (s->failed.text[0] == '\0')
		view_iterate(&view, NULL, &ops, s);
	tlb_settle(s->tlb);
	errors = s->errors;
	s->errors = 0;
	s->used = 0;
	if (s->failed.text[0] != '\0')
		return bed_fail(err, s->failed.class, "%s", s->failed.text);
	if (errors == 0)
		return true;
	bed_fail(err, BED_E_FINDING, "TLB sanitizer: %u finding%s\n%s", errors,
	    errors == 1 ? "" : "s", s->found);
	if (s->first.va != 0)
		bed_fail_at(err, s->first.va);
	return bed_fail_by(err, s->first.kind == TLB_UNLOGGED ? "log audit" : "TLB sanitizer");
}

void
tlbsan_listen(struct tlbsan *s, tlb_report_fn *fn, void *arg)
{
	s->listener = fn;
	s->listener_arg = arg;
}

struct tlb_totals
tlbsan_totals(const struct tlbsan *s)
{
	return tlb_totals(s->tlb);
}
