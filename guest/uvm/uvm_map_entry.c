/* SPDX-License-Identifier: ISC */
/*
 * The pool of map entries. Static ones serve boot and are never lost; beyond them entries come a page
 * at a time straight from the page allocator through the direct map, so no entry is ever needed to get
 * an entry. A page whose entries are all back goes back itself, but for one.
 *
 * Maps take entries in batches into a stock under their own lock (uvm_map_lock_stocked), so the pool's
 * mutex is not on the way of every operation.
 */
#include "uvm_map.h"

#include <machine/event.h>
#include <machine/planted.h>

#include "pmap.h"
#include "uvm_page.h"
#include "uvm_pmemrange.h"

#define MAX_KMAPENT 256 /* static entries: 32 KiB */

/* A page of entries; its header takes the place of the first. */
struct entry_page {
	struct entry_page *next, *prev; /* on `partial` while an entry is free */
	struct vm_map_entry *free;
	uint32_t nfree;
};
#define ENTRIES_PER_PAGE (PAGE_SIZE / sizeof(struct vm_map_entry) - 1)
_Static_assert(sizeof(struct entry_page) <= sizeof(struct vm_map_entry), "header fits a slot");

static struct mutex pool_mtx = MUTEX_INITIALIZER_RANK(IPL_VM, RANK_ENTRIES);
static struct vm_map_entry static_entry[MAX_KMAPENT];
static struct vm_map_entry *static_free;
static unsigned static_next; /* of static_entry: never used so far */
static struct entry_page *partial;
static unsigned nempty; /* pages on `partial` with no entry in use */

static void
partial_add(struct entry_page *ep)
{
	ep->prev = NULL;
	ep->next = partial;
	if (partial != NULL)
		partial->prev = ep;
	partial = ep;
}

static void
partial_remove(struct entry_page *ep)
{
	if (ep->prev != NULL)
		ep->prev->next = ep->next;
	else
		partial = ep->next;
	if (ep->next != NULL)
		ep->next->prev = ep->prev;
}

/* Another page of entries on `partial`. Called without the mutex: the page allocator has its own. */
static bool
pool_grow(void)
{
	struct vm_page *pg;
	struct entry_page *ep;
	struct vm_map_entry *e;
	unsigned got;

	if (PLANTED(ENTRY_RECURSION))
		uvm_km_free(kernel_map, uvm_km_alloc(kernel_map, PAGE_SIZE), PAGE_SIZE);
	pg = uvm_pmr_getrun(1, &got, UVM_PGA_USERESERVE);
	if (pg == NULL)
		return false;
	ep = PMAP_DIRECT_MAP(VM_PAGE_TO_PHYS(pg));
	ep->free = NULL;
	e = (struct vm_map_entry *)ep;
	for (unsigned i = ENTRIES_PER_PAGE; i > 0; i--) {
		e[i].flags = 0;
		e[i].next = ep->free;
		ep->free = &e[i];
	}
	ep->nfree = ENTRIES_PER_PAGE;
	mtx_enter(&pool_mtx);
	partial_add(ep);
	nempty++;
	__atomic_fetch_add(&uvmexp.kernpages, 1, __ATOMIC_RELAXED);
	mtx_leave(&pool_mtx);
	return true;
}

static struct vm_map_entry *
take_one(void)
{
	struct vm_map_entry *e = static_free;
	struct entry_page *ep = partial;

	if (e != NULL || static_next < MAX_KMAPENT) {
		uvmexp.kmapent++;
		if (e == NULL) {
			e = &static_entry[static_next++];
			e->flags = UVM_MAP_STATIC;
		} else {
			static_free = e->next;
		}
		return e;
	}
	if (PLANTED(STATIC_POOL_PANIC))
		panic("uvm_mapent_take: out of static entries");
	if (ep == NULL)
		return NULL;
	if (ep->nfree-- == ENTRIES_PER_PAGE)
		nempty--;
	e = ep->free;
	ep->free = e->next;
	if (ep->nfree == 0)
		partial_remove(ep);
	return e;
}

unsigned
uvm_mapent_take(unsigned n, struct vm_map_entry **list)
{
	unsigned taken = 0;

	*list = NULL;
	do {
		mtx_enter(&pool_mtx);
		while (taken < n) {
			struct vm_map_entry *e = take_one();

			if (e == NULL)
				break;
			e->next = *list;
			*list = e;
			taken++;
		}
		mtx_leave(&pool_mtx);
	} while (taken < n && pool_grow());
	COUNT(entry_alloc, taken);
	return taken;
}

/* The page that is to go back because of this entry, or NULL. */
static struct entry_page *
give_one(struct vm_map_entry *e)
{
	struct entry_page *ep = (struct entry_page *)((uintptr_t)e & ~PAGE_MASK);

	if (e->flags & UVM_MAP_STATIC) {
		e->next = static_free;
		static_free = e;
		uvmexp.kmapent--;
		return NULL;
	}
	e->next = ep->free;
	ep->free = e;
	if (ep->nfree++ == 0)
		partial_add(ep);
	if (ep->nfree < ENTRIES_PER_PAGE)
		return NULL;
	if (nempty == 0) {
		nempty = 1;
		return NULL;
	}
	partial_remove(ep);
	__atomic_fetch_sub(&uvmexp.kernpages, 1, __ATOMIC_RELAXED);
	return ep;
}

void
uvm_mapent_give(struct vm_map_entry *list)
{
	while (list != NULL) {
		struct entry_page *ep = NULL;

		mtx_enter(&pool_mtx);
		while (list != NULL && ep == NULL) {
			struct vm_map_entry *e = list;

			list = e->next;
			ep = give_one(e);
		}
		mtx_leave(&pool_mtx);
		if (ep != NULL)
			uvm_pmr_putrun(PHYS_TO_VM_PAGE(PMAP_DIRECT_UNMAP(ep)), 1);
	}
}
