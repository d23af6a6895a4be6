/* SPDX-License-Identifier: ISC */
/*
 * Calls about CPUs, interrupts between them and locks: for the tests of several CPUs.
 */
#include <machine/ipi.h>
#include <machine/lock.h>
#include <machine/thread.h>
#include "guest/apic.h"
#include "guest/calls.h"

uint64_t
call_cpu(const uint64_t *arg __unused_arg, uint64_t *result2)
{
	*result2 = apic_id();
	return curcpu()->ci_id;
}

/* The next one is sent when the last was answered: a CPU that does not answer stops it. */
uint64_t
call_ipi_ping(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	struct cpu_info *target;
	uint64_t n;

	if (arg[0] >= ncpus || arg[0] == curcpu()->ci_id)
		return 0;
	target = cpu_table[arg[0]];
	for (n = 0; n < arg[1]; n++) {
		uint32_t before = __atomic_load_n(&target->ci_pings, __ATOMIC_ACQUIRE);
		unsigned turns = 0;

		apic_send(CPU_MASK(target->ci_id), VECTOR_PING);
		while (__atomic_load_n(&target->ci_pings, __ATOMIC_ACQUIRE) == before)
			spin_wait(&turns);
	}
	return n;
}

static struct rwlock pair[2] = { { .rwl_name = "pair0", .rwl_rank = RANK_PAIR0 },
	{ .rwl_name = "pair1", .rwl_rank = RANK_PAIR1 } };

uint64_t
call_lock_pair(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	static uint32_t met;
	struct rwlock *first = &pair[arg[0] & 1], *second = &pair[arg[1] & 1];
	unsigned turns = 0;
	uint32_t n;

	rw_enter(first, RW_WRITE);
	n = __atomic_add_fetch(&met, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&met, __ATOMIC_ACQUIRE) < arg[2])
		spin_wait(&turns);
	rw_enter(second, RW_WRITE);
	rw_exit(second);
	rw_exit(first);
	return n;
}

/* May be used again at once: who still leaves looks at the round, not at the count. */
uint64_t
call_meet(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	static uint32_t arrived, round;
	uint32_t now = __atomic_load_n(&round, __ATOMIC_ACQUIRE);
	unsigned turns = 0;

	if (arg[0] > ncpus)
		return 0;
	if (__atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL) >= arg[0]) {
		__atomic_store_n(&arrived, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&round, now + 1, __ATOMIC_RELEASE);
		return 0;
	}
	while (__atomic_load_n(&round, __ATOMIC_ACQUIRE) == now)
		spin_wait(&turns);
	return turns;
}

/* Each is caught by the checked flavour, and most of them in every flavour. */
uint64_t
call_die_lock(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	static struct mutex m = MUTEX_INITIALIZER_RANK(IPL_VM, RANK_OBJECT);
	static struct mutex n = MUTEX_INITIALIZER_RANK(IPL_VM, RANK_PAGES);
	static struct rwlock rw = { .rwl_name = "die_lock", .rwl_rank = RANK_MAP };
	static uint64_t nobody;

	switch (arg[0]) {
	case 0:
		mtx_enter(&n);
		mtx_enter(&m);
		break;
	case 1:
		mtx_enter(&m);
		mtx_enter(&m);
		break;
	case 2:
		rw_enter(&rw, RW_READ);
		rw_enter(&rw, RW_WRITE);
		break;
	case 3:
		m.mtx_owner = (struct thread *)&nobody;
		mtx_leave(&m);
		break;
	case 4:
		mtx_enter(&m);
		tsleep_nsec(&m, PVM, "die_lock", INFSLP);
		break;
	default:
		rw_enter(&rw, RW_WRITE);
	}
	return 0;
}
