/* SPDX-License-Identifier: ISC */
/*
 * Pages of kernel_map in and out (uvm_km_pages.h). One page is the common case and has its own straight
 * path; more go through the calls of the object and the pmap, one for the whole range.
 */
#include "uvm_km_pages.h"

#include <machine/assert.h>
#include <machine/planted.h>

#include "pmap.h"
#include "uvm_obj_impl.h"
#include "uvm_pmemrange.h"

#define PROT_RW (PROT_READ | PROT_WRITE)

_Static_assert(UVM_OBJ_NODE_BYTES == PMAP_L1_SPAN, "nodes and L1 tables run parallel");
_Static_assert(VM_MIN_KERNEL_ADDRESS % PMAP_L1_SPAN == 0, "... from the first page on");

/* Index in the node, and in the table. */
static __always_inline uint64_t
place_of(vaddr_t va)
{
	return pt_index(va, 1);
}

/* Bytes from va to the end of what one node holds and one table maps. */
static inline vsize_t
left_in_table(vaddr_t va)
{
	return PMAP_L1_SPAN - (va - VM_MIN_KERNEL_ADDRESS) % PMAP_L1_SPAN;
}

/* The node may be missing, or the range in several. */
static __noinline int
enter_anywhere(vaddr_t va, struct vm_page *pg, unsigned n)
{
	voff_t off = va - VM_MIN_KERNEL_ADDRESS;

	if (unlikely(uvm_obj_reserve(&uvm_kernel_object, off, n) != 0))
		return ENOMEM;
	uvm_obj_insert_run(&uvm_kernel_object, off, pg, n);
	pmap_enter_run(va, VM_PAGE_TO_PHYS(pg), n, PROT_RW, PROT_RW | PMAP_WIRED);
	return 0;
}

/* The range lies in one node and one table, and both exist. */
static __always_inline void
enter_in(struct uvm_objdir *dir, struct pmap_l1 *l1, vaddr_t va, struct vm_page *pg, uint64_t n)
{
	struct uvm_object *obj = &uvm_kernel_object;
	voff_t off = va - VM_MIN_KERNEL_ADDRESS, end = off + ptoa(n);
	struct vm_page **slot = &uvm_obj_node(dir)[place_of(va)];
	pt_entry_t npte = pmap_wired_leaf(VM_PAGE_TO_PHYS(pg), PROT_RW);
	pt_entry_t *pte = pmap_l1_leaf(l1, va);

	mtx_enter(&obj->vmobjlock);
	count_add(&dir->uod_used, n);
	obj->uo_npages += n;
	for (; n & 3; n--, off += PAGE_SIZE, npte += PAGE_SIZE) {
		uvm_obj_table_page(obj, slot++, pg++, off);
		pmap_fill1(pte++, npte);
	}
	for (; off != end; off += 4 * PAGE_SIZE, npte += 4 * PAGE_SIZE) {
		uvm_obj_table4(obj, slot, pg, off);
		pmap_fill4(pte, npte);
		slot += 4, pg += 4, pte += 4;
	}
	mtx_leave(&obj->vmobjlock);
}

/* More than one page, or no node yet. */
static __noinline int
enter_run(vaddr_t va, struct vm_page *pg, unsigned n)
{
	struct uvm_objdir *dir = uvm_obj_dir(&uvm_kernel_object, va - VM_MIN_KERNEL_ADDRESS);
	struct pmap_l1 *l1 = pmap_l1(va);

	if (unlikely(ptoa(n) > left_in_table(va)) || unlikely(!uvm_page_is_near(pg)) ||
	    unlikely(uvm_obj_node(dir) == NULL) || unlikely(l1->pl_frame == 0))
		return enter_anywhere(va, pg, n);
	enter_in(dir, l1, va, pg, n);
	pmap_entered(l1, n);
	return 0;
}

int
uvm_km_pgenter(vaddr_t va, struct vm_page *pg, unsigned n)
{
	struct uvm_objdir *dir = uvm_obj_dir(&uvm_kernel_object, va - VM_MIN_KERNEL_ADDRESS);
	struct pmap_l1 *l1 = pmap_l1(va);

	if (unlikely(n != 1) || unlikely(!uvm_page_is_near(pg)) ||
	    unlikely(uvm_obj_node(dir) == NULL) || unlikely(l1->pl_frame == 0))
		return enter_run(va, pg, n);
	enter_in(dir, l1, va, pg, 1);
	pmap_entered(l1, 1);
	return 0;
}

bool
uvm_km_pgfault(struct uvm_object *obj, vaddr_t va, vm_prot_t prot)
{
	voff_t off = va - VM_MIN_KERNEL_ADDRESS;
	struct uvm_objdir *dir = uvm_obj_dir(obj, off);
	struct pmap_l1 *l1 = pmap_l1(va);
	struct vm_page **slot, *pg;
	pt_entry_t *pte, npte;
	unsigned got;

	if (unlikely(uvm_obj_node(dir) == NULL) || unlikely(l1->pl_frame == 0))
		return false;
	slot = &uvm_obj_node(dir)[place_of(va)];
	pte = pmap_l1_leaf(l1, va);
	if (unlikely(__atomic_load_n(slot, __ATOMIC_RELAXED) != NULL))
		return false;
	pg = uvm_pmr_getrun(1, &got, UVM_PGA_ZERO | UVM_PGA_USERESERVE);
	if (unlikely(pg == NULL))
		return false;
	if ((pg->pg_flags & PG_ZERO) == 0 && !PLANTED(DEMAND_ZERO_SKIPPED))
		pmap_zero_page(pg);
	if (PLANTED(FAULT_MAPS_WRITABLE))
		prot = PROT_RW;
	npte = VM_PAGE_TO_PHYS(pg) | pmap_leaf_bits(prot) | PTE_SW_M;
	mtx_enter(&obj->vmobjlock);
	/* Another thread may have been faster. */
	if (unlikely(*slot != NULL) || unlikely(pte_get(pte) & PTE_P)) {
		mtx_leave(&obj->vmobjlock);
		uvm_pmr_unget(pg, 1);
		return false;
	}
	count_add(&dir->uod_used, 1);
	obj->uo_npages++;
	uvm_obj_table_page(obj, slot, pg, off);
	pmap_fill1(pte, npte);
	mtx_leave(&obj->vmobjlock);
	pmap_count_leaves(l1, 1, 0);
	COUNT(pte_set, 1);
	return true;
}

static __noinline void
remove_anything(struct uvm_object *obj, vaddr_t start, vaddr_t end)
{
	pmap_remove(pmap_kernel(), start, end);
	uvm_obj_remove_range(obj, start - VM_MIN_KERNEL_ADDRESS, end - VM_MIN_KERNEL_ADDRESS);
}

/* One page, in a node and a table where something is. */
static __always_inline void
remove_page(struct uvm_object *obj, struct uvm_objdir *dir, struct pmap_l1 *l1, vaddr_t va)
{
	struct vm_page **slot = &uvm_obj_node(dir)[place_of(va)], *pg;

	if (likely(pmap_l1_used(l1) != 0) && !PLANTED(FREED_WHILE_MAPPED))
		pmap_remove_in(l1, va, 1);
	if (PLANTED(OBJECT_PAGE_LEFT))
		return;
	if (unlikely(uvm_obj_used(dir) == 0) || __atomic_load_n(slot, __ATOMIC_RELAXED) == NULL)
		return;
	mtx_enter(&obj->vmobjlock);
	pg = *slot;
	if (unlikely(pg == NULL) || unlikely((pg->pg_state & PG_STATE_HELD) != 0)) {
		mtx_leave(&obj->vmobjlock);
		remove_anything(obj, va, va + PAGE_SIZE);
		return;
	}
	*slot = NULL;
	pg->uobject = NULL;
	count_add(&dir->uod_used, -UINT64_C(1));
	obj->uo_npages--;
	if (PLANTED(OBJECT_COUNT_OFF))
		obj->uo_npages++;
	mtx_leave(&obj->vmobjlock);
	uvm_pmr_putrun(pg, 1);
	if (PLANTED(FREE_BEFORE_INVLPG))
		pmap_inval_range(va, 1);
	if (PLANTED(PAGE_FREED_TWICE))
		uvm_pmr_putrun(pg, 1);
	if (PLANTED(WRITTEN_AFTER_FREE))
		pmap_zero_page(pg);
}

/* No page and no mapping in n places of a node and of its table. */
static __always_inline bool
is_empty(struct vm_page *const *slot, const pt_entry_t *pte, uint64_t n)
{
	for (; n >= 4; n -= 4, slot += 4, pte += 4) {
		if (!uvm_obj_none4(slot) || !pmap_none4(pte))
			return false;
	}
	for (; n != 0; n--, slot++, pte++) {
		if (*slot != NULL || (pte_get(pte) & PTE_P))
			return false;
	}
	return true;
}

/*
 * A range of one node and table. Most are wired throughout and one physical run. What is left when that
 * ends goes the long way.
 */
static __noinline void
remove_run(struct uvm_object *obj, vaddr_t start, vaddr_t end)
{
	struct uvm_objdir *dir = uvm_obj_dir(obj, start - VM_MIN_KERNEL_ADDRESS);
	struct pmap_l1 *l1 = pmap_l1(start);
	struct vm_page **slot, *first, *pg;
	uint64_t n = atop(end - start);
	pt_entry_t *pte;

	if (unlikely(end - start > left_in_table(start)) || unlikely(pmap_l1_used(l1) == 0) ||
	    unlikely(uvm_obj_used(dir) == 0)) {
		remove_anything(obj, start, end);
		return;
	}
	slot = &uvm_obj_node(dir)[place_of(start)];
	pte = pmap_l1_leaf(l1, start);
	if (__atomic_load_n(slot, __ATOMIC_RELAXED) == NULL) {
		if (!is_empty(slot, pte, n))
			remove_anything(obj, start, end);
		return;
	}
	mtx_enter(&obj->vmobjlock);
	first = pg = *slot;
	for (; n & 3; n--, pg++) {
		if (unlikely(!uvm_obj_free1(slot, pg)) || unlikely(!pmap_wired1(pte)))
			goto out;
		uvm_obj_untable1(slot++, pg);
		pmap_clear_leaf(pte++, start, true);
	}
	for (; n != 0; n -= 4, pg += 4) {
		if (unlikely(!uvm_obj_free4(slot, pg)) || unlikely(!pmap_wired4(pte)))
			break;
		uvm_obj_untable4(slot, pg);
		pmap_clear4(pte, start, true);
		slot += 4, pte += 4;
	}
out:
	n = (uint64_t)(pg - first);
	count_add(&dir->uod_used, -n);
	obj->uo_npages -= n;
	/* The lock is kept until all CPUs agree: what left the object in it is not reachable after it. */
	if (likely(start + ptoa(n) == end))
		pmap_removed(l1, start, n, n);
	else
		pmap_remove_rest(l1, start, n, end);
	mtx_leave(&obj->vmobjlock);
	if (likely(n != 0))
		uvm_pmr_putrun(first, (unsigned)n);
	if (unlikely(start + ptoa(n) != end))
		uvm_obj_remove_range(
		    obj, start + ptoa(n) - VM_MIN_KERNEL_ADDRESS, end - VM_MIN_KERNEL_ADDRESS);
}

void
uvm_km_pgremove(struct uvm_object *obj, vaddr_t start, vaddr_t end)
{
	struct uvm_objdir *dir = uvm_obj_dir(obj, start - VM_MIN_KERNEL_ADDRESS);
	struct pmap_l1 *l1 = pmap_l1(start);

	if (unlikely(end - start != PAGE_SIZE))
		remove_run(obj, start, end);
	else
		remove_page(obj, dir, l1, start);
}
