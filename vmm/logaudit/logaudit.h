/* SPDX-License-Identifier: ISC */
/*
 * Is the guest's event log complete and true? The log is what the TLB sanitizer lives on, and the guest writes it
 * itself. So it is compared, call by call, with what is seen from outside:
 *
 *	steps    the guest runs instruction by instruction; INVLPG and control-register writes are decoded before they
 *	         run, stores to page tables are what has changed in the table pool after each instruction
 *	tables   the table pool is read-only memory, so that each store is an exit
 *
 * What is seen must be what was logged: the same stores, old value and new, the same invalidations, in the same
 * order. For guests of one CPU; of programs that fault, handlers may be missed where KVM does not step into them.
 */
#ifndef VMM_LOGAUDIT_LOGAUDIT_H
#define VMM_LOGAUDIT_LOGAUDIT_H

#include "vmm/bed/bed.h"

enum logaudit_mode { LOGAUDIT_STEPS, LOGAUDIT_TABLES };

/* One thing that changes translations. */
enum logact_kind {
	LOGACT_STORE,  /* a: entry gpa, old, new */
	LOGACT_INVLPG, /* a: address */
	LOGACT_FLUSH,  /* CR4.PGE off */
	LOGACT_CR3,    /* a: root */
	LOGACT_OTHER,  /* an instruction that no wrapper executes; a: its first bytes */
};

struct logact {
	enum logact_kind kind;
	uint64_t pc, a[3];
};

/* A growing list of them. */
struct logacts {
	struct logact *at;
	size_t n, room;
};
bool logacts_add(struct logacts *, const struct logact *); /* false: no memory */
void logacts_free(struct logacts *);

/*
 * Do both lists tell the same? A and D do not count. Stores only: kinds but LOGACT_STORE are passed over in the
 * log. Else err has the first difference (BED_E_FINDING).
 */
bool logacts_compare(
    const struct logacts *log, const struct logacts *seen, bool stores_only, struct bed_err *err);

struct logaudit_totals {
	uint64_t steps, stores, invalidations;
};

struct logaudit;

/* Can this KVM? err says why not (BED_E_HOST). */
bool logaudit_usable(enum logaudit_mode, struct bed_err *);

/* From the next call on. It passes events on to whoever received them before: last attached, first detached. */
struct logaudit *logaudit_attach(struct bed *, enum logaudit_mode, struct bed_err *);
void logaudit_detach(struct logaudit *); /* NULL is fine */

/* After a call: false if the log differs from what was seen since the last poll. */
bool logaudit_poll(struct logaudit *, struct bed_err *);
struct logaudit_totals logaudit_totals(const struct logaudit *);

#endif
