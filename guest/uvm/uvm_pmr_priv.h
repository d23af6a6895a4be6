/* SPDX-License-Identifier: ISC */
/*
 * What uvm_pmemrange.c, uvm_pglist.c and uvm_pdaemon.c need of each other. fpageqlock is held.
 */
#ifndef UVM_PMR_PRIV_H
#define UVM_PMR_PRIV_H

#include "uvm_pmemrange.h"

/* Cut [pg, pg + n) out of a run. */
void pmr_run_take(struct vm_page *run, unsigned kind, struct vm_page *pg, uint64_t n);
void pmr_mark_inuse(struct vm_page *, uint64_t n, uint32_t flags);
/* Undo of both: the pages, of one kind, are free again and what they were. */
void pmr_run_return(struct vm_page *, uint64_t n);
/* The best piece of up to *want pages, marked; there is at least one free page. */
struct vm_page *pmr_take_pages(unsigned *want, int flags);
/* Wake the sleepers of uvm_pmr.allocs that want frames of [first, last]. */
void pmr_wake_allocs(paddr_t first, paddr_t last);
/* Sleep on &uvmexp.free; lets go of fpageqlock once a wakeup cannot be missed. */
void pmr_sleep_free(const char *wmesg);

#endif
