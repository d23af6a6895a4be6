/* SPDX-License-Identifier: ISC */
/*
 * The table of map handles (guest/maps.h).
 */
#include "guest/maps.h"

struct vm_map *bed_map[BED_MAPS_MAX];

uint64_t
map_register(struct vm_map *map)
{
	uint64_t handle = 0;

	while (handle < BED_MAPS_MAX && bed_map[handle] != NULL)
		handle++;
	if (handle < BED_MAPS_MAX)
		bed_map[handle] = map;
	return handle;
}

void
map_forget(uint64_t handle)
{
	bed_map[handle] = NULL;
}
