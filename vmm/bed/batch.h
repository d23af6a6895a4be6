/* SPDX-License-Identifier: ISC */
/*
 * Programs: many calls run by the guest without an exit between them. Built in host memory, copied to
 * the area of the vCPU that runs it (BED_PROG_BYTES), results copied back.
 *
 *	struct bed_prog *p = bed_prog_new(bed, &err);
 *	unsigned a = bed_prog_add(p, BED_CALL_uvm_km_alloc, (uint64_t[]){ BED_MAP_KERNEL, 8192 }, 2);
 *	unsigned f = bed_prog_add(p, BED_CALL_uvm_km_free, (uint64_t[]){ BED_MAP_KERNEL, 0, 8192 }, 3);
 *	bed_prog_use(p, f, 1, a);         // argument 1 of f is what a returns
 *	bed_prog_run(p, 1000, &done, &err);
 *	gva_t last = GVA(bed_prog_result(p, a)->result);
 */
#ifndef VMM_BED_BATCH_H
#define VMM_BED_BATCH_H

#include "shared/calls.h"
#include "shared/share.h"
#include "vmm/bed/bed.h"

#define BED_PROG_OPS (BED_PROG_BYTES / sizeof(struct bed_op))
#define BED_PROG_BAD UINT32_MAX

struct bed_prog;

struct bed_prog *bed_prog_new(struct bed *, struct bed_err *);
void bed_prog_free(struct bed_prog *); /* NULL is fine; before bed_destroy() or after, both work */
void bed_prog_clear(struct bed_prog *);

/*
 * Append an operation; its index, or BED_PROG_BAD if the program is full or a call or an argument
 * count is impossible: then the program is spoilt and bed_prog_run() says why.
 */
unsigned bed_prog_add(struct bed_prog *, enum bed_call_id, const uint64_t *args, unsigned nargs);
/* Argument arg of operation op is the result of the earlier operation `of`. */
void bed_prog_use(struct bed_prog *, unsigned op, unsigned arg, unsigned of);
/* Argument arg of operation op grows by `bytes` once references are resolved. One sum an operation. */
void bed_prog_plus(struct bed_prog *, unsigned op, unsigned arg, uint64_t bytes);
unsigned bed_prog_len(const struct bed_prog *);

/* Run it `repeat` times in one call. *done: operations executed, on failure too. */
bool bed_prog_run(struct bed_prog *, uint64_t repeat, uint64_t *done, struct bed_err *);

/*
 * The same in parts, on any vCPU: post one program a vCPU, bed_wait() runs all that are posted at the same
 * time, then finish each. A program that sleeps stays posted: finish it again when it was woken.
 */
bool bed_prog_post(struct bed_prog *, unsigned cpu, uint64_t repeat, struct bed_err *);
bool bed_prog_finish(struct bed_prog *, uint64_t *done, struct bed_err *);

/* An operation with the results of its last execution; NULL: no such operation. */
const struct bed_op *bed_prog_result(const struct bed_prog *, unsigned op);

#endif
