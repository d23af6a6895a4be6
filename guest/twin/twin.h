/* SPDX-License-Identifier: ISC */
/*
 * The twin: the guest's allocator, pmap, threads and locks as an ordinary process. This is what its
 * tests and fuzzers see of it; guest/twin/machine/ is what the guest's sources see.
 *
 * Physical addresses and kernel_map addresses are those the guest would have with the same boot
 * information; the direct map, and every structure reached through it, is at host addresses.
 *
 * The code of the caller is thread 0. A panic ends the state that was booted: only twin_boot() may
 * follow.
 */
#ifndef TWIN_TWIN_H
#define TWIN_TWIN_H

#include <machine/ipi.h>
#include <machine/kva.h>
#include <machine/mmu.h>
#include <machine/param.h>
#include <setjmp.h>

#include "guest/thread.h"
#include "guest/twin/info.h"
#include "shared/bootinfo.h"

struct twin_config {
	uint64_t ram;             /* bytes; 0: 64 MiB */
	uint64_t kva;             /* bytes of kernel_map; 0: BED_KVA_DEFAULT */
	uint64_t ptpool;          /* bytes of page-table pool; 0: as the VMM has it */
	uint64_t image;           /* bytes of the guest's image, which takes memory; 0: 1 MiB */
	uint64_t flush_threshold; /* 0: the pmap's default */
	uint64_t dma_high;        /* 0: everything */
	uint32_t flags;           /* BED_BOOT_*, TWIN_* */
	uint32_t ncpu;            /* 0: 1 */
	uint64_t planted;         /* enum bed_planted */
};
#define TWIN_PAGES_ONLY 0x10000 /* pmap and pages, no maps: uvm_init() is not called */

/* Start anew: memory zero, tables as the VMM makes them, the guest's data as in its image, then boot. */
void twin_boot(uint64_t ram, uint64_t kva, uint32_t flags);
void twin_boot_config(const struct twin_config *);
/* With the very boot information of a guest: addresses come out equal to that guest's. */
void twin_boot_info(const struct bed_bootinfo *, uint32_t flags);

/* Only up to pmap_bootstrap(), with 64 MiB: the caller loads memory segments of its own. */
void twin_reset(void);

static inline const struct bed_counters *
twin_count(void)
{
	return curcpu()->ci_count;
}

/*
 * Run fn(arg) on a kernel thread and everything that becomes runnable, until nothing is. True: fn has
 * returned; false: it sleeps, and *where (if not NULL) is its thread; twin_run() goes on after a wakeup.
 */
bool twin_call(void (*fn)(void *), void *arg, struct thread **where);
void twin_run(void);
/*
 * Several CPUs. Each CPU is a host thread, all but CPU 0, which is the test's, idle (and are off) but
 * during twin_run_cpus(): it runs fn(arg, cpu) on a kernel thread of each CPU of the mask, at the same time,
 * and returns when no CPU has anything to do: each fn has returned or sleeps, and all that was woken has
 * run. Mask 0: only wait for that. A panic ends the process.
 */
void twin_run_cpus(cpumask_t mask, void (*fn)(void *arg, unsigned cpu), void *arg);
const struct bed_counters *twin_count_of(unsigned cpu);
/* CPUs whose TLB takes no notice of INVLPG and full flushes, for tests of tests (checked flavour). */
extern cpumask_t twin_tlb_deaf;

/* At the next stop_point(id), run fn(arg) before it continues; fn must not sleep. */
void twin_stop_at(int id, void (*fn)(void *), void *arg);

/*
 * Events since the last twin_events_clear() (checked flavour), in the order of their tickets. With several
 * CPUs they are there after twin_events_gather(), while no other CPU runs, and none is recorded unless
 * twin_events_wanted.
 */
extern struct bed_event *twin_event;
extern uint64_t twin_nevent;
extern bool twin_events_wanted;
void twin_events_clear(void);
void twin_events_gather(void);

/*
 * const char *msg = TWIN_PANIC(statement): what it said when it panicked, NULL if it did not.
 */
extern sigjmp_buf twin_panic_jmp;
void twin_panic_arm(bool);
const char *twin_panic_text(void);
#define TWIN_PANIC(statement)                                                    \
	(twin_panic_arm(true),                                                   \
	    sigsetjmp(twin_panic_jmp, 0) == 0                                    \
		? ((void)(statement), twin_panic_arm(false), (const char *)NULL) \
		: twin_panic_text())

#endif
