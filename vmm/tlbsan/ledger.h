/* SPDX-License-Identifier: ISC */
/*
 * The open obligations: records that are found by address, by frame and by the CPU that stored. For
 * vmm/tlbsan only.
 *
 * A record is named by its index, which stays; pointers to records do not survive ledger_add().
 */
#ifndef VMM_TLBSAN_LEDGER_H
#define VMM_TLBSAN_LEDGER_H

#include "vmm/tlbsan/core.h"

enum oblig_kind {
	OBLIG_HARD, /* must be settled by a deadline */
	OBLIG_OPT,  /* may be: rights gained, A or D cleared */
	OBLIG_TOLD, /* was hard, all of it is reported: kept so that what settles it is not useless */
	OBLIG_TABLE, /* a table that structure caches may hold */
};

struct oblig {
	uint64_t va, frame; /* OBLIG_TABLE: first address it translated, the table page */
	uint64_t ticket, pc, old, new;
	uint64_t pending; /* CPUs that may hold it */
	uint64_t told;    /* of these: reported */
	uint64_t due;     /* of these: a deadline found them, the verdict is open */
	uint64_t due_ticket, due_pc;
	uint32_t va_next, frame_next, prev, next;
	uint16_t cpu, due_cpu; /* who stored, whose event was the deadline */
	uint8_t kind, level, due_rule;
	bool global;
};

/* Lists: one for each storing CPU (hard), then */
#define LIST_OPT   TLB_CPU_MAX /* OPT and TOLD */
#define LIST_TABLE (TLB_CPU_MAX + 1)
#define NLISTS     (TLB_CPU_MAX + 2)

struct ledger {
	struct oblig *at; /* [0] is no record */
	uint32_t cap, top, free;
	uint32_t *by_va, *by_frame;
	uint32_t mask; /* buckets - 1 */
	uint32_t head[NLISTS], tail[NLISTS];
	uint32_t used, peak, hard, large; /* large: records of level > 1, tables not counted */
};

bool ledger_init(struct ledger *);
void ledger_free(struct ledger *);

/* A new record, zero but for these; 0: no memory. */
uint32_t ledger_add(
    struct ledger *, enum oblig_kind, unsigned cpu, uint64_t va, unsigned level, uint64_t frame);
void ledger_drop(struct ledger *, uint32_t);
/* Change of kind, which is a change of list. */
void ledger_turn(struct ledger *, uint32_t, enum oblig_kind);

/* The first record from index i of the chain on that fits; 0: none. Tables are found by frame only. */
uint32_t ledger_va(const struct ledger *, uint64_t va, unsigned level);
uint32_t ledger_va_next(const struct ledger *, uint32_t);
uint32_t ledger_frame(const struct ledger *, uint64_t frame);
uint32_t ledger_frame_next(const struct ledger *, uint32_t);

#endif
