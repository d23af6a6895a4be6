/* SPDX-License-Identifier: ISC */
/*
 * The arithmetic of the placement rule (uvm_addr.h) for one hole.
 */
#ifndef UVM_ADDR_FIT_H
#define UVM_ADDR_FIT_H

#include <machine/param.h>
#include <machine/planted.h>

/*
 * The bits that change on the way from start - 1 to end - 1. A multiple of 2^k lies in [start, end) iff
 * one of the bits from k on does, that is, iff this is at least 2^k. So does the OR of many tell whether
 * any of them contains one.
 */
static inline uint64_t
uvm_addr_hole_bits(vaddr_t start, vaddr_t end)
{
	return (start - 1) ^ (end - 1);
}

/* Can [start, end) hold size bytes at a multiple of align? */
static inline bool
uvm_addr_hole_fits(vaddr_t start, vaddr_t end, vsize_t size, vsize_t align)
{
	vsize_t skip = -start & (align - 1);

	return end - start >= size && end - start - size >= skip;
}

/* Where in it; it fits. high_too: at the high end, too, if that cuts off less. */
static inline vaddr_t
uvm_addr_hole_place(vaddr_t start, vaddr_t end, vsize_t size, vsize_t align, bool high_too)
{
	vsize_t below = -start & (align - 1);
	vsize_t above = (end - size) & (align - 1);

	if (PLANTED(WRONG_END))
		return high_too && above >= below ? end - size - above : start + below;
	return high_too && above < below ? end - size - above : start + below;
}

#endif
