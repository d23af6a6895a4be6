/* SPDX-License-Identifier: ISC */
/*
 * What kind of KVM this is. A result without its engine means little: where ring 0 is interpreted a
 * stale translation never shows, under shadow paging every INVLPG exits, and so on.
 */
#ifndef VMM_KVM_ENGINE_H
#define VMM_KVM_ENGINE_H

#include "vmm/error.h"

#include <stdint.h>

enum engine_class {
	ENGINE_UNKNOWN,
	ENGINE_EPT,    /* Intel, nested paging */
	ENGINE_NPT,    /* AMD, nested paging */
	ENGINE_SHADOW, /* hardware without nested paging */
	ENGINE_INTERP, /* ring 0 is interpreted */
	ENGINE_TWIN,   /* no KVM: the guest's sources as code of this process */
};

struct engine {
	enum engine_class class;
	const char *name;   /* "ept", "npt", "shadow", "interp", "unknown" */
	bool tcg;           /* the CPU itself is QEMU's emulator */
	const char *cpu;    /* host CPU, as it names itself */
	const char *module; /* "kvm_intel", "kvm_amd", "kvm_pvm", ... or "?" */
	double ns_per_insn; /* of a loop at ring 0, as measured */
	bool has_counter;   /* KVM has an instruction counter at all */
	bool counts_insns;  /* ... and it counts guest ring-0 instructions exactly */
	char evidence[160]; /* how the class was found, for a person */
};

/* Found out on first use (a few milliseconds), then cached. NULL: no usable KVM, err says why. */
const struct engine *engine_get(struct bed_err *);

/* The one that needs no KVM. */
const struct engine *engine_twin(void);

#endif
