/* SPDX-License-Identifier: ISC */
/*
 * Kernel threads of the twin: ucontext(3) on stacks of its own.
 */
#ifndef TWIN_MACHINE_CONTEXT_H
#define TWIN_MACHINE_CONTEXT_H

#include <machine/param.h>
#include <ucontext.h>

#define THREAD_CPU0       32
#define THREAD_PER_CPU    8
#define THREAD_MAX        (THREAD_CPU0 + (BED_CPU_MAX - 1) * THREAD_PER_CPU)
#define THREAD_STACK_SIZE 0x40000 /* sanitizers want room */

struct context {
	ucontext_t uc;
	void (*fn)(void *);
	void *arg;
	const void *stack; /* lowest address, for the address sanitizer */
	size_t size;
	void *fake;  /* the address sanitizer's own stack */
	void *fiber; /* the thread sanitizer's name for it */
};

void *context_stack(unsigned index);
void context_init(struct context *ctx, void *stack_top, void (*fn)(void *), void *arg);
void context_switch(struct context *from, struct context *to);

#endif
