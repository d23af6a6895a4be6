/* SPDX-License-Identifier: ISC */
/*
 * Kernel threads: the pool, the run queue, switching. Sleeping is guest/thread_sleep.c. Plain C, the
 * same in the guest and in the twin.
 */
#include <machine/assert.h>
#include <machine/event.h>
#include "guest/thread.h"

struct thread thread_pool[THREAD_MAX];
bool cold = true;

struct run_queue run_queue = { NULL, &run_queue.first };

static void
thread_stack(struct thread *td)
{
	td->td_stack_high = (vaddr_t)context_stack((unsigned)(td - thread_pool));
	td->td_stack_low = td->td_stack_high - THREAD_STACK_SIZE;
}

void
thread_bootstrap(void)
{
	struct thread *td = &thread_pool[0];

	td->td_name = "boot";
	td->td_state = THREAD_RUNNING;
	thread_stack(td);
	curcpu()->ci_curthread = td;
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
	struct thread *td = thread_pool;

	/* A thread that has just ended still stands on its stack while it looks for a successor. */
	while (td->td_state != THREAD_FREE || td == curthread) {
		if (++td == &thread_pool[THREAD_MAX])
			return NULL;
	}
	*td = (struct thread){
		.td_state = THREAD_PARKED, .td_name = name, .td_fn = fn, .td_arg = arg
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
	sched_run(td);
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
sched_run(struct thread *td)
{
	td->td_state = THREAD_RUNNABLE;
	td->td_next = NULL;
	*run_queue.end = td;
	run_queue.end = &td->td_next;
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
	struct thread *next = run_queue.first;

	if (next == NULL) {
		next = sched_idle();
	} else {
		run_queue.first = next->td_next;
		if (run_queue.first == NULL)
			run_queue.end = &run_queue.first;
	}
	switch_to(next);
}

void
sched_yield_to(struct thread *td)
{
	sched_run(curthread);
	switch_to(td);
}
