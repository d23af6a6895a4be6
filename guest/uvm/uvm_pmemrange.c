/* SPDX-License-Identifier: ISC */
/*
 * Free physical memory: runs in, runs out. Requests with constraints are uvm_pglist.c.
 */
#include "pmap.h"

#include <machine/planted.h>
#include <machine/thread.h>

#include "uvm_pmemrange.h"
#include "uvm_pmr_tree.h"
#include "uvm_pmr_priv.h"

struct uvm_pmemrange uvm_pmr;

/* Free pages in a run of this kind have exactly these of the flags that matter. */
#define STATE_MASK (PQ_INUSE | PG_QUICK | PG_DIRTY)

static inline uint32_t
state_of(unsigned kind)
{
	return kind == UVM_PMR_MEMTYPE_DIRTY ? PG_DIRTY : 0;
}

static inline void
run_size(struct vm_page *run, uint64_t n)
{
	run[n - 1].fpgsz = run->fpgsz = (uint32_t)n;
}

/* A free run joins its tree, and its neighbours of the same kind. */
static void
run_insert(struct vm_page *pg, uint64_t n, unsigned kind)
{
	struct vm_page **root = &uvm_pmr.tree[kind], *next = pg + n;
	bool join_next = (pg_flags_get(next) & STATE_MASK) == state_of(kind);

	uvm_pmr.pages[kind] += n;
	if ((pg_flags_get(&pg[-1]) & STATE_MASK) == state_of(kind)) {
		struct vm_page *head = pg - pg[-1].fpgsz;

		n += head->fpgsz;
		if (join_next) {
			n += next->fpgsz;
			pmr_tree_remove(root, next);
		}
		run_size(head, n);
		pmr_tree_resized(head);
	} else if (join_next) {
		run_size(pg, n + next->fpgsz);
		pmr_tree_move(root, next, pg);
	} else {
		run_size(pg, n);
		pmr_tree_insert(root, pg);
	}
}

void
pmr_run_take(struct vm_page *run, unsigned kind, struct vm_page *pg, uint64_t n)
{
	uint64_t before = (uint64_t)(pg - run), after = run->fpgsz - before - n;
	struct vm_page **root = &uvm_pmr.tree[kind];

	uvm_pmr.pages[kind] -= n;
	if (before == 0 && after == 0) {
		pmr_tree_remove(root, run);
	} else if (before == 0) {
		run_size(pg + n, after);
		pmr_tree_move(root, run, pg + n);
	} else {
		run_size(run, before);
		pmr_tree_resized(run);
		if (after != 0) {
			run_size(pg + n, after);
			pmr_tree_insert(root, pg + n);
		}
	}
}

void
uvm_pmr_addrun(struct vm_page *pg, uint64_t n)
{
	run_insert(pg, n, UVM_PMR_MEMTYPE_ZERO);
	count_add(&uvmexp.free, n);
}

static __always_inline void
mark(struct vm_page *pg, uint64_t n, uint32_t flags)
{
	const struct vm_page *end = pg + n;

	pg_flags_set(pg, flags);
	if (likely(n == 1))
		return;
	/* A store a page: the compiler does not unroll a loop of atomic ones. */
	for (pg++; end - pg >= 4; pg += 4) {
		pg_flags_set(&pg[0], flags);
		pg_flags_set(&pg[1], flags);
		pg_flags_set(&pg[2], flags);
		pg_flags_set(&pg[3], flags);
	}
	for (; pg != end; pg++)
		pg_flags_set(pg, flags);
}

void
uvm_pmr_drain(void)
{
	for (unsigned n = 1; n <= UVM_PMR_QUICK; n++) {
		struct vm_page *pg;

		while ((pg = uvm_pmr.quick[n]) != NULL) {
			uvm_pmr.quick[n] = pg->pageq;
			mark(pg, n, PG_DIRTY);
			run_insert(pg, n, UVM_PMR_MEMTYPE_DIRTY);
		}
	}
	uvm_pmr.nquick = 0;
}

void
pmr_mark_inuse(struct vm_page *pg, uint64_t n, uint32_t flags)
{
	for (uint64_t i = 0; i < n; i++)
		KASSERT(!(pg[i].pg_flags & PQ_INUSE));
	mark(pg, n, flags);
}

/*
 * Which run to cut for up to `want` pages. A request for zeroed pages takes known zeroes in pieces of any
 * size before it has to zero; any other one leaves them alone unless only they hold a piece that long.
 */
static struct vm_page *
run_choose(unsigned want, bool zero, unsigned *kind)
{
	struct vm_page *dirty = uvm_pmr.tree[UVM_PMR_MEMTYPE_DIRTY];
	struct vm_page *clean = uvm_pmr.tree[UVM_PMR_MEMTYPE_ZERO];
	uint32_t most = pmr_max_of(dirty);

	*kind = UVM_PMR_MEMTYPE_DIRTY;
	if (clean != NULL && (zero || (most < want && pmr_max_of(clean) > most))) {
		*kind = UVM_PMR_MEMTYPE_ZERO;
		dirty = clean;
		most = clean->pmr_max;
	}
	return pmr_tree_highest(dirty, most < want ? most : want);
}

/* The pages this thread must leave for others. */
static inline uint64_t
reserve_for(int flags)
{
	if (unlikely(uvmexp.free <= uvmexp.reserve_kernel) && thread_is_pagedaemon(curthread))
		return 0;
	return flags & UVM_PGA_USERESERVE ? uvmexp.reserve_pagedaemon : uvmexp.reserve_kernel;
}

void
pmr_run_return(struct vm_page *pg, uint64_t n)
{
	unsigned kind = pg->pg_flags & PG_ZERO ? UVM_PMR_MEMTYPE_ZERO : UVM_PMR_MEMTYPE_DIRTY;

	mark(pg, n, state_of(kind));
	run_insert(pg, n, kind);
}

/* The run of n pages that was freed last. */
static inline struct vm_page *
pop_quick(unsigned n)
{
	struct vm_page *pg = uvm_pmr.quick[n];

	uvm_pmr.quick[n] = pg->pageq;
	uvm_pmr.nquick -= n;
	mark(pg, n, PQ_INUSE);
	return pg;
}

/* The last n pages of a run. */
static inline struct vm_page *
take_end(struct vm_page *run, unsigned kind, unsigned n)
{
	uint32_t left = run->fpgsz - n;

	uvm_pmr.pages[kind] -= n;
	if (left != 0) {
		run_size(run, left);
		pmr_tree_resized(run);
	} else {
		pmr_tree_remove(&uvm_pmr.tree[kind], run);
	}
	return run + left;
}

static inline struct vm_page *
take_pages(unsigned *want, int flags)
{
	struct vm_page *pg, *run;
	unsigned kind;

	bool zero = (flags & UVM_PGA_ZERO) && uvm_pmr.tree[UVM_PMR_MEMTYPE_ZERO] != NULL;

	if (!zero && *want <= UVM_PMR_QUICK && uvm_pmr.quick[*want] != NULL)
		return pop_quick(*want);
	if (uvm_pmr.tree[UVM_PMR_MEMTYPE_DIRTY] == NULL &&
	    uvm_pmr.tree[UVM_PMR_MEMTYPE_ZERO] == NULL)
		uvm_pmr_drain();
	run = run_choose(*want, flags & UVM_PGA_ZERO, &kind);
	if (unlikely(run->fpgsz < *want) && !zero && uvm_pmr.nquick != 0) {
		uvm_pmr_drain();
		run = run_choose(*want, flags & UVM_PGA_ZERO, &kind);
	}
	if (run->fpgsz < *want)
		*want = run->fpgsz;
	pg = take_end(run, kind, *want);
	pmr_mark_inuse(pg, *want, kind == UVM_PMR_MEMTYPE_ZERO ? PQ_INUSE | PG_ZERO : PQ_INUSE);
	return pg;
}

struct vm_page *
pmr_take_pages(unsigned *want, int flags)
{
	return take_pages(want, flags);
}

/* The rest of uvm_pmr_getrun(), lock held: a run from the trees, or none. */
static __noinline struct vm_page *
getrun_search(unsigned want, unsigned *got, int flags)
{
	struct vm_page *pg = NULL;
	uint64_t free = uvmexp.free, reserve = reserve_for(flags);

	if (likely(free > reserve && want != 0)) {
		if (unlikely(want > free - reserve))
			want = (unsigned)(free - reserve);
		pg = take_pages(&want, flags);
		count_add(&uvmexp.free, -(uint64_t)want);
	}
	mtx_leave(&uvm_pmr.fpageqlock);
	if (unlikely(pg == NULL)) {
		uvm_pagedaemon_wake();
		return NULL;
	}
	*got = want;
	COUNT(page_alloc, want);
	EVENT(PAGE_ALLOC, VM_PAGE_TO_PHYS(pg), want, 0);
	if (unlikely(free - want < uvmexp.freemin && free >= uvmexp.freemin))
		uvm_pagedaemon_wake();
	return pg;
}

/*
 * The rest of uvm_pmr_getrun(), lock held: known zeroes, and the highest run of them has more than are
 * wanted. Else the search.
 */
static __noinline struct vm_page *
getrun_zero(unsigned want, unsigned *got, int flags)
{
	struct vm_page *run = uvm_pmr.tree[UVM_PMR_MEMTYPE_ZERO], *pg;

	if (run == NULL || unlikely(uvmexp.free <= uvmexp.freemin + UVM_PMR_QUICK))
		return getrun_search(want, got, flags);
	while (run->pmr_right != NULL)
		run = run->pmr_right;
	if (unlikely(run->fpgsz <= want || want > UVM_PMR_QUICK || want == 0))
		return getrun_search(want, got, flags);
	uvm_pmr.pages[UVM_PMR_MEMTYPE_ZERO] -= want;
	count_add(&uvmexp.free, -(uint64_t)want);
	pg = run + (run->fpgsz - want);
	run_size(run, run->fpgsz - want);
	if (likely(run->pmr_parent == NULL && run->pmr_left == NULL))
		run->pmr_max = run->fpgsz;
	else
		pmr_tree_resized(run);
	mark(pg, want, PQ_INUSE | PG_ZERO);
	mtx_leave(&uvm_pmr.fpageqlock);
	*got = want;
	COUNT(page_alloc, want);
	EVENT(PAGE_ALLOC, VM_PAGE_TO_PHYS(pg), want, 0);
	return pg;
}

struct vm_page *
uvm_pmr_getrun(unsigned want, unsigned *got, int flags)
{
	struct vm_page *pg;

	mtx_enter(&uvm_pmr.fpageqlock);
	if (unlikely((flags & UVM_PGA_ZERO) && uvm_pmr.tree[UVM_PMR_MEMTYPE_ZERO] != NULL))
		return getrun_zero(want, got, flags);
	/* Nothing to choose, and no reserve or threshold near. */
	if (unlikely(want > UVM_PMR_QUICK) || unlikely((pg = uvm_pmr.quick[want]) == NULL) ||
	    unlikely(uvmexp.free <= uvmexp.freemin + UVM_PMR_QUICK))
		return getrun_search(want, got, flags);
	uvm_pmr.quick[want] = pg->pageq;
	if (!PLANTED(QUICK_COUNT_OFF))
		uvm_pmr.nquick -= want;
	count_add(&uvmexp.free, -(uint64_t)want);
	mark(pg, want, PQ_INUSE);
	mtx_leave(&uvm_pmr.fpageqlock);
	*got = want;
	COUNT(page_alloc, want);
	EVENT(PAGE_ALLOC, VM_PAGE_TO_PHYS(pg), want, 0);
	return pg;
}

#ifdef BED_CHECKED_BUILD
static void
check_freed(const struct vm_page *pg, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t *word = PMAP_DIRECT_MAP(VM_PAGE_TO_PHYS(&pg[i]));

		if (!(pg[i].pg_flags & PQ_INUSE) || pg[i].uobject != NULL)
			panic("free of page 0x%lx: flags 0x%x, object %p", VM_PAGE_TO_PHYS(&pg[i]),
			    pg[i].pg_flags, (void *)pg[i].uobject);
		word[0] = word[PAGE_SIZE / 16] = word[PAGE_SIZE / 8 - 1] = UVM_POISON;
	}
}
#else
#define check_freed(pg, n) ((void)0)
#endif

/* Some of the frames of a run that has become free may be what a sleeper waits for. */
void
pmr_wake_allocs(paddr_t first, paddr_t last)
{
	for (struct uvm_pmalloc *pm = uvm_pmr.allocs; pm != NULL; pm = pm->pm_next) {
		if (first <= pm->pm_high && pm->pm_low <= last)
			wakeup(pm);
	}
}

/* Lock held: n pages have become free; gives up the lock and wakes who waits for them. */
static __noinline void
wake_waiters(const struct vm_page *pg, unsigned n)
{
	bool wake = uvm_pmr.waiters != 0;
	paddr_t frame = atop(VM_PAGE_TO_PHYS(pg));

	uvm_pmr.waiters = 0;
	pmr_wake_allocs(frame, frame + n - 1);
	mtx_leave(&uvm_pmr.fpageqlock);
	if (wake && !PLANTED(PAGE_WAITER_FORGOTTEN))
		wakeup(&uvmexp.free);
}

/* The rest of uvm_pmr_putrun(), lock held: a run that goes to the tree. */
static __noinline void
putrun_search(struct vm_page *pg, unsigned n)
{
	mark(pg, n, PG_DIRTY);
	run_insert(pg, n, UVM_PMR_MEMTYPE_DIRTY);
	count_add(&uvmexp.free, n);
	if (unlikely((uvm_pmr.waiters | (uintptr_t)uvm_pmr.allocs) != 0))
		wake_waiters(pg, n);
	else
		mtx_leave(&uvm_pmr.fpageqlock);
}

static void __noinline
bad_free(const struct vm_page *pg, unsigned n)
{
	panic("free of free page 0x%lx (%u pages)", VM_PAGE_TO_PHYS(pg), n);
}

void
uvm_pmr_putrun(struct vm_page *pg, unsigned n)
{
	if (unlikely(!(pg->pg_flags & pg[n - 1].pg_flags & PQ_INUSE)))
		bad_free(pg, n);
	check_freed(pg, n);
	COUNT(page_free, n);
	EVENT(PAGE_FREE, VM_PAGE_TO_PHYS(pg), n, 0);

	mtx_enter(&uvm_pmr.fpageqlock);
	if (likely(n <= UVM_PMR_QUICK && uvm_pmr.nquick + n <= UVM_PMR_QUICK_PAGES)) {
		pg->pageq = uvm_pmr.quick[n];
		uvm_pmr.quick[n] = pg;
		uvm_pmr.nquick += n;
		if (!PLANTED(FREE_COUNT_OFF))
			count_add(&uvmexp.free, n);
		mark(pg, PLANTED(RUN_HALF_MARKED) ? 1 : n, PG_DIRTY | PG_QUICK);
		if (unlikely((uvm_pmr.waiters | (uintptr_t)uvm_pmr.allocs) != 0))
			wake_waiters(pg, n);
		else
			mtx_leave(&uvm_pmr.fpageqlock);
		return;
	}
	putrun_search(pg, n);
}

void
uvm_pmr_unget(struct vm_page *pg, unsigned n)
{
	COUNT(page_free, n);
	EVENT(PAGE_FREE, VM_PAGE_TO_PHYS(pg), n, 0);
	mtx_enter(&uvm_pmr.fpageqlock);
	pmr_run_return(pg, n);
	count_add(&uvmexp.free, n);
	wake_waiters(pg, n);
}

bool
uvm_pmr_isfree(const struct vm_page *pg)
{
	return !(pg->pg_flags & PQ_INUSE);
}

/*
 * The lock is held from the test until this thread is on the queue: a page freed in between is seen by
 * the test, a page freed after that wakes it.
 */
void
uvm_wait(const char *wmesg)
{
	mtx_enter(&uvm_pmr.fpageqlock);
	if (uvmexp.free > uvmexp.reserve_pagedaemon) {
		mtx_leave(&uvm_pmr.fpageqlock);
		return;
	}
	pmr_sleep_free(wmesg);
}

void
pmr_sleep_free(const char *wmesg)
{
	bool daemon = thread_is_pagedaemon(curthread);

	uvm_pmr.waiters++;
	uvmexp.pagewaits++;
	sleep_setup(&uvmexp.free, wmesg);
	mtx_leave(&uvm_pmr.fpageqlock);
	uvm_pagedaemon_wake();
	stop_point(STOP_PAGE_WAIT);
	/* It must not wait for itself: time ends its sleep. */
	sleep_finish(daemon ? UINT64_C(125000000) : INFSLP, true);
}
