/* SPDX-License-Identifier: ISC */
/*
 * Small questions to the MMU that the guest kernel itself has; the allocator uses pmap(9).
 */
#ifndef GUEST_MMU_H
#define GUEST_MMU_H

#include <machine/mmu.h>

/* The level 1 entry that maps va in the current tables, or NULL: no table, or a large page. */
pt_entry_t *mmu_leaf(vaddr_t va);

#endif
