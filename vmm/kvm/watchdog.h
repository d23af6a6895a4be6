/* SPDX-License-Identifier: ISC */
/*
 * The watchdog: makes a thread's KVM_RUN return when its time is over, whatever the guest does. One
 * timer a thread, armed at most once per limit and not per run: a run under the limit costs two reads
 * of the clock and no system call.
 */
#ifndef VMM_KVM_WATCHDOG_H
#define VMM_KVM_WATCHDOG_H

#include "vmm/error.h"

#include <stdint.h>

/* Call around KVM_RUN, in the thread that runs. `kick` is kvm_run.immediate_exit of that vCPU. */
bool watchdog_begin(unsigned timeout_ms, volatile uint8_t *kick, struct bed_err *);
/*
 * Called in the handler when the time of a run of this thread is over, with what the signal interrupted;
 * it need not return. NULL: nothing is.
 */
typedef void watchdog_fn(void *ucontext);
void watchdog_on_end(watchdog_fn *);
/* Disarms; true if the time was over. Clears *kick. */
bool watchdog_end(void);

#endif
