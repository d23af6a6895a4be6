/* SPDX-License-Identifier: ISC */
/*
 * Lists of pages with constraints: where they may lie, how they are aligned, what they must not cross,
 * how many segments they may be in.
 *
 * The longest possible piece is taken again and again until there is enough. That uses the fewest
 * segments possible: pieces that are as long as can be do not overlap, and what such a piece leaves of
 * its run is too short to matter.
 */
#include "pmap.h"

#include <machine/planted.h>
#include <machine/thread.h>

#include "uvm_pmemrange.h"
#include "uvm_pmr_priv.h"
#include "uvm_pmr_tree.h"

/* In frames. A piece that fits: first >= low, end <= high + 1, first % align == 0, within boundary. */
struct constraint {
	paddr_t low, high; /* inclusive */
	paddr_t align;
	paddr_t boundary; /* 0: none */
	bool any;         /* none of the above says anything */
};

/* Where free pages were found. */
struct place {
	paddr_t frame; /* of the piece */
	struct vm_page *run;
	unsigned kind; /* UVM_PMR_MEMTYPE_MAX: the piece lies in runs of both kinds */
};

static paddr_t
frame_of(const struct vm_page *pg)
{
	return atop(VM_PAGE_TO_PHYS(pg));
}

/* The highest piece of n frames within [start, end) that fits; false: none. */
static bool
fit_within(const struct constraint *c, paddr_t start, paddr_t end, uint64_t n, paddr_t *frame)
{
	if (start < c->low)
		start = c->low;
	if (end > c->high && c->high != UINT64_MAX)
		end = c->high + 1 < end ? c->high + 1 : end;
	while (end > start && end - start >= n) {
		paddr_t s = (end - n) & ~(c->align - 1);
		paddr_t cut = (s + n - 1) & ~(c->boundary - 1);

		if (s < start)
			return false;
		if (c->boundary == 0 || cut <= s) {
			*frame = s;
			return true;
		}
		end = cut; /* crosses: look again below the boundary it crosses last */
	}
	return false;
}

/* A piece of n frames in a run of one kind. */
static bool
find_in_runs(const struct constraint *c, uint64_t n, unsigned kind, struct place *place)
{
	struct vm_page *run = pmr_tree_highest(uvm_pmr.tree[kind], n);

	for (; run != NULL; run = pmr_tree_lower(run, n)) {
		paddr_t start = frame_of(run);

		if (fit_within(c, start, start + run->fpgsz, n, &place->frame)) {
			place->run = run;
			place->kind = kind;
			return true;
		}
	}
	return false;
}

static unsigned
kind_of(const struct vm_page *pg)
{
	return pg->pg_flags & PG_DIRTY ? UVM_PMR_MEMTYPE_DIRTY : UVM_PMR_MEMTYPE_ZERO;
}

/*
 * A piece of n frames in runs of both kinds that touch. Looks at every run; only for what no single run
 * can give. Runs on the stacks of short ones end a span.
 */
static bool
find_in_spans(const struct constraint *c, uint64_t n, struct place *place)
{
	struct vm_page *run = pmr_tree_highest(uvm_pmr.tree[UVM_PMR_MEMTYPE_DIRTY], 1);

	for (; run != NULL; run = pmr_tree_lower(run, 1)) {
		struct vm_page *first = run, *end = run + run->fpgsz;
		paddr_t start;

		while (!(pg_flags_get(&first[-1]) & (PQ_INUSE | PG_QUICK)))
			first -= first[-1].fpgsz;
		while (!(pg_flags_get(end) & (PQ_INUSE | PG_QUICK)))
			end += end->fpgsz;
		if ((uint64_t)(end - first) < n)
			continue;
		start = frame_of(first);
		if (fit_within(c, start, start + (paddr_t)(end - first), n, &place->frame)) {
			place->run = first;
			place->kind = UVM_PMR_MEMTYPE_MAX;
			return true;
		}
	}
	return false;
}

static bool
find_piece(const struct constraint *c, uint64_t n, bool zero, struct place *place)
{
	unsigned kind = zero ? UVM_PMR_MEMTYPE_ZERO : UVM_PMR_MEMTYPE_DIRTY;

	return find_in_runs(c, n, kind, place) || find_in_runs(c, n, !kind, place) ||
	       find_in_spans(c, n, place);
}

/* The longest piece of up to `want` frames; 0: nothing fits. A part of a piece that fits also fits. */
static uint64_t
find_longest(const struct constraint *c, uint64_t want, bool zero, struct place *place)
{
	uint64_t yes = 0, no = want + 1;
	struct place p;

	for (uint64_t n = want; yes + 1 != no; n = yes + (no - yes) / 2) {
		if (find_piece(c, n, zero, &p)) {
			yes = n;
			*place = p;
		} else {
			no = n;
		}
	}
	return yes;
}

/* Take the piece out of its runs and put it on the list. */
static void
take_piece(const struct place *place, uint64_t n, struct pglist *list)
{
	struct vm_page *run = place->run, *pg = run + (place->frame - frame_of(run));

	while (n != 0) {
		unsigned kind;
		uint64_t here;

		while (run + run->fpgsz <= pg)
			run += run->fpgsz;
		kind = kind_of(run);
		here = (uint64_t)(run + run->fpgsz - pg);
		if (here > n)
			here = n;
		/* The part behind the piece becomes a run of its own, so `run` may be cut first. */
		pmr_run_take(run, kind, pg, here);
		pmr_mark_inuse(
		    pg, here, kind == UVM_PMR_MEMTYPE_ZERO ? PQ_INUSE | PG_ZERO : PQ_INUSE);
		pglist_add(list, pg, (unsigned)here);
		n -= here;
		pg += here;
		run = pg;
	}
}

/* Undo: the pages go back as what they were. */
static void
untake(struct pglist *list)
{
	struct vm_page *pg, *next;

	for (pg = list->first; pg != NULL; pg = next) {
		next = pg->pageq;
		pmr_run_return(pg, pg->fpgsz);
	}
	pglist_init(list);
}

/* fpageqlock held, enough pages free. */
static bool
getpages(const struct constraint *c, uint64_t n, uint64_t nsegs, int flags, struct pglist *list)
{
	bool zero = flags & UVM_PLA_ZERO;

	if (c->any && nsegs >= n && !(flags & UVM_PLA_TRYCONTIG)) {
		while (n != 0) {
			unsigned got = n > UINT32_MAX ? UINT32_MAX : (unsigned)n;
			struct vm_page *pg = pmr_take_pages(&got, zero ? UVM_PGA_ZERO : 0);

			pglist_add(list, pg, got);
			n -= got;
		}
		return true;
	}
	for (bool drained = false;; drained = true) {
		/* No piece is longer than the one before it: mostly the first length tried is the one. */
		uint64_t left = n, most = c->boundary != 0 && c->boundary < n ? c->boundary : n;

		for (uint64_t seg = 0; seg < nsegs && left != 0; seg++) {
			struct place place;
			uint64_t got = find_longest(c, left < most ? left : most, zero, &place);

			if (got == 0)
				break;
			take_piece(&place, got, list);
			left -= got;
			most = got;
		}
		if (left == 0)
			return true;
		untake(list);
		if (drained)
			return false;
		uvm_pmr_drain();
	}
}

/* False: no memory can satisfy this. */
static bool
make_constraint(struct constraint *c, uint64_t n, paddr_t low, paddr_t high, paddr_t alignment,
    paddr_t boundary, uint64_t nsegs)
{
	c->low = PLANTED(LOW_IGNORED) ? 0 : atop(round_page(low));
	c->high = high == (paddr_t)-1 ? UINT64_MAX : atop(high + 1) - 1;
	c->align = alignment <= PAGE_SIZE ? 1 : atop(alignment);
	c->boundary = PLANTED(BOUNDARY_IGNORED) ? 0 : atop(boundary);
	c->any = low == 0 && high == (paddr_t)-1 && c->align == 1 && boundary == 0;
	if ((alignment & (alignment - 1)) != 0 || (boundary & (boundary - 1)) != 0)
		return false;
	if (low > high || low > ~PAGE_MASK || (high != (paddr_t)-1 && high < PAGE_MASK) ||
	    c->low > c->high)
		return false;
	if (boundary == 0)
		return true;
	return boundary >= PAGE_SIZE && (n + nsegs - 1) / nsegs <= c->boundary;
}

/* Sleep until pages that may help are freed. False: the page daemon gave up, and that is a reason to. */
static bool
wait_constrained(const struct constraint *c, int flags)
{
	struct uvm_pmalloc pm = {
		.pm_next = uvm_pmr.allocs,
		.pm_low = c->low,
		.pm_high = c->high,
		.pm_failok = flags & UVM_PLA_FAILOK,
	};
	struct uvm_pmalloc **link;

	uvm_pmr.allocs = &pm;
	uvmexp.pagewaits++;
	sleep_setup(&pm, "pmrwait");
	mtx_leave(&uvm_pmr.fpageqlock);
	uvm_pagedaemon_wake();
	stop_point(STOP_PAGE_WAIT);
	sleep_finish(INFSLP, true);
	mtx_enter(&uvm_pmr.fpageqlock);
	for (link = &uvm_pmr.allocs; *link != &pm; link = &(*link)->pm_next)
		continue;
	*link = pm.pm_next;
	return !pm.pm_gaveup;
}

static void
zero_list(struct pglist *list)
{
	struct vm_page *run;

	PGLIST_FOREACH_RUN(run, list)
	{
		if (run->pg_flags & PG_ZERO)
			continue;
		for (unsigned i = 0; i < run->fpgsz; i++)
			pmap_zero_page(&run[i]);
	}
}

int
uvm_pglistalloc(psize_t size, paddr_t low, paddr_t high, paddr_t alignment, paddr_t boundary,
    struct pglist *list, int nsegs, int flags)
{
	uint64_t n = atop(round_page(size)), segs = nsegs <= 0 ? UINT64_MAX : (uint64_t)nsegs;
	uint64_t reserve = uvmexp.reserve_pagedaemon + (flags & UVM_PLA_USERESERVE ? 0 : 1);
	struct constraint c;
	struct vm_page *run;

	KASSERT(!(flags & UVM_PLA_WAITOK) != !(flags & UVM_PLA_NOWAIT));
	if (n == 0 || n < atop(size))
		return EINVAL;
	if (segs > n)
		segs = n;
	if (!make_constraint(&c, n, low, high, alignment, boundary, segs))
		return EINVAL;
	pglist_init(list);
	if (unlikely(thread_is_pagedaemon(curthread)))
		reserve = 0;

	mtx_enter(&uvm_pmr.fpageqlock);
	for (;;) {
		bool enough = uvmexp.free >= n + reserve;

		if (enough && getpages(&c, n, segs, flags, list))
			break;
		if (!(flags & UVM_PLA_WAITOK) || n + reserve > uvmexp.npages) {
			mtx_leave(&uvm_pmr.fpageqlock);
			if (!(flags & UVM_PLA_NOWAKE))
				uvm_pagedaemon_wake();
			return ENOMEM;
		}
		if (enough || (flags & UVM_PLA_FAILOK)) {
			if (!wait_constrained(&c, flags)) {
				mtx_leave(&uvm_pmr.fpageqlock);
				return ENOMEM;
			}
		} else {
			pmr_sleep_free("pglalloc");
			mtx_enter(&uvm_pmr.fpageqlock);
		}
	}
	count_add(&uvmexp.free, -n);
	mtx_leave(&uvm_pmr.fpageqlock);

	COUNT(page_alloc, n);
	PGLIST_FOREACH_RUN(run, list)
	EVENT(PAGE_ALLOC, VM_PAGE_TO_PHYS(run), run->fpgsz, 0);
	if (flags & UVM_PLA_ZERO)
		zero_list(list);
	if (unlikely(uvm_pages_free() < uvmexp.freemin) && !(flags & UVM_PLA_NOWAKE))
		uvm_pagedaemon_wake();
	return 0;
}

void
uvm_pglistfree(struct pglist *list)
{
	struct vm_page *pg, *next;

	for (pg = list->first; pg != NULL; pg = next) {
		next = pg->pageq;
		uvm_pmr_putrun(pg, pg->fpgsz);
	}
	pglist_init(list);
}
