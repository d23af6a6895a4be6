/* SPDX-License-Identifier: ISC */
/*
 * One thread of control that is not running: what guest/thread.c needs from the machine to make and
 * switch threads. The guest's is a saved stack pointer (switch.asm); the twin has its own file of this
 * name, found first on its include path.
 */
#ifndef MACHINE_CONTEXT_H
#define MACHINE_CONTEXT_H

#include <machine/param.h>

#define THREAD_CPU0       32 /* threads of the first CPU, */
#define THREAD_PER_CPU    8  /* and of each of the others */
#define THREAD_MAX        (THREAD_CPU0 + (BED_CPU_MAX - 1) * THREAD_PER_CPU)
#define THREAD_STACK_SIZE 0x3000 /* usable bytes; below them lies a page that is never mapped */

/*
 * While a thread does not run, ctx_sp points at its saved r15, r14, r13, r12, rbx, rbp and return
 * address, in this order.
 */
struct context {
	uint64_t ctx_sp;
};

/* Top (first address above) of the stack of thread `index`, 0 .. THREAD_MAX - 1. */
void *context_stack(unsigned index);

/* The first switch to ctx calls fn(arg), which must not return. */
void context_init(struct context *ctx, void *stack_top, void (*fn)(void *), void *arg);

/* Save the running thread in `from` and continue `to`; returns when someone switches back. */
void context_switch(struct context *from, struct context *to);

#endif
