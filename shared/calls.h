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
	R_VOID,
	R_VA,
	R_PA,
	R_ERR,
	R_INT,
	R_VAL,
};

/* Map handles known from boot: constant, name in the guest, handle. */
#define BED_MAPS(X) X(KERNEL, kernel_map, 0)

enum bed_map {
#define X(upper, name, handle) BED_MAP_##upper = handle,
	BED_MAPS(X)
#undef X
};

/*
 * Words for A_FLAGS arguments: uvm_km_kmemalloc's UVM_KMF_* and pmap_enter's PMAP_* by value. The two
 * sets overlap in no word, so a trace can use both.
 */
#define BED_FLAG_WORDS(X) \
	X(wired, 0x10) \
	X(pmcanfail, 0x20)

/* The modes of km_alloc(9); a call names one by its place here, from 0. */
#define BED_KV_MODES(X) X(any) X(intrsafe) X(page) X(exec)
#define BED_KP_MODES(X) X(dirty) X(zero) X(dma) X(dma_contig) X(dma_zero) X(pageable) X(none)
#define BED_KD_MODES(X) X(waitok) X(nowait) X(trylock)

#define X(name) BED_KV_##name,
enum bed_kv { BED_KV_MODES(X) BED_KV_LIMIT };
#undef X
#define X(name) BED_KP_##name,
enum bed_kp { BED_KP_MODES(X) BED_KP_LIMIT };
#undef X
#define X(name) BED_KD_##name,
enum bed_kd { BED_KD_MODES(X) BED_KD_LIMIT };
#undef X

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
