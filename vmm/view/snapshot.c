/* SPDX-License-Identifier: ISC */
/*
 * Taking a snapshot: the iterator's page tables become runs. See snapshot.h.
 */
#include "vmm/view/snapshot.h"

#include <stdlib.h>

struct taker {
	struct snapshot *snap;
	uint64_t first, last; /* the wanted range, as 4 KiB pages of the 48-bit space */
	uint64_t ignore;      /* bits that do not tell leaves apart */
	bool no_memory;
};

/* Room for `more` elements after `used`; arrays grow by half. */
static bool
reserve(void *array, size_t *room, size_t used, size_t more, size_t size)
{
	void **at = array;
	size_t want = used + more;
	void *bigger;

	if (want <= *room)
		return true;
	want += want / 2;
	bigger = reallocarray(*at, want, size);
	if (bigger == NULL)
		return false;
	*at = bigger;
	*room = want;
	return true;
}

#define RESERVE(taker, array, room, used, more)                                            \
	(reserve(&(taker)->snap->array, &(taker)->snap->room, (taker)->snap->used, (more), \
	     sizeof(*(taker)->snap->array)) ||                                             \
	    !((taker)->no_memory = true))

static inline bool
continues(const struct view_run *run, uint64_t va, uint64_t pa, struct view_attr attr)
{
	uint64_t bytes = view_run_bytes(run);

	return run->va.v + bytes == va && run->pa.v + bytes == pa &&
	       view_attr_equal(run->attr, attr);
}

/* Put a run behind the others, or make the last one longer. There must be room. */
static inline void
append(struct snapshot *snap, uint64_t va, uint64_t npages, uint64_t pa, struct view_attr attr)
{
	if (snap->nrun > 0 && continues(&snap->run[snap->nrun - 1], va, pa, attr)) {
		snap->run[snap->nrun - 1].npages += npages;
		return;
	}
	snap->run[snap->nrun++] =
	    (struct view_run){ .va = GVA(va), .npages = npages, .pa = GPA(pa), .attr = attr };
}

static bool
take_table(void *arg, const struct iter_table *table)
{
	struct taker *t = arg;

	if (!RESERVE(t, table, table_room, ntable, 1))
		return false;
	t->snap->table[t->snap->ntable++] = (struct snap_table){ .gpa = table->gpa,
		.va = table->va,
		.level = table->level,
		.present = table->level > 1 ? iter_present(table) : 0 };
	return true;
}

static bool
take_fault(void *arg, const struct iter_fault *fault)
{
	struct taker *t = arg;

	if (!RESERVE(t, fault, fault_room, nfault, 1))
		return false;
	t->snap->fault[t->snap->nfault++] = *fault;
	return true;
}

/* A large leaf: cut it to the range. */
static bool
take_leaf(void *arg, const struct iter_leaf *leaf)
{
	struct taker *t = arg;
	struct view_attr attr = leaf->attr;
	const uint64_t low = (UINT64_C(1) << (48 - BED_PAGE_SHIFT)) - 1;
	uint64_t start = (leaf->va.v >> BED_PAGE_SHIFT) & low;
	uint64_t end = start + (pt_span(attr.level) >> BED_PAGE_SHIFT) - 1;
	uint64_t from = start > t->first ? start : t->first;
	uint64_t to = end < t->last ? end : t->last;
	uint64_t skip = (from - start) << BED_PAGE_SHIFT;

	if (!RESERVE(t, run, run_room, nrun, 1))
		return false;
	if (t->ignore != 0)
		attr.flags &= (uint8_t) ~(VIEW_A | VIEW_D);
	append(t->snap, leaf->va.v + skip, to - from + 1, leaf->pa.v + skip, attr);
	return true;
}

/* State of the hot loop that its rare paths need too. */
struct leaves {
	struct taker *taker;
	const struct iter_table *table;
	uint64_t keep;         /* the bits that tell leaves apart */
	uint64_t good;         /* the last good leaf, & keep */
	struct view_attr attr; /* its attributes */
	unsigned present;      /* entries with P seen so far */
};

/* The first good leaf at or after i, with its attributes decoded; on the way, bad entries are reported.
 * Returns PT_ENTRIES if there is none. */
static __attribute__((__noinline__)) unsigned
next_leaf(struct leaves *leaves, unsigned i)
{
	const struct iter_table *table = leaves->table;

	while (i < PT_ENTRIES) {
		uint64_t raw = table->entry[i];

		if ((raw & PTE_P) == 0) {
			bool none = ((table->used >> (i / 8)) & 1) == 0;

			i = none ? (i | 7) + 1 : i + 1;
			continue;
		}
		if (pte_reserved(table->rules, 1, raw) == 0) {
			leaves->good = raw & leaves->keep;
			leaves->attr = pte_leaf_attr(1, leaves->good, table->rights);
			return i;
		}
		leaves->present++;
		if (!take_fault(
			leaves->taker, &(struct iter_fault){
					   .va = GVA(table->va.v + i * BED_PAGE_SIZE),
					   .why = WALK_RESERVED,
					   .level = 1,
					   .entry = GPA(table->gpa.v + i * sizeof(uint64_t)),
					   .raw = raw,
				       }))
			return PT_ENTRIES;
		i++;
	}
	return PT_ENTRIES;
}

/* How many entries from i on continue `raw` frame by frame; raw is & keep. The highest frame ends a run: a
 * carry out of it would look like a continuation. */
static inline unsigned
run_length(const struct leaves *leaves, uint64_t raw, unsigned i)
{
	const uint64_t frame = leaves->table->rules->frame;
	const uint64_t *entry = leaves->table->entry + i;
	uint64_t room = (frame - (raw & frame)) >> BED_PAGE_SHIFT;
	unsigned n = 0;

	while (n < room && (entry[n] & leaves->keep) == (raw += BED_PAGE_SIZE))
		n++;
	return n;
}

/*
 * The hot loop: up to 512 leaves become runs. What follows a leaf is compared with that leaf plus one
 * frame, then with the attribute bits of the last good leaf; only what fails both is looked at closely.
 * The zero behind the last entry ends every loop, so that none counts.
 */
static struct view_run *
take_leaves(struct leaves *leaves, struct view_run *out)
{
	const struct iter_table *table = leaves->table;
	const uint64_t *entry = table->entry;
	const uint64_t keep = leaves->keep, frame = table->rules->frame, same = keep & ~frame;

	for (unsigned i = next_leaf(leaves, 0); i < PT_ENTRIES; i = next_leaf(leaves, i)) {
		const uint64_t good = leaves->good & same;
		uint64_t raw = entry[i] & keep, from;
		uint64_t va = table->va.v + i * BED_PAGE_SIZE, attr;
		unsigned start = i;

		memcpy(&attr, &leaves->attr, sizeof(attr));
		/* Leaves with the same attributes, up to the first entry that is anything else. */
		do {
			from = raw;
			out->va.v = va;
			out->npages = 1;
			out->pa.v = from & frame;
			memcpy(&out->attr, &attr, sizeof(attr));
			va += BED_PAGE_SIZE;
			raw = entry[++i] & keep;
			if (raw == from + BED_PAGE_SIZE) {
				unsigned more = run_length(leaves, from, i);

				out->npages += more;
				va += more * BED_PAGE_SIZE;
				i += more;
				raw = entry[i] & keep;
			}
			out++;
		} while ((raw & same) == good);
		leaves->present += i - start;
	}
	return out;
}

/* The same table with nothing but the wanted range in it. */
static struct iter_table
cut_table(const struct iter_table *table, uint64_t copy[PT_ENTRIES + 1])
{
	struct iter_table cut = *table;

	memset(copy, 0, (PT_ENTRIES + 1) * sizeof(*copy));
	memcpy(&copy[table->first], &table->entry[table->first],
	    (table->last - table->first + 1) * sizeof(*copy));
	cut.entry = copy;
	return cut;
}

static bool
take_page_table(void *arg, const struct iter_table *table)
{
	struct taker *t = arg;
	struct snapshot *snap = t->snap;
	struct leaves leaves = { .taker = t, .table = table, .keep = ~t->ignore };
	struct view_run *first, *out;
	struct iter_table cut;
	uint64_t copy[PT_ENTRIES + 1];
	bool whole = table->first == 0 && table->last == PT_ENTRIES - 1;

	if (!RESERVE(t, run, run_room, nrun, PT_ENTRIES))
		return false;
	if (!whole) {
		cut = cut_table(table, copy);
		leaves.table = &cut;
	}
	first = &snap->run[snap->nrun];
	out = take_leaves(&leaves, first);
	snap->table[snap->ntable - 1].present = whole ? leaves.present : iter_present(table);
	/* Inside a table each run ends where it must; only the first may continue one of the table before. */
	if (out != first && snap->nrun > 0 &&
	    continues(first - 1, first->va.v, first->pa.v, first->attr)) {
		first[-1].npages += first->npages;
		memmove(first, first + 1, (size_t)(out - first - 1) * sizeof(*first));
		out--;
	}
	snap->nrun = (size_t)(out - snap->run);
	return !t->no_memory;
}

/* The first canonical page at or above first, the last at or below last, as the iterator takes bounds. */
static void
set_range(struct taker *t, const struct iter_opts *opts)
{
	const uint64_t low = (UINT64_C(1) << (48 - BED_PAGE_SHIFT)) - 1;
	bool all = opts->first.v == 0 && opts->last.v == 0;
	uint64_t first = va_is_canonical(opts->first.v) ? opts->first.v : UINT64_C(1) << 47;
	uint64_t last = va_is_canonical(opts->last.v) ? opts->last.v : (UINT64_C(1) << 47) - 1;

	t->first = (first >> BED_PAGE_SHIFT) & low;
	t->last = all ? low : (last >> BED_PAGE_SHIFT) & low;
}

bool
snapshot_take(struct snapshot *snap, const struct view *view, const struct snap_opts *opts,
    struct bed_err *err)
{
	static const struct snap_opts plain;
	static const struct iter_ops ops = { .table = take_table,
		.leaf = take_leaf,
		.fault = take_fault,
		.page_table = take_page_table };
	struct taker t = { .snap = snap };
	struct iter_result result;

	snap->opts = opts != NULL ? *opts : plain;
	snap->nrun = snap->ntable = snap->nfault = 0;
	snap->root = view->root;
	t.ignore = snap->opts.with_ad ? 0 : PTE_A | PTE_D;
	set_range(&t, &snap->opts.iter);
	result = view_iterate(view, &snap->opts.iter, &ops, &t);
	snap->capped = result.capped;
	if (t.no_memory)
		return bed_fail(err, BED_E_HOST,
		    "no memory for a snapshot of %zu runs and %zu tables", snap->nrun,
		    snap->ntable);
	return true;
}

void
snapshot_free(struct snapshot *snap)
{
	free(snap->run);
	free(snap->table);
	free(snap->fault);
	*snap = (struct snapshot){ 0 };
}

const struct view_run *
snapshot_lookup(const struct snapshot *snap, gva_t va)
{
	size_t lo = 0, hi = snap->nrun;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct view_run *run = &snap->run[mid];

		if (va.v < run->va.v)
			hi = mid;
		else if (va.v > view_run_last(run).v)
			lo = mid + 1;
		else
			return run;
	}
	return NULL;
}

uint64_t
snapshot_pages(const struct snapshot *snap)
{
	uint64_t npages = 0;

	for (size_t i = 0; i < snap->nrun; i++)
		npages += snap->run[i].npages;
	return npages;
}

static int
by_gpa(const void *pa, const void *pb)
{
	const struct snap_table *a = pa, *b = pb;

	if (a->gpa.v != b->gpa.v)
		return a->gpa.v < b->gpa.v ? -1 : 1;
	if (a->level != b->level)
		return a->level > b->level ? -1 : 1;
	return (a->va.v > b->va.v) - (a->va.v < b->va.v);
}

struct snap_table *
snapshot_aliases(const struct snapshot *snap, size_t *n)
{
	struct snap_table *all;
	size_t out = 0;

	*n = 0;
	if (snap->ntable < 2)
		return NULL;
	all = malloc(snap->ntable * sizeof(*all));
	if (all == NULL) {
		*n = SIZE_MAX;
		return NULL;
	}
	memcpy(all, snap->table, snap->ntable * sizeof(*all));
	qsort(all, snap->ntable, sizeof(*all), by_gpa);
	for (size_t i = 0, j; i < snap->ntable; i = j) {
		for (j = i + 1; j < snap->ntable && all[j].gpa.v == all[i].gpa.v; j++)
			;
		if (j - i < 2)
			continue;
		memmove(&all[out], &all[i], (j - i) * sizeof(*all));
		out += j - i;
	}
	*n = out;
	if (out == 0) {
		free(all);
		return NULL;
	}
	return all;
}
