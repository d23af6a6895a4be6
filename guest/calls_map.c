/* SPDX-License-Identifier: ISC */
/*
 * The uvm_map(9) calls.
 */
#include "guest/calls.h"
#include "uvm/uvm_extern.h"
#include "uvm/uvm_object.h"

uint64_t
call_uvm_map(const uint64_t *arg, uint64_t *result2)
{
	const vm_prot_t rw = PROT_READ | PROT_WRITE;
	vaddr_t addr = arg[1];
	int error = uvm_map(map_of(arg[0]), &addr, arg[2], arg[3] == 0 ? NULL : &uvm_kernel_object,
	    UVM_UNKNOWN_OFFSET, arg[4],
	    UVM_MAPFLAG(rw, rw, MAP_INHERIT_NONE, MADV_RANDOM, arg[5] & ~(uint64_t)0xffff));

	if (error == 0)
		*result2 = addr;
	return (uint64_t)error;
}

uint64_t
call_uvm_unmap(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	uvm_unmap(map_of(arg[0]), arg[1], arg[1] + arg[2]);
	return 0;
}

uint64_t
call_uvm_map_protect(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	return (uint64_t)uvm_map_protect(
	    map_of(arg[0]), arg[1], arg[1] + arg[2], (vm_prot_t)arg[3], arg[4] != 0);
}

uint64_t
call_uvm_map_pageable(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	return (uint64_t)uvm_map_pageable(map_of(arg[0]), arg[1], arg[1] + arg[2], arg[3] != 0);
}

uint64_t
call_uvm_map_checkprot(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	return (uint64_t)uvm_map_checkprot(
	    map_of(arg[0]), arg[1], arg[1] + arg[2], (vm_prot_t)arg[3]);
}
