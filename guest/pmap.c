/* SPDX-License-Identifier: ISC */
/*
 * The tables of the kernel pmap: taking them over from the VMM, making more, reading them. What goes
 * into leaf entries is pmap_range.c, finding them by page is pmap_page.c.
 */
#include <machine/assert.h>

#include "pmap_table.h"
#include "shared/bootinfo.h"

struct pmap kernel_pmap_store;
uint64_t pmap_flush_threshold;

static vaddr_t direct_end;

void
pmap_bootstrap(const struct bed_bootinfo *bi)
{
	pmap_t pm = pmap_kernel();

	pm->pm_root = bi->root & PTE_FRAME;
	pm->pm_refs = 1;
	pm->pm_limit = VM_MIN_KERNEL_ADDRESS + bi->kva_size;
	pm->pm_pool = bi->ptpool_next;
	pm->pm_poolend = bi->ptpool_end;
	mtx_init_rank(&pm->pm_mtx, IPL_VM, RANK_PMAP);
	pmap_flush_threshold = bi->flush_threshold ? bi->flush_threshold : PMAP_FLUSH_THRESHOLD;
	pmap_shootdown_init(bi->ncpu);
	direct_end = (vaddr_t)PMAP_DIRECT_MAP(bi->direct_end);
}

vsize_t
pmap_steal_size(void)
{
	vsize_t kva = kernel_pmap_store.pm_limit - VM_MIN_KERNEL_ADDRESS;

	return (kva + L1_SPAN - 1) / L1_SPAN * sizeof(struct pmap_l1);
}

/* Note the tables below `table` in the part of the tree that translates kernel_map. */
static void
take_over(const pt_entry_t *table, int level, vaddr_t va, unsigned first, unsigned last)
{
	pmap_t pm = pmap_kernel();

	for (unsigned i = first; i <= last; i++) {
		vaddr_t start = va + (i - first) * pt_span(level);
		pt_entry_t pte = pte_get(&table[i]);

		if (start >= pm->pm_limit)
			return;
		if (!(pte & PTE_P)) {
			while (last - i > 4 && pmap_none4(&table[i + 1]))
				i += 4;
			continue;
		}
		pm->pm_ptps++;
		if (level > 2)
			take_over(
			    PMAP_DIRECT_MAP(pte & PTE_FRAME), level - 1, start, 0, PT_ENTRIES - 1);
		else
			pmap_l1(start)->pl_frame = (uint32_t)atop(pte & PTE_FRAME);
	}
}

void
pmap_steal(void *zeroed)
{
	pmap_t pm = pmap_kernel();
	unsigned slot = pt_index(VM_MIN_KERNEL_ADDRESS, PT_LEVELS);

	pm->pm_l1 = zeroed;
	take_over(PMAP_DIRECT_MAP(pm->pm_root), PT_LEVELS, VM_MIN_KERNEL_ADDRESS, slot, slot);
	pm->pm_end = VM_MIN_KERNEL_ADDRESS;
	while (pm->pm_end < pm->pm_limit && pmap_l1(pm->pm_end)->pl_frame != 0)
		pm->pm_end += L1_SPAN;
}

/* How many tables the path to va lacks. */
static unsigned
missing(vaddr_t va)
{
	const pt_entry_t *table = PMAP_DIRECT_MAP(kernel_pmap_store.pm_root);

	for (int level = PT_LEVELS; level > 1; level--) {
		pt_entry_t pte = pte_get(&table[pt_index(va, level)]);

		if (!(pte & PTE_P))
			return (unsigned)level - 1;
		table = PMAP_DIRECT_MAP(pte & PTE_FRAME);
	}
	return 0;
}

/* Make what missing() counted. A pool page is zero, so it may be linked as it is. */
static void
make_path(vaddr_t va)
{
	pmap_t pm = pmap_kernel();
	pt_entry_t *table = PMAP_DIRECT_MAP(pm->pm_root);

	for (int level = PT_LEVELS; level > 1; level--) {
		pt_entry_t *entry = &table[pt_index(va, level)];

		if (!(pte_get(entry) & PTE_P)) {
			paddr_t pa = pm->pm_pool;

			if (!PLANTED(TABLE_TWICE))
				pm->pm_pool += PAGE_SIZE;
			if (PLANTED(TABLE_LEAKED))
				pm->pm_pool += PAGE_SIZE;
			if (PLANTED(TABLE_FROM_FREE_LIST))
				pa = pmap_planted_table();
			pm->pm_ptps++;
			COUNT(ptp_alloc, 1);
			EVENT(PTP_ALLOC, pa, level - 1, va & ~(pt_span(level) - 1));
			pte_set(
			    entry, pa | PTE_P | (PLANTED(TABLE_READ_ONLY) ? 0 : PTE_W) | PTE_NX);
			if (level == 2)
				pmap_l1(va)->pl_frame = (uint32_t)atop(pa);
		}
		table = PMAP_DIRECT_MAP(pte_get(entry) & PTE_FRAME);
	}
}

static uint64_t
pool_left(void)
{
	return (kernel_pmap_store.pm_poolend - kernel_pmap_store.pm_pool) / PAGE_SIZE;
}

bool
pmap_make_tables(vaddr_t va)
{
	pmap_t pm = pmap_kernel();
	bool ok;

	mtx_enter(&pm->pm_mtx);
	ok = missing(va) <= pool_left();
	if (ok)
		make_path(va);
	mtx_leave(&pm->pm_mtx);
	return ok;
}

/*
 * Tables that [from, to) lacks. Counting stops once it passes `enough`, so that a hopeless request costs
 * no more than a possible one. Upper tables are missing along a whole stretch: count them where it begins.
 */
static uint64_t
missing_range(vaddr_t from, vaddr_t to, uint64_t enough)
{
	uint64_t n = 0;

	for (vaddr_t va = from; va < to && n <= enough; va += L1_SPAN) {
		unsigned m = missing(va);

		if (m > 1 && va != from && (va & (pt_span(3) - 1)) != 0)
			m = 1;
		if (m > 2 && va != from)
			m = 2;
		n += m;
	}
	return n;
}

vaddr_t
pmap_growkernel(vaddr_t va)
{
	pmap_t pm = pmap_kernel();
	vaddr_t end = 0;

	if (va < VM_MIN_KERNEL_ADDRESS || va > pm->pm_limit)
		return 0;
	mtx_enter(&pm->pm_mtx);
	if (va <= pm->pm_end) {
		end = pm->pm_end;
	} else {
		vaddr_t to = (va + L1_SPAN - 1) & ~(L1_SPAN - 1);
		uint64_t left = pool_left();

		if (missing_range(pm->pm_end, to, left) <= left) {
			for (vaddr_t v = pm->pm_end; v < to; v += L1_SPAN)
				make_path(v);
			pm->pm_end = end = to;
			if (PLANTED_ANY)
				pmap_planted_grown(to);
		}
	}
	mtx_leave(&pm->pm_mtx);
	if (PLANTED(MUTEX_KEPT) && end == 0)
		pm->pm_mtx.mtx_owner = curcpu()->ci_curthread;
	return end;
}

void
pmap_inval_here(const struct pmap_inval *iv)
{
	if (pmap_inval_is_all(iv)) {
		tlb_flush_full();
		return;
	}
	for (unsigned i = 0; i < iv->nrun; i++)
		tlb_invlpg_range(iv->run[i].va, iv->run[i].n);
}

/* Alone, this CPU does its part at once; for others one round must do, and says "everything". */
void
pmap_inval_spill(struct pmap_inval *iv)
{
	if (pmap_smp)
		iv->all = true;
	else
		pmap_inval_here(iv);
	iv->nrun = 0;
}

bool
pmap_extract(pmap_t pm, vaddr_t va, paddr_t *pap)
{
	const pt_entry_t *table = PMAP_DIRECT_MAP(pm->pm_root);

	if (va >= (vaddr_t)PMAP_DIRECT_MAP(0) && va < direct_end) {
		*pap = PMAP_DIRECT_UNMAP(va);
		return true;
	}
	if (!va_is_canonical(va))
		return false;
	for (int level = PT_LEVELS;; level--) {
		pt_entry_t pte = pte_get(&table[pt_index(va, level)]);

		if (!(pte & PTE_P))
			return false;
		if (level == 1 || (pte & PTE_PS)) {
			uint64_t offset = va & (pt_span(level) - 1);

			*pap = (pte & PTE_FRAME & ~(pt_span(level) - 1)) | offset;
			return true;
		}
		table = PMAP_DIRECT_MAP(pte & PTE_FRAME);
	}
}

void
pmap_update(pmap_t pm __unused_arg)
{
	EVENT(UPDATE, 0, 0, 0);
}
