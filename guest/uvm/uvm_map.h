/* SPDX-License-Identifier: ISC */
/*
 * Maps: which ranges of kernel virtual address space are in use, by what. The host reads these
 * structures through this header, so they are plain LP64 data.
 *
 * A map covers [min_offset, max_offset). Its entries are a ring in address order closed by
 * `header`, an entry of length zero at min_offset. An entry describes, from its start upwards:
 *
 *	start          end              end + guard              next->start
 *	| used         | guard          | fspace: free           |
 *
 * so that entries alone tile the map: header.end + header.fspace is the first entry's start, and the
 * last hole ends at max_offset. Guard bytes belong to the entry before them: never mapped, never
 * handed out, gone with the entry.
 *
 * Free space is found through map->addr (uvm_addr.h). What an operation may need under the map lock
 * (entries, index nodes) is stocked in the map beforehand, so that nothing fails half way.
 */
#ifndef UVM_MAP_H
#define UVM_MAP_H

#include <machine/lock.h>
#include <machine/param.h>

#include "uvm_addr.h"
#include "uvm_extern.h"

struct pmap;
struct uvm_object;

/* vm_map_entry.etype */
#define UVM_ET_OBJ         0x0001 /* object.uvm_obj is valid */
#define UVM_ET_SUBMAP      0x0002 /* object.sub_map is valid */
#define UVM_ET_COPYONWRITE 0x0004 /* kept for the reader: kernel maps never set it */
#define UVM_ET_NEEDSCOPY   0x0008
#define UVM_ET_HOLE        0x0010 /* no backend and not counted in map->size */
#define UVM_ET_NOFAULT     0x0020 /* never faultable */
#define UVM_ET_NOMERGE     0x4000 /* ours: made with UVM_FLAG_NOMERGE, never joined to a neighbour */

#define UVM_ET_ISOBJ(e)    (((e)->etype & UVM_ET_OBJ) != 0)
#define UVM_ET_ISSUBMAP(e) (((e)->etype & UVM_ET_SUBMAP) != 0)
#define UVM_ET_ISHOLE(e)   (((e)->etype & UVM_ET_HOLE) != 0)

/* vm_map_entry.flags */
#define UVM_MAP_STATIC 0x01 /* from the static pool: never returned to the system */

union vm_map_object {
	struct uvm_object *uvm_obj;
	struct vm_map *sub_map;
};

struct vm_map_entry {
	vaddr_t start, end;
	vsize_t fspace; /* free bytes after the guard */
	struct vm_map_entry *next, *prev;
	union vm_map_object object; /* offset: start - VM_MIN_KERNEL_ADDRESS, whatever the map */
	union {
		struct {
			/* As in the flag word of uvm_map(). */
			uint16_t protection : 4, inheritance : 4, max_protection : 4, advice : 4;
			uint16_t etype;
			uint32_t wired_count;
		};
		uint64_t attr; /* all of the above: what two entries must share to be one */
	};
	uint32_t guard; /* bytes after end that stay unmapped */
	uint8_t flags;
	uint8_t pad[11];
	/* The index's (uvm_addr.h). */
	struct uvm_addr_node
	    *leaf; /* where the end is: the place in the trie of the entry and its hole */
	struct uvm_addr_big big; /* and of the hole in the tree, if it is a big one */
};
BED_ASSERT_SIZE(struct vm_map_entry, 128);

#define VMMAP_FREE_START(e) ((e)->end + (e)->guard)
#define VMMAP_FREE_END(e)   (VMMAP_FREE_START(e) + (e)->fspace)

struct vm_map {
	/* One of the two, by VM_MAP_INTRSAFE, guards everything below but the constants. */
	struct rwlock lock;
	struct mutex mtx;
	struct pmap *pmap;              /* constant: the kernel's */
	vaddr_t min_offset, max_offset; /* constant */
	const char *name;               /* constant */
	int flags;                      /* constant: VM_MAP_*, all but BUSY and WANTLOCK */
	int state;                      /* VM_MAP_BUSY, VM_MAP_WANTLOCK */
	int ref_count;                  /* creator, and the parent's entry; atomic */
	uint32_t nentries;              /* on the ring, header not counted */
	vsize_t size;                   /* bytes in entries that are not holes */
	uint64_t wakeups;               /* uvm_km_free_wakeup calls */
	struct thread *busy;            /* VM_MAP_BUSY: who may still write */
	struct vm_map_entry *stock;     /* spare entries, linked by next */
	uint32_t nstock;
	uint32_t own_storage; /* the struct is the caller's */
	/*
	 * The short ways of uvm_map() and uvm_unmap(): the last plain flags that were found good, which
	 * they then are for ever, and the size of the map if it takes short ways at all (best fit, no
	 * guards, sleeping lock), else 0.
	 */
	uint32_t kind_flags;
	vsize_t plain_span;
	struct vm_map_entry header;
	struct uvm_addr addr;
};

#define vm_map_min(map)  ((map)->min_offset)
#define vm_map_max(map)  ((map)->max_offset)
#define vm_map_pmap(map) ((map)->pmap)

/* Entries that must be in stock when an operation begins; the rest is what it leaves for an unmap. */
#define UVM_MAP_STOCK_MAP   3
#define UVM_MAP_STOCK_UNMAP 1
#define UVM_MAP_STOCK_CLIP  2
#define UVM_MAP_STOCK_BATCH 8  /* taken from the pool at a time */
#define UVM_MAP_STOCK_MAX   24 /* more go back */

/* An empty map over [min, max), page aligned, on given storage; ref_count 1. Takes no memory. */
void uvm_map_setup(struct vm_map *, struct pmap *, vaddr_t min, vaddr_t max, int flags,
    enum uvm_addr_fit, const char *name);
/* The same on storage from the page allocator; NULL: none. */
struct vm_map *uvm_map_create(struct pmap *, vaddr_t min, vaddr_t max, int flags, const char *name);
void uvm_map_reference(struct vm_map *);
/* Drop a reference; the last unmaps everything and frees what the map owns. */
void uvm_map_deallocate(struct vm_map *);
/* Turn the entry that is exactly [start, end), with no object, into a submap's: one reference more. */
int uvm_map_submap(struct vm_map *, vaddr_t start, vaddr_t end, struct vm_map *submap);
/*
 * Remove the submap's entry and its reference. EINVAL: no such entry; EBUSY: the submap is not empty, or
 * somebody but its creator and the entry holds a reference.
 */
int uvm_map_unsubmap(struct vm_map *, struct vm_map *submap);

void vm_map_lock_busy(struct vm_map *);

static inline void
vm_map_lock_pageable(struct vm_map *map)
{
	rw_enter(&map->lock, RW_WRITE);
	if (unlikely((map->state & VM_MAP_BUSY) != 0))
		vm_map_lock_busy(map);
}

/* For writing. Waits while somebody else has made the map busy. */
static inline void
vm_map_lock(struct vm_map *map)
{
	if (likely((map->flags & VM_MAP_INTRSAFE) == 0))
		vm_map_lock_pageable(map);
	else
		mtx_enter(&map->mtx);
}

static inline void
vm_map_unlock(struct vm_map *map)
{
	if (likely((map->flags & VM_MAP_INTRSAFE) == 0))
		rw_exit(&map->lock);
	else
		mtx_leave(&map->mtx);
}

bool vm_map_lock_try(struct vm_map *);
void vm_map_lock_read(struct vm_map *);
void vm_map_unlock_read(struct vm_map *);
/* Write locked: let readers in, keep other writers out, until unbusy, which unlocks. */
void vm_map_busy(struct vm_map *);
void vm_map_unbusy(struct vm_map *);

/* TRUE and the entry that contains va, or FALSE and the one before it (maybe the header). Locked. */
boolean_t uvm_map_lookup_entry(struct vm_map *, vaddr_t va, struct vm_map_entry **);
/*
 * Split the entry at va if va lies inside it: clip_start gives the part that starts there, clip_end the
 * part that ends there. Locked and stocked.
 */
struct vm_map_entry *uvm_map_clip_start(struct vm_map *, struct vm_map_entry *, vaddr_t va);
struct vm_map_entry *uvm_map_clip_end(struct vm_map *, struct vm_map_entry *, vaddr_t va);

/*
 * Take [start, end), within the map, out of a locked and stocked map. ENOENT: there was nothing; EINVAL:
 * the range touches a submap, and nothing happened.
 */
int uvm_unmap_remove(struct vm_map *, vaddr_t start, vaddr_t end);

/*
 * The pool of entries: the static ones first, then pages of them, which return when empty. Take up to n,
 * linked by next: the number taken. Never sleeps.
 */
unsigned uvm_mapent_take(unsigned n, struct vm_map_entry **list);
void uvm_mapent_give(struct vm_map_entry *list);

#endif
