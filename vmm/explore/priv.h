/* SPDX-License-Identifier: ISC */
/*
 * Inside vmm/explore/: one run of a program.
 */
#ifndef VMM_EXPLORE_PRIV_H
#define VMM_EXPLORE_PRIV_H

#include <stdio.h>

#include "shared/layout.h"
#include "shared/paging.h"
#include "vmm/bed/call.h"
#include "vmm/check/check.h"
#include "vmm/explore/explore.h"
#include "vmm/tlbsan/bed.h"

#define PAGE      BED_PAGE_SIZE
/* Calls asleep at a time: as many as a CPU has slots; operations that make something stop earlier. */
#define XPENDING  BED_SLOTS
#define XASLEEP   8
#define XASLEEP_F 12 /* and those that free */
#define XNO_NAME  0  /* names of results count from 1 */

/* A value for a call: itself, or what an earlier call returned plus an offset. */
struct xvalue {
	uint64_t value;
	unsigned name;
	uint64_t offset;
};
#define XV(v)           ((struct xvalue){ .value = (v) })
#define XREF(n, v, off) ((struct xvalue){ .value = (v) + (off), .name = (n), .offset = (off) })

enum xslot_kind {
	XSLOT_EMPTY,
	XSLOT_PENDING, /* the call that makes it is asleep */
	XSLOT_KM,      /* for uvm_km_free */
	XSLOT_MODES,   /* for km_free, with kv and kp */
	XSLOT_MAP,     /* for uvm_unmap */
};

struct xslot {
	uint8_t kind; /* enum xslot_kind */
	uint8_t next; /* PENDING: the kind it will be */
	uint8_t kv, kp;
	bool bare;     /* addresses that nothing may be faulted into: for pmap_kenter_pa */
	bool mapped;   /* all of it, as long as it lives */
	bool pageable; /* a fault there is no panic: its map takes faults */
	unsigned name;
	uint64_t base, offset; /* the result, and where in it the slot begins */
	uint64_t size;         /* bytes as asked for */
	uint64_t map;
	unsigned map_name;
	unsigned pending;
};

struct xpage {
	uint64_t pa, va; /* 0: none; not entered */
	unsigned name;
	uint8_t slot; /* it is entered in */
};

struct xsubmap {
	uint64_t handle; /* 0: none */
	unsigned name, used;
};

struct xpending {
	bool busy;
	struct bed_result result;
};

struct xlab {
	struct xlab_config cfg;
	struct bed *bed;
	struct check *check; /* XCHECK_CALLS */
	struct tlbsan *san;
	struct audit *audit; /* XCHECK_INVARIANTS */
	struct snapshot snap;
	bool used; /* since the last fresh start */

	/* Of the run. */
	struct xslot slot[XSLOTS];
	struct xpage page[XPAGES];
	struct xsubmap submap[XSUBMAPS];
	struct xpending pending[XPENDING];
	unsigned names, npending, latest; /* latest: of pending[], the call that fell asleep last */
	bool over;                        /* the program ends here */
	uint64_t freed;                   /* an address that was freed not long ago */
	struct xresult *result;
	struct bed_err *err;
	FILE *out; /* the trace; NULL: not recorded */
	char *text;
	size_t text_len;
};

/* run.c: write down, call, check. name: gets the name of the result, or NULL if nothing will refer to it. */
bool xcall(struct xlab *, enum bed_call_id, const struct xvalue *args, unsigned nargs,
    unsigned *name, struct bed_result *);
/* The same for a call that makes slot s what it will be, now or when it returns. */
bool xmake(struct xlab *, struct xslot *, enum xslot_kind, enum bed_call_id,
    const struct xvalue *args, unsigned nargs);

/* ops.c, ops_map.c: one function an operation; false: a finding. */
typedef bool xop_fn(struct xlab *, const struct xop *);
#define X(name, text) xop_fn xop_##name;
XOPS(X)
#undef X
/* Give back what the slot holds. */
bool xslot_free(struct xlab *, struct xslot *, bool wake);

static inline uint64_t
xpages(uint64_t bytes)
{
	return (bytes + BED_PAGE_MASK) >> BED_PAGE_SHIFT;
}

/* A fault in a map that takes none is a panic, and rightly so: programs leave such addresses alone. */
static inline bool
xslot_may_touch(const struct xslot *s)
{
	return s->kind > XSLOT_PENDING && (s->mapped || s->pageable);
}

static inline bool
xslot_live(const struct xslot *s)
{
	return s->kind > XSLOT_PENDING;
}

#endif
