/* SPDX-License-Identifier: ISC */
/*
 * Can page tables lie in read-only memory on this KVM, so that each store to them comes to us? Where nested paging
 * walks them it may hang, and shadow paging may miss an INVLPG: a probe in a process of its own finds out.
 */
#ifndef VMM_KVM_TABLE_PROBE_H
#define VMM_KVM_TABLE_PROBE_H

#include "vmm/error.h"

/* True if it works; else err says what went wrong (BED_E_HOST). Asked once; later calls give the same answer. */
bool hv_readonly_tables(struct bed_err *);

#endif
