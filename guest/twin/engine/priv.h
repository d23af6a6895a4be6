/* SPDX-License-Identifier: ISC */
/*
 * What the files of the twin as a machine need of each other.
 */
#ifndef TWIN_ENGINE_PRIV_H
#define TWIN_ENGINE_PRIV_H

#include <machine/context.h>
#include <machine/mmu.h>

/* stack.c */
void stacks_init(uint8_t *);
/* Nothing is known of what sanitizers have noted about the stacks: all of them are clean. */
void stacks_forget(void);
/* Continue `to` for good: the stack this is called on is left behind. */
void context_abandon(struct context *to) __noreturn;

/* access.c: the level 1 entry for va, NULL: no table. */
pt_entry_t *twin_leaf(vaddr_t va);

#endif
