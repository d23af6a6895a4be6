/* SPDX-License-Identifier: ISC */
/*
 * What pmap_range.c and pmap_page.c need of each other.
 */
#ifndef PMAP_PAGE_H
#define PMAP_PAGE_H

#include "pmap_table.h"

struct vm_page;

/* pg is about to be entered, managed, at va. */
void pmap_page_enter(struct vm_page *pg, vaddr_t va);

/*
 * Clear `off` and set `on` in a present entry, keeping A and D that the CPU may set at the same time;
 * returns the entry before. The caller invalidates.
 */
pt_entry_t pmap_page_narrow(pt_entry_t *pte, pt_entry_t off, pt_entry_t on);

#endif
