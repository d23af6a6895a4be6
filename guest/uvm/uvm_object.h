/* SPDX-License-Identifier: ISC */
/*
 * Memory objects: pages by offset. Two steps lead to a page: a directory with one place for each 2 MiB
 * of the object, and nodes of 512 page pointers. Nodes are made beforehand by uvm_obj_reserve() and stay
 * for ever, like the kernel page tables they run parallel to: at most one page for each 2 MiB of
 * kernel_map that was ever in use; uvmexp.kernpages counts them.
 *
 * The host reads these structures through this header, so they are plain LP64 data.
 */
#ifndef UVM_OBJECT_H
#define UVM_OBJECT_H

#include <machine/lock.h>
#include <machine/param.h>

struct vm_page;

#define UVM_OBJ_NODE_PAGES 512
#define UVM_OBJ_NODE_BYTES (UVM_OBJ_NODE_PAGES * PAGE_SIZE)

struct uvm_objdir {
	struct vm_page **uod_page; /* node: UVM_OBJ_NODE_PAGES pointers; NULL: not made yet */
	uint64_t uod_used;         /* pointers that are not NULL */
};

struct uvm_object {
	struct mutex vmobjlock; /* guards everything below and the pages' flags */
	struct uvm_objdir *uo_dir;
	uint64_t uo_ndir;
	uint64_t uo_npages; /* resident pages */
	int uo_refs;        /* UVM_OBJ_KERN: never dies */
};

#define UVM_OBJ_KERN                 (-2)
#define UVM_OBJ_IS_KERN_OBJECT(uobj) ((uobj)->uo_refs == UVM_OBJ_KERN)

/* The object behind kernel_map; offset = address - VM_MIN_KERNEL_ADDRESS. */
extern struct uvm_object uvm_kernel_object;

/* An object of `size` bytes with no page. 0, or ENOMEM: no memory for the directory. */
int uvm_obj_init(struct uvm_object *, vsize_t size, int refs);
void uvm_obj_destroy(
    struct uvm_object *); /* frees its pages, nodes and directory; none is mapped */

static inline struct uvm_objdir *
uvm_obj_dir(const struct uvm_object *obj, voff_t off)
{
	return &obj->uo_dir[off / UVM_OBJ_NODE_BYTES];
}

/* The node, which once made stays; NULL: none yet. Whoever holds the lock or has addresses there may look. */
static inline struct vm_page **
uvm_obj_node(const struct uvm_objdir *dir)
{
	return __atomic_load_n(&dir->uod_page, __ATOMIC_ACQUIRE);
}

/*
 * Pages in the node, at some moment. Who owns addresses has put or seen put all pages there are at its
 * offsets, so 0 tells that there are none of its own.
 */
static inline uint64_t
uvm_obj_used(const struct uvm_objdir *dir)
{
	return __atomic_load_n(&dir->uod_used, __ATOMIC_RELAXED);
}

/* Index of the place for off in its node. */
static inline uint64_t
uvm_obj_slot(voff_t off)
{
	return (off >> PAGE_SHIFT) % UVM_OBJ_NODE_PAGES;
}

/* Make the nodes for n pages from off on. 0, or ENOMEM: what was made stays and is used next time. */
int uvm_obj_reserve(struct uvm_object *, voff_t off, uint64_t n);
/* Put n > 0 contiguous pages, in no object so far, at off: nodes exist, places are empty. Clears PG_ZERO. */
void uvm_obj_insert_run(struct uvm_object *, voff_t off, struct vm_page *first, unsigned n);

struct vm_page *uvm_pagelookup(
    struct uvm_object *, voff_t); /* NULL: none. Lock held or pages wired */

/*
 * Free the pages of [start, end), whose mappings are gone and flushed already. Sleeps for busy ones.
 * Returns how many pages that was.
 */
uint64_t uvm_obj_remove_range(struct uvm_object *, voff_t start, voff_t end);
void uvm_obj_remove_page(struct vm_page *); /* out of its object; lock held */

/*
 * The page at off, made and filled with zero if there is none, busy on return: the caller maps it and
 * calls uvm_page_unbusy(). 0; EBUSY: someone else is at it, uvm_obj_wait() and start over; ENOMEM: no page
 * or no node. Never sleeps.
 */
int uao_get(struct uvm_object *, voff_t, struct vm_page **);
void uvm_obj_wait(struct uvm_object *, voff_t, const char *wmesg);

#endif
