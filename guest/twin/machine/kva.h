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

/* Between the address a guest's direct map would have and the host's. */
vaddr_t kva_from_host(uint64_t va);
uint64_t kva_to_host(vaddr_t va);

#endif
