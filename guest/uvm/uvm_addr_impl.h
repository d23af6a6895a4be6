/* SPDX-License-Identifier: ISC */
/*
 * The index as the map layer uses it, with the short ways inline: an operation on a map runs through here
 * a handful of times.
 */
#ifndef UVM_ADDR_IMPL_H
#define UVM_ADDR_IMPL_H

#include <machine/planted.h>

#include "uvm_addr_fit.h"
#include "uvm_addr_trie.h"

/* A hole of which the short ways below do not know enough; e->fspace is not 0, and e is not `top`. */
void uvm_addr_sort_in(struct uvm_addr *, struct vm_map_entry *);
void uvm_addr_sort_out(struct uvm_addr *, struct vm_map_entry *);
/* The first entry that ends, with its guard, above va, or the header. */
struct vm_map_entry *uvm_addr_above(const struct uvm_addr *, vaddr_t va);

/* uvm_addr_hole_resize() of a hole that is in the index. */
void uvm_addr_resort(struct uvm_addr *, struct vm_map_entry *, vaddr_t end, vsize_t fspace);

/* uvm_addr_move() to another leaf. */
void uvm_addr_move_far(struct uvm_addr *, struct vm_map_entry *, vaddr_t end);

/*
 * Place size bytes (a multiple of the page size, not 0) at a multiple of align (0 or a power of two). The
 * entry before the chosen hole and *va, or NULL: no hole can hold it.
 */
struct vm_map_entry *uvm_addr_select_slow(
    struct uvm_addr *, vsize_t size, vsize_t align, vaddr_t *va);

/* The same when it is page alignment, best fit, and no small hole. */
struct vm_map_entry *uvm_addr_select_big(const struct uvm_addr *, vsize_t size);

/*
 * An entry in or out of column 0, where its hole starts or would start. If it has one, that is out of the
 * index meanwhile.
 */
static __always_inline void
uvm_addr_enter_in(struct uvm_addr_node *leaf, struct vm_map_entry *e, uint64_t page)
{
	e->leaf = leaf;
	trie_enter(leaf, page, e);
}

static __always_inline void
uvm_addr_enter(struct uvm_addr *ua, struct vm_map_entry *e, vaddr_t hole_start)
{
	uint64_t page = page_number(ua, hole_start);

	uvm_addr_enter_in(trie_leaf(ua, page), e, page);
}

static __always_inline void
uvm_addr_leave(struct uvm_addr *ua, struct vm_map_entry *e, vaddr_t hole_start)
{
	trie_leave(e->leaf, page_number(ua, hole_start));
}

/* An entry without a guard ends elsewhere. Sets e->end. Within its leaf, ... */
static __always_inline bool
uvm_addr_is_near(const struct vm_map_entry *e, vaddr_t end)
{
	return likely((e->end ^ end) >> (PAGE_SHIFT + 6) == 0);
}

static __always_inline void
uvm_addr_move_near(struct vm_map_entry *e, vaddr_t end)
{
	trie_move(e->leaf, e->end >> PAGE_SHIFT, end >> PAGE_SHIFT, e);
	e->end = end;
}

/* ... or not. */
static __always_inline void
uvm_addr_move(struct uvm_addr *ua, struct vm_map_entry *e, vaddr_t end)
{
	if (uvm_addr_is_near(e, end))
		uvm_addr_move_near(e, end);
	else
		uvm_addr_move_far(ua, e, end);
}

/*
 * The hole after an entry: out before its extent, or the entry's being the last one, changes; in before
 * anything searches. A hole of no bytes is nowhere. The last entry's is `top`, which is set by
 * whoever puts in the hole of the entry that is last then.
 *
 * `quick`: true, and done, if a small hole is, or becomes, the one of its size that is held outside.
 */
static __always_inline bool
uvm_addr_quick_in(struct uvm_addr *ua, struct vm_map_entry *e, vaddr_t start, vsize_t fspace)
{
	uint64_t pages = fspace >> PAGE_SHIFT;

	if (unlikely(pages >= UVM_ADDR_BIG) || start > ua->floor[pages] ||
	    ua->single[pages] != NULL)
		return false;
	ua->align[pages] |= uvm_addr_hole_bits(start, start + fspace);
	ua->have |= UINT64_C(1) << pages;
	ua->single[pages] = e;
	ua->floor[pages] = start;
	return true;
}

static __always_inline bool
uvm_addr_quick_out(struct uvm_addr *ua, struct vm_map_entry *e, vsize_t fspace)
{
	uint64_t pages = fspace >> PAGE_SHIFT;

	if (unlikely(pages >= UVM_ADDR_BIG) || ua->single[pages] != e)
		return false;
	ua->single[pages] = NULL;
	if ((ua->in_trie >> pages & 1) == 0) {
		ua->have &= ~(UINT64_C(1) << pages);
		ua->floor[pages] = UVM_ADDR_NO_FLOOR;
	}
	return true;
}

/* Any small hole; neither calls anything. */
static __always_inline void
uvm_addr_small_in(struct uvm_addr *ua, struct vm_map_entry *e, vaddr_t start, uint64_t pages)
{
	ua->align[pages] |= uvm_addr_hole_bits(start, start + (pages << PAGE_SHIFT));
	ua->have |= UINT64_C(1) << pages;
	if (start <= ua->floor[pages]) {
		struct vm_map_entry *old = ua->single[pages];

		ua->single[pages] = e;
		ua->floor[pages] = start;
		if (old == NULL)
			return;
		e = old;
		start = VMMAP_FREE_START(e);
	}
	trie_set(ua, e->leaf, page_number(ua, start), pages);
}

static __always_inline void
uvm_addr_small_out(struct uvm_addr *ua, struct vm_map_entry *e, vaddr_t start, uint64_t pages)
{
	if (!uvm_addr_quick_out(ua, e, pages << PAGE_SHIFT))
		trie_clear(ua, e->leaf, page_number(ua, start), pages);
}

static inline void
uvm_addr_hole_insert(struct uvm_addr *ua, struct vm_map_entry *e)
{
	if (e->next == ua->header)
		ua->top = e;
	else if (e->fspace != 0 && !uvm_addr_quick_in(ua, e, VMMAP_FREE_START(e), e->fspace))
		uvm_addr_sort_in(ua, e);
}

/* e, not the last one and without a guard, ends elsewhere if `moved`, with more or less of a hole. */
static __always_inline void
uvm_addr_hole_resize(
    struct uvm_addr *ua, struct vm_map_entry *e, const bool moved, vaddr_t end, vsize_t fspace)
{
	vsize_t old = e->fspace;

	if (old != 0 && !uvm_addr_quick_out(ua, e, old)) {
		uvm_addr_resort(ua, e, end, fspace);
		return;
	}
	if (moved)
		uvm_addr_move(ua, e, end);
	e->fspace = fspace;
	if (fspace != 0 && !uvm_addr_quick_in(ua, e, end, fspace))
		uvm_addr_sort_in(ua, e);
}

static inline void
uvm_addr_hole_remove(struct uvm_addr *ua, struct vm_map_entry *e)
{
	if (e != ua->top && e->fspace != 0 && !uvm_addr_quick_out(ua, e, e->fspace))
		uvm_addr_sort_out(ua, e);
}

/*
 * uvm_addr_select_slow() for a best-fit map and page alignment, in three steps of which none calls anything;
 * the place is the start of the hole. First: is there a small hole, and of which size? 0: no.
 */
static __always_inline uint64_t
uvm_addr_small_sizes(const struct uvm_addr *ua, vsize_t size)
{
	uint64_t sizes = likely(size < UVM_ADDR_BIG * PAGE_SIZE)
	                     ? ua->have & COLUMNS_FROM(size >> PAGE_SHIFT)
	                     : 0;

	if (PLANTED(SECOND_BEST_FIT) && (sizes & (sizes - 1)) != 0)
		sizes &= sizes - 1;
	return sizes;
}

/* The hole, where it is held outside, or only the last one is left; NULL: it is not. */
static __always_inline struct vm_map_entry *
uvm_addr_select_held(const struct uvm_addr *ua, vsize_t size)
{
	uint64_t sizes = uvm_addr_small_sizes(ua, size);
	struct vm_map_entry *e = ua->top, *s;

	if (unlikely(sizes == 0))
		return ua->big == 0 && e->fspace >= size ? e : NULL;
	s = ua->single[lowest_bit(sizes)];
	/* The last hole has the highest address: it wins only if it is smaller. */
	return s != NULL && likely(e->fspace >= s->fspace || e->fspace < size) ? s : NULL;
}

/* A small one, which there is. */
static __always_inline struct vm_map_entry *
uvm_addr_select_small(struct uvm_addr *ua, vsize_t size)
{
	unsigned c = lowest_bit(uvm_addr_small_sizes(ua, size));
	struct vm_map_entry *e = ua->top, *s = ua->single[c];

	if (s == NULL) {
		s = trie_first(ua, c);
		ua->floor[c] = VMMAP_FREE_START(s);
	}
	return likely(e->fspace >= s->fspace || e->fspace < size) ? s : e;
}

#endif
