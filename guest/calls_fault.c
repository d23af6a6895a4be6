/* SPDX-License-Identifier: ISC */
/*
 * The uvm_fault(9) call.
 */
#include "guest/calls.h"
#include "guest/maps.h"
#include "uvm/uvm_fault.h"

uint64_t
call_uvm_fault(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	return (uint64_t)uvm_fault(map_of(arg[0]), arg[1], VM_FAULT_INVALID, (vm_prot_t)arg[2]);
}
