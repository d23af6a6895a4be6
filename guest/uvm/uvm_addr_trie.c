/* SPDX-License-Identifier: ISC */
/*
 * The trie of boundaries and small holes: growth, the way up when a word of a leaf stops being zero, and
 * the searches that are not a plain descent.
 */
#include "uvm_addr_trie.h"

#include <machine/assert.h>

static struct uvm_addr_node *
node_take(struct uvm_addr *ua)
{
	struct uvm_addr_node *n = ua->spare;

	if (unlikely(n == NULL))
		panic("uvm_addr: node stock exhausted");
	ua->spare = n->up;
	ua->nspare--;
	for (unsigned i = 0; i < nitems(n->col); i++)
		n->col[i] = 0;
	for (unsigned i = 0; i < nitems(n->sub); i++)
		n->sub[i] = NULL;
	n->up = NULL;
	return n;
}

/* A new root above the old one, whose pages are the lowest 64th of it. */
static void
add_level(struct uvm_addr *ua)
{
	struct uvm_addr_node *root = node_take(ua), *old = ua->root;

	if (old == NULL) {
		ua->shift = 0;
		ua->reach = 64;
	} else {
		for (unsigned c = 0; c < nitems(root->col); c++)
			root->col[c] = old->col[c] != 0;
		root->sub[0] = old;
		old->up = root;
		ua->shift += 6;
		ua->reach <<= 6;
	}
	ua->root = root;
}

static __attribute__((__noinline__)) struct uvm_addr_node *
make_leaf(struct uvm_addr *ua, uint64_t page)
{
	struct uvm_addr_node *n;

	while (page >= ua->reach)
		add_level(ua);
	n = ua->root;
	for (unsigned shift = ua->shift; shift != 0; shift -= 6) {
		struct uvm_addr_node *sub = n->sub[(page >> shift) & 63];

		if (sub == NULL) {
			sub = node_take(ua);
			sub->up = n;
			n->sub[(page >> shift) & 63] = sub;
		}
		n = sub;
	}
	return n;
}

struct uvm_addr_node *
uvm_addr_trie_leaf(struct uvm_addr *ua, uint64_t page)
{
	struct uvm_addr_node *n = ua->root;

	if (likely(page < ua->reach)) {
		for (unsigned shift = ua->shift; shift != 0 && n != NULL; shift -= 6)
			n = n->sub[(page >> shift) & 63];
		if (unlikely(n == NULL))
			n = make_leaf(ua, page);
	} else {
		n = make_leaf(ua, page);
	}
	ua->near = page >> 6;
	ua->near_leaf = n;
	return n;
}

void
uvm_addr_trie_raise(struct uvm_addr *ua, struct uvm_addr_node *leaf, uint64_t page, unsigned c)
{
	for (struct uvm_addr_node *n = leaf->up; n != NULL; n = n->up) {
		uint64_t old = n->col[c];

		page >>= 6;
		n->col[c] = old | UINT64_C(1) << (page & 63);
		if (old != 0)
			return;
	}
	ua->in_trie |= UINT64_C(1) << c;
}

void
uvm_addr_trie_sink(struct uvm_addr *ua, struct uvm_addr_node *leaf, uint64_t page, unsigned c)
{
	for (struct uvm_addr_node *n = leaf->up; n != NULL; n = n->up) {
		page >>= 6;
		if ((n->col[c] &= ~(UINT64_C(1) << (page & 63))) != 0)
			return;
	}
	ua->in_trie &= ~(UINT64_C(1) << c);
	if (ua->single[c] == NULL || ua->fit == UVM_ADDR_FIRSTFIT)
		ua->have &= ~(UINT64_C(1) << c);
}

void
uvm_addr_trie_settle(struct uvm_addr *ua)
{
	if (ua->idle->col[0] == 0)
		uvm_addr_trie_sink(ua, ua->idle, ua->idle_leaf << 6, 0);
	ua->idle = NULL;
}

static uint64_t
any_of(const struct uvm_addr_node *n, uint64_t columns)
{
	uint64_t w = 0;

	for (; columns != 0; columns &= columns - 1)
		w |= n->col[lowest_bit(columns)];
	return w;
}

uint64_t
uvm_addr_trie_next(
    const struct uvm_addr *ua, uint64_t columns, uint64_t page, struct uvm_addr_node **leaf)
{
	struct uvm_addr_node *n = ua->root;
	unsigned shift = ua->shift;
	uint64_t w;

	if (page >= ua->reach)
		return TRIE_NONE;
	/* Down towards `page`, while there is something where it would be. */
	for (;;) {
		w = any_of(n, columns) & COLUMNS_FROM((page >> shift) & 63);
		if (shift == 0 || (w >> ((page >> shift) & 63) & 1) == 0)
			break;
		n = n->sub[(page >> shift) & 63];
		shift -= 6;
	}
	/* Up, until there is something to the right. */
	while (w == 0) {
		n = n->up;
		shift += 6;
		if (n == NULL)
			return TRIE_NONE;
		w = any_of(n, columns) & (COLUMNS_FROM((page >> shift) & 63) << 1);
	}
	/* Down to the lowest of it. */
	page = (page >> shift & ~UINT64_C(63)) | lowest_bit(w);
	while (shift != 0) {
		n = n->sub[page & 63];
		shift -= 6;
		page = page << 6 | lowest_bit(any_of(n, columns));
	}
	*leaf = n;
	return page;
}

/* Bits 0..i of a word, and those below i. */
#define UPTO(i)  (~UINT64_C(0) >> (63 - (i)))
#define BELOW(i) (~(~UINT64_C(0) << (i)))

/*
 * The last entry that starts at or below the page, or the header; or NULL: the search ended in the idle
 * leaf. near: note the leaf of the page, for what the caller is going to do there.
 */
static __always_inline struct vm_map_entry *
entry_below(const struct uvm_addr *ua, uint64_t page, struct uvm_addr *near)
{
	struct uvm_addr_node *n = ua->root, *sub;
	uint64_t w;
	unsigned shift = ua->shift;

	if (unlikely(page >= ua->reach)) {
		if (n == NULL)
			return ua->header;
		page = ua->reach - 1;
	}
	/* Down to where the page is, or would be. */
	for (; shift != 0; shift -= 6, n = sub) {
		sub = n->sub[page >> shift & 63];
		if (unlikely(sub == NULL))
			break;
	}
	page >>= shift;
	if (likely(shift == 0)) {
		if (near != NULL) {
			near->near = page >> 6;
			near->near_leaf = n;
		}
		w = n->col[0] & UPTO(page & 63);
	} else {
		w = n->col[0] & BELOW(page & 63);
	}
	/* Up, until there is something to the left. */
	while (w == 0) {
		n = n->up;
		if (unlikely(n == NULL))
			return ua->header;
		shift += 6;
		page >>= 6;
		w = n->col[0] & BELOW(page & 63);
	}
	/* Down to the highest of it. */
	for (; shift != 0; shift -= 6) {
		n = n->sub[highest_bit(w)];
		w = n->col[0];
	}
	return likely(w != 0) ? n->sub[highest_bit(w)] : NULL;
}

struct vm_map_entry *
uvm_addr_lookup(const struct uvm_addr *ua, vaddr_t va)
{
	struct vm_map_entry *e = entry_below(ua, page_number(ua, va), NULL);

	if (likely(e != NULL))
		return e;
	/* What is left of the idle leaf, then. */
	return ua->idle_leaf == 0 ? ua->header : entry_below(ua, (ua->idle_leaf << 6) - 1, NULL);
}

static __noinline struct vm_map_entry *
find_again(struct uvm_addr *ua, vaddr_t va)
{
	uvm_addr_trie_settle(ua);
	return entry_below(ua, page_number(ua, va), ua);
}

struct vm_map_entry *
uvm_addr_find_slow(struct uvm_addr *ua, vaddr_t va)
{
	struct vm_map_entry *e = entry_below(ua, page_number(ua, va), ua);

	return likely(e != NULL) ? e : find_again(ua, va);
}
