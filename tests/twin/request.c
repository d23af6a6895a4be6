/* SPDX-License-Identifier: ISC */
/*
 * Requests to uvm_pglistalloc() and the brute-force answer to them (request.h).
 */
#include "tests/twin/request.h"

#include <stdlib.h>

static int
compare_desc(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? 1 : x > y ? -1 : 0;
}

/*
 * By looking at every frame: the stretches that a segment may come from, each as long as can be. The
 * longest nsegs of them say what is possible.
 */
bool
request_possible(const struct request *q)
{
	static uint64_t piece[4096];
	uint64_t npiece = 0, sum = 0;
	uint64_t align = q->alignment > PAGE_SIZE ? atop(q->alignment) : 1;

	for (unsigned i = 0; i < vm_nphysseg; i++) {
		const struct vm_physseg *seg = &vm_physmem[i];
		uint64_t len = 0;

		for (paddr_t frame = seg->start; frame < seg->end; frame++) {
			bool ok = !(seg->pgs[frame - seg->start].pg_flags & PQ_INUSE) &&
			          ptoa(frame) >= q->low && ptoa(frame) + PAGE_MASK <= q->high;
			bool cut = q->boundary != 0 && ptoa(frame) % q->boundary == 0;

			if ((!ok || cut) && len != 0) {
				piece[npiece++] = len;
				len = 0;
			}
			if (ok && (len != 0 || frame % align == 0))
				len++;
		}
		if (len != 0)
			piece[npiece++] = len;
	}
	qsort(piece, npiece, sizeof(*piece), compare_desc);
	for (uint64_t i = 0; i < npiece && (q->nsegs == 0 || i < (uint64_t)q->nsegs); i++)
		sum += piece[i];
	return sum >= q->pages;
}

/* Segments of a list: runs that touch are one, unless a limit of the request lies between. */
void
request_check(const struct request *q, const struct pglist *l, uint64_t seed)
{
	const struct vm_page *run;
	uint64_t pages = 0, segs = 0;
	paddr_t end = 0;

	PGLIST_FOREACH_RUN(run, l)
	{
		paddr_t pa = VM_PAGE_TO_PHYS(run), last = pa + ptoa(run->fpgsz) - 1;

		cr_assert(pa >= q->low && last <= q->high, "seed 0x%lx: 0x%lx outside", seed, pa);
		/* A run that continues the one before may belong to the same segment. */
		if (pa != end) {
			segs++;
			cr_assert(q->alignment == 0 || pa % q->alignment == 0,
			    "seed 0x%lx: 0x%lx not aligned", seed, pa);
		}
		cr_assert(q->boundary == 0 || pa / q->boundary == last / q->boundary,
		    "seed 0x%lx: 0x%lx..0x%lx crosses", seed, pa, last);
		for (uint32_t i = 0; i < run->fpgsz; i++)
			cr_assert_eq(run[i].pg_flags & (PQ_INUSE | PG_TABLED), PQ_INUSE);
		if (q->flags & UVM_PLA_ZERO) {
			const uint64_t *w = PMAP_DIRECT_MAP(pa);

			for (uint64_t i = 0; i < run->fpgsz * 512; i += 73)
				cr_assert_eq(w[i], 0, "seed 0x%lx: not zero", seed);
		}
		pages += run->fpgsz;
		end = last + 1;
	}
	cr_assert_eq(pages, q->pages, "seed 0x%lx: %lu pages of %lu", seed, pages, q->pages);
	cr_assert(q->nsegs == 0 || segs <= (uint64_t)q->nsegs, "seed 0x%lx: %lu segments of %d",
	    seed, segs, q->nsegs);
}

int
request_try(const struct request *q, struct pglist *l)
{
	return uvm_pglistalloc(
	    ptoa(q->pages), q->low, q->high, q->alignment, q->boundary, l, q->nsegs, q->flags);
}
