/* SPDX-License-Identifier: ISC */
/*
 * A CPU with nothing to run, where there are several.
 */
#ifndef GUEST_IDLE_H
#define GUEST_IDLE_H

/*
 * Sleep until there is something to run or the host has rung; may return without either. The last CPU to
 * fall idle leaves with BED_EXIT_IDLE. By a worker, with interrupts on and no lock held.
 */
void cpu_idle(void);

#endif
