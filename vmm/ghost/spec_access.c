/* SPDX-License-Identifier: ISC */
/*
 * Faults and the accesses that make them: what is brought in, with which rights, and what an access that is
 * refused reports.
 */
#include "shared/pattern.h"
#include "vmm/ghost/spec.h"

#define T_GP     13
#define CANON(x) ((uint64_t)((int64_t)((x) << 16) >> 16) == (x))

/* The map, at or below `map`, that has the address in a range other than a submap's, or NULL. */
static const struct ghost_map *
find(const struct ghost_step *st, unsigned map, uint64_t va, const struct ghost_range **range)
{
	const struct ghost_map *m = &st->now->map[map];

	for (unsigned depth = 0; depth < BED_MAPS_MAX; depth++) {
		*range = m->used && va >= m->min && va < m->max ? ghost_map_at(m, va) : NULL;
		if (*range == NULL)
			return NULL;
		if ((*range)->what.kind != GHOST_SUBMAP)
			return m;
		m = &st->now->map[(*range)->what.submap];
	}
	return NULL;
}

/* A page for va, where kernel_object has none. */
static int
new_page(struct ghost_step *st, uint64_t va, unsigned prot)
{
	const struct spec_frames any = ANY_FRAMES;
	bool there = runs_at(&st->seen->leaf, va >> BED_PAGE_SHIFT) != NULL;

	if (!there && st->call->asleep && spec_may_lack(st, 1)) {
		st->sleep->taken_up = true;
		st->sleep->in_fault = true;
		st->sleep->fault_va = va;
		return FAULT_ASLEEP;
	}
	/* What woke it may have been pages of the allocator's books; the reserve is left all the same. */
	if (st->resumed ? runs_pages(&st->seen->free) < st->world->reserve
			: spec_free_pages(st) <= st->world->reserve) {
		spec_refuse(
		    st, "a page came to %#lx; with %lu free it must not", va, spec_free_pages(st));
		return FAULT_WRONG;
	}
	if (spec_take_pages(st, va, 1, prot, GHOST_LEAF_MANAGED, true, false, &any, NULL) !=
	    GHOST_OK)
		return FAULT_WRONG;
	st->fresh = true;
	return 0;
}

/* The page of kernel_object at va is mapped, and wired if asked to. */
static void
map_page(struct ghost_step *st, uint64_t va, struct ghost_run page, unsigned prot, bool wire)
{
	if (wire && page.attr++ == 0)
		st->now->wired++;
	runs_put(&st->now->object, page);
	runs_put(&st->now->leaf,
	    (struct ghost_run){ .at = va >> BED_PAGE_SHIFT,
		.n = 1,
		.to = page.to,
		.attr = kernel_leaf(
		    prot, GHOST_LEAF_MANAGED | (page.attr != 0 ? GHOST_LEAF_WIRED : 0)) });
}

int
spec_fault(struct ghost_step *st, unsigned map, uint64_t va, unsigned access, bool wire)
{
	const struct ghost_range *r;
	const struct ghost_map *m;
	struct ghost_run page = { 0 };
	unsigned prot;
	int error;

	va &= ~BED_PAGE_MASK;
	st->fresh = false;
	if (st->resumed && st->sleep->in_fault)
		st->sleep->in_fault = false; /* it was counted when it fell asleep */
	else
		st->now->faults++;
	m = find(st, map, va, &r);
	if (m == NULL)
		return BED_EFAULT;
	if ((m->flags & MAP_PAGEABLE) == 0) {
		spec_refuse(st,
		    "a fault at %#lx, in a map that is not pageable, is the end of the guest", va);
		return FAULT_WRONG;
	}
	prot = r->what.prot;
	if (prot == 0 || (access & ~prot) != 0)
		return BED_EACCES;
	if (r->what.kind != GHOST_OBJECT || r->what.nofault)
		return BED_EFAULT;
	if (runs_at(&st->now->object, va >> BED_PAGE_SHIFT) == NULL) {
		error = new_page(st, va, prot);
		if (error != 0)
			return error;
	}
	RUNS_EACH(&st->now->object, va >> BED_PAGE_SHIFT, 1, i, page)
	break;
	map_page(st, va, page, prot, wire);
	return 0;
}

/* How an access of one page ends. */
struct touch {
	int error;     /* 0, EFAULT, or FAULT_* */
	uint64_t code; /* EFAULT: what the guest is told */
	uint64_t frame;
	bool fresh;
};

static struct touch
touch(struct ghost_step *st, uint64_t va, unsigned access)
{
	struct touch t = { .error = 0 };
	struct ghost_run part = { 0 };
	uint32_t need = access == BED_PROT_WRITE  ? GHOST_LEAF_W
	                : access == BED_PROT_EXEC ? GHOST_LEAF_X
	                                          : GHOST_LEAF_R;
	bool present = false;

	if (!CANON(va))
		return (struct touch){ BED_EFAULT, (uint64_t)T_GP << 32, 0, false };
	RUNS_EACH(&st->now->leaf, va >> BED_PAGE_SHIFT, 1, i, part)
	present = true;
	if (!present || (part.attr & need) == 0) {
		t.error = va < st->world->kva_min
		              ? BED_EFAULT
		              : spec_fault(st, BED_MAP_KERNEL, va, access, false);
		t.fresh = t.error == 0 && st->fresh;
		if (t.error > 0)
			t.error = BED_EFAULT;
		t.code = (present ? PF_P : 0) | (access == BED_PROT_WRITE ? PF_W : 0) |
		         (access == BED_PROT_EXEC ? PF_I : 0);
		RUNS_EACH(&st->now->leaf, va >> BED_PAGE_SHIFT, 1, i, part)
		break;
	}
	t.frame = part.to;
	return t;
}

/* A page that came must be zero but for what was stored at va, if anything was. */
static bool
came_zero(struct ghost_step *st, const struct touch *t, uint64_t va, unsigned stored)
{
	unsigned from = (unsigned)(va & BED_PAGE_MASK), to = from + stored;

	if (!t->fresh || st->memory->zero == NULL ||
	    st->memory->zero(st->memory->arg, t->frame, from, to))
		return true;
	spec_refuse(st, "page %#lx came to %#lx and was not zero", t->frame << BED_PAGE_SHIFT, va);
	return false;
}

/* The 8 bytes at va, which lie on one page. */
static bool
word_at(const struct ghost_step *st, const struct touch *t, uint64_t va, uint64_t *word)
{
	return st->memory->word != NULL &&
	       st->memory->word(
		   st->memory->arg, t->frame << BED_PAGE_SHIFT | (va & BED_PAGE_MASK), word);
}

static enum ghost_verdict
ended(struct ghost_step *st, const struct touch *t)
{
	enum ghost_verdict v;

	if (t->error == FAULT_WRONG)
		return GHOST_VIOLATION;
	if (t->error == FAULT_ASLEEP)
		return GHOST_OK;
	v = spec_returns(st, (uint64_t)t->error);
	if (v == GHOST_OK && t->error != 0 && st->call->value2 != t->code)
		v = spec_refuse(
		    st, "reported error code %#lx, must be %#lx", st->call->value2, t->code);
	return v;
}

static enum ghost_verdict
access_word(struct ghost_step *st, unsigned access)
{
	uint64_t va = arg(st, 0), want = arg(st, 1), word;
	bool store = access == BED_PROT_WRITE, split = (va & BED_PAGE_MASK) > BED_PAGE_SIZE - 8;
	struct touch t = touch(st, va, access);
	enum ghost_verdict v;

	if (split && t.error == 0) {
		t = touch(st, va + 7, access);
		if (t.error != 0)
			return spec_unsaid(st, "an access of two pages that failed on the second");
	}
	v = ended(st, &t);
	if (v != GHOST_OK || t.error != 0 || split)
		return v;
	if (!came_zero(st, &t, va, store ? 8 : 0))
		return GHOST_VIOLATION;
	if (!word_at(st, &t, va, &word))
		return GHOST_OK;
	if (!store)
		want = st->call->value2;
	return word == want ? GHOST_OK
	                    : spec_refuse(st, "%s %#lx; memory, at %#lx, holds %#lx",
				  store ? "stored" : "loaded", want,
				  t.frame << BED_PAGE_SHIFT | (va & BED_PAGE_MASK), word);
}

enum ghost_verdict
spec_load(struct ghost_step *st)
{
	return access_word(st, BED_PROT_READ);
}

enum ghost_verdict
spec_store(struct ghost_step *st)
{
	return access_word(st, BED_PROT_WRITE);
}

enum ghost_verdict
spec_exec(struct ghost_step *st)
{
	uint64_t va = arg(st, 0);
	const struct ghost_run *leaf = runs_at(&st->now->leaf, va >> BED_PAGE_SHIFT);
	const struct ghost_range *r;
	struct touch t;

	/* Code, or a range that allows what the tables above it deny: no end to the faults. */
	if ((leaf != NULL && (leaf->attr & GHOST_LEAF_X) != 0) ||
	    (find(st, BED_MAP_KERNEL, va, &r) != NULL && (r->what.prot & BED_PROT_EXEC) != 0))
		return spec_unsaid(st, "execution of %#lx", va);
	t = touch(st, va, BED_PROT_EXEC);
	return ended(st, &t);
}

enum ghost_verdict
spec_fill(struct ghost_step *st)
{
	uint64_t va = arg(st, 0), word;
	struct touch t = { .error = 0 };
	enum ghost_verdict v;

	for (uint64_t i = 0; i < arg(st, 1); i++, va += BED_PAGE_SIZE) {
		t = touch(st, va, BED_PROT_WRITE);
		if (t.error != 0)
			return ended(st, &t);
		if ((va & BED_PAGE_MASK) > BED_PAGE_SIZE - 8)
			return spec_unsaid(st, "words that lie on two pages");
		if (!came_zero(st, &t, va, 8))
			return GHOST_VIOLATION;
		if (word_at(st, &t, va, &word) && word != bed_pattern(va, arg(st, 2)))
			return spec_refuse(st, "%#lx holds %#lx and was filled with %#lx", va, word,
			    bed_pattern(va, arg(st, 2)));
	}
	v = ended(st, &t);
	return v;
}

enum ghost_verdict
spec_verify(struct ghost_step *st)
{
	uint64_t va = arg(st, 0), wrong = 0, word;

	for (uint64_t i = 0; i < arg(st, 1); i++, va += BED_PAGE_SIZE) {
		struct touch t = touch(st, va, BED_PROT_READ);

		if (t.error < 0)
			return ended(st, &t);
		if ((va & BED_PAGE_MASK) > BED_PAGE_SIZE - 8 || st->memory->word == NULL)
			return spec_unsaid(st, "contents are not known");
		wrong += t.error != 0 || !word_at(st, &t, va, &word) ||
		         word != bed_pattern(va, arg(st, 2));
	}
	return spec_returns(st, wrong);
}

enum ghost_verdict
spec_uvm_fault(struct ghost_step *st)
{
	int error = spec_fault(st, (unsigned)arg(st, 0), arg(st, 1), (unsigned)arg(st, 2), false);
	struct touch t = { .error = error, .frame = 0 };
	const struct ghost_run *page;

	if (error < 0)
		return ended(st, &t);
	if (error == 0 && st->fresh) {
		page = runs_at(&st->now->object, arg(st, 1) >> BED_PAGE_SHIFT);
		t.fresh = true;
		t.frame = page->to + (arg(st, 1) >> BED_PAGE_SHIFT) - page->at;
		if (!came_zero(st, &t, arg(st, 1), 0))
			return GHOST_VIOLATION;
	}
	return spec_returns(st, (uint64_t)error);
}

/* A load that nothing forgives: it came back, so there was something to load. */
enum ghost_verdict
spec_die_fault(struct ghost_step *st)
{
	struct touch t = touch(st, arg(st, 0), BED_PROT_READ);

	if (t.error > 0)
		return spec_refuse(st, "came back, and %#lx cannot be loaded", arg(st, 0));
	return t.error < 0 ? ended(st, &t) : GHOST_OK;
}
