/* SPDX-License-Identifier: ISC */
/*
 * Kernel threads of the twin as a machine: the guest's own layout, on larger stacks, which sanitizers
 * want.
 */
#ifndef TWIN_MACHINE_CONTEXT_H
#define TWIN_MACHINE_CONTEXT_H

#include "../../../machine/context.h"
#undef THREAD_STACK_SIZE
#undef THREAD_MAX
#define THREAD_MAX        THREAD_CPU0 /* there is one CPU */
#define THREAD_STACK_SIZE 0x40000

#endif
