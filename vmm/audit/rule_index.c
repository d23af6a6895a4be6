/* SPDX-License-Identifier: ISC */
/*
 * Rules about the index of a map's addresses (guest/uvm/uvm_addr.h): every entry and every hole is in it,
 * exactly once, where it belongs; and the shortcuts kept beside it.
 */
#include "guest/uvm/uvm_addr_fit.h"
#include "guest/uvm/uvm_addr_trie.h"
#include "vmm/audit/input.h"

#define COLUMNS (UVM_ADDR_BIG + 1)

struct walker {
	struct audit_input *in;
	const struct audit_map *map;
	const struct uvm_addr *ua;
	uint64_t nodes;    /* visited */
	uint64_t singles;  /* holes found held outside */
	uint64_t big;      /* holes found to belong into the tree */
	uint64_t in_tree;  /* leaves of the tree */
	uint64_t last_key; /* in order */
};

static bool
bad(struct walker *w, const char *what, uint64_t at)
{
	return audit_finding(w->in, "map %s: %s (%#lx)", w->map->name, what, at);
}

/* A bit of a leaf: the page is of sub[i], in column 0 as the entry's and in another one as its hole's. */
static bool
leaf_page(struct walker *w, const struct uvm_addr_node *n, uint64_t base, unsigned i)
{
	unsigned holes = 0;

	for (unsigned c = 0; c < COLUMNS; c++) {
		struct audit_indexed *x;

		if ((n->col[c] >> i & 1) == 0)
			continue;
		holes += c > 0;
		if (holes > 1)
			return bad(w, "a page is in two columns", w->ua->base + ((base + i) << 12));
		if (w->in->indexed.n > 2 * (size_t)w->map->n)
			return bad(
			    w, "the index has more boundaries than the map", w->in->indexed.n);
		x = AUDIT_PUSH(w->in, &w->in->indexed);
		if (x == NULL)
			return false;
		*x = (struct audit_indexed){ base + i, (uint64_t)n->sub[i], c };
	}
	return true;
}

static bool
walk_leaf(struct walker *w, const struct uvm_addr_node *n, uint64_t base)
{
	uint64_t any = 0;

	for (unsigned c = 0; c < COLUMNS; c++)
		any |= n->col[c];
	for (; any != 0; any &= any - 1) {
		if (!leaf_page(w, n, base, lowest_bit(any)))
			return false;
	}
	return true;
}

static const struct uvm_addr_node *
node_at(struct walker *w, const void *guest)
{
	/* The second bound holds whatever the guest's count says. */
	if (w->nodes++ >= w->ua->nnodes || w->nodes > w->in->nmark * 4)
		return NULL;
	return AUDIT_AT(w->in, struct uvm_addr_node, guest);
}

/* What stands above a node must say about one of its columns. */
static bool
is_occupied(const struct walker *w, uint64_t va, unsigned c)
{
	const struct uvm_addr_node *n = AUDIT_AT(w->in, struct uvm_addr_node, va);

	return n != NULL && n->col[c] != 0;
}

/* What an upper node says about sub[i] is so. */
static bool
summary_agrees(const struct walker *w, const struct uvm_addr_node *n, unsigned i)
{
	for (unsigned c = 0; c < COLUMNS; c++) {
		if ((n->col[c] >> i & 1) != is_occupied(w, (uint64_t)n->sub[i], c))
			return false;
	}
	return true;
}

static bool
walk_node(struct walker *w, uint64_t va, uint64_t up, unsigned shift, uint64_t base)
{
	const struct uvm_addr_node *n = node_at(w, (const void *)va);

	if (n == NULL)
		return bad(w, "an index node is no memory, or one too many", va);
	if ((uint64_t)n->up != up)
		return bad(w, "an index node has another one above it", va);
	if (shift == 0)
		return walk_leaf(w, n, base);
	for (unsigned i = 0; i < 64; i++) {
		uint64_t sub = (uint64_t)n->sub[i], first = base + ((uint64_t)i << shift);

		if (sub != 0 && !walk_node(w, sub, va, shift - 6, first))
			return false;
		if (!summary_agrees(w, n, i))
			return bad(w, "an index node does not sum up what is below it", va);
	}
	return true;
}

static uint64_t
hole_page(const struct walker *w, const struct vm_map_entry *e)
{
	return (VMMAP_FREE_START(e) - w->ua->base) >> BED_PAGE_SHIFT;
}

static uint64_t
hole_key(const struct walker *w, const struct vm_map_entry *e)
{
	return e->fspace >> BED_PAGE_SHIFT << 32 | hole_page(w, e);
}

/* The next page in the trie is this one, with this owner, in this column. */
static bool
expect(struct walker *w, size_t *at, uint64_t page, unsigned column, uint64_t owner)
{
	const struct audit_indexed *x = *at < w->in->indexed.n ? &w->in->indexed.at[*at] : NULL;

	if (x == NULL || x->page != page || x->column != column || x->owner != owner)
		return audit_finding(w->in,
		    "map %s: the index lacks %#lx of entry %#lx in column %u, or has one too many "
		    "before it",
		    w->map->name, w->ua->base + (page << BED_PAGE_SHIFT), owner, column);
	++*at;
	return true;
}

/* The hole after an entry is in its one place. */
static bool
hole_is_in(struct walker *w, size_t *at, const struct vm_map_entry *e, uint64_t va)
{
	uint64_t pages = e->fspace >> BED_PAGE_SHIFT;
	bool best = w->ua->fit == UVM_ADDR_BESTFIT;

	if (pages == 0)
		return true;
	if (pages < UVM_ADDR_BIG && best && (uint64_t)w->ua->single[pages] == va) {
		w->singles++;
		return true;
	}
	if (pages < UVM_ADDR_BIG || !best)
		return expect(w, at, hole_page(w, e),
		    pages < UVM_ADDR_BIG ? (unsigned)pages : UVM_ADDR_BIG, va);
	w->big++;
	return e->big.key == hole_key(w, e) ||
	       bad(w, "a big hole has another key than its size and place", va);
}

/* The leaf of the trie for a page; 0: none. */
static uint64_t
descend(const struct audit_input *in, const struct uvm_addr *ua, uint64_t page)
{
	uint64_t va = (uint64_t)ua->root;

	if (page >= ua->reach || ua->shift > 60 || ua->shift % 6 != 0)
		return 0;
	for (unsigned shift = ua->shift; shift != 0 && va != 0; shift -= 6) {
		const struct uvm_addr_node *n = AUDIT_AT(in, struct uvm_addr_node, va);

		va = n == NULL ? 0 : (uint64_t)n->sub[(page >> shift) & 63];
	}
	return va;
}

static bool
ring_is_in(struct walker *w)
{
	uint64_t va = w->map->va + offsetof(struct vm_map, header);
	const struct vm_map_entry *e = &w->map->m->header;
	size_t at = 0;

	for (unsigned k = 0; k < w->map->n; k++) {
		const struct audit_entry *next = &w->in->entry.at[w->map->first + k];

		if (!hole_is_in(w, &at, e, va))
			return false;
		e = next->e;
		va = next->va;
		if (!expect(w, &at, hole_page(w, e), 0, va))
			return false;
		if ((uint64_t)e->leaf != descend(w->in, w->ua, hole_page(w, e)))
			return bad(w, "an entry is in another leaf than it says", va);
	}
	if (at != w->in->indexed.n)
		return bad(w, "the index has a page that is no boundary",
		    w->ua->base + (w->in->indexed.at[at].page << BED_PAGE_SHIFT));
	if ((uint64_t)w->ua->top != va)
		return bad(w, "the entry before the last hole is not `top`", va);
	return true;
}

/* `have` and `in_trie`, against what there is. */
static bool
bits_agree(struct walker *w)
{
	uint64_t held = 0;

	for (unsigned c = 0; c < COLUMNS; c++) {
		bool in_trie = is_occupied(w, (uint64_t)w->ua->root, c), single = false;

		if (w->ua->fit == UVM_ADDR_BESTFIT)
			single = w->ua->single[c] != NULL;
		held += single;
		if (c > 0 && (w->ua->in_trie >> c & 1) != in_trie)
			return bad(w, "in_trie is wrong for a column", c);
		if (c > 0 && (w->ua->have >> c & 1) != (in_trie || single))
			return bad(w, "have is wrong for a size in pages", c);
	}
	return held == w->singles || bad(w, "a single hole is none", held);
}

/* One node of the tree of big holes: what hangs above it, and that keys ascend. */
static bool
tree_leaf(struct walker *w, const struct vm_map_entry *e, uint64_t va, uint64_t up)
{
	uint64_t key = hole_key(w, e);

	if ((uint64_t)e->big.leaf_up != up || e->big.key != key)
		return bad(w, "a leaf of the tree of big holes is of no such hole", va);
	if (w->in_tree++ > 0 && key <= w->last_key)
		return bad(w, "the tree of big holes is out of order", va);
	w->last_key = key;
	return w->in_tree <= w->big || bad(w, "the tree has more leaves than there are holes", va);
}

/* Depth is bounded: the critical bit falls on the way down. */
static bool
walk_tree(struct walker *w, uint64_t link, uint64_t up, int bit)
{
	uint64_t va = link & ~UINT64_C(1);
	const struct vm_map_entry *e = AUDIT_AT(w->in, struct vm_map_entry, va);

	if (e == NULL)
		return bad(w, "the tree of big holes leads nowhere", link);
	if ((link & 1) == 0)
		return tree_leaf(w, e, va, up);
	if (!e->big.used || e->big.bit >= bit || (uint64_t)e->big.branch_up != up)
		return bad(w, "a branch of the tree of big holes is out of place", va);
	bit = e->big.bit;
	return walk_tree(w, e->big.child[0], va, bit) && walk_tree(w, e->big.child[1], va, bit);
}

static bool
index_is_sound(struct audit_input *in, const struct audit_map *map)
{
	const struct uvm_addr *ua = &map->m->addr;
	struct walker w = { .in = in, .map = map, .ua = ua };

	in->indexed.n = 0;
	if ((uint64_t)ua->header != map->va + offsetof(struct vm_map, header) ||
	    ua->base != (map->m->min_offset & ~(64 * BED_PAGE_SIZE - 1)) || ua->shift > 60 ||
	    ua->shift % 6 != 0 || (ua->root != NULL && ua->reach != UINT64_C(64) << ua->shift))
		return bad(&w, "the index has another base, height or header", ua->base);
	if (ua->root != NULL && !walk_node(&w, (uint64_t)ua->root, 0, ua->shift, 0))
		return false;
	if (!ring_is_in(&w) || !bits_agree(&w))
		return false;
	if (ua->fit == UVM_ADDR_BESTFIT && ua->big != 0 && !walk_tree(&w, ua->big, 0, 64))
		return false;
	return w.in_tree == w.big || bad(&w, "the tree of big holes lacks one", w.in_tree);
}

bool
audit_index(struct audit_input *in)
{
	for (size_t i = 0; i < in->map.n; i++) {
		if (!audit_is_torn(&in->map.at[i].ring) && in->spans_good && !in->oom &&
		    !index_is_sound(in, &in->map.at[i]))
			return false;
	}
	return true;
}

static bool
spares_agree(const struct audit_input *in, const struct uvm_addr *ua)
{
	uint64_t va = (uint64_t)ua->spare;
	uint32_t n = 0;

	for (; va != 0 && n <= ua->nspare && n <= in->nmark * 4; n++) {
		const struct uvm_addr_node *node = AUDIT_AT(in, struct uvm_addr_node, va);

		if (node == NULL)
			return false;
		va = (uint64_t)node->up;
	}
	return n == ua->nspare && ((ua->closed & UVM_ADDR_LOW) != 0) == (n < ua->need);
}

/* No hole is aligned better than the bound of its size says. */
static bool
bounds_hold(const struct audit_input *in, const struct audit_map *map)
{
	const struct uvm_addr *ua = &map->m->addr;
	const struct vm_map_entry *e = &map->m->header;

	for (unsigned k = 0; k < map->n; k++) {
		uint64_t pages = e->fspace >> BED_PAGE_SHIFT;

		if (pages > 0 && pages < UVM_ADDR_BIG &&
		    (uvm_addr_hole_bits(VMMAP_FREE_START(e), VMMAP_FREE_END(e)) >> 1) >=
			ua->align[pages])
			return false;
		e = in->entry.at[map->first + k].e;
	}
	return true;
}

/* No hole of a size is below the floor, and the one held outside is at it. */
static bool
lowest_outside(const struct audit_input *in, const struct audit_map *map)
{
	const struct uvm_addr *ua = &map->m->addr;
	const struct vm_map_entry *e = &map->m->header;

	for (unsigned k = 0; k < map->n; k++) {
		uint64_t pages = e->fspace >> BED_PAGE_SHIFT, lowest;

		if (pages > 0 && pages < UVM_ADDR_BIG) {
			const struct vm_map_entry *single =
			    AUDIT_AT(in, struct vm_map_entry, ua->single[pages]);

			lowest = ua->floor[pages];
			if (VMMAP_FREE_START(e) < lowest ||
			    (single != NULL && VMMAP_FREE_START(single) != lowest))
				return false;
		}
		e = in->entry.at[map->first + k].e;
	}
	return true;
}

static bool
is_on_ring(const struct audit_input *in, const struct audit_map *map, uint64_t va)
{
	const struct vm_map_entry *e = AUDIT_AT(in, struct vm_map_entry, va);
	const struct vm_map_entry *next =
	    e == NULL ? NULL : AUDIT_AT(in, struct vm_map_entry, e->next);

	return va == map->va + offsetof(struct vm_map, header) ||
	       (next != NULL && (uint64_t)next->prev == va && e->start >= map->m->min_offset &&
		   e->end <= map->m->max_offset);
}

bool
audit_caches(struct audit_input *in)
{
	for (size_t i = 0; i < in->map.n && in->spans_good; i++) {
		const struct audit_map *map = &in->map.at[i];
		const struct uvm_addr *ua = &map->m->addr;
		uint64_t all = map->m->max_offset - map->m->min_offset;

		if (ua->near != UINT64_MAX &&
		    ((uint64_t)ua->near_leaf == 0 ||
			descend(in, ua, ua->near << 6) != (uint64_t)ua->near_leaf))
			return audit_finding(in,
			    "map %s: near_leaf %p is not the leaf of page %#lx", map->name,
			    (void *)ua->near_leaf, ua->near << 6);
		if (!is_on_ring(in, map, (uint64_t)ua->hint) ||
		    !is_on_ring(in, map, (uint64_t)ua->cut))
			return audit_finding(in, "map %s: a hint, %p or %p, is no entry of it",
			    map->name, (void *)ua->hint, (void *)ua->cut);
		if (ua->fit == UVM_ADDR_BESTFIT && !lowest_outside(in, map))
			return audit_finding(in,
			    "map %s: a hole is below the one that passes for the lowest of its size",
			    map->name);
		if (!spares_agree(in, ua))
			return audit_finding(
			    in, "map %s: the index has not %u spare nodes", map->name, ua->nspare);
		if (map->m->plain_span != 0 && map->m->plain_span != all)
			return audit_finding(in, "map %s: plain_span is %#lx of %#lx", map->name,
			    map->m->plain_span, all);
		if (ua->fit == UVM_ADDR_BESTFIT && !bounds_hold(in, map))
			return audit_finding(in,
			    "map %s: a hole is better aligned than its size's bound", map->name);
	}
	return true;
}
