/* SPDX-License-Identifier: ISC */
/*
 * Inside of the sanitizer's core: its state, and what its files do for each other.
 */
#ifndef VMM_TLBSAN_PRIV_H
#define VMM_TLBSAN_PRIV_H

#include "vmm/tlbsan/core.h"
#include "vmm/tlbsan/ledger.h"
#include "vmm/tlbsan/shadow.h"

#define LOCKS_HELD 16   /* of one CPU; more are not followed */
#define FREED      4096 /* frames remembered that were freed last; a power of two */
#define RECENT     1024 /* invalidations remembered, to tell "repeated" from "useless" */

/* A frame that is free, as far as is remembered. */
struct freed {
	uint64_t frame, ticket; /* ticket 0: none */
};

struct held_lock {
	uint64_t lock, ticket;
};

struct tlb_cpu {
	uint64_t missed, missed_global;   /* off: the last store that it did not hear of in time */
	uint64_t clean, clean_but_global; /* begin of the last full flush, of the last CR3 load */
	uint64_t sent;                    /* ticket of its last request */
	bool has_wasted;                  /* an invalidation for nothing, not reported yet: it */
	struct tlb_finding wasted;        /* may turn out to be a wrong address */
	uint64_t wasted_begin;
	unsigned nlock;
	struct held_lock lock[LOCKS_HELD];
};

struct tlb {
	struct tlb_policy policy;
	tlb_report_fn *report;
	void *report_arg;
	struct ledger ledger;
	struct shadow shadow;
	uint64_t on;   /* CPUs that use translations */
	uint64_t ever; /* CPUs that did at some time: those that may hold some */
	unsigned ncpu;
	uint64_t ticket; /* of the last event */
	bool started;    /* a timed event came */
	struct tlb_cpu cpu[TLB_CPU_MAX];
	struct tlb_totals totals;
	bool has_held;
	struct tlb_finding held; /* the last finding, which the next may continue */
	uint64_t recent[RECENT];
	struct freed freed[FREED];
};

#define CPU_BIT(cpu) (UINT64_C(1) << (cpu))

/* find.c: findings */
void find_emit(struct tlb *, const struct tlb_finding *);
void find_out(struct tlb *); /* hand on what is held */
/* A finding about a record, on the CPUs of the mask, found by ev. */
struct tlb_finding find_about(
    const struct oblig *, enum tlb_kind, uint64_t cpus, const struct tlb_event *);

/* tables.c: what a store means */
bool tables_store(struct tlb *, const struct tlb_event *);
bool tables_entry(struct tlb *, uint64_t gpa, uint64_t value);           /* at the start */
bool tables_pin(struct tlb *, uint64_t pa, unsigned level, uint64_t va); /* at the start */
bool tables_alloc(struct tlb *, const struct tlb_event *, uint64_t pa);
void tables_gone(struct tlb *, const struct tlb_event *, uint64_t pa); /* the page is freed */

static inline struct freed *
freed_slot(struct tlb *t, uint64_t frame)
{
	return &t->freed[(frame >> BED_PAGE_SHIFT) % FREED];
}

/* judge.c: deadlines */
void judge(struct tlb *, uint32_t oblig, enum tlb_rule, const struct tlb_event *);
void judge_cpu(struct tlb *, enum tlb_rule, const struct tlb_event *, uint64_t since);
void judge_va(struct tlb *, uint64_t start, uint64_t end, const struct tlb_event *);
void judge_frames(struct tlb *, uint64_t pa, uint64_t n, const struct tlb_event *);
void judge_moved(struct tlb *, uint64_t frame, uint64_t va, const struct tlb_event *);
void judge_ack(struct tlb *, const struct tlb_event *);
void judge_overdue(struct tlb *, uint32_t oblig); /* the verdict, now */
/* A deadline for CPUs of the mask, which are off: they owe a full flush. May drop the record: true. */
bool judge_away(struct tlb *, uint32_t oblig, uint64_t mask);

/* settle.c: invalidations, CPUs coming and going */
void settle_invlpg(struct tlb *, const struct tlb_event *);
void settle_all(struct tlb *, const struct tlb_event *, uint64_t begin, bool globals);
void settle_off(struct tlb *, const struct tlb_event *);
void settle_on(struct tlb *, const struct tlb_event *);
void settle_wasted(struct tlb *, unsigned cpu); /* report it */

#endif
