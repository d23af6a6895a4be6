/* SPDX-License-Identifier: ISC */
/*
 * Map handles: the host names a struct vm_map by a small number (A_MAP in shared/calls.def).
 */
#ifndef GUEST_MAPS_H
#define GUEST_MAPS_H

#include <machine/param.h>
#include "shared/calls.h"

struct vm_map;

/* A handle for the map; the first one given is BED_MAP_KERNEL. BED_MAPS_MAX: no handle is free. */
uint64_t map_register(struct vm_map *);
/* The handle means nothing from now on, until it is given out again. */
void map_forget(uint64_t handle);

extern struct vm_map *bed_map[BED_MAPS_MAX];

static inline bool
map_known(uint64_t handle)
{
	return handle < BED_MAPS_MAX && bed_map[handle] != NULL;
}

/* The map of a known handle. */
static inline struct vm_map *
map_of(uint64_t handle)
{
	return bed_map[handle];
}

#endif
