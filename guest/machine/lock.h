/* SPDX-License-Identifier: ISC */
/*
 * Locks by their OpenBSD names: mutex(9) spins, rwlock(9) sleeps. Plain C over atomics, the same in the
 * guest and in the twin; the uncontended paths are inline, the rest is guest/lock.c. The host reads the
 * layouts.
 *
 * A mutex raises no hardware interrupt mask. While ci_mutex_level is above zero the CPU runs no
 * deferrable interrupt work, that is nothing that takes a lock; invalidation requests from other CPUs
 * are always served. So a CPU that spins here can never be the one another CPU waits for with this
 * lock held.
 *
 * Errors that cannot be survived (taking a mutex or rwlock twice, when that is seen on the slow path)
 * panic in every flavour. The checked flavour panics at every misuse, whether or not it does harm this
 * time: a lock taken against the order, taken twice, released by who does not hold it, held where
 * nobody may hold one (guest/lock_check.c).
 */
#ifndef MACHINE_LOCK_H
#define MACHINE_LOCK_H

#include <machine/assert.h>
#include <machine/coldcall.h>
#include <machine/cpu.h>
#include <machine/event.h>
#include <machine/param.h>

#define IPL_NONE 0
#define IPL_VM   7
#define IPL_HIGH 14

/* Second argument of the LOCK and UNLOCK events. */
enum lock_kind { LOCK_MUTEX = 0, LOCK_WRITE = 1, LOCK_READ = 2 };

/*
 * The order in which locks are taken: X(rank, name), lowest first. A lock is waited for only while every lock
 * held has a lower rank; one of rank NONE takes no part. docs/locking.md says what each guards.
 */
#define LOCK_RANKS(X)                     \
	X(NONE, "lock")                   \
	X(PAIR0, "pair0")                 \
	X(PAIR1, "pair1")                 \
	X(MAP, "map")                     \
	X(MAP_INTRSAFE, "intrsafe map")   \
	X(GROWTH, "growth of kernel_map") \
	X(ENTRIES, "map entries")         \
	X(OBJECT, "object")               \
	X(PAGES, "pages")                 \
	X(PMAP, "pmap")                   \
	X(SCHED, "scheduler")

enum lock_rank {
#define X(rank, name) RANK_##rank,
	LOCK_RANKS(X)
#undef X
};

#ifdef BED_CHECKED_BUILD
/* About to be waited for, or just got without waiting. */
void lock_wanted(const void *lock, enum lock_kind, uint32_t rank, const char *name);
void lock_got(const void *lock, enum lock_kind, uint32_t rank, const char *name);
void lock_dropped(const void *lock, const char *name);
/* No lock is held, by this thread. */
void lock_none_held(const char *where);
/* The mutex this thread took last, for a message. */
const char *lock_held_mutex(void);
#else
#define lock_wanted(lock, kind, rank, name) ((void)0)
#define lock_got(lock, kind, rank, name)    ((void)0)
#define lock_dropped(lock, name)            ((void)0)
#define lock_none_held(where)               ((void)0)
#define lock_held_mutex()                   "a mutex"
#endif

struct mutex {
	struct thread *volatile mtx_owner; /* NULL: free */
	int mtx_wantipl;                   /* highest level it is taken from; for the reader */
	uint32_t mtx_rank;                 /* enum lock_rank */
};
#define MUTEX_INITIALIZER_RANK(ipl, rank) \
	{                                 \
		NULL, (ipl), (rank)       \
	}
#define MUTEX_INITIALIZER(ipl) MUTEX_INITIALIZER_RANK(ipl, RANK_NONE)

void mtx_init(struct mutex *, int ipl);
void mtx_init_rank(struct mutex *, int ipl, enum lock_rank);
/* Wait until the mutex is free, which it is not, and serve others meanwhile; panic if it is our own. */
__coldcall void mtx_spin(struct mutex *);

static inline bool
mtx_owned(const struct mutex *m)
{
	return __atomic_load_n(&m->mtx_owner, __ATOMIC_RELAXED) == curcpu()->ci_curthread;
}

static inline void
mtx_enter(struct mutex *m)
{
	struct cpu_info *ci = curcpu();

	lock_wanted(m, LOCK_MUTEX, m->mtx_rank, NULL);
	ci->ci_mutex_level++;
	while (unlikely(!__sync_bool_compare_and_swap(&m->mtx_owner, NULL, ci->ci_curthread)))
		COLD_CALL(mtx_spin, m);
	EVENT(LOCK, m, LOCK_MUTEX, 0);
}

static inline bool
mtx_enter_try(struct mutex *m)
{
	struct cpu_info *ci = curcpu();

	ci->ci_mutex_level++;
	if (__sync_bool_compare_and_swap(&m->mtx_owner, NULL, ci->ci_curthread)) {
		lock_got(m, LOCK_MUTEX, m->mtx_rank, NULL);
		EVENT(LOCK, m, LOCK_MUTEX, 0);
		return true;
	}
	ci->ci_mutex_level--;
	return false;
}

static inline void
mtx_leave(struct mutex *m)
{
	KASSERT(mtx_owned(m));
	lock_dropped(m, NULL);
	EVENT(UNLOCK, m, LOCK_MUTEX, 0);
	__atomic_store_n(&m->mtx_owner, NULL, __ATOMIC_RELEASE);
	curcpu()->ci_mutex_level--;
}

#define RW_WRITE   0x01
#define RW_READ    0x02
#define RW_NOSLEEP 0x40

/*
 * rwl_owner: 0 free; else the thread that writes, or the number of readers times RWLOCK_READ_INCR,
 * and the three flags. WAIT sends the releasing thread to the slow path; WRWANT keeps new readers out
 * while a writer waits.
 */
struct rwlock {
	uintptr_t volatile rwl_owner;
	const char *rwl_name;
	int volatile rwl_waiters; /* threads asleep on this lock */
	uint32_t rwl_rank;        /* enum lock_rank */
};
#define RWLOCK_WAIT      0x01
#define RWLOCK_WRWANT    0x02
#define RWLOCK_WRLOCK    0x04
#define RWLOCK_READ_INCR 0x08
#define RWLOCK_FLAGS     0x07

void rw_init(struct rwlock *, const char *name);
void rw_init_rank(struct rwlock *, const char *name, enum lock_rank);
int rw_enter_slow(struct rwlock *, int flags);
void rw_exit_slow(struct rwlock *);
int rw_wake(struct rwlock *); /* 0 */

/* Held for writing by the current thread. */
static inline bool
rw_write_held(const struct rwlock *rw)
{
	uintptr_t self = (uintptr_t)curcpu()->ci_curthread;

	return (__atomic_load_n(&rw->rwl_owner, __ATOMIC_RELAXED) &
		   ~(uintptr_t)(RWLOCK_WAIT | RWLOCK_WRWANT)) == (self | RWLOCK_WRLOCK);
}

/* 0, or EBUSY with RW_NOSLEEP. flags: RW_WRITE or RW_READ, and RW_NOSLEEP. */
static inline int
rw_enter(struct rwlock *rw, int flags)
{
	int error = 0;

	if (!(flags & RW_NOSLEEP))
		lock_wanted(rw, LOCK_WRITE, rw->rwl_rank, rw->rwl_name);
	if (flags & RW_WRITE) {
		uintptr_t self = (uintptr_t)curcpu()->ci_curthread;

		if (unlikely(
			!__sync_bool_compare_and_swap(&rw->rwl_owner, 0, self | RWLOCK_WRLOCK)))
			error = rw_enter_slow(rw, flags);
	} else {
		uintptr_t owner = __atomic_load_n(&rw->rwl_owner, __ATOMIC_RELAXED);

		if (unlikely(owner & (RWLOCK_WRLOCK | RWLOCK_WRWANT)) ||
		    unlikely(!__sync_bool_compare_and_swap(
			&rw->rwl_owner, owner, owner + RWLOCK_READ_INCR)))
			error = rw_enter_slow(rw, flags);
	}
	if (likely(error == 0)) {
		if (flags & RW_NOSLEEP)
			lock_got(rw, LOCK_WRITE, rw->rwl_rank, rw->rwl_name);
		EVENT(LOCK, rw, flags & RW_WRITE ? LOCK_WRITE : LOCK_READ, 0);
	}
	return error;
}

static inline void
rw_exit(struct rwlock *rw)
{
	uintptr_t owner = __atomic_load_n(&rw->rwl_owner, __ATOMIC_RELAXED), next;

	KASSERT(owner & RWLOCK_WRLOCK ? rw_write_held(rw) : owner >= RWLOCK_READ_INCR);
	lock_dropped(rw, rw->rwl_name);
	EVENT(UNLOCK, rw, owner & RWLOCK_WRLOCK ? LOCK_WRITE : LOCK_READ, 0);
	next = owner & RWLOCK_WRLOCK ? 0 : owner - RWLOCK_READ_INCR;
	if (unlikely(owner & RWLOCK_WAIT) ||
	    unlikely(!__sync_bool_compare_and_swap(&rw->rwl_owner, owner, next)))
		rw_exit_slow(rw);
}

/*
 * For writing, where every instruction counts: no call, so the caller need not save a register. False: it
 * is not free.
 */
static inline bool
rw_enter_write_try(struct rwlock *rw)
{
	uintptr_t self = (uintptr_t)curself();

	if (unlikely(!__sync_bool_compare_and_swap(&rw->rwl_owner, 0, self | RWLOCK_WRLOCK)))
		return false;
	/* Whoever does not get it goes on to wait for it: the order of locks counts. */
	lock_wanted(rw, LOCK_WRITE, rw->rwl_rank, rw->rwl_name);
	EVENT(LOCK, rw, LOCK_WRITE, 0);
	return true;
}

/* Held for writing: free, whatever the flags were. True: somebody waits, and the caller calls rw_wake(). */
static inline bool
rw_exit_write(struct rwlock *rw)
{
	KASSERT(rw_write_held(rw));
	lock_dropped(rw, rw->rwl_name);
	EVENT(UNLOCK, rw, LOCK_WRITE, 0);
	return unlikely(__atomic_exchange_n(&rw->rwl_owner, 0, __ATOMIC_RELEASE) & RWLOCK_WAIT);
}

#endif
