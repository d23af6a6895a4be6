/* SPDX-License-Identifier: ISC */
/*
 * Access through kernel virtual addresses that kernel_map hands out. guest/uvm/ never dereferences such
 * an address itself: in the guest these are plain accesses, in the twin (guest/twin/machine/kva.h) they
 * go through the software TLB and may fault into uvm_fault() just as the real ones do.
 */
#ifndef MACHINE_KVA_H
#define MACHINE_KVA_H

#include <machine/param.h>

static inline uint64_t
kva_read(vaddr_t va)
{
	return *(volatile uint64_t *)va;
}

static inline void
kva_write(vaddr_t va, uint64_t value)
{
	*(volatile uint64_t *)va = value;
}

/* va and len: multiples of 8. */
static inline void
kva_zero(vaddr_t va, vsize_t len)
{
	uint64_t words = len / 8;

	__asm__ volatile("rep stosq" : "+D"(va), "+c"(words) : "a"(0) : "memory");
}

/*
 * An address of the direct map as the host names it, from and to one the kernel uses. The same here; the
 * twin's direct map is elsewhere.
 */
static inline vaddr_t
kva_from_host(uint64_t va)
{
	return va;
}

static inline uint64_t
kva_to_host(vaddr_t va)
{
	return va;
}

#endif
