/* SPDX-License-Identifier: ISC */
/*
 * From a failed access of the twin to uvm_fault(), as guest/fault.c does it for the CPU.
 */
#include <machine/event.h>
#include <machine/thread.h>

#include "guest/twin/priv.h"
#include "guest/uvm/uvm_extern.h"
#include "guest/uvm/uvm_fault.h"

int
twin_fault(vaddr_t va, uint64_t err)
{
	vm_prot_t type = err & PF_W ? PROT_WRITE : err & PF_I ? PROT_EXEC : PROT_READ;
	int error;

	if (kernel_map == NULL || va < VM_MIN_KERNEL_ADDRESS || cpu_cannot_sleep())
		return EFAULT;
	error = uvm_fault(kernel_map, trunc_page(va), 0, type);
	if (error == 0)
		COUNT(fault, 1);
	EVENT(FAULT, va, err, error);
	return error;
}
