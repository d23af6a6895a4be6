/* SPDX-License-Identifier: ISC */
/*
 * calls.def made into C: the ids, and for each call how many arguments of which kind. The guest's
 * dispatcher (guest/calls.c), the typed stubs (vmm/bed/stubs.h), the names in logs and the verbs of
 * traces all come from the same rows.
 */
#ifndef SHARED_CALLS_H
#define SHARED_CALLS_H

#include "types.h"

enum bed_kind {
	A_NONE = 0,
	A_MAP, /* map handle: enum bed_map, or the handle uvm_km_suballoc returned */
	A_VA,
	A_PA,
	A_SIZE,
	A_PAGES,
	A_INT,
	A_FLAGS,
	A_PROT,
	A_VAL,
	A_KV, /* km_alloc(9) modes: enum bed_modes */
	A_KP,
	A_KD,
	R_VOID,
	R_VA,
	R_PA,
	R_ERR,
	R_INT,
	R_VAL,
};

#define BED_MAPS_MAX 64 /* handles are below */

/* Map handles known from boot: constant, name in the guest, handle. */
#define BED_MAPS(X) \
	X(KERNEL, kernel_map, 0) X(KMEM, kmem_map, 1) X(EXEC, exec_map, 2) X(PHYS, phys_map, 3)

enum bed_map {
#define X(upper, name, handle) BED_MAP_##upper = handle,
	BED_MAPS(X)
#undef X
};

/* Modes of km_alloc(9) in the order of their handles; the constants are kv_any, kp_dirty, ... in the guest. */
#define BED_KV_MODES(X) X(any) X(intrsafe) X(page) X(exec)
#define BED_KP_MODES(X) X(dirty) X(zero) X(dma) X(dma_contig) X(dma_zero) X(pageable) X(none)
#define BED_KD_MODES(X) X(waitok) X(nowait) X(trylock)

enum bed_modes {
#define X(name) BED_KV_##name,
	BED_KV_MODES(X) BED_KV_LIMIT,
#undef X
#define X(name) BED_KP_##name,
	BED_KP_first = -1,
	BED_KP_MODES(X) BED_KP_LIMIT,
#undef X
#define X(name) BED_KD_##name,
	BED_KD_first = -1,
	BED_KD_MODES(X) BED_KD_LIMIT,
#undef X
};

/*
 * Words for A_FLAGS arguments, by value: UVM_KMF_* of uvm_km_kmemalloc(), UVM_FLAG_* of uvm_map(),
 * VM_MAP_* of uvm_km_suballoc(), PMAP_* of pmap_enter(). One word means one set; their bits overlap.
 */
#define BED_FLAG_WORDS(X)    \
	X(nowait, 0x1)       \
	X(valloc, 0x2)       \
	X(canfail, 0x4)      \
	X(zero, 0x8)         \
	X(trylock, 0x100000) \
	X(fixed, 0x10000)    \
	X(nomerge, 0x40000)  \
	X(hole, 0x200000)    \
	X(query, 0x400000)   \
	X(nofault, 0x800000) \
	X(unmap, 0x1000000)  \
	X(pageable, 0x1)     \
	X(intrsafe, 0x2)     \
	X(guardpages, 0x20)  \
	X(wired, 0x10)       \
	X(pmcanfail, 0x20)

/* Workloads of work_setup: address space alone up to BED_WORK_KM, with pages from there. */
enum bed_work {
	BED_WORK_PAIR = 0,    /* one allocation and its free, beside what is live */
	BED_WORK_RANDOM = 1,  /* free a random one, make another */
	BED_WORK_FIFO = 2,    /* free the oldest, make another */
	BED_WORK_KM = 3,      /* uvm_km_alloc and uvm_km_free, beside what is live */
	BED_WORK_VALLOC = 4,  /* uvm_km_valloc, one touch, uvm_km_free, beside what is live */
	BED_WORK_KM_PAGE = 5, /* km_alloc(kv_page, kp_dirty) and km_free */
	BED_WORK_LIMIT = 6,
};

/* PROT_* as every Unix has them; guest and host must agree. */
#define BED_PROT_NONE  0
#define BED_PROT_READ  1
#define BED_PROT_WRITE 2
#define BED_PROT_EXEC  4

/* BSD errno values a call may return. */
#define BED_ENOMEM 12
#define BED_EACCES 13
#define BED_EFAULT 14
#define BED_EINVAL 22

/*
 * Rows: define BED_ROW(id, name, result, nargs, text, kind1, name1, ...)
 * and include calls_rows.h to get one expansion a call.
 */
enum bed_call_id {
	BED_CALL_NONE = 0,
#define BED_ROW(id, name, result, nargs, text, ...) BED_CALL_##name = id,
#include "calls_rows.h"
#undef BED_ROW
	BED_CALL_LIMIT = 128, /* all ids are below */
};

#endif
