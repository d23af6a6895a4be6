/* SPDX-License-Identifier: ISC */
/*
 * Access through kernel virtual addresses in the twin: by the software TLB, else by walking the tables
 * (which sets A and D), else by a page fault. An address of the direct map is a host pointer here and is
 * accessed as such.
 */
#ifndef TWIN_MACHINE_KVA_H
#define TWIN_MACHINE_KVA_H

#include <machine/param.h>

uint64_t kva_read(vaddr_t va);
void kva_write(vaddr_t va, uint64_t value);
void kva_zero(vaddr_t va, vsize_t len);

#endif
