/* SPDX-License-Identifier: ISC */
/*
 * The few instructions that change translations without storing to memory, found before they run.
 */
#ifndef VMM_LOGAUDIT_DECODE_H
#define VMM_LOGAUDIT_DECODE_H

#include "vmm/kvm/hv.h"
#include "vmm/logaudit/logaudit.h"

#define DECODE_BYTES 15

/*
 * What the instruction in code[0..n) at regs->rip will do: true and *act for INVLPG, MOV to CR3, a MOV to CR4 that
 * takes PGE away, and LOGACT_OTHER for INVPCID, MOV to CR0 that changes it, and an INVLPG whose address cannot be told.
 */
bool decode_act(const uint8_t *code, unsigned n, const struct hv_regs *, struct logact *act);

#endif
