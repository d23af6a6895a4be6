/* SPDX-License-Identifier: ISC */
/*
 * The twin (guest/twin/engine.h) below a bed: memory that it shares with the process, a CPU that is code
 * of the process, and what can go wrong with that turned into exits. For vmm/bed/; everybody else says
 * BED_ENGINE_TWIN in the configuration of a bed and notices nothing.
 *
 * A process has one twin of each flavour. While a bed has it, a second bed of that flavour is refused.
 */
#ifndef VMM_TWIN_TWIN_H
#define VMM_TWIN_TWIN_H

#include "shared/abi.h"
#include "shared/bootinfo.h"
#include "vmm/bed/image.h"
#include "vmm/bed/memory.h"
#include "vmm/kvm/hv.h"

struct twin;

/* What tables_build() and the boot information want to know of a CPU. */
extern const struct hv_features twin_features;

/*
 * Take the twin of that flavour for this memory: its data becomes part of it, at the image's own writable
 * pages. First tables and boot information must be there. NULL: err says why.
 */
struct twin *twin_create(enum bed_flavour, const struct memory *, const struct image *,
    const struct bed_bootinfo *, struct hv_vm **, struct hv_cpu **, struct bed_err *);
/* Before the memory goes. NULL is fine. */
void twin_destroy(struct twin *);

/* Host address of a symbol of the twin's data, by the program's own symbol table. */
bool twin_symbol(const struct twin *, const char *name, uint64_t *addr);

/* The twin's writable data: host addresses [start, end) are physical memory from pa on. Its code. */
struct twin_data {
	uint64_t start, end, pa;
	uint64_t text, text_end;
};
struct twin_data twin_data(const struct twin *);
/* 8 bytes at a host address of its stacks or its data, for backtraces. */
bool twin_read(const struct twin *, uint64_t va, uint64_t *word);

/*
 * Remember the machine as it is, between two calls, and go back to that: memory, data, stacks. What the
 * host has written to memory in between stays, unless it was in pages that the machine had in use.
 */
bool twin_save(struct twin *, struct bed_err *);
bool twin_restore(struct twin *, struct bed_err *); /* false: nothing was saved */
/* After twin_restore(): the physical address of the first byte that is not as it was, or UINT64_MAX. */
uint64_t twin_differs(const struct twin *);

#endif
