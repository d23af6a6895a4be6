/* SPDX-License-Identifier: ISC */
/*
 * From a page fault of the CPU to uvm_fault().
 */
#include <machine/event.h>
#include <machine/thread.h>
#include "guest/fault.h"
#include "uvm/uvm_extern.h"
#include "uvm/uvm_fault.h"

static vm_prot_t
access_type(uint64_t err)
{
	if (err & PF_W)
		return PROT_WRITE;
	return err & PF_I ? PROT_EXEC : PROT_READ;
}

int
fault_resolve(vaddr_t va, uint64_t err)
{
	int error;

	/* uvm_fault() takes sleeping locks; a reserved bit is damage, not demand. */
	if (va < VM_MIN_KERNEL_ADDRESS || (err & PF_RSVD) || cpu_cannot_sleep())
		return EFAULT;
	error = uvm_fault(kernel_map, trunc_page(va), 0, access_type(err));
	if (error == 0)
		COUNT(fault, 1);
	EVENT(FAULT, va, err, error);
	return error;
}
