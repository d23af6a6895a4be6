/* SPDX-License-Identifier: ISC */
/*
 * Calls with every check on. check_call() runs one call of shared/calls.def in a bed and compares what
 * happened with what the call promises:
 *
 *   - the mappings that changed are exactly those the call must change, with the rights, frames and
 *     software bits it must give them, and nothing else moved (effect.c);
 *   - the guest did the counted work that takes and no more: one store a page set or cleared, at most
 *     one invalidation a page cleared, one exit;
 *   - KVM translates what changed as the tables say;
 *   - the invariants of page tables, maps, pages, counters and threads hold (vmm/audit/);
 *   - the result and the whole state of the allocator are what the specification predicts (vmm/ghost/).
 *
 * The first disagreement ends the call with BED_E_FINDING and a report.
 */
#ifndef VMM_CHECK_CHECK_H
#define VMM_CHECK_CHECK_H

#include "vmm/audit/audit.h"
#include "vmm/bed/call.h"
#include "vmm/view/delta.h"
#include "vmm/view/snapshot.h"

struct check;

/* Who looks after each call; all of them unless somebody says otherwise. */
enum check_witness {
	CHECK_MAPPINGS = 1, /* the frame rule, and the counted work */
	CHECK_MMU = 2,      /* what the engine makes of addresses */
	CHECK_AUDIT = 4,    /* the invariants */
	CHECK_GHOST = 8,    /* the specification */
	CHECK_TLB =
	    16, /* the TLB sanitizer, which is attached to the bed by who runs the program */
	CHECK_ALL = 31,
};

/* "all", "none", or names with commas: mappings, mmu, audit, ghost, tlb. False: another word. */
bool check_parse_witnesses(const char *text, unsigned *witnesses);

/* Host time by witness; `read` is for audit and ghost, `snapshot` for all. */
#define CHECK_COSTS(X) X(snapshot) X(mappings) X(mmu) X(read) X(audit) X(ghost)
struct check_cost {
#define X(name) uint64_t name;
	CHECK_COSTS(X)
#undef X
};

/* What has been looked at so far. */
struct check_totals {
	uint64_t calls;
	uint64_t pages;        /* mapped pages compared, snapshot against snapshot */
	uint64_t changed;      /* pages mapped, unmapped or changed, each as stated */
	uint64_t translations; /* addresses put to KVM */
	uint64_t specified;    /* calls the specification agreed with */
	uint64_t inconclusive; /* ... and calls it does not say everything about */
	char open[160];        /* why, of the last of these */
	uint64_t ns;           /* host time for all of it */
	struct check_cost cost;
};

/* The bed must outlive the check. */
struct check *check_new(struct bed *, struct bed_err *);
void check_free(struct check *); /* NULL is fine */

/*
 * bed_call_try() with everything checked. `what` is the operation for reports, or NULL. A call that falls
 * asleep leaves `result` BLOCKED; when a later call lets it finish, its effect is checked with that
 * call's and `result` becomes DONE: it must live until then, or until check_free().
 */
bool check_call(struct check *, const char *what, enum bed_call_id, const uint64_t *args,
    unsigned nargs, struct bed_result *, struct bed_err *);

/* enum check_witness, or'ed: who looks from now on. Those who come back begin with what they find. */
bool check_witnesses(struct check *, unsigned witnesses, struct bed_err *);

/*
 * The guest was changed on purpose since the last call, by calls that were not checked: begin again with
 * what is there. Otherwise the next call's report says that somebody changed it.
 */
bool check_resync(struct check *, struct bed_err *);

/* Whose an address is, as the specification has it after the last call: map, kind, rights, the call that made it. */
void check_owner(const struct check *, gva_t va, char *owner, size_t size);

/* The vCPU that runs the calls from now on; 0 unless one was named. */
void check_on(struct check *, unsigned cpu);

/*
 * A call that was begun beside the one that check_call() runs now (bed_call_post(), from its bed_on_sync()
 * callback) and lies in result->slot: its effect is checked with that of the call that lets it finish.
 */
void check_posted(
    struct check *, enum bed_call_id, const uint64_t *args, unsigned nargs, struct bed_result *);

/*
 * With the next check_call() this call begins on another vCPU, at the same moment, and is waited for. Its
 * result must live until it is DONE. The specification takes what such calls leave behind as it finds it.
 */
void check_beside(struct check *, unsigned cpu, enum bed_call_id, const uint64_t *args,
    unsigned nargs, struct bed_result *);

/*
 * All that is wrong, not only the first of it: with a listener, each check that disagrees is told to it, by
 * its id (docs/planted-bugs.md) and the text of its report, and the call goes on as if it had agreed. The
 * audit then includes the rules about contents.
 */
typedef void check_listener_fn(void *arg, const char *id, const char *text);
void check_listen(struct check *, check_listener_fn *, void *arg);
/* A check disagreed, err says how. True: a listener was told, go on; false: this is the end. */
bool check_found(struct check *, const char *id, const struct bed_err *err);
/* The same with the text of the finding. */
#define CHECK_FOUND(c, id, err, ...) \
	(bed_fail(err, BED_E_FINDING, __VA_ARGS__), check_found(c, id, err))

/* The mappings as of the last call. */
const struct snapshot *check_snapshot(const struct check *);
struct check_totals check_totals(const struct check *);
/* Of all calls so far; the same on every engine (hash.h). */
uint64_t check_hash(const struct check *);
/*
 * How the page at va had to be after the last call: as the call promises, or as it was before. False: nothing
 * exact can be said.
 */
bool check_expected(const struct check *, gva_t va, struct pt_expect *);
const struct audit *check_auditor(const struct check *);

/*
 * The pieces, for tests and for other drivers.
 *
 * Add to `effect` what a call that gave `result` must have done to the mappings of `before`; false when
 * out of memory. The caller starts with CALL_EFFECT_NONE and frees .row. checkable is false after calls
 * about which nothing exact can be said (programs, for one).
 */
struct call_effect {
	struct pt_delta *row;
	size_t n, room;
	bool checkable;
	bool may_widen;      /* leaves may have gained the right to write */
	uint64_t set, clear; /* leaf stores it takes */
};
#define CALL_EFFECT_NONE ((struct call_effect){ .checkable = true })
bool call_effect(struct call_effect *, struct bed *, const struct snapshot *before,
    enum bed_call_id, const uint64_t *args, const struct bed_result *);

/* Does it map pages one after the other, so that some are there while it sleeps for the next? */
bool call_in_steps(enum bed_call_id);

/* Append one row; false when out of memory. */
bool call_effect_add(struct call_effect *, const struct pt_delta *);

/* The invariants: false with the first that does not hold. check_audit() works with an audit of the caller. */
bool check_audit(struct audit *, const struct bed *, const struct snapshot *, struct bed_err *err);
bool check_audit_source(
    struct audit *, const struct audit_source *, const struct snapshot *, struct bed_err *err);
bool check_invariants(const struct bed *, const struct snapshot *, struct bed_err *);

/* The specification beside a bed (ghost.c). NULL: out of memory. */
struct check_ghost;
struct check_ghost *check_ghost_new(struct bed *, struct bed_err *);
void check_ghost_free(struct check_ghost *); /* NULL is fine */
/* After audit_run() or audit_look(): take what was read for the state; or compare with the state. */
bool check_ghost_adopt(struct check_ghost *, const struct audit *, struct bed_err *);
bool check_ghost_untouched(struct check_ghost *, const struct audit *, struct bed_err *);
void check_ghost_owner(const struct check_ghost *, gva_t va, char *owner, size_t size);
/* A call that was asleep still is. */
void check_ghost_sleeps(struct check_ghost *, const struct bed_result *);
/* A call that was asleep has this result now. */
void check_ghost_woke(struct check_ghost *, const struct bed_result *);
/* Judge a call, after the woken ones were told. open[0]: the verdict was `inconclusive`, for that reason. */
bool check_ghost_call(struct check_ghost *, const struct audit *, enum bed_call_id,
    const uint64_t *args, unsigned nargs, const struct bed_result *, char open[160],
    struct bed_err *);

#endif
