/* SPDX-License-Identifier: ISC */
/*
 * Between the allocator's machine-dependent half and several CPUs: who may hold translations, how they are
 * asked to drop them, and how a CPU waits without holding up another.
 *
 * A CPU is on or off. While it is on it may use any address of kernel_map, and every invalidation
 * reaches it before the call that made it returns. While it is off (before its first moment, and when it is
 * idle) it touches the image, its stack, its own data and the direct map, nothing else; it gets no
 * interrupt and catches up when it comes on.
 *
 * Rules for callers:
 *	- shootdown_cpu_on() before the first access to kernel_map after the start or after idling,
 *	  shootdown_cpu_off() before idling; both with interrupts as they are, by the CPU itself.
 *	- A busy wait of any kind, with interrupts on or off, calls spin_wait() each time round. So every
 *	  CPU that is on serves requests soon: by its interrupt handler, or in the loop in which it waits.
 *	- What runs in an interrupt that can come in between may serve requests, and makes none.
 *	- Nothing here switches threads or sleeps, so all of it may be called with mutexes held.
 */
#ifndef MACHINE_IPI_H
#define MACHINE_IPI_H

#include <machine/param.h>

typedef uint32_t cpumask_t; /* bit n: CPU n */

#define CPU_MASK(id) ((cpumask_t)1 << (id))

/* The machine's part (guest: guest/ipi.c; twin: guest/twin/cpu.c). */

/* Raise the shootdown interrupt, whose handler calls shootdown_serve(). Returns at once. */
void ipi_shootdown(cpumask_t targets);
/* Make a CPU that idles look at its run queue. */
void ipi_wakeup(unsigned cpu);
/*
 * One turn of a busy wait; *turns begins as 0. Serves this CPU's requests; after some turns gives the
 * host's CPU away. Preserves nothing but what any call does.
 */
void spin_wait(unsigned *turns);

/* The pmap's part (guest/pmap_shootdown.c). */

/*
 * Do what other CPUs have asked for, then tell them. Any context; may interrupt itself; nearly free when
 * nothing is asked.
 */
void shootdown_serve(void);
/*
 * This CPU, which is off, comes on: drops all translations, global ones too, if it missed an invalidation.
 * The CPU that runs pmap_bootstrap() is on from then on, all others are off. With one CPU configured
 * there is nobody to miss: these two do nothing.
 */
void shootdown_cpu_on(void);
/* This CPU, which is on, goes off, and has served all that it was asked while it was on. */
void shootdown_cpu_off(void);
/* Who is on, at some moment during the call. */
cpumask_t shootdown_cpus(void);

#endif
