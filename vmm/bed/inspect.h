/* SPDX-License-Identifier: ISC */
/*
 * Looking into the guest kernel from outside: its symbols, its virtual memory, its maps. Everything is
 * read through the page tables as they are now, and nothing that is read is believed: an address that
 * leads nowhere is a false, never a crash.
 */
#ifndef VMM_BED_INSPECT_H
#define VMM_BED_INSPECT_H

#include "vmm/bed/bed.h"
#include "vmm/kvm/hv.h"

/* Address of a symbol of the guest image; false: there is none of that name. */
bool bed_symbol(const struct bed *, const char *name, gva_t *);

/* len bytes at a guest virtual address; false: not all of it is mapped. */
bool bed_read(const struct bed *, gva_t, void *buf, size_t len);

/* The CPU's registers as the guest last left; false: they are those of a CPU that was reset. */
bool bed_regs(const struct bed *, struct hv_regs *);

/* Extent of the map a handle names (shared/calls.h); false: it names none. */
struct bed_extent {
	uint64_t min, max;
	int flags;     /* VM_MAP_* of guest/uvm/uvm_extern.h */
	uint64_t size; /* bytes in use */
};
bool bed_map_extent(struct bed *, uint64_t handle, struct bed_extent *);

#endif
