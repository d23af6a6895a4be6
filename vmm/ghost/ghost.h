/* SPDX-License-Identifier: ISC */
/*
 * The ghost: a small specification of every call in shared/calls.def, beside the allocator and sharing
 * nothing with it but the contract. It keeps an abstract state (which addresses of which map are what,
 * which page is behind them, which pages are free, which tables there are), and for each call says what
 * the state must be afterwards, to the address: placement is deterministic. Where the implementation may
 * choose (which pages), the choice is taken from what is seen, and checked to be one it may make.
 *
 * This header is the core. It needs no machine: a call record, the state before, the state seen. What reads
 * the state out of a guest is read.h, what does all of it after each call of a bed is watch.h.
 * docs/ghost.md says what is predicted, and what is left open.
 */
#ifndef VMM_GHOST_GHOST_H
#define VMM_GHOST_GHOST_H

#include "shared/calls.h"
#include "shared/share.h"
#include "vmm/ghost/runs.h"

/* What a range of a map is. */
enum ghost_kind {
	GHOST_FREE = 0,
	GHOST_GUARD,
	GHOST_BARE,     /* addresses, with no object */
	GHOST_OBJECT,   /* kernel_object behind it */
	GHOST_RESERVED, /* UVM_FLAG_HOLE */
	GHOST_SUBMAP,
};

struct ghost_what {
	uint8_t kind; /* enum ghost_kind */
	uint8_t prot, maxprot, inherit, advice;
	uint8_t nofault; /* UVM_FLAG_NOFAULT */
	uint8_t submap;  /* GHOST_SUBMAP: its handle */
	uint8_t zero;
	uint32_t wired; /* wire count */
};

/* [start, end) and, after it, bytes of guard. Neighbours may be alike: where entries end says nothing. */
struct ghost_range {
	uint64_t start, end, guard;
	struct ghost_what what;
	uint32_t made_by; /* number of the call; not read from a guest */
};

struct ghost_map {
	bool used; /* the handle names a map */
	bool best_fit;
	uint64_t min, max;
	int flags; /* VM_MAP_* but those of the lock */
	int refs;
	uint64_t wakeups;          /* uvm_km_free_wakeup() and its like */
	struct ghost_range *range; /* ascending */
	size_t n, room;
};

/* Attributes of a leaf: rights as in view/pte.h, level, memory type, G, software bits. */
#define GHOST_LEAF(rights, level, memtype, global, soft)                          \
	((uint32_t)(rights) | (uint32_t)(level) << 4 | (uint32_t)(memtype) << 8 | \
	    (uint32_t)(global) << 12 | (uint32_t)(soft) << 16)
#define GHOST_LEAF_R       0x1u
#define GHOST_LEAF_W       0x2u
#define GHOST_LEAF_X       0x4u
#define GHOST_LEAF_WIRED   (1u << 16)
#define GHOST_LEAF_MANAGED (2u << 16)

#define GHOST_COUNTS(X)                                     \
	X(maxkaddr, "uvm_maxkaddr")                         \
	X(pm_end, "pm_end, the end of the kernel's tables") \
	X(pool, "table pages left in the pool")             \
	X(npages, "uvmexp.npages")                          \
	X(wired, "uvmexp.wired")                            \
	X(faults, "uvmexp.faults")                          \
	X(pm_refs, "references of the kernel pmap")         \
	X(free_unmapped, "uvm_misuse.free_unmapped")        \
	X(free_submap, "uvm_misuse.free_submap")            \
	X(free_wraps, "uvm_misuse.free_wraps")

#define GHOST_LEVELS 3 /* levels of tables: 1 .. 3, by what they translate */

struct ghost_state {
	struct ghost_map map[BED_MAPS_MAX];
	struct ghost_runs leaf;   /* every address that is mapped, anywhere */
	struct ghost_runs object; /* pages of kernel_object, at their addresses; attr: wire count */
	struct ghost_runs free;   /* frames */
	struct ghost_runs
	    given; /* frames given to callers without a mapping; not read from a guest */
	struct ghost_runs
	    table[GHOST_LEVELS]; /* by number of table: address / what one translates */
	uint64_t kernpages;      /* pages the allocator uses for its own books: its choice */
#define X(name, text) uint64_t name;
	GHOST_COUNTS(X)
#undef X
};

void ghost_state_free(struct ghost_state *);
/* Reuses the memory `to` has; false: out of memory. */
bool ghost_state_copy(struct ghost_state *to, const struct ghost_state *from);
/* Some list ran out of memory. */
bool ghost_state_lost(const struct ghost_state *);

/* The parts of a map's state; in state.c. Out of memory: leaf.oom of the state is set. */
void ghost_map_push(struct ghost_state *, unsigned handle, struct ghost_range);
void ghost_map_insert(struct ghost_state *, unsigned handle, struct ghost_range);
/* Addresses [start, end) become free; a guard goes with the end of its range. */
void ghost_map_remove(struct ghost_state *, unsigned handle, uint64_t start, uint64_t end);
/* So that a range starts at va, if any is there. */
void ghost_map_split(struct ghost_state *, unsigned handle, uint64_t va);
/* The first range that ends above va; map->n: none. */
size_t ghost_map_above(const struct ghost_map *, uint64_t va);
/* The range va lies in, or NULL. */
const struct ghost_range *ghost_map_at(const struct ghost_map *, uint64_t va);

/* Placement by the rule, looking at every hole: 0: none fits. n bytes with guard: what is charged. */
uint64_t ghost_place(const struct ghost_map *, uint64_t size, uint64_t align, uint64_t *guard);
uint64_t ghost_largest_hole(const struct ghost_map *);

/* What does not change while a machine runs. */
struct ghost_world {
	uint64_t kva_min, kva_end;
	uint64_t direct_min, direct_end; /* the direct map */
	uint64_t dma_high;               /* inclusive */
	uint64_t reserve;                /* uvmexp.reserve_pagedaemon: pages nobody gets */
	bool misuse_panics;              /* a wrong free ends the guest */
	struct ghost_runs managed;       /* frames with a vm_page */
};

/* Contents of memory, now. A field may be NULL: contents are not looked at then. */
struct ghost_memory {
	void *arg;
	bool (*word)(void *arg, uint64_t pa, uint64_t *value); /* 8 bytes at any address */
	/* All of the frame is zero but the bytes [from, to). */
	bool (*zero)(void *arg, uint64_t frame, unsigned from, unsigned to);
};

/* One call, as it came back. */
struct ghost_call {
	enum bed_call_id id;
	uint64_t arg[BED_ARGS_MAX];
	bool asleep;
	const char *wmesg; /* asleep: on what */
	uint64_t value, value2;
	uint32_t number; /* for reports: the how-manyeth call it is */
};

/* A call that was asleep: what it has taken so far. */
struct ghost_sleep {
	bool taken_up;          /* the specification knows what it holds */
	bool in_fault;          /* it sleeps in a fault, which has been counted */
	bool unknown;           /* something inconclusive happened meanwhile */
	uint64_t wakeups;       /* of the map it waits for addresses of, when it last found none */
	uint64_t va, size;      /* addresses it has; 0: none */
	uint64_t fault_va;      /* in_fault: the page it waits for */
	struct ghost_runs held; /* frames it has */
};

enum ghost_verdict {
	GHOST_OK,
	GHOST_VIOLATION,
	GHOST_INCONCLUSIVE, /* the specification does not say */
};

#define GHOST_WHY 1500

/*
 * One step: put the call to the specification. `now` is the state before and becomes the state that must be;
 * `seen` is the state after, of which the choices are taken. `sleep`: the call begins asleep, or was asleep
 * and goes on (resumed). Anything but GHOST_OK: `why` says why.
 */
struct ghost_step {
	const struct ghost_world *world;
	const struct ghost_memory *memory;
	struct ghost_state *now;
	const struct ghost_state *seen;
	const struct ghost_call *call;
	struct ghost_sleep *sleep;
	bool resumed;
	bool others_asleep; /* some other call sleeps, maybe with a lock */
	bool fresh;         /* the last fault brought a new page; the specification's own */
	char why[GHOST_WHY];
};
enum ghost_verdict ghost_apply(struct ghost_step *);

/*
 * May a call that is asleep still be? It slept before some other call that has come back. False, with
 * step->why: it should have been woken.
 */
bool ghost_may_sleep_on(struct ghost_step *);

/*
 * The three-way comparison: what is seen is what must be. Pages for the allocator's books may have come and
 * gone, as many as kernpages says, up to a few for each of `calls`. The text names what differs: before,
 * expected, actual.
 */
bool ghost_compare(const struct ghost_state *before, const struct ghost_state *expected,
    const struct ghost_state *seen, unsigned calls, char *why, size_t size);
/* Nothing may have changed at all. */
bool ghost_same(
    const struct ghost_state *last, const struct ghost_state *seen, char *why, size_t size);

/* Whose an address is: "kernel_map: object rw-/rwx ..., made by call 7". */
void ghost_owner(const struct ghost_state *, uint64_t va, char *owner, size_t size);

const char *ghost_kind_name(unsigned kind);

#endif
