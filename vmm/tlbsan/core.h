/* SPDX-License-Identifier: ISC */
/*
 * The TLB sanitizer: from a log of page-table stores and invalidations it tells which CPU may still
 * hold a translation that the kernel believes gone. It knows x86-64 4-level tables and nothing else: no
 * guest, no hypervisor, no file.
 *
 * It does not simulate a TLB. A processor may cache any translation that was valid at any moment since
 * the last covering invalidation, so each store that takes something away opens an obligation on every
 * active CPU, an invalidation settles it there, and a deadline that finds it open is a finding.
 *
 *	struct tlb *t = tlb_new(NULL, report, arg, &err);
 *	while (next event)
 *		if (!tlb_event(t, &ev, &err)) ...
 *	tlb_settle(t);
 *	tlb_free(t);
 *
 * Order: events come in ascending order of ticket. A store takes its ticket after the store; an
 * invalidation takes `begin` before and its ticket after; a free takes its ticket before the act. So an
 * invalidation settles a store iff begin > the store's ticket, and a deadline is met iff the ticket of
 * the invalidation is below the deadline's.
 *
 * Memory: a shadow page for each page-table page, a record for each open obligation. Nothing grows with
 * the number of events.
 */
#ifndef VMM_TLBSAN_CORE_H
#define VMM_TLBSAN_CORE_H

#include <stddef.h>
#include <stdint.h>

#include "shared/paging.h"
#include "vmm/error.h"

#define TLB_CPU_MAX 64

/*
 * X(name, word, arguments): the events. Arguments: x an address or entry, d a decimal number, r a rule,
 * s a severity. Those before STORE describe the state at the start: no ticket, no CPU, nothing to settle.
 */
#define TLB_EVENTS(X)                                                                              \
	X(CPUS, "cpus", "d")              /* how many; all on. First of all, once */               \
	X(RULE, "rule", "rs")             /* a deadline, what to make of it */                     \
	X(TCE, "tce", "")                 /* INVLPG drops only its own path's structure caches */  \
	X(ROOT, "root", "x")              /* the PML4 */                                           \
	X(TABLE, "table", "xdx")          /* page, level, first address: a table in use */         \
	X(ENTRY, "entry", "xx")           /* address of the entry, value */                        \
	X(STORE, "store", "xxx")          /* address of the entry, old, new */                     \
	X(INVLPG, "invlpg", "xd")         /* address, begin */                                     \
	X(FLUSH, "flush", "d")            /* begin: everything, global entries too */              \
	X(CR3, "cr3", "xd")               /* root, begin: everything but global entries */         \
	X(ON, "on", "")                   /* this CPU may use translations from here on */         \
	X(OFF, "off", "")                 /* it will not until on, and flushes before that */      \
	X(SEND, "send", "xxd")            /* target mask, address, pages: asks for invalidation */ \
	X(ACK, "ack", "dxd")              /* sender, address, pages (0: all): says it is done */   \
	X(PAGE_ALLOC, "page-alloc", "xd") /* physical address, pages */                            \
	X(PAGE_FREE, "page-free", "xd")   /* the same */                                           \
	X(VA_ALLOC, "va-alloc", "xxx")    /* space, start, end */                                  \
	X(VA_FREE, "va-free", "xxx")      /* the same */                                           \
	X(TABLE_ALLOC, "table-alloc", "x") /* page, all zero */                                    \
	X(TABLE_FREE, "table-free", "x")   /* page */                                              \
	X(ENTER, "enter", "d")             /* an operation begins: number */                       \
	X(LEAVE, "leave", "d")             /* it returns */                                        \
	X(LOCK, "lock", "x")               /* taken */                                             \
	X(UNLOCK, "unlock", "x")           /* about to be released */                              \
	X(UPDATE, "update", "")            /* pmap_update(): from here on all CPUs agree */

enum tlb_type {
#define X(name, word, args) TLB_##name,
	TLB_EVENTS(X)
#undef X
	    TLB_NTYPES,
	TLB_FIRST_TIMED = TLB_STORE,
};

struct tlb_event {
	uint64_t ticket, pc; /* pc: where in the kernel; 0: not known */
	uint64_t a[3];
	uint16_t cpu;
	uint8_t type; /* enum tlb_type */
};

/* Until when an obligation must be settled: X(name, word, text). The last two cannot be switched. */
#define TLB_RULES(X)                                                             \
	X(D0, "D0", "before the storing operation returns")                      \
	X(D1, "D1", "before pmap_update() returns")                              \
	X(D2, "D2", "before the frame is freed, handed out or mapped elsewhere") \
	X(D3, "D3", "before the address is handed out again")                    \
	X(D4, "D4", "before the lock held at the store is released")             \
	X(D5, "D5", "before the table page is freed")                            \
	X(ACK, "ACK", "before the request is acknowledged")                      \
	X(ON, "ON", "before the CPU uses translations again")

enum tlb_rule {
#define X(name, word, text) TLB_RULE_##name,
	TLB_RULES(X)
#undef X
	    TLB_NRULES,
	TLB_NDEADLINES = TLB_RULE_D5 + 1,
};

enum tlb_severity { TLB_SILENT, TLB_NOTE, TLB_WARNING, TLB_ERROR };

struct tlb_policy {
	uint8_t rule[TLB_NDEADLINES]; /* enum tlb_severity */
	uint8_t unlogged;             /* entries that changed behind the log */
	uint8_t lint;                 /* invalidations for nothing */
	bool tce;                     /* AMD EFER.TCE is set */
};
/* D1 D2 D3 D5 and unlogged stores: errors; D4: warning; D0: off; lint: notes. */
extern const struct tlb_policy tlb_policy_default;

/* X(name, word, text) */
#define TLB_KINDS(X)                                                                          \
	X(MISSING, "missing", "the CPU that stored has not invalidated it")                   \
	X(LATE, "late", "invalidated, but after the deadline")                                \
	X(WRONG_ADDRESS, "wrong-address", "another page was invalidated in its place")        \
	X(LOCAL_ONLY, "local-only", "the storing CPU invalidated it, another did not")        \
	X(EARLY_ACK, "early-ack", "a CPU acknowledged before it had invalidated")             \
	X(GLOBAL, "global", "a CR3 load was relied on, which keeps global entries")           \
	X(TABLE_FREED, "table-freed", "a table was freed while structure caches may hold it") \
	X(TABLE_LINKED, "table-linked", "a table was freed while an entry points to it")      \
	X(PAGE_MAPPED, "page-mapped", "a page was freed while an entry mapped it")            \
	X(WOKE, "woke", "a CPU came back without flushing what changed meanwhile")            \
	X(UNLOGGED, "unlogged", "an entry is not what the log said last")                     \
	X(USELESS, "useless", "nothing to invalidate there")                                  \
	X(REPEATED, "repeated", "invalidated again, nothing changed since")

enum tlb_kind {
#define X(name, word, text) TLB_##name,
	TLB_KINDS(X)
#undef X
	    TLB_NKINDS
};

struct tlb_finding {
	uint8_t kind, rule, severity; /* rule: TLB_NRULES when none applies */
	uint8_t level;                /* of the entry; 1: a 4 KiB page */
	uint64_t va, npages;          /* npages entries of that level in a row */
	uint64_t frame;               /* what the first of them mapped; TABLE_*: the table page */
	uint64_t cpus;                /* mask: who may hold it */
	/* The store that opened the obligation; UNLOGGED: the store that shows it. */
	uint64_t old, new, store_ticket, store_pc;
	uint16_t store_cpu;
	/* The event that found it; lint: the invalidation. */
	uint16_t cpu;
	uint64_t ticket, pc;
	/* LATE: ticket of the invalidation. PAGE_MAPPED: ticket of the free. WRONG_ADDRESS: the address that was invalidated. UNLOGGED: the
	 * value the log had. */
	uint64_t hint;
};

/* Called in the order of discovery. Pages in a row with the same fate come as one finding. */
typedef void tlb_report_fn(void *arg, const struct tlb_finding *);

struct tlb_totals {
	uint64_t events, stores, invalidations; /* full flushes and CR3 loads included */
	uint64_t obligations;                   /* opened, optional ones not counted */
	uint64_t aliases; /* links to a table in use elsewhere: not followed */
	uint64_t found[TLB_NKINDS];
	uint64_t at[TLB_ERROR + 1]; /* findings by severity */
	uint64_t open;              /* obligations open now */
	uint64_t peak;              /* records in use at once, at most */
	uint64_t tables;            /* shadow pages now */
};

struct tlb;

/* Policy NULL: the default. NULL: out of memory. */
struct tlb *tlb_new(const struct tlb_policy *, tlb_report_fn *, void *arg, struct bed_err *);
void tlb_free(struct tlb *);

/* False: the event makes no sense (a malformed stream, BED_E_INPUT), or no memory. */
bool tlb_event(struct tlb *, const struct tlb_event *, struct bed_err *);

/* The end, or a point where all CPUs are at rest: report what is overdue now. More events may follow. */
void tlb_settle(struct tlb *);

/*
 * All CPUs are at rest, and the table page at pa holds these entries: is that what the log says? What differs
 * (A and D aside) is reported as UNLOGGED, once, and taken over. A page the log does not know is taken over.
 */
bool tlb_at_rest(struct tlb *, uint64_t pa, const uint64_t entry[PT_ENTRIES], struct bed_err *);

/* An obligation that is open: who may still hold what. */
struct tlb_open {
	uint64_t va, frame; /* what the first page mapped */
	uint64_t old, new, ticket, pc;
	uint64_t cpus; /* mask: who has not invalidated */
	uint16_t cpu;  /* who stored */
	uint8_t level;
};

/* Those of the page, small or large, that translates va; the number written to out, at most max. */
size_t tlb_open_at(const struct tlb *, uint64_t va, struct tlb_open *out, size_t max);

struct tlb_totals tlb_totals(const struct tlb *);

const char *tlb_word(enum tlb_type); /* names, as in a log */
const char *tlb_args(enum tlb_type);
const char *tlb_rule_word(enum tlb_rule);
const char *tlb_severity_word(enum tlb_severity);
const char *tlb_kind_word(enum tlb_kind);

/* One line and a few indented ones, no newline at the end; what snprintf() returns. */
int tlb_finding_text(char *buf, size_t size, const struct tlb_finding *);

#endif
