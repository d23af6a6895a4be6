/* SPDX-License-Identifier: ISC */
/*
 * The software TLB: it forgets nothing it may keep. x86 may hold on to any translation that was valid at
 * some moment since the last invalidation that covers it, even one no program ever used. So a change of
 * an entry leaves the old one behind, until INVLPG or a full flush; an access takes what was left behind
 * before it looks at the tables. A missing invalidation therefore always shows as access to the old
 * frame.
 *
 * What is left behind is kept by the place of the entry, not by address: a shadow of the page-table pool.
 * Of several old values the oldest counts. Entries of every level are treated alike, which covers the
 * paging-structure caches.
 */
#include <machine/assert.h>
#include <machine/kva.h>
#include <machine/mmu.h>
#include <string.h>

#include "guest/pmap.h"
#include "guest/twin/info.h"
#include "guest/twin/priv.h"

#ifndef TWIN_WROTE
#define TWIN_WROTE(pa) ((void)0) /* nobody asks which pages have changed */
#endif

#ifdef BED_CHECKED_BUILD

struct left {
	pt_entry_t pte;
	uint64_t epoch; /* counts if equal to `epoch` */
};
static struct left *shadow; /* of the pool, entry by entry */
static uint64_t epoch, nleft;

uint64_t
twin_tlb_age(void)
{
	return epoch;
}

void
twin_tlb_renew(uint64_t age)
{
	epoch = age;
	nleft = 0;
}

/* Bits whose change makes a kept translation differ from a fresh one. A and D: only their loss. */
#define MATTERS (PTE_P | PTE_W | PTE_U | PTE_PWT | PTE_PCD | PTE_PAT | PTE_G | PTE_NX | PTE_FRAME)

void
twin_tlb_init(void *memory)
{
	shadow = memory;
	epoch = 1;
	nleft = 0;
}

static struct left *
left_of(const pt_entry_t *pte)
{
	paddr_t pa = PMAP_DIRECT_UNMAP(pte);

	if (pa < twin_info.ptpool_start || pa >= twin_info.ptpool_end)
		panic("page-table entry at 0x%lx, outside the pool", pa);
	return &shadow[(pa - twin_info.ptpool_start) / sizeof(*pte)];
}

void
twin_tlb_stored(const pt_entry_t *pte, pt_entry_t old, pt_entry_t new)
{
	struct left *l = left_of(pte);
	bool matters = ((old ^ new) & MATTERS) || (old & ~new &(PTE_A | PTE_D));

	if (!(old & PTE_P) || !matters || l->epoch == epoch)
		return;
	*l = (struct left){ old, epoch };
	nleft++;
}

void
tlb_invlpg(vaddr_t va)
{
	uint64_t begin = event_ticket();
	pt_entry_t *table = PMAP_DIRECT_MAP(twin_info.root);

	/* All there may be for va, on the path as it is and on the path as it may be cached. */
	for (int level = PT_LEVELS; level >= 1; level--) {
		pt_entry_t *entry = &table[pt_index(va, level)], pte = *entry;
		struct left *l = left_of(entry);

		if (l->epoch == epoch) {
			pte = l->pte;
			l->epoch = 0;
			nleft--;
		}
		if (!(pte & PTE_P) || (level > 1 && (pte & PTE_PS)))
			break;
		if (level > 1)
			table = PMAP_DIRECT_MAP(pte & PTE_FRAME);
	}
	COUNT(invlpg, 1);
	EVENT(INVLPG, va, begin, 0);
}

void
tlb_flush_full(void)
{
	uint64_t begin = event_ticket();

	epoch++;
	nleft = 0;
	COUNT(tlb_full, 1);
	EVENT(TLB_FULL, 0, begin, 0);
}

uint64_t
twin_tlb_stale(void)
{
	return nleft;
}

/* What the CPU sees in an entry: what was left behind, if it allows the access, else what is there. */
static pt_entry_t
seen(const pt_entry_t *entry, bool write, bool *stale)
{
	struct left *l = left_of(entry);

	*stale = false;
	if (l->epoch != epoch)
		return *entry;
	if (!(l->pte & PTE_P) || (write && !(l->pte & PTE_W))) {
		/* It would fault, and a fault drops the translation: then it is walked anew. */
		l->epoch = 0;
		nleft--;
		return *entry;
	}
	*stale = true;
	return l->pte;
}

#else

void
twin_tlb_init(void *memory __unused_arg)
{
}

uint64_t
twin_tlb_stale(void)
{
	return 0;
}

uint64_t
twin_tlb_age(void)
{
	return 0;
}

void
twin_tlb_renew(uint64_t age __unused_arg)
{
}

static pt_entry_t
seen(const pt_entry_t *entry, bool write __unused_arg, bool *stale)
{
	*stale = false;
	return *entry;
}

#endif

/* One translation as the MMU makes it; sets A and D. 0 and *pa, or the page fault's error code + 1. */
static uint64_t
translate(vaddr_t va, bool write, paddr_t *pa)
{
	pt_entry_t *table = PMAP_DIRECT_MAP(twin_info.root), *path[PT_LEVELS + 1], pte = 0;
	uint64_t code = write ? PF_W : 0;
	bool fresh[PT_LEVELS + 1], stale;
	int level;

	if (!va_is_canonical(va))
		return code + 1;
	for (level = PT_LEVELS;; level--) {
		path[level] = &table[pt_index(va, level)];
		pte = seen(path[level], write, &stale);
		fresh[level] = !stale;
		if (!(pte & PTE_P))
			return code + 1;
		if (write && !(pte & PTE_W))
			return (code | PF_P) + 1;
		if (level == 1 || (pte & PTE_PS))
			break;
		table = PMAP_DIRECT_MAP(pte & PTE_FRAME);
	}
	/* A kept translation writes nothing back. */
	for (int l = PT_LEVELS; l >= level; l--) {
		if (fresh[l])
			*path[l] |= PTE_A | (l == level && write ? PTE_D : 0);
	}
	*pa = (pte & PTE_FRAME & ~(pt_span(level) - 1)) | (va & (pt_span(level) - 1));
	if (*pa >= twin_ram_end)
		panic("access to 0x%lx reaches physical 0x%lx, where no memory is", va, *pa);
	return 0;
}

static bool
in_direct_map(vaddr_t va)
{
	return va - (vaddr_t)twin_ram < twin_ram_end;
}

/* A host pointer for an 8-byte access, with faults resolved; NULL: *err is the last fault's code. */
static uint64_t *
reach(vaddr_t va, bool write, uint64_t *err)
{
	paddr_t pa;

	if (in_direct_map(va)) {
		if (write)
			TWIN_WROTE(PMAP_DIRECT_UNMAP(va));
		return (uint64_t *)va;
	}
	for (int tries = 0; tries < 8; tries++) {
		uint64_t code = translate(va, write, &pa);

		if (code == 0) {
			if (write)
				TWIN_WROTE(pa);
			return PMAP_DIRECT_MAP(pa);
		}
		*err = code - 1;
		if (twin_fault(va, *err) != 0)
			return NULL;
	}
	panic("access to 0x%lx faults for ever (error code 0x%lx)", va, *err);
}

static uint64_t *
must_reach(vaddr_t va, bool write)
{
	uint64_t err = 0, *p = reach(va, write, &err);

	if (p == NULL)
		panic("page fault at 0x%lx, error code 0x%lx", va, err);
	return p;
}

uint64_t
kva_read(vaddr_t va)
{
	return *must_reach(va, false);
}

void
kva_write(vaddr_t va, uint64_t value)
{
	*must_reach(va, true) = value;
}

void
kva_zero(vaddr_t va, vsize_t len)
{
	while (len != 0) {
		vsize_t here = PAGE_SIZE - (va & PAGE_MASK);

		if (here > len)
			here = len;
		memset(must_reach(va, true), 0, here);
		va += here;
		len -= here;
	}
}

uint8_t *
twin_reach(vaddr_t va, bool write, uint64_t *err)
{
	return (uint8_t *)reach(va, write, err);
}

int
twin_load(vaddr_t va, uint64_t *value, uint64_t *err)
{
	uint64_t *p = reach(va, false, err);

	if (p == NULL)
		return EFAULT;
	*value = *p;
	return 0;
}

int
twin_store(vaddr_t va, uint64_t value, uint64_t *err)
{
	uint64_t *p = reach(va, true, err);

	if (p == NULL)
		return EFAULT;
	*p = value;
	return 0;
}
