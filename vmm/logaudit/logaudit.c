/* SPDX-License-Identifier: ISC */
/*
 * Watching the guest and its log at the same time: see logaudit.h.
 */
#include "vmm/logaudit/logaudit.h"

#include <stdlib.h>
#include <string.h>

#include "shared/events.h"
#include "shared/paging.h"
#include "vmm/bed/inspect.h"
#include "vmm/bed/watch.h"
#include "vmm/kvm/table_probe.h"
#include "vmm/logaudit/decode.h"

#define AD     (PTE_A | PTE_D)
#define MARGIN (16 * BED_PAGE_SIZE) /* of pool pages watched behind the last that is in use */

struct logaudit {
	struct bed *bed;
	enum logaudit_mode mode;
	struct logacts log, seen;
	bool oom;
	bed_event_fn *next; /* who received events before */
	void *next_arg;
	struct logaudit_totals totals;
	/* STEPS: the pool as it was, how much of it is compared after each step, what the next step will do. */
	const uint8_t *pool;
	uint8_t *copy;
	uint64_t start, bytes, watched;
	bool has_pending;
	struct logact pending;
	uint64_t last_pc;
};

static void
see(struct logaudit *l, const struct logact *act)
{
	l->oom = !logacts_add(&l->seen, act) || l->oom;
	if (act->kind == LOGACT_STORE)
		l->totals.stores++;
	else
		l->totals.invalidations++;
}

/* A pool page has come into use: look that much further. */
static void
widen(struct logaudit *l, uint64_t offset)
{
	uint64_t to = (offset & ~BED_PAGE_MASK) + MARGIN;

	if (to > l->bytes)
		to = l->bytes;
	if (to > l->watched)
		l->watched = to;
}

/* What differs between the copy and the pool in one page was stored by the instruction at pc. */
static void
changed_page(struct logaudit *l, uint64_t offset, uint64_t pc)
{
	for (uint64_t i = offset; i < offset + BED_PAGE_SIZE; i += sizeof(uint64_t)) {
		struct logact act = { .kind = LOGACT_STORE, .pc = pc, .a = { l->start + i } };

		memcpy(&act.a[1], l->copy + i, sizeof(act.a[1]));
		memcpy(&act.a[2], l->pool + i, sizeof(act.a[2]));
		if (act.a[1] == act.a[2])
			continue;
		memcpy(l->copy + i, &act.a[2], sizeof(act.a[2]));
		if (((act.a[1] ^ act.a[2]) & ~AD) == 0)
			continue; /* the CPU's doing */
		see(l, &act);
		widen(l, i);
	}
}

static void
compare_pool(struct logaudit *l, uint64_t bytes, uint64_t pc)
{
	if (memcmp(l->copy, l->pool, bytes) == 0)
		return;
	for (uint64_t at = 0; at < bytes; at += BED_PAGE_SIZE)
		if (memcmp(l->copy + at, l->pool + at, BED_PAGE_SIZE) != 0)
			changed_page(l, at, pc);
}

/* The instruction announced last is done. */
static void
finish_step(struct logaudit *l)
{
	compare_pool(l, l->watched, l->last_pc);
	if (l->has_pending)
		see(l, &l->pending);
	l->has_pending = false;
}

static void
before_step(void *arg, const struct hv_regs *regs)
{
	struct logaudit *l = arg;
	uint8_t code[DECODE_BYTES];
	unsigned n = sizeof(code);

	finish_step(l);
	l->totals.steps++;
	l->last_pc = regs->rip;
	while (n > 0 && !bed_read(l->bed, GVA(regs->rip), code, n))
		n--;
	l->has_pending = decode_act(code, n, regs, &l->pending);
}

static void
on_store(void *arg, gpa_t gpa, const void *bytes, unsigned len, const struct hv_regs *regs)
{
	struct logaudit *l = arg;
	uint64_t entry = gpa.v & ~UINT64_C(7), offset = gpa.v & 7;
	struct logact act = { .kind = LOGACT_STORE, .pc = regs->rip, .a = { entry } };
	uint8_t *word = bed_ptr(l->bed, GPA(entry), sizeof(uint64_t));

	/* One that crosses an entry's end is put in place and seen as a store to the first. */
	memcpy(&act.a[1], word, sizeof(act.a[1]));
	memcpy(word + offset, bytes, len);
	memcpy(&act.a[2], word, sizeof(act.a[2]));
	see(l, &act);
}

static void
on_events(void *arg, const struct bed_event *e, unsigned n)
{
	struct logaudit *l = arg;

	for (unsigned i = 0; i < n; i++) {
		struct logact act = { .pc = e[i].pc != 0 ? bed_event_pc(l->bed, e[i].pc) : 0,
			.a = { e[i].a[0], e[i].a[1], e[i].a[2] } };

		switch (e[i].type) {
		case BED_EV_PTE_STORE:
			act.kind = LOGACT_STORE;
			break;
		case BED_EV_INVLPG:
			act.kind = LOGACT_INVLPG;
			break;
		case BED_EV_TLB_FULL:
			act.kind = LOGACT_FLUSH;
			break;
		case BED_EV_CR3:
			act.kind = LOGACT_CR3;
			break;
		default:
			continue;
		}
		l->oom = !logacts_add(&l->log, &act) || l->oom;
	}
	if (l->next != NULL)
		l->next(l->next_arg, e, n);
}

bool
logaudit_usable(enum logaudit_mode mode, struct bed_err *err)
{
	const struct hv_features *feat = hv_features(err);

	if (mode == LOGAUDIT_TABLES)
		return hv_readonly_tables(err);
	return feat != NULL &&
	       (feat->single_step || bed_fail(err, BED_E_HOST, "this KVM cannot single-step"));
}

static bool
watch(struct logaudit *l, struct bed_err *err)
{
	const struct bed_bootinfo *boot = bed_bootinfo(l->bed);

	if (l->mode == LOGAUDIT_TABLES)
		return bed_watch_tables(l->bed, on_store, l, err);
	l->start = boot->ptpool_start;
	l->bytes = boot->ptpool_end - boot->ptpool_start;
	l->pool = bed_ptr(l->bed, GPA(l->start), l->bytes);
	l->copy = malloc(l->bytes);
	if (l->copy == NULL)
		return bed_fail(err, BED_E_HOST, "out of memory for a copy of the page tables");
	memcpy(l->copy, l->pool, l->bytes);
	for (uint64_t at = 0; at < l->bytes; at++)
		if (l->copy[at] != 0)
			widen(l, at);
	return bed_watch_steps(l->bed, before_step, l, err);
}

struct logaudit *
logaudit_attach(struct bed *bed, enum logaudit_mode mode, struct bed_err *err)
{
	struct logaudit *l;

	if (bed_config(bed)->flavour != BED_CHECKED) {
		bed_fail(err, BED_E_USAGE, "a log audit needs the checked flavour of the guest");
		return NULL;
	}
	if (bed_config(bed)->engine != BED_ENGINE_KVM) {
		bed_fail(err, BED_E_USAGE, "a log audit watches a guest in KVM, not the twin");
		return NULL;
	}
	if (!logaudit_usable(mode, err))
		return NULL;
	l = calloc(1, sizeof(*l));
	if (l == NULL) {
		bed_fail(err, BED_E_HOST, "out of memory for a log audit");
		return NULL;
	}
	l->bed = bed;
	l->mode = mode;
	if (!watch(l, err)) {
		free(l->copy);
		free(l);
		return NULL;
	}
	l->next = bed_config(bed)->on_events;
	l->next_arg = bed_config(bed)->on_events_arg;
	bed_on_events(bed, on_events, l);
	return l;
}

void
logaudit_detach(struct logaudit *l)
{
	if (l == NULL)
		return;
	/* That KVM can go back to ordinary running is no question: it did so before. */
	if (l->mode == LOGAUDIT_TABLES)
		bed_watch_tables(l->bed, NULL, NULL, NULL);
	else
		bed_watch_steps(l->bed, NULL, NULL, NULL);
	bed_on_events(l->bed, l->next, l->next_arg);
	logacts_free(&l->log);
	logacts_free(&l->seen);
	free(l->copy);
	free(l);
}

bool
logaudit_poll(struct logaudit *l, struct bed_err *err)
{
	bool ok;

	if (l->mode == LOGAUDIT_STEPS) {
		finish_step(l);
		compare_pool(l, l->bytes, 0);
	}
	ok = !l->oom || bed_fail(err, BED_E_HOST, "out of memory for a log audit");
	ok = ok && logacts_compare(&l->log, &l->seen, l->mode == LOGAUDIT_TABLES, err);
	l->log.n = l->seen.n = 0;
	return ok;
}

struct logaudit_totals
logaudit_totals(const struct logaudit *l)
{
	return l->totals;
}
