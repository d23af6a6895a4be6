/* SPDX-License-Identifier: ISC */
/*
 * All of a vCPU's state, as KVM reports it: registers, system registers, every MSR that can be read and
 * written back, local APIC, pending events, debug registers, FPU and run state. Saved into plain bytes, put
 * back from them, and compared.
 *
 * A state means something to the same KVM and CPU model only (hv_model_id()).
 *
 * What does not come back, because it is time: the TSC goes on (a new vCPU is started at the saved value), and so do
 * the MSRs that are other clocks and the APIC timer's current count. Which parts of the FPU's state are stored as
 * "initial" (XSTATE_BV) is the CPU's choice. hv_cpu_same() leaves these out, and nothing else.
 */
#ifndef VMM_KVM_STATE_H
#define VMM_KVM_STATE_H

#include "vmm/kvm/hv.h"

struct hv_cpu_state;

size_t hv_cpu_state_bytes(void);

/* Out of a file: is it one, and can its counts be believed? Any alignment of 8. */
bool hv_cpu_state_check(const struct hv_cpu_state *, size_t bytes, struct bed_err *);

/* Between two runs. A pending I/O exit is finished first. */
bool hv_cpu_save(struct hv_cpu *, struct hv_cpu_state *, struct bed_err *);

/*
 * Put it back, whatever the vCPU went through: a half-done exit, a triple fault, a stop by the watchdog. `fresh`:
 * this vCPU never ran, its TSC is set too. `pge`: toggle CR4.PGE on the way, which flushes this vCPU's
 * translations where the CPU walks the guest's tables itself.
 */
bool hv_cpu_load(
    struct hv_cpu *, const struct hv_cpu_state *, bool fresh, bool pge, struct bed_err *);

/* Read everything again and compare; the text names the first difference. */
bool hv_cpu_same(struct hv_cpu *, const struct hv_cpu_state *, struct bed_err *);

/*
 * Memory was changed behind KVM's back, page tables perhaps among it: what KVM and the CPU remember of them must
 * go. How that is done differs (docs/snapshots.md), so it is found out, once a process, by trying: the host
 * changes an entry that a ring-0 and a ring-3 loop have just used, and the loop must see it.
 */
enum hv_flush {
	HV_FLUSH_NONE, /* no flush: right where ring 0 is interpreted, for a guest without ring 3 */
	HV_FLUSH_PGE,  /* hv_cpu_load(pge) of each vCPU */
	HV_FLUSH_SLOT, /* hv_vm_drop(): a slot of one page comes and goes, all of KVM's tables go */
	HV_FLUSH_ALL,  /* hv_vm_drop(): every slot goes and comes */
};
const char *hv_flush_name(enum hv_flush);
/* The cheapest that works on this engine. False: none does, err says how the last one failed. */
bool hv_flush_choose(enum hv_flush *, struct bed_err *);
/* The trial itself: does a changed entry show after this? *stale: changes not seen, out of *tries. */
bool hv_flush_try(enum hv_flush, bool ring3, unsigned *stale, unsigned *tries, struct bed_err *);

/* No vCPU of the VM runs. PGE and NONE: nothing is done here. */
bool hv_vm_drop(struct hv_vm *, enum hv_flush, struct bed_err *);

/* A number that is the same where saved states are interchangeable: CPU model, kernel, this program's layout. */
bool hv_model_id(uint64_t *id, struct bed_err *);

#endif
