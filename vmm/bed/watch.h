/* SPDX-License-Identifier: ISC */
/*
 * Watching a guest do what its own log should tell: instruction by instruction, or store by store into its page
 * tables. For beds with one CPU, between calls; slow.
 */
#ifndef VMM_BED_WATCH_H
#define VMM_BED_WATCH_H

#include "vmm/bed/bed.h"
#include "vmm/kvm/hv.h"

/*
 * Before each instruction of the guest: the registers as they are now. (Where KVM merges two instructions into
 * one step, as at a port exit, it is called for the first.)
 */
typedef void bed_step_fn(void *arg, const struct hv_regs *);
/* From the next call on; fn NULL: no more. False: this KVM cannot. */
bool bed_watch_steps(struct bed *, bed_step_fn *fn, void *arg, struct bed_err *);

/*
 * The guest stores `len` bytes at gpa in the page-table pool, which it can only read now. The callee must put
 * them into memory (bed_ptr()).
 */
typedef void bed_store_fn(
    void *arg, gpa_t, const void *bytes, unsigned len, const struct hv_regs *);
/* Works only where hv_readonly_tables() says so. fn NULL: the pool is ordinary memory again. */
bool bed_watch_tables(struct bed *, bed_store_fn *fn, void *arg, struct bed_err *);

#endif
