/* SPDX-License-Identifier: ISC */
/*
 * Invalidation on all CPUs: the translations that other CPUs may hold go before the call returns.
 *
 * Each CPU has one request of its own to write (struct shoot_cpu.req), and one word in which the others
 * ask it (asked: bit n says "look at the request of CPU n"). So requests never wait for a mailbox,
 * never overwrite one another, and any number of them is under way at once. A round:
 *
 *	initiator i				target t
 *	stores to page tables
 *	fetch_add(state): who is on?
 *	req[i] = what; waiting[i] = targets
 *	asked[t] |= i, for each target
 *	interrupt to all targets
 *	own invalidation			asked[t] = 0, was: i, ...
 *	while (waiting[i]) serve own requests	invalidation
 *	return					waiting[i] &= ~t
 *
 * Everybody who waits serves, here and in spin_wait(); so of any set of CPUs that wait for each other
 * none holds up the rest, and a round ends once each target took its interrupt or waited for anything.
 *
 * Who is on. One word, `state`, holds the mask of the CPUs that are on and a count of all rounds ever begun;
 * each change of it is one locked operation, so all of them have one order. Take a round (its
 * fetch_add, A) and a CPU t:
 *
 *	A before t comes on (its fetch_or, N), and t off since some F (its fetch_and) before A: the round
 *	leaves t alone. The count at N differs from the one at F, so t drops everything after N. The
 *	stores of the round came before A in program order, A is a locked operation and so is N: they are
 *	visible to every walk after t's flush. If t was never on, `seen` is no count, and it flushes.
 *
 *	A while t is on: t is a target. t takes the bit, invalidates and acknowledges, whether it is on by
 *	then or not; or it has gone off and the initiator takes the bit back (withdraw). To take it back is
 *	one operation with leaving ASKED_ALL in the same word, and t takes the word only after N, so it
 *	either finds the bit and acknowledges, or finds ASKED_ALL and drops everything before it goes on. A bit
 *	is taken back from a CPU that is off at that moment, and this is not even needed for safety.
 *
 *	A before the first N of t: as in the first case.
 *
 * A walk by t between N and its flush could load what is dropped then; t makes none, by the contract of
 * shootdown_cpu_on(), and a processor that speculates may load it but not use it, for the flush is serializing.
 *
 * With one CPU configured nothing of this runs: pmap_smp is false from pmap_bootstrap() on, before there
 * is anyone else to see it.
 */
#include <machine/assert.h>
#include <machine/ipi.h>
#include <machine/planted.h>

#include "pmap_table.h"

/* shoot.state: the lower bits are the mask, above them counts the round. */
#define STATE_MASK  ((UINT64_C(1) << BED_CPU_MAX) - 1)
#define STATE_ROUND (UINT64_C(1) << BED_CPU_MAX)

#define ASKED_ALL (CPU_MASK(BED_CPU_MAX)) /* in shoot_cpu.asked: drop everything, tell nobody */

#define CACHE_LINE 64

struct shoot_cpu {
	/* Written by others. */
	cpumask_t asked __attribute__((__aligned__(CACHE_LINE)));
	cpumask_t waiting; /* whose acknowledgement this CPU's request lacks */
	/* Written by this CPU alone; the request is read by those in `waiting`. */
	uint64_t seen
	    __attribute__((__aligned__(CACHE_LINE))); /* count of rounds when it went off */
	bool ever;                                    /* was on before */
	struct pmap_inval req;
};

static struct {
	uint64_t state __attribute__((__aligned__(CACHE_LINE)));
	struct shoot_cpu cpu[BED_CPU_MAX];
} shoot;

bool pmap_smp;

void
pmap_shootdown_init(unsigned ncpu)
{
	unsigned self = curcpu()->ci_id;

	pmap_smp = ncpu > 1;
	shoot.state = CPU_MASK(self);
	shoot.cpu[self].ever = true;
}

cpumask_t
shootdown_cpus(void)
{
	return (cpumask_t)(__atomic_load_n(&shoot.state, __ATOMIC_ACQUIRE) & STATE_MASK);
}

/* One record for each run of a request; `who`: the targets, or the sender. */
static inline void
record(
    enum bed_event_type type __unused_arg, uint64_t who __unused_arg, const struct pmap_inval *req)
{
	if (pmap_inval_is_all(req)) {
		EVENT_OF(type, who, 0, 0);
		return;
	}
	for (unsigned i = 0; i < req->nrun; i++)
		EVENT_OF(type, who, req->run[i].va, req->run[i].n);
}

/* Which of the requests `asked` must be served by dropping everything? */
static bool
asked_for_all(cpumask_t asked)
{
	uint64_t pages = 0;

	if (asked & ASKED_ALL)
		return true;
	for (; asked != 0; asked &= asked - 1) {
		const struct pmap_inval *req = &shoot.cpu[__builtin_ctz(asked)].req;

		if (pmap_inval_is_all(req))
			return true;
		pages += req->pages;
	}
	return pages > pmap_flush_threshold;
}

/* A planted bug: those who asked go on before anything has been dropped here. */
static __attribute__((__unused__)) void
acknowledge_first(cpumask_t asked)
{
	for (asked &= (cpumask_t)STATE_MASK; asked != 0; asked &= asked - 1) {
		unsigned sender = (unsigned)__builtin_ctz(asked);
		struct shoot_cpu *from = &shoot.cpu[sender];

		record(BED_EV_IPI_ACK, sender, &from->req);
		__atomic_fetch_and(&from->waiting, ~CPU_MASK(curcpu()->ci_id), __ATOMIC_RELEASE);
	}
}

static void
serve(cpumask_t asked)
{
	cpumask_t self = CPU_MASK(curcpu()->ci_id);
	bool all = asked_for_all(asked);

	if (PLANTED(ACK_FIRST)) {
		acknowledge_first(asked);
		all = true;
		asked = 0;
	}
	if (all)
		tlb_flush_full();
	for (asked &= (cpumask_t)STATE_MASK; asked != 0; asked &= asked - 1) {
		unsigned sender = (unsigned)__builtin_ctz(asked);
		struct shoot_cpu *from = &shoot.cpu[sender];

		if (!all)
			pmap_inval_here(&from->req);
		record(BED_EV_IPI_ACK, sender, &from->req);
		/* From here on the request belongs to its sender again. */
		__atomic_fetch_and(&from->waiting, ~self, __ATOMIC_RELEASE);
	}
}

void
shootdown_serve(void)
{
	struct shoot_cpu *me = &shoot.cpu[curcpu()->ci_id];

	if (__atomic_load_n(&me->asked, __ATOMIC_RELAXED) != 0)
		serve(__atomic_exchange_n(&me->asked, 0, __ATOMIC_ACQ_REL));
}

void
shootdown_cpu_on(void)
{
	unsigned self = curcpu()->ci_id;
	struct shoot_cpu *me = &shoot.cpu[self];
	cpumask_t asked;
	uint64_t state;

	if (!pmap_smp)
		return;
	state = __atomic_fetch_or(&shoot.state, CPU_MASK(self), __ATOMIC_SEQ_CST);
	asked = __atomic_exchange_n(&me->asked, 0, __ATOMIC_ACQ_REL);
	KASSERT(!(state & CPU_MASK(self)));
	if ((!me->ever || me->seen != state / STATE_ROUND) && !PLANTED(WOKE_UNFLUSHED))
		asked |= ASKED_ALL;
	me->ever = true;
	serve(asked);
	EVENT(CPU, 1, 0, 0);
}

void
shootdown_cpu_off(void)
{
	unsigned self = curcpu()->ci_id;
	uint64_t state;

	if (!pmap_smp)
		return;
	EVENT(CPU, 0, 0, 0);
	state = __atomic_fetch_and(&shoot.state, ~(uint64_t)CPU_MASK(self), __ATOMIC_SEQ_CST);
	KASSERT(state & CPU_MASK(self));
	shoot.cpu[self].seen = state / STATE_ROUND;
	/* Not needed, but whoever asks need not find out that nobody is in. */
	shootdown_serve();
}

/* Take back what targets were asked that have gone off since; they are done when they come back. */
static void
withdraw(struct shoot_cpu *me, cpumask_t self, cpumask_t gone)
{
	for (; gone != 0; gone &= gone - 1) {
		unsigned target = (unsigned)__builtin_ctz(gone);
		cpumask_t *asked = &shoot.cpu[target].asked;
		cpumask_t was = __atomic_load_n(asked, __ATOMIC_RELAXED);

		while (was & self) {
			if (!__atomic_compare_exchange_n(asked, &was, (was & ~self) | ASKED_ALL,
				false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
				continue;
			__atomic_fetch_and(&me->waiting, ~CPU_MASK(target), __ATOMIC_RELAXED);
			break;
		}
	}
}

static void
wait_for_all(struct shoot_cpu *me, cpumask_t self)
{
	unsigned turns = 0;
	cpumask_t waiting;

	while ((waiting = __atomic_load_n(&me->waiting, __ATOMIC_ACQUIRE)) != 0) {
		cpumask_t gone = waiting & ~shootdown_cpus();

		if (unlikely(gone != 0)) {
			withdraw(me, self, gone);
			continue;
		}
		COUNT(ack_spin, 1);
		spin_wait(&turns);
	}
}

void
pmap_shootdown(const struct pmap_inval *what)
{
	unsigned id = curcpu()->ci_id;
	cpumask_t self = CPU_MASK(id), targets;
	struct shoot_cpu *me = &shoot.cpu[id];
	uint64_t state = __atomic_fetch_add(&shoot.state, STATE_ROUND, __ATOMIC_SEQ_CST);

	targets = (cpumask_t)(state & STATE_MASK) & ~self;
	if (targets == 0 || PLANTED(LOCAL_ONLY)) {
		pmap_inval_here(what);
		return;
	}
	KASSERT(me->waiting == 0);
	me->req = *what;
	record(BED_EV_IPI_SEND, targets, what);
	__atomic_store_n(&me->waiting, targets, __ATOMIC_RELAXED);
	for (cpumask_t left = targets; left != 0; left &= left - 1) {
		__atomic_fetch_or(&shoot.cpu[__builtin_ctz(left)].asked, self, __ATOMIC_RELEASE);
		COUNT(ipi, 1);
	}
	ipi_shootdown(targets);
	pmap_inval_here(what);
	wait_for_all(me, self);
}

__coldcall void
pmap_shootdown_range(vaddr_t va, uint64_t n)
{
	struct pmap_inval what = { .pages = n, .nrun = 1, .run[0] = { va, n } };

	pmap_shootdown(&what);
}
