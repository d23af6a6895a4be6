/* SPDX-License-Identifier: ISC */
/*
 * Kernel threads of the twin as a machine: the guest's own layout, on larger stacks, which sanitizers
 * want.
 */
#ifndef TWIN_MACHINE_CONTEXT_H
#define TWIN_MACHINE_CONTEXT_H

#include "../../../machine/context.h"
#undef THREAD_STACK_SIZE
#define THREAD_STACK_SIZE 0x40000

#endif
