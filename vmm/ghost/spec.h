/* SPDX-License-Identifier: ISC */
/*
 * What the specification functions are written with. For vmm/ghost/ only.
 */
#ifndef VMM_GHOST_SPEC_H
#define VMM_GHOST_SPEC_H

#include "shared/paging.h"
#include "vmm/ghost/ghost.h"

/* Names of the contract (guest/uvm/uvm_extern.h), which is not included here: the guest's code is not ours. */
#define MAP_PAGEABLE 0x01
#define MAP_INTRSAFE 0x02
#define MAP_GUARDS   0x20
#define FLAG_FIXED   0x0010000u
#define FLAG_TRYLOCK 0x0100000u
#define FLAG_HOLE    0x0200000u
#define FLAG_QUERY   0x0400000u
#define FLAG_NOFAULT 0x0800000u
#define FLAG_UNMAP   0x1000000u
#define KMF_NOWAIT   0x1u
#define KMF_VALLOC   0x2u
#define KMF_CANFAIL  0x4u
#define KMF_ZERO     0x8u
#define PROT_RW      (BED_PROT_READ | BED_PROT_WRITE)
#define PROT_ALL     (PROT_RW | BED_PROT_EXEC)
#define INHERIT_NONE 2
#define ADV_RANDOM   1
#define ERR_EBUSY    16

typedef enum ghost_verdict spec_fn(struct ghost_step *);
/* One for each row of calls.def, in the spec_*.c: a row without one does not link. */
#define BED_ROW(id, name, result, nargs, text, ...) spec_fn spec_##name;
#include "shared/calls_rows.h"
#undef BED_ROW

enum ghost_verdict spec_refuse(struct ghost_step *, const char *fmt, ...)
    __attribute__((__format__(__printf__, 2, 3)));
enum ghost_verdict spec_unsaid(struct ghost_step *, const char *fmt, ...)
    __attribute__((__format__(__printf__, 2, 3)));
/* The call must have returned exactly this. */
enum ghost_verdict spec_returns(struct ghost_step *, uint64_t value);

static inline uint64_t
arg(const struct ghost_step *st, unsigned i)
{
	return st->call->arg[i];
}

/* The map an argument names, which is one: the dispatcher has looked. */
static inline struct ghost_map *
map_arg(const struct ghost_step *st, unsigned i)
{
	return &st->now->map[arg(st, i)];
}

static inline uint64_t
page_up(uint64_t x)
{
	return (x + BED_PAGE_MASK) & ~BED_PAGE_MASK;
}

static inline uint64_t
pages_of(uint64_t bytes)
{
	return bytes >> BED_PAGE_SHIFT;
}

static inline bool
in_kva(const struct ghost_step *st, uint64_t va)
{
	return va >= st->world->kva_min && va < st->world->kva_end;
}

/* A leaf of kernel_map with these rights and software bits; execution is denied by the tables above. */
static inline uint32_t
kernel_leaf(unsigned prot, uint32_t soft)
{
	return GHOST_LEAF(GHOST_LEAF_R | (prot & BED_PROT_WRITE ? GHOST_LEAF_W : 0), 1, 0, 1, 0) |
	       soft;
}

static inline struct ghost_what
plain_what(enum ghost_kind kind, unsigned maxprot)
{
	return (struct ghost_what){ .kind = (uint8_t)kind,
		.prot = PROT_RW,
		.maxprot = (uint8_t)maxprot,
		.inherit = INHERIT_NONE,
		.advice = ADV_RANDOM };
}

/* Page tables (spec_tables.c): can they reach up to `end`? Make them so. */
bool spec_can_grow(const struct ghost_step *, uint64_t end);
void spec_grow(struct ghost_step *, uint64_t end);
/* Without uvm_maxkaddr, as pmap_growkernel() does. */
bool spec_pmap_can_grow(const struct ghost_step *, uint64_t end);
void spec_pmap_grow(struct ghost_step *, uint64_t end);
/* The tables on the way to one address; false: the pool is short, and nothing was made. */
bool spec_make_path(struct ghost_step *, uint64_t va);

/* Pages (spec_pages.c). */
struct spec_frames {
	uint64_t low, high; /* frames, inclusive */
	uint64_t align;     /* frames, of each segment */
	uint64_t boundary;  /* frames no segment crosses a multiple of; 0: none */
	uint64_t nsegs;     /* at most; 0: any number */
};
#define ANY_FRAMES ((struct spec_frames){ .high = UINT64_MAX, .align = 1 })

uint64_t spec_free_pages(const struct ghost_step *);
/* Are there n free pages in such a place? */
bool spec_feasible(const struct ghost_step *, uint64_t n, const struct spec_frames *);
/*
 * Pages for [va, va + n pages): the ones that are seen mapped there, if they may be had. `soft`: software bits
 * of the leaves; object: they go into kernel_object. from: the frames held for it, or NULL: the free ones.
 */
enum ghost_verdict spec_take_pages(struct ghost_step *, uint64_t va, uint64_t n, unsigned prot,
    uint32_t soft, bool object, bool zero, const struct spec_frames *, struct ghost_runs *from);
/* n pages given by their frame; the caller has them. */
enum ghost_verdict spec_take_frames(
    struct ghost_step *, uint64_t frame, uint64_t n, bool zero, const struct spec_frames *);
/* The pages that a sleeping call must be holding: n that have left the free ones. */
enum ghost_verdict spec_hold_pages(struct ghost_step *, uint64_t n);
/* Frames become free; false: they are already, or no memory of the allocator's. */
bool spec_give_frames(struct ghost_step *, uint64_t frame, uint64_t n);
/*
 * Memory may be too short for the n pages of a request, or for the allocator's books: entries, index nodes,
 * nodes of the object. A specification that says to the page when would be the allocator.
 */
bool spec_may_lack(const struct ghost_step *, uint64_t n);

/* Faults (spec_access.c): what an access, 0 or a BSD error; FAULT_ASLEEP: it sleeps, FAULT_DIES: a panic. */
#define FAULT_ASLEEP (-1)
#define FAULT_DIES   (-2)
#define FAULT_WRONG  (-3) /* step->why says what */
int spec_fault(struct ghost_step *, unsigned map, uint64_t va, unsigned access, bool wire);

/* A request for addresses and what is behind them (spec_alloc.c). */
struct spec_request {
	unsigned map;
	uint64_t size, align; /* size rounded */
	struct ghost_what what;
	bool pages;  /* at once */
	bool object; /* into kernel_object; else unmanaged mappings */
	bool zero;
	bool wait_pages; /* sleeps for pages */
	bool wait_va;    /* sleeps for addresses */
	bool refers;     /* ... and holds a reference of the map meanwhile */
	bool
	    pages_first; /* holds its pages while it sleeps for addresses; else the other way round */
	bool trylock;
	uint64_t left; /* pages that stay free in any case */
	struct spec_frames frames;
};
enum ghost_verdict spec_request(struct ghost_step *, const struct spec_request *);

/*
 * Remove [start, end) of a map, in its extent, with no submap in it (spec_free.c); false: a page that is
 * freed was free already (step->why).
 */
bool spec_remove(struct ghost_step *, unsigned map, uint64_t start, uint64_t end);
/* The same for what is behind the addresses of kernel_object alone: the range stays. */
bool spec_empty(struct ghost_step *, uint64_t start, uint64_t end);
bool spec_has_submap(const struct ghost_map *, uint64_t start, uint64_t end);
bool spec_has_range(const struct ghost_map *, uint64_t start, uint64_t end);
/* A wrong free: counted, or the end of the guest. */
enum ghost_verdict spec_misuse(struct ghost_step *, uint64_t *counter, const char *what);

#endif
