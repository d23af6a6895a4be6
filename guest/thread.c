/* SPDX-License-Identifier: ISC */
/*
 * Kernel threads: the pool, the run queues, switching. Sleeping is guest/thread_sleep.c. Plain C, the
 * same in the guest and in the twin.
 */
#include <machine/assert.h>
#include <machine/event.h>
#include <machine/ipi.h>
#include <machine/planted.h>
#include "guest/thread.h"

struct thread thread_pool[THREAD_MAX];
bool cold = true;

uint32_t ncpus = 1;
struct cpu_info *cpu_table[BED_CPU_MAX];
uint32_t cpus_active = 1;
struct mutex sched_mtx = MUTEX_INITIALIZER_RANK(IPL_HIGH, RANK_SCHED);

/* The part of the pool that is a CPU's. */
static struct thread *
pool_of(unsigned cpu)
{
	return &thread_pool[cpu == 0 ? 0 : THREAD_CPU0 + (cpu - 1) * THREAD_PER_CPU];
}

static void
thread_stack(struct thread *td)
{
	unsigned index = (unsigned)(td - thread_pool);

	if (PLANTED(STACK_SHARED))
		index = 1;
	td->td_stack_high = (vaddr_t)context_stack(index);
	td->td_stack_low = td->td_stack_high - THREAD_STACK_SIZE;
}

void
thread_cpu_init(struct cpu_info *ci)
{
	struct thread *td = pool_of(ci->ci_id);

	td->td_name = "boot";
	td->td_state = THREAD_RUNNING;
	td->td_cpu = ci;
	thread_stack(td);
	ci->ci_curthread = td;
	ci->ci_run.end = &ci->ci_run.first;
	cpu_table[ci->ci_id] = ci;
}

void
thread_bootstrap(void)
{
	thread_cpu_init(curcpu());
}

/* Where every thread but the first begins. */
static void
thread_start(void *arg)
{
	struct thread *td = arg;

	td->td_fn(td->td_arg);
	td->td_state = THREAD_FREE;
	sched_switch();
	panic("thread %s ran after its end", td->td_name);
}

struct thread *
thread_new(void (*fn)(void *), void *arg, const char *name)
{
	struct cpu_info *ci = curcpu();
	struct thread *td = pool_of(ci->ci_id), *end = pool_of(ci->ci_id + 1);

	/* A thread that has just ended still stands on its stack while it looks for a successor. */
	while (td->td_state != THREAD_FREE || td == ci->ci_curthread) {
		if (++td == end)
			return NULL;
	}
	*td = (struct thread){
		.td_state = THREAD_PARKED, .td_cpu = ci, .td_name = name, .td_fn = fn, .td_arg = arg
	};
	thread_stack(td);
	context_init(&td->td_ctx, (void *)td->td_stack_high, thread_start, td);
	return td;
}

int
thread_create(void (*fn)(void *), void *arg, const char *name, struct thread **tdp)
{
	struct thread *td = thread_new(fn, arg, name);

	if (td == NULL)
		return ENOMEM;
	if (tdp != NULL)
		*tdp = td;
	sched_enter();
	sched_run(td);
	sched_leave();
	return 0;
}

bool
thread_is_pagedaemon(const struct thread *td)
{
	return td->td_pagedaemon;
}

void
thread_set_pagedaemon(struct thread *td)
{
	td->td_pagedaemon = true;
}

bool
cpu_cannot_sleep(void)
{
	const struct cpu_info *ci = curcpu();

	return cold || ci->ci_mutex_level > 0 || ci->ci_idepth > 0;
}

void
sched_wake_cpu(struct cpu_info *ci)
{
	if (likely(!ci->ci_idle))
		return;
	__atomic_fetch_add(&cpus_active, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&ci->ci_idle, false, __ATOMIC_RELEASE);
	if (ci != curcpu())
		ipi_wakeup(ci->ci_id);
}

void
sched_run(struct thread *td)
{
	struct cpu_info *ci = td->td_cpu;

	td->td_state = THREAD_RUNNABLE;
	td->td_next = NULL;
	*ci->ci_run.end = td;
	ci->ci_run.end = &td->td_next;
	sched_wake_cpu(ci);
}

static void
switch_to(struct thread *next)
{
	struct cpu_info *ci = curcpu();
	struct thread *self = ci->ci_curthread;

	KASSERT(ci->ci_mutex_level == 0);
	next->td_state = THREAD_RUNNING;
	if (next == self)
		return;
	ci->ci_curthread = next;
	context_switch(&self->td_ctx, &next->td_ctx);
}

void
sched_switch(void)
{
	struct run_queue *queue = &curcpu()->ci_run;
	struct thread *next;

	sched_enter();
	next = queue->first;
	if (next != NULL) {
		queue->first = next->td_next;
		if (queue->first == NULL)
			queue->end = &queue->first;
	}
	sched_leave();
	switch_to(next != NULL ? next : sched_idle());
}

void
sched_yield_to(struct thread *td)
{
	sched_enter();
	sched_run(curthread);
	sched_leave();
	switch_to(td);
}
