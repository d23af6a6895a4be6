/* SPDX-License-Identifier: ISC */
/*
 * Looking into the guest kernel from outside: its symbols, its virtual memory, its maps. Everything is
 * read through the page tables as they are now, and nothing that is read is believed: an address that
 * leads nowhere is a false, never a crash.
 */
#ifndef VMM_BED_INSPECT_H
#define VMM_BED_INSPECT_H

#include "vmm/bed/bed.h"
#include "vmm/bed/symbols.h"
#include "vmm/kvm/hv.h"

/* Address of a symbol of the guest image; false: there is none of that name. */
bool bed_symbol(const struct bed *, const char *name, gva_t *);

/* Names and lines of the bed's image, to be closed by the caller; NULL: none (symbols.h takes that). */
struct symbols *bed_symbols(const struct bed *);

/* len bytes at a guest virtual address; false: not all of it is mapped. */
bool bed_read(const struct bed *, gva_t, void *buf, size_t len);

/* 8 bytes of it; a symbols_read with the bed as its argument. */
bool bed_read_word(void *bed, uint64_t va, uint64_t *word);

/* The CPU's registers as the guest last left; false: they are those of a CPU that was reset. */
bool bed_regs(const struct bed *, struct hv_regs *);

/* All vCPUs of a bed that is at rest, or dead. */
struct bed_cpu_look {
	struct hv_regs regs;
	bool reset;  /* it was reset: regs are those of its last entry */
	bool asleep; /* in HLT */
};
void bed_cpus_look(struct bed *, struct bed_cpu_look out[BED_CPU_MAX]);

/* The image as it was mapped when the bed was made. */
const void *bed_image(const struct bed *, size_t *bytes);

/*
 * Which memory was ever touched: the first stretch at or behind `offset` that may hold anything but zeros, as
 * offsets in RAM without its hole. False: none is left.
 */
bool bed_ram_data(const struct bed *, uint64_t offset, uint64_t *start, uint64_t *end);

/* Extent of the map a handle names (shared/calls.h); false: it names none. */
struct bed_extent {
	uint64_t min, max;
	int flags;     /* VM_MAP_* of guest/uvm/uvm_extern.h */
	uint64_t size; /* bytes in use */
};
bool bed_map_extent(struct bed *, uint64_t handle, struct bed_extent *);

#endif
