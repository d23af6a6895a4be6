/* SPDX-License-Identifier: ISC */
/*
 * The crit-bit tree of big holes.
 */
#include "uvm_addr_tree.h"

#include "uvm_addr_fit.h"

/*
 * A link is an entry's address: with the low bit set it means the entry's branch, without it the
 * entry's leaf.
 */
typedef uintptr_t link_t;

static inline bool
is_branch(link_t l)
{
	return (l & 1) != 0;
}

static inline struct vm_map_entry *
link_entry(link_t l)
{
	return (struct vm_map_entry *)(l & ~(link_t)1);
}

static inline link_t
leaf_of(struct vm_map_entry *e)
{
	return (link_t)e;
}

static inline link_t
branch_of(struct vm_map_entry *e)
{
	return (link_t)e | 1;
}

static inline unsigned
key_bit(uint64_t key, unsigned bit)
{
	return (unsigned)(key >> bit) & 1;
}

static inline struct vm_map_entry *
link_up(link_t l)
{
	return is_branch(l) ? link_entry(l)->big.branch_up : link_entry(l)->big.leaf_up;
}

static inline void
set_up(link_t l, struct vm_map_entry *up)
{
	if (is_branch(l))
		link_entry(l)->big.branch_up = up;
	else
		link_entry(l)->big.leaf_up = up;
}

/* Put `new` where `old` hangs, below the branch `up` or at the root. */
static inline void
replace(struct uvm_addr *ua, struct vm_map_entry *up, link_t old, link_t new)
{
	if (up == NULL)
		ua->big = new;
	else
		up->big.child[up->big.child[1] == old] = new;
	set_up(new, up);
}

static inline unsigned
hole_align(const struct vm_map_entry *e)
{
	return 63 - (unsigned)__builtin_clzll(
			uvm_addr_hole_bits(VMMAP_FREE_START(e), VMMAP_FREE_END(e)));
}

static inline unsigned
link_align(link_t l)
{
	return is_branch(l) ? link_entry(l)->big.align : hole_align(link_entry(l));
}

/* The bounds below may have come down since this one was set. */
static inline void
lower_align_bound(struct vm_map_entry *b)
{
	unsigned a0 = link_align(b->big.child[0]), a1 = link_align(b->big.child[1]);

	b->big.align = (uint8_t)(a0 > a1 ? a0 : a1);
}

static inline struct vm_map_entry *
first_below(link_t l)
{
	while (is_branch(l))
		l = link_entry(l)->big.child[0];
	return link_entry(l);
}

void
uvm_addr_tree_insert(struct uvm_addr *ua, struct vm_map_entry *e, uint64_t key)
{
	link_t l = ua->big;
	struct vm_map_entry *up = NULL;
	unsigned align, bit, side;

	e->big.key = key;
	e->big.used = 0;
	if (l == 0) {
		e->big.leaf_up = NULL;
		ua->big = leaf_of(e);
		return;
	}
	while (is_branch(l))
		l = link_entry(l)->big.child[key_bit(key, link_entry(l)->big.bit)];
	bit = 63 - (unsigned)__builtin_clzll(link_entry(l)->big.key ^ key);

	align = hole_align(e);
	for (l = ua->big; is_branch(l) && link_entry(l)->big.bit > bit;) {
		up = link_entry(l);
		if (up->big.align < align)
			up->big.align = (uint8_t)align;
		l = up->big.child[key_bit(key, up->big.bit)];
	}
	side = key_bit(key, bit);
	replace(ua, up, l, branch_of(e));
	e->big.used = 1;
	e->big.bit = (uint8_t)bit;
	e->big.align = (uint8_t)(link_align(l) > align ? link_align(l) : align);
	e->big.child[side] = leaf_of(e);
	e->big.child[!side] = l;
	e->big.leaf_up = e;
	set_up(l, e);
}

/* Let `to`, whose room is idle, hold the branch that `from` holds. */
static void
move_branch(struct uvm_addr *ua, struct vm_map_entry *from, struct vm_map_entry *to)
{
	to->big.used = 1;
	to->big.bit = from->big.bit;
	to->big.align = from->big.align;
	for (unsigned i = 0; i < 2; i++) {
		to->big.child[i] = from->big.child[i];
		set_up(to->big.child[i], to);
	}
	replace(ua, from->big.branch_up, branch_of(from), branch_of(to));
}

void
uvm_addr_tree_remove(struct uvm_addr *ua, struct vm_map_entry *e)
{
	struct vm_map_entry *b = e->big.leaf_up;

	if (b == NULL) {
		ua->big = 0;
		return;
	}
	/* The branch above goes with the leaf: the other child takes its place. */
	replace(ua, b->big.branch_up, branch_of(b), b->big.child[b->big.child[0] == leaf_of(e)]);
	b->big.used = 0;
	if (e->big.used)
		move_branch(ua, e, b);
}

static __noinline void
rekey_elsewhere(struct uvm_addr *ua, struct vm_map_entry *e, uint64_t key)
{
	uvm_addr_tree_remove(ua, e);
	uvm_addr_tree_insert(ua, e, key);
}

void
uvm_addr_tree_rekey(struct uvm_addr *ua, struct vm_map_entry *e, uint64_t key)
{
	struct vm_map_entry *b = e->big.leaf_up;
	unsigned align;

	/* Still on the same side of the branch above, and so of all of them? */
	if (b != NULL && (key ^ e->big.key) >> b->big.bit != 0) {
		rekey_elsewhere(ua, e, key);
		return;
	}
	e->big.key = key;
	align = hole_align(e);
	for (; b != NULL && b->big.align < align; b = b->big.branch_up)
		b->big.align = (uint8_t)align;
}

struct vm_map_entry *
uvm_addr_tree_first(const struct uvm_addr *ua, uint64_t key)
{
	link_t l = ua->big, right = 0;
	uint64_t diff;
	unsigned bit;

	if (l == 0)
		return NULL;
	while (is_branch(l))
		l = link_entry(l)->big.child[key_bit(key, link_entry(l)->big.bit)];
	diff = link_entry(l)->big.key ^ key;
	if (diff == 0)
		return link_entry(l);
	/*
	 * Where the key's path leaves the tree, all keys below differ from it in the same bit: all are
	 * above it, or all below, and then the next one is right of the last turn to the left.
	 */
	bit = 63 - (unsigned)__builtin_clzll(diff);
	for (l = ua->big; is_branch(l) && link_entry(l)->big.bit > bit;) {
		struct vm_map_entry *b = link_entry(l);
		unsigned side = key_bit(key, b->big.bit);

		if (side == 0)
			right = b->big.child[1];
		l = b->big.child[side];
	}
	if (key_bit(key, bit) == 0)
		return first_below(l);
	return right == 0 ? NULL : first_below(right);
}

struct vm_map_entry *
uvm_addr_tree_last(const struct uvm_addr *ua)
{
	link_t l = ua->big;

	while (is_branch(l))
		l = link_entry(l)->big.child[1];
	return link_entry(l);
}

/*
 * The lowest leaf below l whose hole contains alignment `shift`, or NULL. Bounds that turn out too high
 * are lowered, so a subtree that disappoints is not entered again.
 */
static struct vm_map_entry *
first_aligned_below(link_t l, unsigned shift)
{
	link_t top = l;

	for (;;) {
		struct vm_map_entry *b;

		if (link_align(l) >= shift) {
			if (!is_branch(l))
				return link_entry(l);
			l = link_entry(l)->big.child[0];
			continue;
		}
		/* Nothing here: on to the right, or up with a better bound. */
		for (;;) {
			if (l == top)
				return NULL;
			b = link_up(l);
			if (b->big.child[0] == l)
				break;
			lower_align_bound(b);
			l = branch_of(b);
		}
		l = b->big.child[1];
	}
}

struct vm_map_entry *
uvm_addr_tree_aligned(struct uvm_addr *ua, uint64_t key, vsize_t size, vsize_t align)
{
	struct vm_map_entry *e = uvm_addr_tree_first(ua, key);
	unsigned shift = (unsigned)__builtin_ctzll(align);
	link_t l;

	if (e == NULL)
		return NULL;
	for (l = leaf_of(e);;) {
		struct vm_map_entry *b;

		if (!is_branch(l) && uvm_addr_hole_fits(VMMAP_FREE_START(link_entry(l)),
					 VMMAP_FREE_END(link_entry(l)), size, align))
			return link_entry(l);
		/* The next leaf upwards in key order that contains the alignment. */
		e = NULL;
		while (e == NULL) {
			b = link_up(l);
			while (b != NULL && b->big.child[1] == l) {
				lower_align_bound(b);
				l = branch_of(b);
				b = link_up(l);
			}
			if (b == NULL)
				return NULL;
			e = first_aligned_below(b->big.child[1], shift);
			l = e != NULL ? leaf_of(e) : b->big.child[1];
		}
	}
}
