/* SPDX-License-Identifier: ISC */
/*
 * What the twin's own files need of each other.
 */
#ifndef TWIN_PRIV_H
#define TWIN_PRIV_H

#include <machine/param.h>

#define TWIN_TLB_BYTES 16 /* of shadow for each page-table entry */

void twin_tlb_init(void *zeroed);
/* Translations that hardware might still use though the tables say otherwise. */
uint64_t twin_tlb_stale(void);
/* It grows with every full flush. Nothing from before `age`, which must be larger, is kept. */
uint64_t twin_tlb_age(void);
void twin_tlb_renew(uint64_t age);

/* The tables the VMM makes: image, direct map, top of kernel_map. Sets root and ptpool_next. */
struct bed_bootinfo;
void twin_tables(struct bed_bootinfo *);

/* uvm_fault(), if the address is kernel_map's and there are maps. */
int twin_fault(vaddr_t va, uint64_t err);

/* Panic where no test is waiting for one. */
void twin_die(const char *text) __noreturn;
void twin_thread_init(void);
/* From a thread that panicked to the test, and there on to where it waits for that. */
void twin_panic_leave(void) __noreturn;
void twin_panic_pending(void);

#endif
