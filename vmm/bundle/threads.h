/* SPDX-License-Identifier: ISC */
/*
 * Everything in a guest that has a stack: its vCPUs, and its threads that do not run. For stacks in words
 * and for the threads of a core file.
 */
#ifndef VMM_BUNDLE_THREADS_H
#define VMM_BUNDLE_THREADS_H

#include <stdio.h>

#include "vmm/bed/bed.h"
#include "vmm/bed/symbols.h"
#include "vmm/kvm/hv.h"

#define STACKS_MAX 168 /* all vCPUs and all threads of the guest's pool */

struct stack {
	bool is_cpu;
	unsigned number;     /* of the vCPU, of the thread */
	struct hv_regs regs; /* of a thread: what context_switch() saved; the rest is zero */
	bool old, asleep; /* the vCPU was reset: regs are those of its last entry; it is in HLT */
	/* Of a thread. Texts are printable. */
	unsigned state; /* enum thread_state of guest/thread.h */
	char name[24], wmesg[24];
	uint64_t wchan, td; /* td: guest address of the struct thread */
};

/* vCPUs first. How many; nothing in guest memory is believed. */
unsigned stacks_read(struct bed *, struct stack out[STACKS_MAX]);

/* "vCPU 0" or "thread 3 \"worker\", sleeping on 0x... \"vmmapva\"". */
void stack_title(FILE *, const struct stack *);
/* Title and backtrace of each, or registers of each. */
void stacks_print(FILE *, struct bed *, struct symbols *, const struct stack *, unsigned n);
void stacks_print_registers(FILE *, const struct stack *, unsigned n);

#endif
