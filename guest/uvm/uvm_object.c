/* SPDX-License-Identifier: ISC */
/*
 * Memory objects: pages by offset (uvm_object.h).
 */
#include "pmap.h"

#include <machine/thread.h>

#include "uvm_obj_impl.h"
#include "uvm_pmemrange.h"

struct uvm_object uvm_kernel_object;

#define NODE_BYTES UVM_OBJ_NODE_BYTES

/* The end of what one node holds of [off, end). */
static inline voff_t
node_end(voff_t off, voff_t end)
{
	voff_t next = (off | (NODE_BYTES - 1)) + 1;

	return next < end ? next : end;
}

/* n contiguous zeroed pages for the object's own structures, by their direct map address. */
static void *
meta_alloc(uint64_t n)
{
	struct pglist list;

	if (uvm_pglistalloc(ptoa(n), 0, (paddr_t)-1, 0, 0, &list, 1,
		UVM_PLA_NOWAIT | UVM_PLA_ZERO | UVM_PLA_USERESERVE) != 0)
		return NULL;
	__atomic_fetch_add(&uvmexp.kernpages, n, __ATOMIC_RELAXED);
	return PMAP_DIRECT_MAP(VM_PAGE_TO_PHYS(list.first));
}

static void
meta_free(void *va, uint64_t n)
{
	struct vm_page *pg = PHYS_TO_VM_PAGE(PMAP_DIRECT_UNMAP(va));

	__atomic_fetch_sub(&uvmexp.kernpages, n, __ATOMIC_RELAXED);
	uvm_pmr_putrun(pg, (unsigned)n);
}

static uint64_t
dir_pages(const struct uvm_object *obj)
{
	return atop(round_page(obj->uo_ndir * sizeof(*obj->uo_dir)));
}

int
uvm_obj_init(struct uvm_object *obj, vsize_t size, int refs)
{
	*obj = (struct uvm_object){ .uo_refs = refs };
	mtx_init_rank(&obj->vmobjlock, IPL_VM, RANK_OBJECT);
	obj->uo_ndir = (size + NODE_BYTES - 1) / NODE_BYTES;
	obj->uo_dir = meta_alloc(dir_pages(obj));
	return obj->uo_dir == NULL ? ENOMEM : 0;
}

void
uvm_obj_destroy(struct uvm_object *obj)
{
	uvm_obj_remove_range(obj, 0, obj->uo_ndir * NODE_BYTES);
	for (uint64_t i = 0; i < obj->uo_ndir; i++) {
		if (obj->uo_dir[i].uod_page != NULL)
			meta_free(obj->uo_dir[i].uod_page, 1);
	}
	meta_free(obj->uo_dir, dir_pages(obj));
	obj->uo_dir = NULL;
	obj->uo_ndir = 0;
}

/* Two threads may make the same node: the second finds the place taken and gives its page back. */
static bool
make_node(struct uvm_object *obj, struct uvm_objdir *dir)
{
	void *node = meta_alloc(1);

	if (node == NULL)
		return false;
	mtx_enter(&obj->vmobjlock);
	if (dir->uod_page == NULL) {
		__atomic_store_n(&dir->uod_page, node, __ATOMIC_RELEASE);
		node = NULL;
	}
	mtx_leave(&obj->vmobjlock);
	if (unlikely(node != NULL))
		meta_free(node, 1);
	return true;
}

int
uvm_obj_reserve(struct uvm_object *obj, voff_t off, uint64_t n)
{
	uint64_t first = off / NODE_BYTES, last = (off + ptoa(n) - 1) / NODE_BYTES;

	if (likely(first == last && uvm_obj_node(&obj->uo_dir[first]) != NULL) || n == 0)
		return 0;
	KASSERT(last < obj->uo_ndir);
	for (uint64_t i = first; i <= last; i++) {
		if (uvm_obj_node(&obj->uo_dir[i]) == NULL && !make_node(obj, &obj->uo_dir[i]))
			return ENOMEM;
	}
	return 0;
}

void
uvm_obj_insert_run(struct uvm_object *obj, voff_t off, struct vm_page *pg, unsigned n)
{
	voff_t end = off + ptoa(n);

	mtx_enter(&obj->vmobjlock);
	obj->uo_npages += n;
	do {
		struct uvm_objdir *dir = &obj->uo_dir[off / NODE_BYTES];
		voff_t next = node_end(off, end);
		struct vm_page **slot;

		if (unlikely(dir->uod_page == NULL))
			panic("uvm_obj_insert_run: no node at 0x%lx", off);
		slot = &dir->uod_page[uvm_obj_slot(off)];
		count_add(&dir->uod_used, atop(next - off));
		for (; next - off >= 4 * PAGE_SIZE; off += 4 * PAGE_SIZE, slot += 4, pg += 4)
			uvm_obj_table4(obj, slot, pg, off);
		for (; off != next; off += PAGE_SIZE)
			uvm_obj_table_page(obj, slot++, pg++, off);
	} while (off != end);
	mtx_leave(&obj->vmobjlock);
}

/* Where the page at off is or would be; NULL: no node, or beyond the object. */
static struct vm_page **
slot_at(const struct uvm_object *obj, voff_t off)
{
	const struct uvm_objdir *dir = &obj->uo_dir[off / NODE_BYTES];

	struct vm_page **node;

	if (off / NODE_BYTES >= obj->uo_ndir || (node = uvm_obj_node(dir)) == NULL)
		return NULL;
	return &node[uvm_obj_slot(off)];
}

struct vm_page *
uvm_pagelookup(struct uvm_object *obj, voff_t off)
{
	struct vm_page **slot = slot_at(obj, off);

	return slot == NULL ? NULL : *slot;
}

void
uvm_obj_remove_page(struct vm_page *pg)
{
	struct uvm_object *obj = pg->uobject;
	struct vm_page **slot = slot_at(obj, pg->offset);

	KASSERT(mtx_owned(&obj->vmobjlock));
	if (unlikely(slot == NULL || *slot != pg))
		panic("page 0x%lx is not at 0x%lx of its object", VM_PAGE_TO_PHYS(pg), pg->offset);
	*slot = NULL;
	count_add(&obj->uo_dir[pg->offset / NODE_BYTES].uod_used, -UINT64_C(1));
	obj->uo_npages--;
	pg_flags_set(pg, pg->pg_flags & ~(uint32_t)PG_TABLED);
	pg->uobject = NULL;
}

/* Sleep until the busy page is not; the object is locked before and after. */
static void
wait_busy(struct uvm_object *obj, struct vm_page *pg, const char *wmesg)
{
	pg_flags_set(pg, pg->pg_flags | PG_WANTED);
	sleep_setup(pg, wmesg);
	mtx_leave(&obj->vmobjlock);
	sleep_finish(INFSLP, true);
	mtx_enter(&obj->vmobjlock);
}

/* The part of a range that one node holds. Sleeps for busy pages. */
static uint64_t
remove_in_node(struct uvm_object *obj, struct uvm_objdir *dir, voff_t off, voff_t end)
{
	struct vm_page **slot = &dir->uod_page[uvm_obj_slot(off)], **last = slot + atop(end - off);
	uint64_t removed = 0;

	while (slot != last && dir->uod_used != 0) {
		struct vm_page *pg = *slot;
		unsigned n;

		if (pg == NULL) {
			slot += last - slot >= 4 && uvm_obj_none4(slot) ? 4 : 1;
			continue;
		}
		n = uvm_obj_untable(slot, last);
		if (unlikely(n == 0)) {
			wait_busy(obj, pg, "uvmpgrem");
			continue;
		}
		slot += n;
		count_add(&dir->uod_used, -(uint64_t)n);
		obj->uo_npages -= n;
		removed += n;
		uvm_pmr_putrun(pg, n);
	}
	return removed;
}

uint64_t
uvm_obj_remove_range(struct uvm_object *obj, voff_t off, voff_t end)
{
	uint64_t removed = 0;

	mtx_enter(&obj->vmobjlock);
	while (off < end) {
		struct uvm_objdir *dir = &obj->uo_dir[off / NODE_BYTES];
		voff_t next = node_end(off, end);

		if (dir->uod_used != 0)
			removed += remove_in_node(obj, dir, off, next);
		off = next;
	}
	mtx_leave(&obj->vmobjlock);
	return removed;
}

/* A new, zeroed and busy page in its place, unless another thread was faster (EBUSY). */
static inline int
make_page(struct uvm_object *obj, voff_t off, struct vm_page **slot, struct vm_page **pgp)
{
	int flags = UVM_PGA_ZERO | (UVM_OBJ_IS_KERN_OBJECT(obj) ? UVM_PGA_USERESERVE : 0);
	unsigned got;
	struct vm_page *pg = uvm_pmr_getrun(1, &got, flags);

	if (unlikely(pg == NULL))
		return ENOMEM;
	if ((pg->pg_flags & PG_ZERO) == 0)
		pmap_zero_page(pg);
	mtx_enter(&obj->vmobjlock);
	if (unlikely(*slot != NULL)) {
		mtx_leave(&obj->vmobjlock);
		uvm_pmr_putrun(pg, 1);
		return EBUSY;
	}
	*slot = pg;
	count_add(&obj->uo_dir[off / NODE_BYTES].uod_used, 1);
	obj->uo_npages++;
	pg_flags_set(pg, PQ_INUSE | PG_BUSY | PG_FAKE | PG_TABLED);
	pg->uobject = obj;
	pg->offset = off;
	mtx_leave(&obj->vmobjlock);
	*pgp = pg;
	return 0;
}

int
uao_get(struct uvm_object *obj, voff_t off, struct vm_page **pgp)
{
	struct vm_page **slot = slot_at(obj, off), *pg;
	bool busy;

	/* Nodes stay, so a place may be looked at unlocked; what counts is seen with the lock held. */
	if (unlikely(slot == NULL)) {
		if (uvm_obj_reserve(obj, off, 1) != 0)
			return ENOMEM;
		slot = slot_at(obj, off);
	}
	if (unlikely(__atomic_load_n(slot, __ATOMIC_RELAXED) != NULL)) {
		mtx_enter(&obj->vmobjlock);
		pg = *slot;
		busy = pg != NULL && (pg->pg_flags & PG_BUSY) != 0;
		if (pg != NULL)
			pg_flags_set(pg, pg->pg_flags | PG_BUSY);
		mtx_leave(&obj->vmobjlock);
		*pgp = pg;
		if (likely(pg != NULL))
			return busy ? EBUSY : 0;
	}
	return make_page(obj, off, slot, pgp);
}

void
uvm_obj_wait(struct uvm_object *obj, voff_t off, const char *wmesg)
{
	struct vm_page *pg;

	mtx_enter(&obj->vmobjlock);
	while ((pg = uvm_pagelookup(obj, off)) != NULL && (pg->pg_flags & PG_BUSY))
		wait_busy(obj, pg, wmesg);
	mtx_leave(&obj->vmobjlock);
}
