/* SPDX-License-Identifier: ISC */
/*
 * The uvm_km_*() calls.
 */
#include "guest/calls.h"
#include "guest/maps.h"
#include "uvm/uvm_extern.h"

uint64_t
call_uvm_km_alloc(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	return uvm_km_alloc(map_of(arg[0]), arg[1]);
}

uint64_t
call_uvm_km_zalloc(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	return uvm_km_zalloc(map_of(arg[0]), arg[1]);
}

uint64_t
call_uvm_km_alloc1(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	return uvm_km_alloc1(map_of(arg[0]), arg[1], arg[2], arg[3] != 0);
}

uint64_t
call_uvm_km_free(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	uvm_km_free(map_of(arg[0]), arg[1], arg[2]);
	return 0;
}
