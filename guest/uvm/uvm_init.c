/* SPDX-License-Identifier: ISC */
/*
 * The allocator's start: kernel_object, kernel_map, and the standard submaps.
 */
#include <machine/assert.h>

#include "km_alloc.h"
#include "pmap.h"
#include "shared/bootinfo.h"
#include "uvm_map.h"
#include "uvm_object.h"
#include "uvmexp.h"

#define KMEM_MAP_MAX  (UINT64_C(128) << 20)
#define NCARGS        (UINT64_C(256) << 10) /* bytes of exec arguments */
#define EXEC_MAP_SIZE (16 * NCARGS)
#define PHYS_MAP_SIZE (300 * PAGE_SIZE)

static struct vm_map kernel_map_store, kmem_map_store, exec_map_store, phys_map_store;

/* What the submap would like, or that part of a small kernel_map. */
static vsize_t
at_most(vsize_t size, vsize_t part)
{
	return round_page(size < part ? size : part);
}

static struct vm_map *
standard_submap(struct vm_map *store, vsize_t size, int flags, const char *name)
{
	vaddr_t min = 0, max;

	if (uvm_km_suballoc(kernel_map, &min, &max, size, flags, FALSE, store) == NULL)
		panic(
		    "uvm_init: no room for %s in %llu bytes of kernel_map, or no page-table pages left",
		    name, (unsigned long long)(vm_map_max(kernel_map) - vm_map_min(kernel_map)));
	store->name = name;
	return store;
}

void
uvm_init(const struct bed_bootinfo *boot)
{
	int guard = boot->flags & BED_BOOT_GUARDPAGES ? VM_MAP_GUARDPAGES : 0;
	vsize_t kmem = ptoa(uvmexp.npages) / 4;

	if (uvm_obj_init(&uvm_kernel_object, boot->kva_size, UVM_OBJ_KERN) != 0)
		panic("uvm_init: no memory for the kernel object of %llu bytes",
		    (unsigned long long)boot->kva_size);
	uvm_map_setup(&kernel_map_store, pmap_kernel(), VM_MIN_KERNEL_ADDRESS,
	    VM_MIN_KERNEL_ADDRESS + boot->kva_size, VM_MAP_PAGEABLE | guard, UVM_ADDR_BESTFIT,
	    "kernel_map");
	kernel_map = &kernel_map_store;

	kmem = at_most(kmem < KMEM_MAP_MAX ? kmem : KMEM_MAP_MAX, boot->kva_size / 4);
	kmem_map = standard_submap(&kmem_map_store, kmem, VM_MAP_INTRSAFE | guard, "kmem_map");
	/* Nothing is in it yet, so it may still choose. */
	uvm_addr_init(&kmem_map->addr, &kmem_map->header, vm_map_min(kmem_map),
	    vm_map_max(kmem_map), UVM_ADDR_BESTFIT);
	exec_map = standard_submap(&exec_map_store, at_most(EXEC_MAP_SIZE, boot->kva_size / 8),
	    VM_MAP_PAGEABLE, "exec_map");
	phys_map = standard_submap(
	    &phys_map_store, at_most(PHYS_MAP_SIZE, boot->kva_size / 16), 0, "phys_map");
	km_alloc_init(boot);
}
