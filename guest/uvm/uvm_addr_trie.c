/* SPDX-License-Identifier: ISC */
/*
 * The trie of boundaries and small holes: growth, the way up when a word of a leaf stops being zero, and
 * the searches that are not a plain descent.
 */
#include "uvm_addr_impl.h"

#include <machine/assert.h>
#include <machine/planted.h>

static struct uvm_addr_node *
node_take(struct uvm_addr *ua)
{
	struct uvm_addr_node *n = ua->spare;

	if (unlikely(n == NULL))
		panic("uvm_addr: node stock exhausted");
	ua->spare = n->up;
	if (!PLANTED(NODE_COUNT_OFF))
		ua->nspare--;
	if (ua->nspare < ua->need)
		ua->closed |= UVM_ADDR_LOW;
	for (unsigned i = 0; i < nitems(n->col); i++)
		n->col[i] = 0;
	for (unsigned i = 0; i < nitems(n->sub); i++)
		n->sub[i] = NULL;
	n->up = NULL;
	return n;
}

static struct uvm_addr_node *
node_below(struct uvm_addr *ua, struct uvm_addr_node *n, unsigned i)
{
	struct uvm_addr_node *sub = n->sub[i];

	if (sub == NULL) {
		sub = node_take(ua);
		sub->up = n;
		n->sub[i] = sub;
	}
	return sub;
}

/* The first two levels. The header is in the trie for its hole only, but always in its place. */
static void
make_root(struct uvm_addr *ua)
{
	struct uvm_addr_node *leaf;

	ua->root = node_take(ua);
	ua->shift = 6;
	ua->reach = 64 * 64;
	ua->header->leaf = leaf = node_below(ua, ua->root, 0);
	leaf->sub[page_number(ua, ua->header->end)] = ua->header;
}

/* A new root above the old one, whose pages are the lowest 64th of it. */
static void
add_level(struct uvm_addr *ua)
{
	struct uvm_addr_node *root = node_take(ua), *old = ua->root;

	for (unsigned c = 0; c < nitems(root->col); c++)
		root->col[c] = old->col[c] != 0;
	root->sub[0] = old;
	old->up = root;
	ua->shift += 6;
	ua->reach <<= 6;
	ua->root = root;
}

struct uvm_addr_node *
uvm_addr_trie_leaf(struct uvm_addr *ua, uint64_t page)
{
	struct uvm_addr_node *n;

	if (ua->root == NULL)
		make_root(ua);
	while (page >= ua->reach)
		add_level(ua);
	n = ua->root;
	for (unsigned shift = ua->shift; shift != 0; shift -= 6)
		n = node_below(ua, n, page >> shift & 63);
	ua->near = page >> 6;
	ua->near_leaf = n;
	return n;
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

struct vm_map_entry *
uvm_addr_lookup(const struct uvm_addr *ua, vaddr_t va)
{
	struct uvm_addr_node *leaf;
	struct vm_map_entry *e = trie_above(ua, page_number(ua, va), &leaf);

	return e != ua->header && e->start <= va ? e : e->prev;
}

struct vm_map_entry *
uvm_addr_above(const struct uvm_addr *ua, vaddr_t va)
{
	struct uvm_addr_node *leaf;

	return trie_above(ua, page_number(ua, va), &leaf);
}
