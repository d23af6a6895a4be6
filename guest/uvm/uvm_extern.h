/* SPDX-License-Identifier: ISC */
/*
 * The allocator's public interface: uvm_map(9) and uvm_km_alloc(9) for kernel maps, with the names, flags
 * and behaviour of OpenBSD in December 2019.
 *
 * Common rules
 *	A map is kernel_map or a submap; its pmap is the kernel's. Sizes are rounded up to pages; a size of
 *	0, one that wraps when rounded, and one larger than the map are refused first, before anything
 *	changes. Addresses are placed by the rule in uvm_addr.h. Failure is 0 (or an errno), with nothing
 *	changed: no address, entry, page or page-table page stays behind. Memory is RW, never executable.
 *	Every call may sleep for the map lock, except with UVM_FLAG_TRYLOCK / UVM_KMF_TRYLOCK and in
 *	VM_MAP_INTRSAFE maps, whose lock is a spin mutex.
 *
 * Where OpenBSD 2019 does something that helps nobody, this is what happens here:
 *
 *	size 0, or 2^64 - 4095 and above    0, no change             (there: a zero-length entry)
 *	size larger than the map            0 before growing tables  (there: all tables are made first)
 *	no page for page tables             the call fails           (there: panic)
 *	align not a power of two            0 / EINVAL               (there: assertion)
 *	uvm_km_alloc in an INTRSAFE map     0                        (there: panic when freed)
 *	uvm_km_kmemalloc, wrong map for obj 0                        (there: leak or panic when freed)
 *	suballoc outside, taken, unaligned  NULL                     (there: panic)
 *	free of a range with no mapping     misuse, no effect        (there: silent)
 *	free that cuts into a submap        misuse, no effect        (there: corruption)
 *	free that wraps                     misuse, no effect        (there: silent)
 *	free of a range partly outside      clipped to the map, holes skipped (the same)
 *
 *	Misuse is counted in uvm_misuse; with uvm_misuse_panic set (the checked flavour's default) it is a
 *	panic instead.
 */
#ifndef UVM_EXTERN_H
#define UVM_EXTERN_H

#include <machine/param.h>

struct uvm_object;
struct vm_map;
struct vm_map_entry;
struct bed_bootinfo;
typedef struct vm_map *vm_map_t;

/* The flag word of uvm_map(): protections, inheritance, advice, then what follows. */
#define UVM_MAPFLAG(prot, maxprot, inherit, advice, flags) \
	((unsigned)((prot) | (inherit) << 4 | (maxprot) << 8 | (advice) << 12) | (unsigned)(flags))
#define UVM_PROTECTION(f)    ((vm_prot_t)((f)&PROT_MASK))
#define UVM_INHERIT(f)       ((int)((f) >> 4 & 3))
#define UVM_MAXPROTECTION(f) ((vm_prot_t)((f) >> 8 & PROT_MASK))
#define UVM_ADVICE(f)        ((int)((f) >> 12 & 7))

#define UVM_FLAG_FIXED   0x0010000 /* *addr is the address */
#define UVM_FLAG_NOMERGE 0x0040000 /* an entry of its own */
#define UVM_FLAG_TRYLOCK 0x0100000 /* EFAULT rather than wait for the map lock */
#define UVM_FLAG_HOLE    0x0200000 /* reserve: no backend, not counted in map->size */
#define UVM_FLAG_QUERY   0x0400000 /* only say where it would be */
#define UVM_FLAG_NOFAULT 0x0800000 /* a touch is always an error */
#define UVM_FLAG_UNMAP   0x1000000 /* with FIXED: first unmap what is there */

#define MAP_INHERIT_SHARE 0
#define MAP_INHERIT_COPY  1
#define MAP_INHERIT_NONE  2
#define MAP_INHERIT_ZERO  3

#define MADV_NORMAL     0
#define MADV_RANDOM     1 /* a fault brings in exactly one page */
#define MADV_SEQUENTIAL 2

#define UVM_UNKNOWN_OFFSET ((voff_t)-1)

/* uvm_km_kmemalloc() flags */
#define UVM_KMF_NOWAIT  0x1 /* do not sleep for pages */
#define UVM_KMF_VALLOC  0x2 /* addresses only */
#define UVM_KMF_CANFAIL 0x4 /* without swap: NOWAIT */
#define UVM_KMF_ZERO    0x8
#define UVM_KMF_TRYLOCK UVM_FLAG_TRYLOCK

/* vm_map.flags */
#define VM_MAP_PAGEABLE   0x01 /* entries may be faulted */
#define VM_MAP_INTRSAFE   0x02 /* usable from interrupts; entries have no object */
#define VM_MAP_GUARDPAGES 0x20 /* automatic allocations are followed by a guard page */

/* vm_map.state */
#define VM_MAP_BUSY     0x08 /* closed for writers while its pages are being wired */
#define VM_MAP_WANTLOCK 0x10 /* somebody waits for BUSY to go, asleep on &map->state */

/* What callers got wrong, by kind. */
struct uvm_misuse {
	uint64_t free_unmapped; /* nothing in the range: a double free, or a wrong address */
	uint64_t free_submap;   /* the range cuts into a submap's */
	uint64_t free_wraps;    /* addr + size */
};
extern struct uvm_misuse uvm_misuse;
extern bool uvm_misuse_panic;

extern struct vm_map *kernel_map;
extern struct vm_map *kmem_map; /* malloc(9): INTRSAFE */
extern struct vm_map *exec_map; /* exec arguments: PAGEABLE */
extern struct vm_map *phys_map; /* physical I/O */

/* Kernel page tables exist for [VM_MIN_KERNEL_ADDRESS, uvm_maxkaddr). */
extern vaddr_t uvm_maxkaddr;

/*
 * After uvm_page_init() and pmap_bootstrap(): kernel_object, kernel_map over
 * [VM_MIN_KERNEL_ADDRESS, + boot->kva_size), and the standard submaps.
 */
void uvm_init(const struct bed_bootinfo *);

/*
 * Put sz bytes of uobj, a kernel object or NULL, into the map, at the offset that follows from the
 * address (address - VM_MIN_KERNEL_ADDRESS; `offset` must be UVM_UNKNOWN_OFFSET); align 0 or a power of two. 0
 * and *addr, or EINVAL (bad argument), EACCES (protection beyond the maximum), ENOMEM (no space, no table
 * page, no memory for bookkeeping, FIXED and taken), EFAULT (TRYLOCK and locked).
 * Asking for write and execute together is a panic. Never sleeps for memory.
 */
int uvm_map(vm_map_t, vaddr_t *addr, vsize_t sz, struct uvm_object *uobj, voff_t offset,
    vsize_t align, unsigned flags);

/* Remove everything in [start, end): mappings, pages, entries, addresses; in this order. */
void uvm_unmap(vm_map_t, vaddr_t start, vaddr_t end);

/*
 * Rights of [start, end). EINVAL (order, alignment, a submap inside) or EACCES (beyond the maximum), and
 * nothing changed; holes are skipped.
 */
int uvm_map_protect(vm_map_t, vaddr_t start, vaddr_t end, vm_prot_t, boolean_t set_max);
/*
 * Wire (pageable FALSE) or unwire a range that is mapped throughout, all of it or nothing: EFAULT (it
 * begins with a hole), EINVAL (a hole or submap in it, not wired), or the fault's error.
 */
int uvm_map_pageable(vm_map_t, vaddr_t start, vaddr_t end, boolean_t pageable);
/* The range is mapped throughout and all of it allows prot. Does not look into submaps. */
boolean_t uvm_map_checkprot(vm_map_t, vaddr_t start, vaddr_t end, vm_prot_t);
/* May the kernel access it? checkprot on kernel_map; rw is PROT_READ or PROT_WRITE. */
boolean_t uvm_kernacc(vaddr_t addr, vsize_t len, vm_prot_t rw);
/* The largest hole in bytes: an allocation of this size (less a guard page) succeeds. */
vsize_t uvm_map_largest_hole(vm_map_t);

/*
 * Wired kernel memory. Sleeps for pages, with no lock and no page held meanwhile, but with its addresses
 * taken; 0 at once for more pages than there are.
 */
#define uvm_km_alloc(map, size)  uvm_km_alloc1(map, size, 0, FALSE)
#define uvm_km_zalloc(map, size) uvm_km_alloc1(map, size, 0, TRUE)
vaddr_t uvm_km_alloc1(vm_map_t, vsize_t size, vsize_t align, boolean_t zeroit);
void uvm_km_free(vm_map_t, vaddr_t addr, vsize_t size);
/* The same, and wakes everybody asleep in uvm_km_valloc_wait() on this map. */
void uvm_km_free_wakeup(vm_map_t, vaddr_t addr, vsize_t size);

/*
 * obj is kernel_object in a normal map, NULL in an INTRSAFE one (UVM_KMF_VALLOC: NULL anywhere). Without
 * NOWAIT and CANFAIL it sleeps for pages. _pla: valign of the address; pages in [low, high], each segment
 * aligned and not crossing boundary, at most nsegs segments (0: any number).
 */
#define uvm_km_kmemalloc(map, obj, size, flags) \
	uvm_km_kmemalloc_pla(map, obj, size, 0, flags, 0, (paddr_t)-1, 0, 0, 0)
vaddr_t uvm_km_kmemalloc_pla(vm_map_t, struct uvm_object *obj, vsize_t size, vsize_t valign,
    int flags, paddr_t low, paddr_t high, paddr_t alignment, paddr_t boundary, int nsegs);

/* Addresses with kernel_object behind them: a first touch brings a zeroed page. */
vaddr_t uvm_km_valloc(vm_map_t, vsize_t size);
vaddr_t uvm_km_valloc_align(vm_map_t, vsize_t size, vsize_t align, int flags);
vaddr_t uvm_km_valloc_try(vm_map_t, vsize_t size);
/*
 * Sleep for address space, on the map and with a reference of it; 0 at once if the map can never hold it. prefer
 * means nothing.
 */
vaddr_t uvm_km_valloc_wait(vm_map_t, vsize_t size);
vaddr_t uvm_km_valloc_prefer_wait(vm_map_t, vsize_t size, voff_t prefer);

/*
 * A map inside a map: [*min, *max) of the parent belongs to it from now on. fixed: *min is the start,
 * otherwise the parent places it. NULL if it cannot be. `submap`: storage of the caller, or NULL.
 */
struct vm_map *uvm_km_suballoc(vm_map_t parent, vaddr_t *min, vaddr_t *max, vsize_t size, int flags,
    boolean_t fixed, vm_map_t submap);
/* Undo it. EBUSY while anything is allocated in it or somebody else holds a reference. */
int uvm_km_subfree(vm_map_t parent, vm_map_t submap);

#endif
