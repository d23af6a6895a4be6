/* SPDX-License-Identifier: ISC */
/*
 * The table of map handles (guest/maps.h).
 */
#include <machine/assert.h>
#include "guest/maps.h"

static struct vm_map *bed_map[MAPS_MAX];

uint64_t
map_register(struct vm_map *map)
{
	uint64_t handle = 0;

	while (handle < MAPS_MAX && bed_map[handle] != NULL)
		handle++;
	if (handle < MAPS_MAX)
		bed_map[handle] = map;
	return handle;
}

struct vm_map *
map_of(uint64_t handle)
{
	if (handle >= MAPS_MAX || bed_map[handle] == NULL)
		panic("call with unknown map handle %lu", handle);
	return bed_map[handle];
}
