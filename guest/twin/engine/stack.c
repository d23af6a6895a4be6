/* SPDX-License-Identifier: ISC */
/*
 * Stacks and their switching. Contexts are as in the guest: a stack pointer, under it the registers a C
 * function preserves. The address sanitizer is told of every switch.
 */
#include <machine/assert.h>

#include "guest/thread.h"
#include "guest/twin/engine.h"
#include "guest/twin/engine/priv.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

_Static_assert(THREAD_MAX == TWIN_STACKS && THREAD_STACK_SIZE == TWIN_STACK_SIZE, "stacks");

static uint8_t *stacks;

void twin_switch(struct context *from, const struct context *to);
void twin_enter(void);

/* guest/switch.asm says the same; an unwinder stops at twin_enter. */
__asm__(".text\n"
	".type twin_switch, @function\n"
	"twin_switch:\n"
	".cfi_startproc\n"
	"	pushq %rbp\n	.cfi_adjust_cfa_offset 8\n	.cfi_rel_offset rbp, 0\n"
	"	pushq %rbx\n	.cfi_adjust_cfa_offset 8\n	.cfi_rel_offset rbx, 0\n"
	"	pushq %r12\n	.cfi_adjust_cfa_offset 8\n	.cfi_rel_offset r12, 0\n"
	"	pushq %r13\n	.cfi_adjust_cfa_offset 8\n	.cfi_rel_offset r13, 0\n"
	"	pushq %r14\n	.cfi_adjust_cfa_offset 8\n	.cfi_rel_offset r14, 0\n"
	"	pushq %r15\n	.cfi_adjust_cfa_offset 8\n	.cfi_rel_offset r15, 0\n"
	"	movq %rsp, (%rdi)\n"
	"	movq (%rsi), %rsp\n"
	"	popq %r15\n	.cfi_adjust_cfa_offset -8\n	.cfi_restore r15\n"
	"	popq %r14\n	.cfi_adjust_cfa_offset -8\n	.cfi_restore r14\n"
	"	popq %r13\n	.cfi_adjust_cfa_offset -8\n	.cfi_restore r13\n"
	"	popq %r12\n	.cfi_adjust_cfa_offset -8\n	.cfi_restore r12\n"
	"	popq %rbx\n	.cfi_adjust_cfa_offset -8\n	.cfi_restore rbx\n"
	"	popq %rbp\n	.cfi_adjust_cfa_offset -8\n	.cfi_restore rbp\n"
	"	ret\n"
	".cfi_endproc\n"
	".size twin_switch, . - twin_switch\n"
	".type twin_enter, @function\n"
	"twin_enter:\n"
	".cfi_startproc\n"
	".cfi_undefined rip\n"
	"	xorl %ebp, %ebp\n"
	"	movq %r12, %rdi\n"
	"	call *%rbx\n"
	"	ud2\n"
	".cfi_endproc\n"
	".size twin_enter, . - twin_enter\n");

void
stacks_init(uint8_t *memory)
{
	stacks = memory;
	stacks_forget();
}

void *
context_stack(unsigned index)
{
	return stacks + (index + 1) * TWIN_STACK_STRIDE;
}

#ifdef __SANITIZE_ADDRESS__

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

/* Of each thread, by its place in the pool, and of the host (the last). */
static struct fiber {
	const void *bottom;
	size_t size;
	void *fake;
	void (*fn)(void *);
	void *arg;
} fibers[THREAD_MAX + 1];
static struct fiber *came_from, *now_on;

void
stacks_forget(void)
{
	for (unsigned i = 0; i < THREAD_MAX; i++)
		__asan_unpoison_memory_region(
		    (uint8_t *)context_stack(i) - THREAD_STACK_SIZE, THREAD_STACK_SIZE);
}

/* By the stack that ctx stands on; what is none of ours is the host's. */
static struct fiber *
fiber_of(const struct context *ctx)
{
	uint64_t off = ctx->ctx_sp - (uint64_t)stacks;

	return &fibers[off < THREAD_MAX * TWIN_STACK_STRIDE ? off / TWIN_STACK_STRIDE : THREAD_MAX];
}

static void
arrived(struct fiber *self)
{
	__sanitizer_finish_switch_fiber(self->fake, &came_from->bottom, &came_from->size);
	now_on = self;
}

static void
begin(void *arg)
{
	struct fiber *self = arg;

	self->fake = NULL;
	arrived(self);
	self->fn(self->arg);
	panic("a thread function returned");
}

void
context_switch(struct context *from, struct context *to)
{
	struct fiber *self = now_on != NULL ? now_on : &fibers[THREAD_MAX], *next = fiber_of(to);

	came_from = self;
	__sanitizer_start_switch_fiber(&self->fake, next->bottom, next->size);
	twin_switch(from, to);
	arrived(self);
}

void
context_abandon(struct context *to)
{
	struct context none;
	struct fiber *next = fiber_of(to);

	came_from = now_on;
	__sanitizer_start_switch_fiber(NULL, next->bottom, next->size);
	twin_switch(&none, to);
	__builtin_unreachable();
}

static void
prepare(void *stack_top, void (**fn)(void *), void **arg)
{
	struct fiber *f = &fibers[((uint64_t)stack_top - (uint64_t)stacks - 1) / TWIN_STACK_STRIDE];

	*f = (struct fiber){ (uint8_t *)stack_top - THREAD_STACK_SIZE, THREAD_STACK_SIZE, NULL, *fn,
		*arg };
	*fn = begin;
	*arg = f;
}

#else

void
stacks_forget(void)
{
}

void
context_switch(struct context *from, struct context *to)
{
	twin_switch(from, to);
}

void
context_abandon(struct context *to)
{
	struct context none;

	twin_switch(&none, to);
	__builtin_unreachable();
}

static void
prepare(void *stack_top __unused_arg, void (**fn)(void *) __unused_arg, void **arg __unused_arg)
{
}

#endif

void
context_init(struct context *ctx, void *stack_top, void (*fn)(void *), void *arg)
{
	uint64_t *sp = stack_top;

	prepare(stack_top, &fn, &arg);
	*--sp = (uint64_t)twin_enter;
	*--sp = 0; /* rbp */
	*--sp = (uint64_t)fn;
	*--sp = (uint64_t)arg;
	*--sp = 0;
	*--sp = 0;
	*--sp = 0;
	ctx->ctx_sp = (uint64_t)sp;
}
