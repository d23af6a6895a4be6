/* SPDX-License-Identifier: ISC */
/*
 * What the tests of properties share: every kind of map behind one description, so that a test is written
 * once and runs on all of them; everything that must be as it was before; and an oracle over the events of
 * an operation.
 */
#ifndef TESTS_TWIN_PROP_H
#define TESTS_TWIN_PROP_H

#include "guest/uvm/uvm_map.h"
#include "guest/uvm/uvm_object.h"
#include "tests/twin/check.h"

#define KO   (&uvm_kernel_object)
#define P(n) ((vsize_t)(n) << 12)

/* As in tests/properties.list; the last two are made by the test and count as "submap" there. */
enum prop_kind {
	PROP_KERNEL_MAP,
	PROP_KMEM_MAP,
	PROP_EXEC_MAP,
	PROP_PHYS_MAP,
	PROP_SUBMAP,   /* pageable, on storage of its own */
	PROP_NESTED,   /* three deep */
	PROP_INTRSAFE, /* a caller's, as kmem_map */
	PROP_UNPAGED,  /* a caller's, as phys_map */
	PROP_KINDS
};

struct prop_map {
	enum prop_kind kind;
	const char *name;
	struct vm_map *map, *parent; /* parent: NULL for kernel_map */
	bool intrsafe;               /* pages of no object */
	bool pageable;               /* a touch may bring a page */
	bool best;                   /* best fit, else first fit */
	bool guarded;
};

/*
 * Boots 16 MiB with 64 MiB of kernel_map and, for the kinds that need it, makes the map. Misuse is counted.
 * flags: of twin_boot(); BED_BOOT_GUARDPAGES guards the caller's maps, too.
 */
struct prop_map prop_boot(enum prop_kind, uint32_t flags);

/* for each kind: boot, then the body with `m`. */
#define FOR_EACH_MAP(m, flags)                                                                 \
	for (volatile unsigned kind_ = 0; kind_ < PROP_KINDS; kind_++)                         \
		for (struct prop_map m = prop_boot((enum prop_kind)kind_, flags), *once_ = &m; \
		     once_ != NULL; once_ = NULL)

/* Memory at once, by whatever call this kind of map allows; 0: none. Never sleeps. */
vaddr_t prop_alloc(const struct prop_map *, vsize_t size);
vaddr_t prop_zalloc(const struct prop_map *, vsize_t size);
/* Addresses alone: a touch brings a page if the map is pageable and not INTRSAFE. */
vaddr_t prop_addresses(const struct prop_map *, vsize_t size, vsize_t align);
void prop_free(const struct prop_map *, vaddr_t va, vsize_t size);
/* What uvm_map() is given so that the entry is as prop_alloc()'s. */
int prop_map_at(const struct prop_map *, vaddr_t *va, vsize_t size, unsigned flags);

/* A guest access that must work. */
uint64_t prop_load(vaddr_t);
void prop_store(vaddr_t, uint64_t);
/* It faults, for good; the error code. */
uint64_t prop_fault(vaddr_t, bool write);

/* Attributes of a leaf of prop_alloc(), A and D left out. */
uint64_t prop_leaf(const struct prop_map *);

#define PROP_MAPS 16
struct prop_state {
	uint64_t free; /* pages that keep books count as free */
	uint64_t npages, resident, wired, pm_wired, ptps;
	uint64_t misuse;
	struct {
		struct vm_map *map;
		uint64_t entries;
		vsize_t size, largest;
	} map[PROP_MAPS]; /* kernel_map and everything in it */
};
struct prop_state prop_state(void);
/* All of it but ptps, which only grows. */
void prop_same(const struct prop_state *, const char *when);
/* And no table was made either. */
void prop_unchanged(const struct prop_state *, const char *when);

/*
 * Every map: the ring tiles it, sizes and counts add up, the index finds every entry and knows every
 * hole, submaps cover exactly their entry. Every leaf: memory the allocator was given, in use, mapped
 * once, with the owner and the bits its map's kind has. And check_pmap() and check_free().
 */
void prop_check(const char *when);
void prop_check_map(struct vm_map *, const char *when);

/* Take pages until `left` are free, untouched; and give them back. */
struct vm_page *prop_take_pages(uint64_t left);
void prop_give_pages(struct vm_page *);
/* All entries of the pool, for ever: from now on each must come from a new page. */
void prop_take_entries(void);

/*
 * Events from start to check, against a model of tables, translations and free pages: a page becomes free
 * only when no leaf maps it and no translation of it is left; no lock of a map is let go with a
 * translation left of anything in it, so no address can be handed out again; every invalidation had something
 * to invalidate; nothing is mapped that is free.
 */
void prop_events_start(void);
struct prop_work {
	uint64_t set, cleared, narrowed, invlpg, full, freed;
};
/* What is wrong with them, or NULL; prop_events_check() ends the test with it. */
const char *prop_events_find(struct prop_work *);
struct prop_work prop_events_check(const char *when);

#endif
