/* SPDX-License-Identifier: ISC */
/*
 * What the twin's own files need of each other.
 */
#ifndef TWIN_PRIV_H
#define TWIN_PRIV_H

#include <machine/param.h>

#include "guest/thread.h"

#define TWIN_TLB_BYTES 16 /* of shadow for each page-table entry and CPU */

/* Of each of so many CPUs; the memory is zero, TWIN_TLB_BYTES for each entry of the pool and CPU. */
void twin_tlb_init(void *memory, unsigned ncpu);
/* Translations that this CPU might still use though the tables say otherwise. */
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
/* This host thread begins as the current thread of its CPU. */
void twin_thread_begin(void);
/* Run what is runnable on this CPU until nothing is; by its first thread. */
void twin_run_here(void);

static inline struct thread *
twin_first_thread(unsigned cpu)
{
	return &thread_pool[cpu == 0 ? 0 : THREAD_CPU0 + (cpu - 1) * THREAD_PER_CPU];
}

/* CPUs (cpu.c). The data of one of them, anew. */
struct cpu_info *twin_cpu_init(unsigned id);
/* Make all but the first, each with a host thread, which then idles; end them. */
void twin_cpus_start(unsigned ncpu);
void twin_cpus_stop(void);
/* From a thread that panicked to the test, and there on to where it waits for that. */
void twin_panic_leave(void) __noreturn;
void twin_panic_pending(void);

#endif
