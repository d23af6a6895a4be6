/* SPDX-License-Identifier: ISC */
/*
 * Locks by their OpenBSD names: mutex(9) spins with interrupts of its level blocked, rwlock(9) sleeps.
 * Implemented in guest/lock.c and guest/twin/lock.c; the layouts are the same in both, because the host
 * reads them.
 */
#ifndef MACHINE_LOCK_H
#define MACHINE_LOCK_H

#include <machine/param.h>

struct thread;

#define IPL_NONE 0
#define IPL_VM	 7
#define IPL_HIGH 14

struct mutex {
	struct thread *volatile mtx_owner; /* NULL: free */
	int mtx_wantipl;
	int mtx_oldipl;
};
#define MUTEX_INITIALIZER(ipl) \
	{                      \
		NULL, (ipl), 0 \
	}

void mtx_init(struct mutex *, int ipl);
void mtx_enter(struct mutex *);
bool mtx_enter_try(struct mutex *);
void mtx_leave(struct mutex *);

#define RW_WRITE   0x01
#define RW_READ	   0x02
#define RW_NOSLEEP 0x40

struct rwlock {
	uintptr_t volatile rwl_owner; /* 0 free; writer: thread | RWLOCK_WRLOCK; readers: count << 3 */
	const char *rwl_name;
	int volatile rwl_waiters; /* threads asleep on this lock */
};
#define RWLOCK_WRLOCK	 0x04
#define RWLOCK_READ_INCR 0x08

void rw_init(struct rwlock *, const char *name);
int rw_enter(struct rwlock *, int flags); /* 0, or EBUSY with RW_NOSLEEP */
void rw_exit(struct rwlock *);
bool rw_write_held(const struct rwlock *); /* by the current thread */

#endif
