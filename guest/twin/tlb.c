/* SPDX-License-Identifier: ISC */
/*
 * The software TLB of each CPU: it forgets nothing it may keep. x86 may hold on to any translation that was valid at
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
#include <machine/ipi.h>
#include <machine/kva.h>
#include <machine/mmu.h>
#include <machine/planted.h>
#include <string.h>

#include "guest/pmap.h"
#include "guest/twin/info.h"
#include "guest/twin/priv.h"

#ifndef TWIN_WROTE
#define TWIN_WROTE(pa) ((void)0) /* nobody asks which pages have changed */
#endif

cpumask_t twin_tlb_deaf;

#ifdef BED_CHECKED_BUILD

/*
 * Any CPU stores an entry and leaves the old one behind on all CPUs; only the CPU itself takes it away
 * there. `epoch` is written last and read first, so what counts is whole.
 */
struct left {
	pt_entry_t pte;
	uint64_t epoch; /* counts if equal to that of the CPU */
};

static struct tlb {
	struct left *shadow; /* of the pool, entry by entry */
	uint64_t epoch;
	uint64_t nleft;
} tlb[BED_CPU_MAX];
static unsigned ntlb;

uint64_t
twin_tlb_age(void)
{
	return tlb[0].epoch;
}

void
twin_tlb_renew(uint64_t age)
{
	tlb[0].epoch = age;
	tlb[0].nleft = 0;
}

/* Bits whose change makes a kept translation differ from a fresh one. A and D: only their loss. */
#define MATTERS (PTE_P | PTE_W | PTE_U | PTE_PWT | PTE_PCD | PTE_PAT | PTE_G | PTE_NX | PTE_FRAME)

void
twin_tlb_init(void *memory, unsigned ncpu)
{
	uint64_t entries = (twin_info.ptpool_end - twin_info.ptpool_start) / sizeof(pt_entry_t);

	ntlb = ncpu;
	for (unsigned cpu = 0; cpu < ncpu; cpu++)
		tlb[cpu] = (struct tlb){ (struct left *)memory + cpu * entries, 1, 0 };
}

static struct tlb *
own_tlb(void)
{
	return &tlb[curcpu()->ci_id];
}

static uint64_t
place_of(const pt_entry_t *pte)
{
	paddr_t pa = PMAP_DIRECT_UNMAP(pte);

	if (pa < twin_info.ptpool_start || pa >= twin_info.ptpool_end)
		panic("page-table entry at 0x%lx, outside the pool", pa);
	return (pa - twin_info.ptpool_start) / sizeof(*pte);
}

void
twin_tlb_stored(const pt_entry_t *pte, pt_entry_t old, pt_entry_t new)
{
	bool matters = ((old ^ new) & MATTERS) || (old & ~new &(PTE_A | PTE_D));
	uint64_t place = place_of(pte);

	if (!(old & PTE_P) || !matters)
		return;
	for (struct tlb *t = tlb; t < &tlb[ntlb]; t++) {
		struct left *l = &t->shadow[place];
		uint64_t epoch = __atomic_load_n(&t->epoch, __ATOMIC_RELAXED);

		if (__atomic_load_n(&l->epoch, __ATOMIC_RELAXED) == epoch)
			continue;
		__atomic_store_n(&l->pte, old, __ATOMIC_RELAXED);
		__atomic_store_n(&l->epoch, epoch, __ATOMIC_RELEASE);
		__atomic_fetch_add(&t->nleft, 1, __ATOMIC_RELAXED);
	}
}

/* Is there an old value of the entry in this CPU's TLB? */
static bool
kept(const struct tlb *t, const pt_entry_t *entry, pt_entry_t *pte)
{
	const struct left *l = &t->shadow[place_of(entry)];

	if (__atomic_load_n(&l->epoch, __ATOMIC_ACQUIRE) != t->epoch)
		return false;
	*pte = __atomic_load_n(&l->pte, __ATOMIC_RELAXED);
	return true;
}

static bool
is_deaf(void)
{
	return unlikely((twin_tlb_deaf & CPU_MASK(curcpu()->ci_id)) != 0);
}

static void
forget(struct tlb *t, const pt_entry_t *entry)
{
	__atomic_store_n(&t->shadow[place_of(entry)].epoch, 0, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&t->nleft, 1, __ATOMIC_RELAXED);
}

void
tlb_invlpg(vaddr_t va)
{
	uint64_t begin = event_ticket();
	pt_entry_t *table = PMAP_DIRECT_MAP(twin_info.root);
	struct tlb *t = own_tlb();

	/* All there may be for va, on the path as it is and on the path as it may be cached. */
	for (int level = PT_LEVELS; level >= 1 && !is_deaf(); level--) {
		pt_entry_t *entry = &table[pt_index(va, level)], pte = pte_get(entry);

		if (kept(t, entry, &pte))
			forget(t, entry);
		if (!(pte & PTE_P) || (level > 1 && (pte & PTE_PS)))
			break;
		if (level > 1)
			table = PMAP_DIRECT_MAP(pte & PTE_FRAME);
	}
	COUNT(invlpg, 1);
	EVENT(INVLPG, va, begin, 0);
}

/* All leaves of the kernel are global: they stay. */
void
tlb_load_root(paddr_t root)
{
	uint64_t begin = event_ticket();

	twin_info.root = root;
	EVENT(CR3, root, begin, 0);
}

void
tlb_flush_full(void)
{
	uint64_t begin = event_ticket();
	struct tlb *t = own_tlb();

	if (PLANTED(CR3_FOR_GLOBAL)) {
		tlb_load_root(twin_info.root);
		return;
	}
	if (!is_deaf()) {
		__atomic_store_n(&t->epoch, t->epoch + 1, __ATOMIC_RELEASE);
		__atomic_store_n(&t->nleft, 0, __ATOMIC_RELAXED);
	}
	COUNT(tlb_full, 1);
	EVENT(TLB_FULL, 0, begin, 0);
}

uint64_t
twin_tlb_stale(void)
{
	return __atomic_load_n(&own_tlb()->nleft, __ATOMIC_RELAXED);
}

/* What the CPU sees in an entry: what was left behind, if it allows the access, else what is there. */
static pt_entry_t
seen(const pt_entry_t *entry, bool write, bool *stale)
{
	struct tlb *t = own_tlb();
	pt_entry_t old;

	*stale = false;
	if (!kept(t, entry, &old))
		return pte_get(entry);
	if (!(old & PTE_P) || (write && !(old & PTE_W))) {
		/* It would fault, and a fault drops the translation: then it is walked anew. */
		forget(t, entry);
		return pte_get(entry);
	}
	*stale = true;
	return old;
}

#else

void
twin_tlb_init(void *memory __unused_arg, unsigned ncpu __unused_arg)
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
	return pte_get(entry);
}

#endif

/* Set A, and D, in an entry that was seen to be `pte`; false: it is not any more. */
static bool
mark_used(pt_entry_t *entry, pt_entry_t pte, pt_entry_t bits)
{
	while ((pte & bits) != bits) {
		pt_entry_t want = pte & ~(PTE_A | PTE_D);

		if (__atomic_compare_exchange_n(
			entry, &pte, pte | bits, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			break;
		if ((pte & ~(PTE_A | PTE_D)) != want)
			return false;
	}
	return true;
}

/* One walk; false: an entry on the path changed meanwhile. The result is translate()'s. */
static bool
walk(vaddr_t va, bool write, paddr_t *pa, uint64_t *result)
{
	pt_entry_t *table = PMAP_DIRECT_MAP(twin_info.root), *path[PT_LEVELS + 1],
		   pte[PT_LEVELS + 1] = { 0 };
	uint64_t code = write ? PF_W : 0;
	bool stale[PT_LEVELS + 1];
	int level;

	for (level = PT_LEVELS;; level--) {
		path[level] = &table[pt_index(va, level)];
		pte[level] = seen(path[level], write, &stale[level]);
		if (!(pte[level] & PTE_P) || (write && !(pte[level] & PTE_W))) {
			*result = (code | (pte[level] & PTE_P ? PF_P : 0)) + 1;
			return true;
		}
		if (level == 1 || (pte[level] & PTE_PS))
			break;
		table = PMAP_DIRECT_MAP(pte[level] & PTE_FRAME);
	}
	/* A kept translation writes nothing back. */
	for (int l = PT_LEVELS; l >= level; l--) {
		if (!stale[l] &&
		    !mark_used(path[l], pte[l], PTE_A | (l == level && write ? PTE_D : 0)))
			return false;
	}
	*pa = (pte[level] & PTE_FRAME & ~(pt_span(level) - 1)) | (va & (pt_span(level) - 1));
	*result = 0;
	return true;
}

/* One translation as the MMU makes it; sets A and D. 0 and *pa, or the page fault's error code + 1. */
static uint64_t
translate(vaddr_t va, bool write, paddr_t *pa)
{
	uint64_t result;

	if (!va_is_canonical(va))
		return (write ? PF_W : 0) + 1;
	while (!walk(va, write, pa, &result))
		;
	if (result == 0 && *pa >= twin_ram_end)
		panic("access to 0x%lx reaches physical 0x%lx, where no memory is", va, *pa);
	return result;
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

	/* Here a CPU takes its interrupts: not between the translation and the access. */
	shootdown_serve();
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
	return __atomic_load_n(must_reach(va, false), __ATOMIC_RELAXED);
}

void
kva_write(vaddr_t va, uint64_t value)
{
	__atomic_store_n(must_reach(va, true), value, __ATOMIC_RELAXED);
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
	*value = __atomic_load_n(p, __ATOMIC_RELAXED);
	return 0;
}

int
twin_store(vaddr_t va, uint64_t value, uint64_t *err)
{
	uint64_t *p = reach(va, true, err);

	if (p == NULL)
		return EFAULT;
	__atomic_store_n(p, value, __ATOMIC_RELAXED);
	return 0;
}
