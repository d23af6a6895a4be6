/* SPDX-License-Identifier: ISC */
/*
 * The oracle over events (prop.h): what the tables, the TLB and the free lists were at each of them.
 */
#include "tests/twin/prop.h"

#include <stdio.h>
#include <string.h>

#include "guest/twin/priv.h"

#define FRAMES_MAX 0x2000 /* 32 MiB of RAM */
#define PAGES_MAX  0x4000 /* 64 MiB of kernel_map */

static struct {
	uint8_t mapped[FRAMES_MAX]; /* leaves that map the frame */
	uint8_t left[FRAMES_MAX];   /* translations of it that a CPU may still hold */
	bool free[FRAMES_MAX];
	uint64_t
	    pending[PAGES_MAX]; /* by page of kernel_map: the frame + 1 of such a translation */
	uint64_t npending;
} now;

static char finding[200];
#define FOUND(...) return (void)snprintf(finding, sizeof(finding), __VA_ARGS__), false

void
prop_events_start(void)
{
	cr_assert(
	    atop(twin_ram_end) <= FRAMES_MAX && atop(vm_map_max(kernel_map) - KVA) <= PAGES_MAX);
	memset(&now, 0, sizeof(now));
	for (vaddr_t va = KVA; va < pmap_kernel()->pm_end; va += PAGE_SIZE) {
		uint64_t leaf;

		if (pmap_kernel()->pm_l1[(va - KVA) / (2 * MIB)].pl_used == 0) {
			va += 2 * MIB - PAGE_SIZE;
			continue;
		}
		leaf = leaf_at(va);
		if (leaf != 0)
			now.mapped[(leaf & PTE_FRAME) >> 12]++;
	}
	for (unsigned i = 0; i < vm_nphysseg; i++) {
		for (const struct vm_page *pg = vm_physmem[i].pgs; pg < vm_physmem[i].lastpg; pg++)
			now.free[atop(VM_PAGE_TO_PHYS(pg))] = !(pg->pg_flags & PQ_INUSE);
	}
	twin_events_clear();
}

/* The address whose leaf the entry is; 0: it is no leaf of kernel_map. */
static vaddr_t
address_of(paddr_t entry)
{
	const struct pmap *pm = pmap_kernel();

	for (uint64_t i = 0; i < (pm->pm_limit - KVA) / (2 * MIB); i++) {
		if (pm->pm_l1[i].pl_frame == atop(entry) && pm->pm_l1[i].pl_frame != 0)
			return KVA + i * 2 * MIB + ((entry & PAGE_MASK) / 8 << 12);
	}
	return 0;
}

static void
settle(uint64_t page)
{
	if (now.pending[page] == 0)
		return;
	now.left[now.pending[page] - 1]--;
	now.pending[page] = 0;
	now.npending--;
}

static bool
stored(const struct bed_event *e, struct prop_work *w)
{
	const uint64_t rights = PTE_W | PTE_G | PTE_PCD | PTE_PWT | PTE_PAT;
	vaddr_t va = address_of(e->a[0]);
	uint64_t old = e->a[1], new = e->a[2], page = (va - KVA) >> 12;
	uint64_t was = (old & PTE_FRAME) >> 12, is = (new &PTE_FRAME) >> 12;
	bool gone = (old & PTE_P) && (!(new &PTE_P) || was != is);

	if (va == 0) {
		if (old != 0)
			FOUND("the entry 0x%lx above the leaves changed", e->a[0]);
		return true;
	}
	if (new &PTE_P) {
		if (now.free[is])
			FOUND("0x%lx now maps 0x%lx, which is free", va, is << 12);
		if ((old & PTE_P) && was != is)
			FOUND("0x%lx goes from one frame to another at once", va);
		if (now.pending[page] != 0 && now.pending[page] != is + 1)
			FOUND("0x%lx maps another frame while its old translation is left", va);
	}
	w->set += !(old & PTE_P) && (new &PTE_P);
	w->cleared += gone;
	now.mapped[was] = (uint8_t)(now.mapped[was] - ((old & PTE_P) != 0));
	now.mapped[is] = (uint8_t)(now.mapped[is] + ((new &PTE_P) != 0));
	if (!(old & PTE_P) || (!gone && (old & rights & ~new) == 0 && !(~old & new &PTE_NX)))
		return true;
	w->narrowed += !gone;
	if (now.pending[page] == 0) {
		now.pending[page] = was + 1;
		now.left[was]++;
		now.npending++;
	}
	return true;
}

static bool
freed(const struct bed_event *e, struct prop_work *w)
{
	for (uint64_t i = 0; i < e->a[1]; i++) {
		uint64_t frame = atop(e->a[0]) + i;

		if (now.mapped[frame] != 0)
			FOUND("page 0x%lx is free and mapped", frame << 12);
		if (now.left[frame] != 0)
			FOUND("page 0x%lx is free and may be in a TLB", frame << 12);
		if (now.free[frame])
			FOUND("page 0x%lx is freed twice", frame << 12);
		now.free[frame] = true;
	}
	w->freed += e->a[1];
	return true;
}

static bool
allocated(const struct bed_event *e)
{
	for (uint64_t i = 0; i < e->a[1]; i++) {
		uint64_t frame = atop(e->a[0]) + i;

		if (!now.free[frame])
			FOUND("page 0x%lx is allocated twice", frame << 12);
		now.free[frame] = false;
	}
	return true;
}

static bool
invalidated(const struct bed_event *e, struct prop_work *w)
{
	uint64_t page = (e->a[0] - KVA) >> 12;

	if (page >= PAGES_MAX || now.pending[page] == 0)
		FOUND("0x%lx is invalidated for nothing", e->a[0]);
	settle(page);
	w->invlpg++;
	return true;
}

static bool
flushed(struct prop_work *w)
{
	if (now.npending == 0)
		FOUND("a full flush for nothing");
	for (uint64_t page = 0; page < PAGES_MAX; page++)
		settle(page);
	w->full++;
	return true;
}

static bool
is_map_lock(uint64_t lock, const struct vm_map *map)
{
	if (lock == (uintptr_t)&map->lock || lock == (uintptr_t)&map->mtx)
		return true;
	for (struct vm_map_entry *e = map->header.next; e != &map->header; e = e->next) {
		if (UVM_ET_ISSUBMAP(e) && is_map_lock(lock, e->object.sub_map))
			return true;
	}
	return false;
}

static bool
unlocked(const struct bed_event *e)
{
	if (now.npending != 0 && is_map_lock(e->a[0], kernel_map))
		FOUND("a map is unlocked with %lu translations left", now.npending);
	return true;
}

const char *
prop_events_find(struct prop_work *w)
{
	bool ok = true;

	*w = (struct prop_work){ 0 };
	for (uint64_t i = 0; ok && i < twin_nevent; i++) {
		const struct bed_event *e = &twin_event[i];

		ok = e->type == BED_EV_PTE_STORE    ? stored(e, w)
		     : e->type == BED_EV_INVLPG     ? invalidated(e, w)
		     : e->type == BED_EV_TLB_FULL   ? flushed(w)
		     : e->type == BED_EV_PAGE_FREE  ? freed(e, w)
		     : e->type == BED_EV_PAGE_ALLOC ? allocated(e)
		     : e->type == BED_EV_UNLOCK     ? unlocked(e)
		                                    : true;
	}
	twin_events_clear();
	if (!ok)
		return finding;
	if (now.npending == 0)
		return NULL;
	snprintf(finding, sizeof(finding), "%lu translations are left", now.npending);
	return finding;
}

struct prop_work
prop_events_check(const char *when)
{
	struct prop_work w;
	const char *found = prop_events_find(&w);

	cr_assert_null(found, "%s: %s", when, found);
	return w;
}
