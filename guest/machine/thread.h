/* SPDX-License-Identifier: ISC */
/*
 * Kernel threads as far as the allocator sees them: who am I, sleep on a channel, wake a channel.
 * Names after OpenBSD's sleep machinery.
 *
 * A wakeup between sleep_setup() and sleep_finish() is never lost: setup puts the thread on the
 * channel's queue, finish sleeps only if nobody has taken it off. So the pattern for a condition under
 * a lock is: take the lock, test, sleep_setup, release the lock, sleep_finish, start over.
 */
#ifndef MACHINE_THREAD_H
#define MACHINE_THREAD_H

#include <machine/cpu.h>
#include <machine/param.h>

struct thread;
struct mutex;

#define curthread (curcpu()->ci_curthread)

#define INFSLP UINT64_MAX
#define PVM    4 /* sleep priority, kept for the reader: nothing orders by it */

/* Set for the page daemon, which may use the last pages and must not wait for itself. */
bool thread_is_pagedaemon(const struct thread *);
void thread_set_pagedaemon(struct thread *);

void sleep_setup(const volatile void *chan, const char *wmesg);
int sleep_finish(uint64_t nsecs, bool do_sleep); /* 0, or EWOULDBLOCK after nsecs */

/* setup + finish: for conditions that need no lock. */
int tsleep_nsec(const volatile void *chan, int prio, const char *wmesg, uint64_t nsecs);
/* Release the mutex once on the queue; taken again before return. */
int msleep_nsec(
    const volatile void *chan, struct mutex *, int prio, const char *wmesg, uint64_t nsecs);

void wakeup(const volatile void *chan); /* all sleepers */
void wakeup_n(const volatile void *chan, int n);

/* A new thread at the end of the run queue. 0, or ENOMEM; the last argument may be NULL. */
int thread_create(void (*fn)(void *), void *arg, const char *name, struct thread **);

/* True when sleeping is a bug: spin lock held, interrupt context, or boot. */
bool cpu_cannot_sleep(void);

/*
 * Checked flavour: a place where a test may stop the machine (BED_EXIT_SYNC) to force a race. A call the
 * host rings in while stopped runs, as far as it gets, before the stopped thread goes on.
 */
#ifdef BED_CHECKED_BUILD
void stop_point(int id);
#else
#define stop_point(id) ((void)0)
#endif
#define STOP_VALLOC_WAIT 1 /* valloc_wait: search failed, not yet asleep */
#define STOP_PAGE_WAIT   2 /* uvm_wait: no page, not yet asleep */

#endif
