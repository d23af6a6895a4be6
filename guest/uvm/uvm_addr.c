/* SPDX-License-Identifier: ISC */
/*
 * Free-space search: sorts each hole into the place that holds it, and picks the hole the placement
 * rule of uvm_addr.h names.
 */
#include "uvm_addr.h"

#include <machine/assert.h>

#include "uvm_addr_impl.h"
#include "uvm_addr_tree.h"

#define NODES_PER_PAGE ((uint32_t)(PAGE_SIZE / sizeof(struct uvm_addr_node)))

void
uvm_addr_init(struct uvm_addr *ua, struct vm_map_entry *header, vaddr_t min, vaddr_t max,
    enum uvm_addr_fit fit)
{
	uint64_t pages;
	uint32_t levels = 2;

	*ua = (struct uvm_addr){
		.base = min & ~((UINT64_C(64) << PAGE_SHIFT) - 1),
		.header = header,
		.top = header,
		.hint = header,
		.cut = header,
		.fit = fit,
	};
	pages = (max - ua->base) >> PAGE_SHIFT;
	for (uint64_t reach = 64 * 64; reach < pages; reach <<= 6)
		levels++;
	/*
	 * uvm_map() puts at most two pages into the trie (a new entry's, and that of the one before it), each
	 * below the root, and it may raise the root from nothing. It leaves enough for an unmap.
	 */
	ua->deep = levels - 1;
	ua->need = 3 * ua->deep + levels;
	ua->closed = UVM_ADDR_LOW;
	ua->near = UINT64_MAX;
	/* First fit compares holes of different sizes: it wants all of them in the trie. */
	for (unsigned c = 0; c <= UVM_ADDR_BIG; c++)
		ua->floor[c] = fit == UVM_ADDR_FIRSTFIT ? 0 : UVM_ADDR_NO_FLOOR;
}

void
uvm_addr_feed(struct uvm_addr *ua, void *page)
{
	struct uvm_addr_node *n = page;

	for (unsigned i = 0; i < NODES_PER_PAGE; i++, n++) {
		n->up = ua->spare;
		ua->spare = n;
	}
	ua->nspare += NODES_PER_PAGE;
	if (ua->nspare >= ua->need)
		ua->closed &= ~(uint32_t)UVM_ADDR_LOW;
	ua->nnodes += NODES_PER_PAGE;
}

/* Hang every node below n, and n, into the stock. No column matters any more. */
static void
retire(struct uvm_addr *ua, struct uvm_addr_node *n, unsigned shift)
{
	for (unsigned i = 0; shift != 0 && i < nitems(n->sub); i++) {
		if (n->sub[i] != NULL)
			retire(ua, n->sub[i], shift - 6);
	}
	n->up = ua->spare;
	ua->spare = n;
}

void *
uvm_addr_drain(struct uvm_addr *ua)
{
	struct uvm_addr_node **link, *n;

	if (ua->root != NULL)
		retire(ua, ua->root, ua->shift);
	if (ua->root != NULL || ua->nspare != 0) {
		/* A page is known by its first node; the others are of no more interest. */
		for (link = &ua->spare; (n = *link) != NULL;) {
			if (((uintptr_t)n & PAGE_MASK) == 0)
				link = &n->up;
			else
				*link = n->up;
		}
	}
	ua->root = NULL;
	ua->hint = ua->cut = ua->header;
	ua->header->leaf = NULL;
	ua->reach = ua->have = ua->in_trie = 0;
	ua->near = UINT64_MAX;
	ua->shift = 0;
	ua->big = 0;
	ua->nspare = 0;
	ua->closed |= UVM_ADDR_LOW;
	n = ua->spare;
	if (n != NULL) {
		ua->spare = n->up;
		ua->nnodes -= NODES_PER_PAGE;
	}
	return n;
}

static inline uint64_t
big_key(const struct uvm_addr *ua, const struct vm_map_entry *e)
{
	return e->fspace >> PAGE_SHIFT << 32 | page_number(ua, VMMAP_FREE_START(e));
}

void
uvm_addr_sort_in(struct uvm_addr *ua, struct vm_map_entry *e)
{
	uint64_t pages = e->fspace >> PAGE_SHIFT;

	if (pages < UVM_ADDR_BIG) {
		uvm_addr_small_in(ua, e, VMMAP_FREE_START(e), pages);
	} else if (ua->fit == UVM_ADDR_BESTFIT) {
		uvm_addr_tree_insert(ua, e, big_key(ua, e));
	} else {
		ua->have |= UINT64_C(1) << UVM_ADDR_BIG;
		trie_set(ua, e->leaf, page_number(ua, VMMAP_FREE_START(e)), UVM_ADDR_BIG);
	}
}

void
uvm_addr_sort_out(struct uvm_addr *ua, struct vm_map_entry *e)
{
	uint64_t pages = e->fspace >> PAGE_SHIFT;

	if (pages < UVM_ADDR_BIG)
		uvm_addr_small_out(ua, e, VMMAP_FREE_START(e), pages);
	else if (ua->fit == UVM_ADDR_BESTFIT)
		uvm_addr_tree_remove(ua, e);
	else
		trie_clear(ua, e->leaf, page_number(ua, VMMAP_FREE_START(e)), UVM_ADDR_BIG);
}

/* uvm_addr_resort() between leaves, or between small and big. */
static __noinline void
resort_anyhow(struct uvm_addr *ua, struct vm_map_entry *e, vaddr_t end, vsize_t fspace)
{
	uvm_addr_sort_out(ua, e);
	uvm_addr_move(ua, e, end);
	e->fspace = fspace;
	if (fspace != 0)
		uvm_addr_sort_in(ua, e);
}

void
uvm_addr_resort(struct uvm_addr *ua, struct vm_map_entry *e, vaddr_t end, vsize_t fspace)
{
	uint64_t old = e->fspace >> PAGE_SHIFT, new = fspace >> PAGE_SHIFT;
	bool big = new >= UVM_ADDR_BIG;

	if (unlikely(!uvm_addr_is_near(e, end)) || (old >= UVM_ADDR_BIG) != big) {
		resort_anyhow(ua, e, end, fspace);
		return;
	}
	if (!big)
		uvm_addr_small_out(ua, e, e->end, old);
	e->fspace = fspace;
	if (end != e->end)
		uvm_addr_move_near(e, end);
	if (big)
		uvm_addr_tree_rekey(ua, e, big_key(ua, e));
	else if (new != 0)
		uvm_addr_small_in(ua, e, end, new);
}

void
uvm_addr_move_far(struct uvm_addr *ua, struct vm_map_entry *e, vaddr_t end)
{
	uvm_addr_leave(ua, e, e->end);
	e->end = end;
	uvm_addr_enter(ua, e, end);
}

static inline bool
entry_fits(const struct vm_map_entry *e, vsize_t size, vsize_t align)
{
	return uvm_addr_hole_fits(VMMAP_FREE_START(e), VMMAP_FREE_END(e), size, align);
}

/*
 * Offsets in a leaf at which a hole of that alignment may start, if it can afford to skip `slack` pages
 * before the first multiple of `align` pages; align <= 64.
 */
static inline uint64_t
offsets_within(unsigned align, uint64_t slack)
{
	uint64_t block;

	if (slack >= align - 1)
		return ~UINT64_C(0);
	block = 1;
	if (slack != 0)
		block |= ((UINT64_C(1) << slack) - 1) << (align - slack);
	return align == 64 ? block : block * (~UINT64_C(0) / ((UINT64_C(1) << align) - 1));
}

/* The lowest hole of column c that can hold the request. Lowers the column's alignment bound. */
static struct vm_map_entry *
aligned_in_column(struct uvm_addr *ua, unsigned c, vsize_t size, vsize_t align)
{
	unsigned every = align >= 64 * PAGE_SIZE ? 64 : (unsigned)(align >> PAGE_SHIFT);
	uint64_t contains = offsets_within(every, c - 1);
	uint64_t fits = offsets_within(every, c - (size >> PAGE_SHIFT));
	struct uvm_addr_node *leaf;
	bool found = false;
	uint64_t page, w;

	for (page = 0;; page = (page | 63) + 1) {
		page = uvm_addr_trie_next(ua, UINT64_C(1) << c, page, &leaf);
		if (page == TRIE_NONE)
			break;
		w = leaf->col[c] & contains;
		if (every == align >> PAGE_SHIFT) {
			found |= w != 0;
			if ((w & fits) != 0)
				return leaf->sub[lowest_bit(w & fits)];
			continue;
		}
		for (; w != 0; w &= w - 1) {
			struct vm_map_entry *e = leaf->sub[lowest_bit(w)];

			found |= entry_fits(e, PAGE_SIZE, align);
			if (entry_fits(e, size, align))
				return e;
		}
	}
	if (!found && (ua->single[c] == NULL || !entry_fits(ua->single[c], PAGE_SIZE, align)))
		ua->align[c] = align - 1;
	return NULL;
}

/* Any alignment: the one held outside, which is lower than those in the trie, or the first of these. */
static struct vm_map_entry *
lowest_of_size(struct uvm_addr *ua, unsigned c, vsize_t size, vsize_t align)
{
	struct vm_map_entry *e = ua->single[c];

	if (e != NULL && entry_fits(e, size, align))
		return e;
	if ((ua->in_trie >> c & 1) == 0)
		return NULL;
	return align > PAGE_SIZE ? aligned_in_column(ua, c, size, align) : trie_first(ua, c);
}

static struct vm_map_entry *
select_bestfit(struct uvm_addr *ua, vsize_t size, vsize_t align)
{
	uint64_t n = size >> PAGE_SHIFT;
	struct vm_map_entry *e = NULL, *top = ua->top;
	uint64_t columns = n < UVM_ADDR_BIG ? ua->have & COLUMNS_FROM(n) : 0;

	if (PLANTED(SECOND_BEST_FIT) && (columns & (columns - 1)) != 0)
		columns &= columns - 1;
	for (; e == NULL && columns != 0; columns &= columns - 1) {
		if (ua->align[lowest_bit(columns)] >= align)
			e = lowest_of_size(ua, lowest_bit(columns), size, align);
	}
	if (e == NULL && ua->big != 0)
		e = align > PAGE_SIZE ? uvm_addr_tree_aligned(ua, n << 32, size, align)
		                      : uvm_addr_tree_first(ua, n << 32);
	/* The last hole has the highest address: it wins only if it is smaller. */
	if ((e == NULL || top->fspace < e->fspace) && entry_fits(top, size, align))
		e = top;
	return e;
}

static struct vm_map_entry *
select_firstfit(struct uvm_addr *ua, vsize_t size, vsize_t align)
{
	uint64_t n = size >> PAGE_SHIFT;
	uint64_t columns = ua->have & COLUMNS_FROM(n < UVM_ADDR_BIG ? n : UVM_ADDR_BIG);
	struct uvm_addr_node *leaf;
	uint64_t page;

	for (page = 0; columns != 0; page++) {
		struct vm_map_entry *e;

		page = uvm_addr_trie_next(ua, columns, page, &leaf);
		if (page == TRIE_NONE)
			break;
		e = leaf->sub[page & 63];
		if (entry_fits(e, size, align))
			return e;
	}
	return entry_fits(ua->top, size, align) ? ua->top : NULL;
}

struct vm_map_entry *
uvm_addr_select_big(const struct uvm_addr *ua, vsize_t size)
{
	struct vm_map_entry *e = NULL, *top = ua->top;

	if (ua->big != 0)
		e = uvm_addr_tree_first(ua, size >> PAGE_SHIFT << 32);
	if (top->fspace >= size && (e == NULL || top->fspace < e->fspace))
		e = top;
	return e;
}

struct vm_map_entry *
uvm_addr_select_slow(struct uvm_addr *ua, vsize_t size, vsize_t align, vaddr_t *va)
{
	bool best = ua->fit == UVM_ADDR_BESTFIT;
	struct vm_map_entry *e;

	if (align < PAGE_SIZE)
		align = PAGE_SIZE;
	e = best ? select_bestfit(ua, size, align) : select_firstfit(ua, size, align);
	if (e != NULL)
		*va = uvm_addr_hole_place(
		    VMMAP_FREE_START(e), VMMAP_FREE_END(e), size, align, best && e != ua->top);
	return e;
}

vsize_t
uvm_addr_largest(const struct uvm_addr *ua)
{
	vsize_t largest = ua->top->fspace;
	vsize_t small = ua->have == 0 ? 0 : (vsize_t)highest_bit(ua->have) << PAGE_SHIFT;
	struct vm_map_entry *e;

	if (small == UVM_ADDR_BIG << PAGE_SHIFT) {
		for (e = ua->header; e->next != ua->header; e = e->next)
			small = e->fspace > small ? e->fspace : small;
	} else if (ua->big != 0) {
		small = uvm_addr_tree_last(ua)->fspace;
	}
	return small > largest ? small : largest;
}
