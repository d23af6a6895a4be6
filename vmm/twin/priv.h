/* SPDX-License-Identifier: ISC */
/*
 * Inside vmm/twin/: the machine behind a bed.
 */
#ifndef VMM_TWIN_PRIV_H
#define VMM_TWIN_PRIV_H

#include "guest/twin/engine.h"
#include "vmm/twin/twin.h"

struct twin_saved;

struct twin {
	const struct twin_machine *machine;
	uint8_t *pristine; /* its data before the first start */
	bool used;         /* a bed has it */
	struct memory mem;
	uint64_t data_pa;
	struct bed_cpushare *share;
	uint8_t *stacks, *shadow;
	size_t shadow_bytes;
	struct twin_taken taken;
	struct hv_soft soft;
	struct hv_regs regs; /* where a signal found it; cr3 is 0 if none did */
	struct twin_saved *saved;
};

/* fault.c: signals of the thread that runs `t` from now on. */
bool twin_catch(struct twin *, struct bed_err *);
/* In on_run() only: what a signal made of the machine. */
#define TWIN_LEFT_TIMEOUT UINT32_MAX

/* guard.c; false: the image has no such symbols. */
bool twin_guards(const struct image *, struct twin_guard guard[2]);

/* save.c */
void twin_forget(struct twin *);

/* memcpy that no sanitizer looks at: data and stacks have red zones. */
static inline void
twin_copy(void *to, const void *from, size_t n)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n)::"memory");
}

#endif
