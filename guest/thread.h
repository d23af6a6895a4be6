/* SPDX-License-Identifier: ISC */
/*
 * The inside of a kernel thread, for the guest kernel itself, the twin's main program, and the host,
 * which reads it; everyone else uses <machine/thread.h>.
 *
 * A CPU runs threads without preemption: a thread runs until it sleeps, parks or ends. The order is
 * first come, first served everywhere, so that with one CPU the same calls always interleave in the same
 * way. Time for timed sleeps is virtual: it stands still until thread_tick() moves it.
 *
 * A thread belongs to one CPU for good, by its place in the pool. Only that CPU switches to it, so it
 * may be made runnable by others while that CPU is still saving its registers. With several CPUs the
 * scheduler's lock guards run queues, sleep queues, timed sleeps, td_state but for PARKED, and the going to
 * idle. It is taken last of all locks and held for a few stores; with one CPU it does not exist.
 */
#ifndef GUEST_THREAD_H
#define GUEST_THREAD_H

#include <machine/context.h>
#include <machine/lock.h>
#include <machine/thread.h>

struct bed_slot;
struct onfault;

enum thread_state {
	THREAD_FREE = 0,
	THREAD_RUNNING = 1,
	THREAD_RUNNABLE = 2, /* on the run queue */
	THREAD_SLEEPING = 3, /* on a sleep queue and off the CPU */
	THREAD_PARKED = 4,   /* off the CPU; whoever knows it may switch to it */
};

#define THREAD_LOCKS 8

struct thread {
	struct context td_ctx;   /* valid unless RUNNING */
	struct cpu_info *td_cpu; /* whose thread it is */
	enum thread_state td_state;
	bool td_pagedaemon;
	bool td_timed_out;
	const char *td_name;
	const volatile void *td_wchan; /* NULL: on no sleep queue */
	const char *td_wmesg;
	uint64_t td_deadline;   /* virtual nanoseconds */
	struct thread *td_next; /* on the run queue, a sleep queue or a list of parked threads */
	struct thread *td_timo_next; /* on the list of timed sleeps */
	struct bed_slot *td_slot;    /* the call it runs, or NULL */
	struct onfault
	    *td_onfault; /* where a page fault that cannot be resolved continues, or NULL */
	/* Locks it holds or waits for, in the order it took them (checked flavour). */
	uint32_t td_nheld;
	struct {
		const void *lock;
		const char *name;
		uint32_t rank;
		uint32_t kind; /* enum lock_kind */
	} td_held[THREAD_LOCKS];
	void (*td_fn)(void *);
	void *td_arg;
	vaddr_t td_stack_low, td_stack_high;
};

extern struct thread thread_pool[THREAD_MAX];

/* True until boot is over: nothing may sleep. */
extern bool cold;

/* Make the code that runs now thread 0 of this CPU. Before any lock is taken. */
void thread_bootstrap(void);
/* Give another CPU its run queue and its first thread, which it begins on. */
void thread_cpu_init(struct cpu_info *);
/* A new thread of this CPU, parked; NULL: no free one. */
struct thread *thread_new(void (*fn)(void *), void *arg, const char *name);

/* The scheduler's lock. */
extern struct mutex sched_mtx;

static inline void
sched_enter(void)
{
	if (unlikely(ncpus > 1))
		mtx_enter(&sched_mtx);
}

static inline void
sched_leave(void)
{
	if (unlikely(ncpus > 1))
		mtx_leave(&sched_mtx);
}

/* CPUs that are not idle (guest/idle.c); with one CPU nobody asks. */
extern uint32_t cpus_active;
/* The scheduler's lock held: that CPU gets something to do. */
void sched_wake_cpu(struct cpu_info *);

/* The scheduler's lock held: put td at the end of its CPU's run queue. */
void sched_run(struct thread *td);

/* Does a thread wait for this CPU? */
static inline bool
sched_runnable(void)
{
	return curcpu()->ci_run.first != NULL;
}

/* Give up the CPU to the first runnable thread, or to sched_idle(); the caller has set its own state. */
void sched_switch(void);
/* Give up the CPU to td, a parked thread; the caller goes to the end of the run queue. */
void sched_yield_to(struct thread *td);

/* Move virtual time; returns how many sleeps it ended. */
unsigned thread_tick(uint64_t nsecs);

/* By whoever uses thread.c: the thread to run when no thread is runnable. May be the current one. */
struct thread *sched_idle(void);

#endif
