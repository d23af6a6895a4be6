/* SPDX-License-Identifier: ISC */
/*
 * What the checked flavour demands of who uses locks (<machine/lock.h>): the order of ranks, none taken
 * twice, none released that is not held, none taken by a handler, none held where nobody may. Each thread
 * keeps a list of what it has; a mutex is its thread's too, for nobody else runs on the CPU meanwhile.
 */
#include <machine/lock.h>
#include "guest/thread.h"

#ifdef BED_CHECKED_BUILD

static const char *
name_of(const char *name, uint32_t rank)
{
	static const char *const names[] = {
#define X(rank, text) [RANK_##rank] = text,
		LOCK_RANKS(X)
#undef X
	};

	return name != NULL ? name : rank < nitems(names) ? names[rank] : "?";
}

void
lock_got(const void *lock, enum lock_kind kind, uint32_t rank, const char *name)
{
	struct thread *td = curthread;

	if (curcpu()->ci_idepth != 0)
		panic("%s (%p) taken by an interrupt handler", name_of(name, rank), lock);
	if (td->td_nheld == THREAD_LOCKS)
		panic("%s (%p) taken while %d locks are held", name_of(name, rank), lock,
		    THREAD_LOCKS);
	td->td_held[td->td_nheld].lock = lock;
	td->td_held[td->td_nheld].name = name_of(name, rank);
	td->td_held[td->td_nheld].rank = rank;
	td->td_held[td->td_nheld].kind = kind;
	td->td_nheld++;
}

void
lock_wanted(const void *lock, enum lock_kind kind, uint32_t rank, const char *name)
{
	const struct thread *td = curthread;

	for (uint32_t i = 0; i < td->td_nheld; i++) {
		if (td->td_held[i].lock == lock)
			panic("%s (%p) taken again by thread \"%s\", which has it",
			    name_of(name, rank), lock, td->td_name);
		if (rank != RANK_NONE && td->td_held[i].rank >= rank)
			panic("lock order: %s (%p) taken with %s (%p) held", name_of(name, rank),
			    lock, td->td_held[i].name, td->td_held[i].lock);
	}
	if (kind != LOCK_MUTEX && curcpu()->ci_mutex_level > 0)
		panic("lock order: %s (%p), which may sleep, taken with %s held",
		    name_of(name, rank), lock, lock_held_mutex());
	lock_got(lock, kind, rank, name);
}

void
lock_dropped(const void *lock, const char *name)
{
	struct thread *td = curthread;
	uint32_t i = td->td_nheld;

	while (i > 0 && td->td_held[i - 1].lock != lock)
		i--;
	if (i == 0)
		panic("%s (%p) released by thread \"%s\", which does not have it",
		    name_of(name, RANK_NONE), lock, td->td_name);
	for (td->td_nheld--; i <= td->td_nheld; i++)
		td->td_held[i - 1] = td->td_held[i];
}

void
lock_none_held(const char *where)
{
	const struct thread *td = curthread;

	if (td->td_nheld != 0)
		panic("%s with %s (%p) held", where, td->td_held[td->td_nheld - 1].name,
		    td->td_held[td->td_nheld - 1].lock);
}

const char *
lock_held_mutex(void)
{
	const struct thread *td = curthread;

	for (uint32_t i = td->td_nheld; i > 0; i--) {
		if (td->td_held[i - 1].kind == LOCK_MUTEX)
			return td->td_held[i - 1].name;
	}
	return "no mutex that is known";
}

#endif
