/* SPDX-License-Identifier: ISC */
/*
 * Below guest/thread.c: contexts of its threads, and what the CPU does when none can run.
 */
#include <machine/assert.h>
#include <machine/context.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "guest/twin/priv.h"
#include "guest/twin/twin.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#else
#define __sanitizer_start_switch_fiber(save, bottom, size)          ((void)(save))
#define __sanitizer_finish_switch_fiber(fake, bottom_old, size_old) ((void)(fake))
#endif

static uint8_t *stacks; /* each with a page below it that is not mapped */
static struct context *running;
static struct context *came_from;

#define STACK_STRIDE (THREAD_STACK_SIZE + PAGE_SIZE)

void
twin_thread_init(void)
{
	if (stacks == NULL) {
		stacks = mmap(NULL, THREAD_MAX * STACK_STRIDE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (stacks == MAP_FAILED)
			twin_die("twin: no memory for stacks");
		for (unsigned i = 0; i < THREAD_MAX; i++)
			mprotect(stacks + i * STACK_STRIDE, PAGE_SIZE, PROT_NONE);
	}
	thread_bootstrap();
	running = &thread_pool[0].td_ctx;
}

void *
context_stack(unsigned index)
{
	return stacks + (index + 1) * STACK_STRIDE;
}

/* After a switch: on the new stack now. Says where the old one is, which nobody knew for thread 0. */
static void
arrived(void *fake)
{
	const void *bottom __unused_arg = came_from->stack;
	size_t size __unused_arg = came_from->size;

	__sanitizer_finish_switch_fiber(fake, &bottom, &size);
	came_from->stack = bottom;
	came_from->size = size;
}

static void
begin(void)
{
	struct context *self = running;

	arrived(NULL);
	self->fn(self->arg);
	twin_die("twin: a thread function returned");
}

void
context_init(struct context *ctx, void *stack_top, void (*fn)(void *), void *arg)
{
	*ctx = (struct context){
		.fn = fn,
		.arg = arg,
		.stack = (uint8_t *)stack_top - THREAD_STACK_SIZE,
		.size = THREAD_STACK_SIZE,
	};
	getcontext(&ctx->uc);
	ctx->uc.uc_stack.ss_sp = (uint8_t *)stack_top - THREAD_STACK_SIZE;
	ctx->uc.uc_stack.ss_size = THREAD_STACK_SIZE;
	makecontext(&ctx->uc, begin, 0);
}

void
context_switch(struct context *from, struct context *to)
{
	came_from = from;
	running = to;
	__sanitizer_start_switch_fiber(&from->fake, to->stack, to->size);
	swapcontext(&from->uc, &to->uc);
	arrived(from->fake);
}

/* Thread 0 is the test: it waits in twin_run() until nothing else can run. */
struct thread *
sched_idle(void)
{
	struct thread *main = &thread_pool[0];

	if (main->td_state != THREAD_PARKED)
		panic("deadlock: the test itself sleeps on %p (%s) and nothing is runnable",
		    (const void *)main->td_wchan, main->td_wmesg);
	return main;
}

void
twin_run(void)
{
	if (!sched_runnable())
		return;
	curthread->td_state = THREAD_PARKED;
	sched_switch();
	twin_panic_pending();
}

bool
twin_call(void (*fn)(void *), void *arg, struct thread **where)
{
	struct thread *td;

	if (thread_create(fn, arg, "twin_call", &td) != 0)
		panic("twin_call: no free thread");
	twin_run();
	if (where != NULL)
		*where = td;
	return td->td_state == THREAD_FREE;
}

void
twin_panic_leave(void)
{
	struct thread *self = curthread;

	curcpu()->ci_curthread = &thread_pool[0];
	context_switch(&self->td_ctx, &thread_pool[0].td_ctx);
	twin_die("twin: a thread ran after a panic");
}
