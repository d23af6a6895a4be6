/* SPDX-License-Identifier: ISC */
/*
 * The contended halves of mutex(9) and rwlock(9); the rest is inline in <machine/lock.h>.
 */
#include <machine/ipi.h>
#include <machine/lock.h>
#include <machine/thread.h>

void
mtx_init(struct mutex *m, int ipl)
{
	mtx_init_rank(m, ipl, RANK_NONE);
}

void
mtx_init_rank(struct mutex *m, int ipl, enum lock_rank rank)
{
	m->mtx_owner = NULL;
	m->mtx_wantipl = ipl;
	m->mtx_rank = rank;
}

__coldcall void
mtx_spin(struct mutex *m)
{
	unsigned turns = 0;

	if (mtx_owned(m))
		panic("mutex %p taken twice by thread %p", (const void *)m, (void *)curthread);
	while (__atomic_load_n(&m->mtx_owner, __ATOMIC_RELAXED) != NULL)
		spin_wait(&turns);
}

void
rw_init(struct rwlock *rw, const char *name)
{
	rw_init_rank(rw, name, RANK_NONE);
}

void
rw_init_rank(struct rwlock *rw, const char *name, enum lock_rank rank)
{
	rw->rwl_owner = 0;
	rw->rwl_name = name;
	rw->rwl_waiters = 0;
	rw->rwl_rank = rank;
}

/* What the lock word must become for this request, or 0 if it has to wait. */
static uintptr_t
rw_granted(uintptr_t owner, int flags)
{
	uintptr_t keep = owner & RWLOCK_FLAGS;

	if (flags & RW_WRITE)
		return owner & ~(uintptr_t)RWLOCK_FLAGS
		           ? 0
		           : (uintptr_t)curthread | RWLOCK_WRLOCK | keep;
	return owner & (RWLOCK_WRLOCK | RWLOCK_WRWANT) ? 0 : owner + RWLOCK_READ_INCR;
}

int
rw_enter_slow(struct rwlock *rw, int flags)
{
	uintptr_t want = flags & RW_WRITE ? RWLOCK_WAIT | RWLOCK_WRWANT : RWLOCK_WAIT;

	for (;;) {
		uintptr_t owner = __atomic_load_n(&rw->rwl_owner, __ATOMIC_RELAXED);
		uintptr_t next = rw_granted(owner, flags);
		bool asleep;

		if (next != 0) {
			if (__sync_bool_compare_and_swap(&rw->rwl_owner, owner, next))
				return 0;
			continue;
		}
		if (rw_write_held(rw))
			panic("rwlock %s (%p) taken again by its writer", rw->rwl_name, (void *)rw);
		if (flags & RW_NOSLEEP)
			return EBUSY;

		/*
		 * On the queue first, then say so in the word: a release that comes before the
		 * word changes makes the swap fail, one that comes after it wakes us.
		 */
		sleep_setup(rw, rw->rwl_name);
		asleep = __sync_bool_compare_and_swap(&rw->rwl_owner, owner, owner | want);
		if (asleep)
			__atomic_add_fetch(&rw->rwl_waiters, 1, __ATOMIC_RELAXED);
		sleep_finish(INFSLP, asleep);
		if (asleep)
			__atomic_sub_fetch(&rw->rwl_waiters, 1, __ATOMIC_RELAXED);
	}
}

/*
 * The last holder leaves with all flags down and everyone awake: the sleepers ask again, in the order
 * in which they went to sleep, and put the flags back if they must.
 */
void
rw_exit_slow(struct rwlock *rw)
{
	uintptr_t owner, next;

	do {
		owner = __atomic_load_n(&rw->rwl_owner, __ATOMIC_RELAXED);
		next = owner & RWLOCK_WRLOCK ? 0 : owner - RWLOCK_READ_INCR;
		if ((next & ~(uintptr_t)RWLOCK_FLAGS) == 0)
			next = 0;
	} while (!__sync_bool_compare_and_swap(&rw->rwl_owner, owner, next));
	if (next == 0 && (owner & RWLOCK_WAIT))
		wakeup(rw);
}

int
rw_wake(struct rwlock *rw)
{
	wakeup(rw);
	return 0;
}
