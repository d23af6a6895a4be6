/* SPDX-License-Identifier: ISC */
/*
 * The report of a death, from what is left: the guest's own record, the vCPU, memory, the last events.
 * Nothing here believes the guest: every address in the record is only looked up, never followed.
 */
#ifndef VMM_BED_REPORT_H
#define VMM_BED_REPORT_H

#include "vmm/bed/bed_priv.h"
#include "vmm/bed/symbols.h"

#include <stdio.h>

struct autopsy {
	struct bed *bed;
	enum death how;
	const struct hv_exit *exit; /* NULL: no exit is to blame */
	const char *detail;         /* NULL: none */
	struct bed_death death;     /* copy of the guest's record; kind BED_DEATH_NONE: not used */
	char msg[256];              /* its text, made printable */
	struct hv_regs regs;    /* the vCPU, or what it held at the last entry if it was reset */
	bool reset;             /* it was reset: regs are old */
	struct bed_frame frame; /* where the guest was */
	struct symbols *symbols;
	bool has_fault; /* fault_va is worth a walk */
	gva_t fault_va;
	FILE *out;
};

/* report_cause.c: the first lines: what happened, in words, and what to do about it. */
void report_cause(struct autopsy *);

#endif
