/* SPDX-License-Identifier: ISC */
/*
 * The twin as a machine under a bed: the whole guest kernel, its calls and its worker threads as well as
 * the allocator, as code of this process. It talks to the VMM through the same share area as the guest
 * and leaves to it by a change of stacks where the guest executes OUT. This header is the seam between
 * the two; vmm/twin/ is the other side.
 *
 * The guest's sources are compiled and linked apart (Makefile: twin-checked.o, twin-release.o), so that
 * of all their names only the two below are visible: two flavours of the machine can be in one program.
 * Each exists once a process: it is started anew, never twice at a time.
 *
 * Physical addresses and kernel_map addresses are those of a guest with the same boot information. The
 * direct map and the kernel's data are at host addresses; where a call names one, it is translated.
 */
#ifndef TWIN_ENGINE_H
#define TWIN_ENGINE_H

#include "shared/bootinfo.h"
#include "shared/share.h"

/* Pages of the image that the guest unmaps at boot: below its stacks. */
struct twin_guard {
	uint64_t va, stride;
	unsigned n;
};

/*
 * Frames that may have changed since n was 0: handed out by the allocator, taken for page tables, or
 * stored to through an address. Everything else the kernel writes is in frames that were in use before.
 */
struct twin_taken {
	uint32_t n;
	uint32_t *frame; /* room for all */
	uint64_t *seen;  /* a bit each; cleared by whoever sets n to 0 */
};

struct twin_start {
	uint8_t *ram; /* guest physical 0; first tables and boot information are in place */
	uint64_t ram_bytes;
	uint8_t
	    *stacks;  /* TWIN_STACKS of TWIN_STACK_STRIDE, each with its lowest page not mapped */
	void *shadow; /* zeroed: TWIN_SHADOW_BYTES for each entry of the page-table pool */
	struct twin_taken *taken;
	struct twin_guard guard[2];
};
#define TWIN_SHADOW_BYTES 16
#define TWIN_STACKS       32
#define TWIN_STACK_SIZE   UINT64_C(0x40000) /* sanitizers want room */
#define TWIN_STACK_STRIDE (TWIN_STACK_SIZE + 0x1000)

/* What the machine can be asked while it stands still. */
struct twin_machine {
	/* The guest kernel's writable data, page aligned; what it is before the first start is its image. */
	char *data_start, *data_end;
	const char *text_start, *text_end;

	/* Ready to begin at the guest's first C function. The data is as in its image. */
	void (*start)(const struct twin_start *);
	/* Run until it leaves: the value that the guest hands to the VMM. */
	uint32_t (*enter)(void);
	/*
	 * From a signal handler: is it this machine that was interrupted? Then leave in its place, with that
	 * value; it cannot be entered again.
	 */
	bool (*running)(void);
	void (*abandon)(uint32_t value) __attribute__((__noreturn__));
	/* va as the kernel's own tables have it now, by the machine's own walk. */
	bool (*translate)(uint64_t va, uint64_t *pa);

	/* For who saves and restores the machine: physical memory that is not for allocation, but written. */
	bool (*fixed)(unsigned i, uint64_t *start, uint64_t *end);
	/* The part of stack i that is in use. */
	void (*stack)(unsigned i, uint8_t **low, uint8_t **high);
	/* The TLB's age; memory, data and stacks have been put back, and nothing younger counts. */
	uint64_t (*age)(void);
	void (*restored)(uint64_t age);
};

extern const struct twin_machine twin_machine_checked, twin_machine_release;

#endif
