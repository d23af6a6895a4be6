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

/* What the sanitizers want to know of a switch of stacks. */
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define asan_leave(save, bottom, size) __sanitizer_start_switch_fiber(save, bottom, size)
#define asan_arrive(fake, bottom_old, size_old) \
	__sanitizer_finish_switch_fiber(fake, bottom_old, size_old)
#else
#define asan_leave(save, bottom, size)          ((void)(save))
#define asan_arrive(fake, bottom_old, size_old) ((void)(fake))
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define tsan_new()         __tsan_create_fiber(0)
#define tsan_end(fiber)    __tsan_destroy_fiber(fiber)
#define tsan_self()        __tsan_get_current_fiber()
#define tsan_switch(fiber) __tsan_switch_to_fiber(fiber, 0)
#else
#define tsan_new()         NULL
#define tsan_end(fiber)    ((void)(fiber))
#define tsan_self()        NULL
#define tsan_switch(fiber) ((void)(fiber))
#endif

static uint8_t *stacks; /* each with a page below it that is not mapped */
/* Of each CPU, which is a host thread. */
static __thread struct context *running;
static __thread struct context *came_from;

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
	twin_thread_begin();
}

void
twin_thread_begin(void)
{
	running = &curthread->td_ctx;
	running->fiber = tsan_self();
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

	asan_arrive(fake, &bottom, &size);
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
	static void *fiber[THREAD_MAX]; /* the last one on each stack */
	size_t index = ((size_t)((uint8_t *)stack_top - stacks) - 1) / STACK_STRIDE;

	if (fiber[index] != NULL)
		tsan_end(fiber[index]);
	fiber[index] = tsan_new();
	*ctx = (struct context){
		.fn = fn,
		.arg = arg,
		.stack = (uint8_t *)stack_top - THREAD_STACK_SIZE,
		.size = THREAD_STACK_SIZE,
		.fiber = fiber[index],
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
	asan_leave(&from->fake, to->stack, to->size);
	tsan_switch(to->fiber);
	swapcontext(&from->uc, &to->uc);
	arrived(from->fake);
}

/*
 * The first thread of a CPU waits until nothing else can run there: on CPU 0 it is the test, in twin_run();
 * on the others the loop of cpu.c.
 */
struct thread *
sched_idle(void)
{
	struct thread *first = twin_first_thread(curcpu()->ci_id);

	if (first->td_state != THREAD_PARKED)
		panic("deadlock: the test itself sleeps on %p (%s) and nothing is runnable",
		    (const void *)first->td_wchan, first->td_wmesg);
	return first;
}

void
twin_run_here(void)
{
	if (!sched_runnable())
		return;
	curthread->td_state = THREAD_PARKED;
	sched_switch();
}

void
twin_run(void)
{
	twin_run_here();
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
