/* SPDX-License-Identifier: ISC */
/*
 * Sleep and wakeup: sleepers hashed by channel in the order they came, timed sleeps in a list by
 * deadline. Plain C, the same in the guest and in the twin.
 */
#include <machine/assert.h>
#include <machine/event.h>
#include <machine/lock.h>
#include <machine/planted.h>
#include "guest/thread.h"
#include "shared/share.h"

#define SLEEP_BUCKETS 32

static struct thread *sleepers[SLEEP_BUCKETS]; /* each list: oldest first */
static struct thread *timed;                   /* earliest deadline first, then oldest */
static uint64_t now;                           /* virtual nanoseconds */

static struct thread **
bucket(const volatile void *chan)
{
	return &sleepers[((uintptr_t)chan >> 6 ^ (uintptr_t)chan >> 3) % SLEEP_BUCKETS];
}

/* From here to slot_blocked() the scheduler's lock is held. */

/* Take td off its sleep queue. */
static void
unqueue(struct thread *td)
{
	struct thread **link = bucket(td->td_wchan);

	while (*link != td)
		link = &(*link)->td_next;
	*link = td->td_next;
	td->td_wchan = NULL;
}

static void
timeout_add(struct thread *td, uint64_t nsecs)
{
	struct thread **link = &timed;

	td->td_deadline = nsecs > UINT64_MAX - now ? UINT64_MAX : now + nsecs;
	while (*link != NULL && (*link)->td_deadline <= td->td_deadline)
		link = &(*link)->td_timo_next;
	td->td_timo_next = *link;
	*link = td;
}

static void
timeout_del(struct thread *td)
{
	for (struct thread **link = &timed; *link != NULL; link = &(*link)->td_timo_next) {
		if (*link == td) {
			*link = td->td_timo_next;
			return;
		}
	}
}

/* A thread that is off its queue: let it run if it already sleeps, else sleep_finish() sees it. */
static void
awaken(struct thread *td)
{
	if (td->td_state != THREAD_SLEEPING)
		return;
	if (td->td_slot != NULL)
		td->td_slot->state = BED_SLOT_RUNNING;
	if (PLANTED(WAKEUP_NOT_QUEUED))
		td->td_state = THREAD_RUNNABLE;
	else
		sched_run(td);
}

/* Tell the host, where the sleeper runs a call, what it waits for. */
static void
slot_blocked(const struct thread *td)
{
	struct bed_slot *slot = td->td_slot;
	size_t i = 0;

	if (slot == NULL)
		return;
	slot->wchan = (uint64_t)td->td_wchan;
	for (; i < sizeof(slot->wmesg) - 1 && td->td_wmesg[i] != '\0'; i++)
		slot->wmesg[i] = td->td_wmesg[i];
	slot->wmesg[i] = '\0';
	slot->state = BED_SLOT_BLOCKED;
}

void
sleep_setup(const volatile void *chan, const char *wmesg)
{
	struct thread *td = curthread, **link = bucket(chan);

	KASSERT(chan != NULL && td->td_wchan == NULL);
	sched_enter();
	td->td_wchan = chan;
	td->td_wmesg = wmesg;
	td->td_next = NULL;
	while (*link != NULL)
		link = &(*link)->td_next;
	*link = td;
	sched_leave();
}

int
sleep_finish(uint64_t nsecs, bool do_sleep)
{
	struct thread *td = curthread;

	if (unlikely(do_sleep && cpu_cannot_sleep()))
		panic("sleep on %p (%s) where sleeping is forbidden: %s",
		    (const void *)td->td_wchan, td->td_wmesg,
		    cold                      ? "boot"
		    : curcpu()->ci_idepth > 0 ? "interrupt"
					      : lock_held_mutex());
	sched_enter();
	if (td->td_wchan == NULL || !do_sleep) {
		if (td->td_wchan != NULL)
			unqueue(td);
		sched_leave();
		return 0;
	}
	COUNT(sleep, 1);
	EVENT(SLEEP, td->td_wchan, 0, 0);
	td->td_timed_out = false;
	if (nsecs != INFSLP)
		timeout_add(td, nsecs);
	slot_blocked(td);
	td->td_state = THREAD_SLEEPING;
	sched_leave();
	sched_switch();
	if (td->td_timed_out)
		return EWOULDBLOCK;
	if (nsecs != INFSLP) {
		sched_enter();
		timeout_del(td);
		sched_leave();
	}
	return 0;
}

int
tsleep_nsec(const volatile void *chan, int prio __unused_arg, const char *wmesg, uint64_t nsecs)
{
	sleep_setup(chan, wmesg);
	return sleep_finish(nsecs, true);
}

int
msleep_nsec(const volatile void *chan, struct mutex *m, int prio __unused_arg, const char *wmesg,
    uint64_t nsecs)
{
	int error;

	sleep_setup(chan, wmesg);
	mtx_leave(m);
	error = sleep_finish(nsecs, true);
	mtx_enter(m);
	return error;
}

void
wakeup_n(const volatile void *chan, int n)
{
	struct thread **link = bucket(chan);

	EVENT(WAKEUP, chan, 0, 0);
	sched_enter();
	while (*link != NULL && n > 0) {
		struct thread *td = *link;

		if (td->td_wchan != chan) {
			link = &td->td_next;
			continue;
		}
		*link = td->td_next;
		td->td_wchan = NULL;
		awaken(td);
		n--;
	}
	sched_leave();
}

void
wakeup(const volatile void *chan)
{
	wakeup_n(chan, INT32_MAX);
}

unsigned
thread_tick(uint64_t nsecs)
{
	unsigned expired = 0;

	sched_enter();
	now = nsecs > UINT64_MAX - now ? UINT64_MAX : now + nsecs;
	while (timed != NULL && timed->td_deadline <= now) {
		struct thread *td = timed;

		timed = td->td_timo_next;
		if (td->td_wchan == NULL)
			continue; /* woken already, has not run yet */
		unqueue(td);
		td->td_timed_out = true;
		expired++;
		awaken(td);
	}
	sched_leave();
	return expired;
}
