/* SPDX-License-Identifier: ISC */
/*
 * km_alloc(9): kernel memory by three modes that say where the addresses come from, where the pages come
 * from, and what may be waited for. Names and meaning of OpenBSD in December 2019, on a machine with a
 * direct map.
 *
 *	void *p = km_alloc(sz, &kv_any, &kp_zero, &kd_waitok);
 *	km_free(p, sz, &kv_any, &kp_zero);
 *
 * Memory that is one physical segment anyway (kv_singlepage, or kp_maxseg 1) is returned by its direct
 * map address: no map, no entry, no page-table entry, no invalidation. Everything else gets addresses of
 * *kv_map: unmanaged mappings of its pages, all there on return; kp_pageable: pages of kp_object, at the
 * first touch; kp_nomem: no pages, the caller enters its own mappings and removes them before the free.
 *
 * Refused: NULL, nothing changed, in every flavour (there: assertions, where anything)
 *	sz that is 0, no multiple of PAGE_SIZE, or more than the map
 *	kv_singlepage with sz other than PAGE_SIZE
 *	kv_singlepage with kp_nomem or kp_pageable
 *	no kv_map where addresses are needed
 *	kp_pageable without kp_object, in an INTRSAFE map, or with kp_nomem
 *	kp_object without kp_pageable, or with a kd_prefer: its offset follows from the address
 *	an alignment that is no power of two, a boundary that the size and kp_maxseg cannot keep
 */
#ifndef KM_ALLOC_H
#define KM_ALLOC_H

#include <machine/param.h>

#include "uvm_extern.h"

struct bed_bootinfo;

/* Physical addresses, in bytes, both inclusive. */
struct uvm_constraint_range {
	paddr_t ucr_low;
	paddr_t ucr_high;
};
extern struct uvm_constraint_range dma_constraint; /* from boot->dma_high */
extern struct uvm_constraint_range no_constraint;

/* Virtual addresses. */
struct kmem_va_mode {
	struct vm_map **kv_map;
	vsize_t kv_align;   /* 0, or a power of two; of the direct map address too */
	char kv_wait;       /* with kd_waitok: sleep for addresses; km_free wakes such sleepers */
	char kv_singlepage; /* always one page */
};

/* Physical pages. */
struct kmem_pa_mode {
	struct uvm_constraint_range *kp_constraint;
	struct uvm_object **kp_object; /* with kp_pageable: whose pages */
	paddr_t kp_align;              /* of each segment; 0, or a power of two */
	paddr_t kp_boundary;           /* no segment crosses a multiple of it; 0: none */
	int kp_maxseg;                 /* 0: any number of segments */
	char kp_nomem;                 /* addresses only */
	char kp_zero;
	char kp_pageable;
};

/* This one call. */
struct kmem_dyn_mode {
	voff_t kd_prefer; /* UVM_UNKNOWN_OFFSET, or a hint about cache colour: not used here */
	int *kd_slowdown; /* not NULL: set to 1 when free memory is below uvmexp.freemin */
	char kd_waitok;   /* sleep for pages, and with kv_wait for addresses */
	char kd_trylock;  /* NULL rather than wait for the map lock; never sleeps for addresses */
};

extern const struct kmem_va_mode kv_any;      /* kernel_map */
extern const struct kmem_va_mode kv_intrsafe; /* kmem_map: usable from interrupts */
extern const struct kmem_va_mode kv_page;     /* one page, direct map */
extern const struct kmem_va_mode kv_exec;     /* exec_map, waits */

extern const struct kmem_pa_mode kp_dirty;      /* contents unknown */
extern const struct kmem_pa_mode kp_zero;       /* contents zero */
extern const struct kmem_pa_mode kp_dma;        /* in dma_constraint */
extern const struct kmem_pa_mode kp_dma_contig; /* ... and in one segment */
extern const struct kmem_pa_mode kp_dma_zero;   /* ... and zero */
extern const struct kmem_pa_mode kp_pageable;   /* kernel_object, at the first touch, zero */
extern const struct kmem_pa_mode kp_none;       /* none */

extern const struct kmem_dyn_mode kd_waitok;
extern const struct kmem_dyn_mode kd_nowait;
extern const struct kmem_dyn_mode kd_trylock; /* does not wait for pages either */

/* At the end of uvm_init(). */
void km_alloc_init(const struct bed_bootinfo *);

/*
 * NULL: refused, or no memory or addresses, where waiting was not allowed or could never help. Then
 * nothing is left of the attempt. The page daemon never waits. While it sleeps for addresses it keeps
 * its pages.
 */
void *km_alloc(size_t sz, const struct kmem_va_mode *, const struct kmem_pa_mode *,
    const struct kmem_dyn_mode *);

/*
 * Give back [v, v + sz), or a part of it, page aligned, with the modes it was allocated with. A range that
 * these modes cannot have made is misuse (uvm_extern.h) and has no effect; for a direct map address it is a
 * panic.
 */
void km_free(void *v, size_t sz, const struct kmem_va_mode *, const struct kmem_pa_mode *);

#endif
