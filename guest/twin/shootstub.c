/* SPDX-License-Identifier: ISC */
/* Stand-in for bring-up only. */
#include <machine/ipi.h>
#include <sched.h>
void ipi_wakeup(unsigned cpu);
__attribute__((weak)) void ipi_wakeup(unsigned cpu __unused_arg) {}
__attribute__((weak)) void spin_wait(unsigned *turns) { ++*turns; sched_yield(); }
