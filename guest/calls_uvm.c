/* SPDX-License-Identifier: ISC */
/*
 * The uvm_km_*() calls.
 */
#include "guest/calls.h"
#include "guest/maps.h"
#include "uvm/uvm_extern.h"
#include "uvm/uvm_object.h"

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

/* obj of the table: 0 none, else kernel_object. */
static struct uvm_object *
object_of(uint64_t which)
{
	return which == 0 ? NULL : &uvm_kernel_object;
}

uint64_t
call_uvm_km_kmemalloc(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	return uvm_km_kmemalloc(map_of(arg[0]), object_of(arg[1]), arg[2], (int)arg[3]);
}

uint64_t
call_uvm_km_kmemalloc_pla(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	return uvm_km_kmemalloc_pla(map_of(arg[0]), object_of(arg[1]), arg[2], arg[3], (int)arg[4],
	    arg[5], arg[6], arg[7], arg[8], (int)arg[9]);
}

uint64_t
call_uvm_km_valloc(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	return uvm_km_valloc(map_of(arg[0]), arg[1]);
}

uint64_t
call_uvm_km_valloc_align(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	return uvm_km_valloc_align(map_of(arg[0]), arg[1], arg[2], (int)arg[3]);
}

uint64_t
call_uvm_km_valloc_try(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	return uvm_km_valloc_try(map_of(arg[0]), arg[1]);
}

uint64_t
call_uvm_km_valloc_wait(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	return uvm_km_valloc_wait(map_of(arg[0]), arg[1]);
}

uint64_t
call_uvm_km_suballoc(const uint64_t *arg, uint64_t *result2)
{
	vaddr_t min = arg[1], max;
	struct vm_map *submap =
	    uvm_km_suballoc(map_of(arg[0]), &min, &max, arg[2], (int)arg[3], arg[4] != 0, NULL);
	uint64_t handle;

	if (submap == NULL)
		return 0;
	handle = map_register(submap);
	if (handle == BED_MAPS_MAX) {
		uvm_km_subfree(map_of(arg[0]), submap);
		return 0;
	}
	*result2 = min;
	return handle;
}

uint64_t
call_uvm_km_free_wakeup(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	uvm_km_free_wakeup(map_of(arg[0]), arg[1], arg[2]);
	return 0;
}

uint64_t
call_uvm_km_subfree(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	int error = uvm_km_subfree(map_of(arg[0]), map_of(arg[1]));

	if (error == 0)
		map_forget(arg[1]);
	return (uint64_t)error;
}
