/* SPDX-License-Identifier: ISC */
/*
 * A guest as an ELF core file: its memory once, seen at its physical addresses and at every virtual address
 * that the page tables map, and a thread for each vCPU and each guest thread that does not run. gdb reads it
 * with the guest's image as program; we read it back as a view.
 *
 *	segments  one for each part of RAM, virtual address = physical address, then one for each run of mappings;
 *	          they share the bytes in the file
 *	notes     CORE/NT_PRSTATUS for each thread, CORE/NT_PRPSINFO, UVMBED/1 (struct core_note)
 */
#ifndef VMM_BUNDLE_CORE_H
#define VMM_BUNDLE_CORE_H

#include "vmm/bundle/threads.h"
#include "vmm/view/snapshot.h"
#include "vmm/view/view.h"

#define CORE_NOTE_NAME "UVMBED"
#define CORE_NOTE_TYPE 1

/* What a walk needs and ELF has no place for. */
struct core_note {
	uint64_t magic;   /* CORE_MAGIC */
	uint32_t version; /* CORE_VERSION */
	uint32_t maxphyaddr, nx, pages_1g;
	uint64_t root;
	uint64_t cr0, cr3, cr4, efer; /* of vCPU 0 */
	char build_id[BED_ID_LEN];
};
#define CORE_MAGIC   UINT64_C(0x65726f6364656275) /* "ubedcore" */
#define CORE_VERSION 1

/* More mappings than an ELF header can count are left out; *left_out says how many runs. */
bool core_write(int fd, const struct bed *, const struct snapshot *, const struct stack *,
    unsigned nstack, size_t *left_out, struct bed_err *);

struct core {
	const uint8_t *map;
	size_t bytes;
	struct view_seg seg[16];
	struct view view;
	struct core_note note;
};

/* Every number in the file is checked. What is read through core->view lives until core_close(). */
bool core_open(struct core *, const char *path, struct bed_err *);
void core_close(struct core *);

#endif
