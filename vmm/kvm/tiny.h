/* SPDX-License-Identifier: ISC */
/*
 * The smallest machine that runs 64-bit ring-0 code: one identity-mapped 2 MiB page, a few bytes of
 * code at 0x10000, nothing else. For probes of the engine and as the floor that boots are measured
 * against. Code starts with RDI = arg and leaves by OUT.
 */
#ifndef VMM_KVM_TINY_H
#define VMM_KVM_TINY_H

#include "vmm/kvm/hv.h"

struct tiny_slot {
	uint64_t gpa, len, offset; /* offset in the machine's memory */
	unsigned flags;            /* HV_SLOT_* */
};

struct tiny {
	struct hv_vm *vm;
	struct hv_cpu *cpu;
	uint8_t *mem;
	uint64_t bytes;
	int fd; /* -1: anonymous memory */
};

/*
 * Memory of `bytes` (a multiple of 4096, at least 64 KiB + a page) laid out as slots (NULL: one of all
 * of it at 0), from a memfd if `shared`.
 */
bool tiny_create(struct tiny *, uint64_t bytes, bool shared, const struct tiny_slot *,
    unsigned nslot, struct bed_err *);
void tiny_destroy(struct tiny *);

/* Put code in place, to begin with RDI = arg; the caller runs it. */
bool tiny_start(struct tiny *, const void *code, unsigned len, uint64_t arg, struct bed_err *);
/* Run code with RDI = arg until it leaves; any other exit than OUT is an error. */
bool tiny_run(struct tiny *, const void *code, unsigned len, uint64_t arg, struct bed_err *);
/* From where it left. */
bool tiny_resume(struct tiny *, struct bed_err *);

#endif
