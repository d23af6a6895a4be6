/* SPDX-License-Identifier: ISC */
/*
 * What the rules are checked on: the page tables and the guest's structures, read once, bounds-checked,
 * sorted. For vmm/audit/, and for those who abstract from it what they need (vmm/ghost/read.c).
 *
 * The reader stops where something makes no sense and notes it (struct audit_torn); the rule that owns
 * that structure reports it, the others leave alone what could not be read.
 */
#ifndef VMM_AUDIT_INPUT_H
#define VMM_AUDIT_INPUT_H

#include <stdlib.h>

#include "guest/pmap.h"
#include "guest/thread.h"
#include "guest/uvm/uvm_map.h"
#include "guest/uvm/uvm_object.h"
#include "guest/uvm/uvm_page.h"
#include "guest/uvm/uvm_pmemrange.h"
#include "guest/uvm/uvmexp.h"
#include "vmm/audit/audit.h"

/* The guest's symbols, looked up once. */
struct audit_symbols {
#define SYMBOL(name) uint64_t name;
#include "vmm/audit/symbols.def"
#undef SYMBOL
};

const struct audit_symbols *audit_symbols(const struct audit *);

/* An array that grows. AUDIT_PUSH: the new element, or NULL and in->oom. */
#define AUDIT_LIST(type)        \
	struct {                \
		type *at;       \
		size_t n, room; \
	}
#define AUDIT_PUSH(in, list)                                                          \
	({                                                                            \
		__typeof__(list) list_ = (list);                                      \
		if (list_->n == list_->room) {                                        \
			size_t room_ = list_->room ? 2 * list_->room : 64;            \
			void *more_ = realloc(list_->at, room_ * sizeof(*list_->at)); \
			if (more_ == NULL)                                            \
				(in)->oom = true;                                     \
			else {                                                        \
				list_->at = more_;                                    \
				list_->room = room_;                                  \
			}                                                             \
		}                                                                     \
		list_->n < list_->room ? &list_->at[list_->n++] : NULL;               \
	})

/* Where reading stopped; text[0] == '\0': it did not. */
struct audit_torn {
	char text[160];
};

/* A page-table page and what its entries have in common. */
struct audit_table {
	gpa_t gpa;
	gva_t va;
	int level;
	const uint64_t *entry;   /* PT_ENTRIES of them, host address */
	unsigned present, wired; /* wired: present leaves with PTE_SW_W */
	uint64_t any, all;       /* OR and AND of the present entries */
	int stray;               /* first entry that is not present and not zero, or -1 */
	int dirty_only;          /* first present leaf with D and no A, or -1 */
	bool kernel_map;         /* translates addresses of kernel_map's slot */
};

struct audit_map {
	uint64_t va; /* of the struct vm_map */
	const struct vm_map *m;
	char name[16];
	unsigned first, n;                 /* its entries: in->entry.at[first .. first + n) */
	const struct vm_map_entry *parent; /* entry that has it as submap; NULL: kernel_map */
	struct audit_torn ring, stock;
	unsigned nstock; /* length of the stock */
};

struct audit_entry {
	uint64_t va;
	const struct vm_map_entry *e;
};

/* A stretch of kernel_map's addresses that some entry, not a submap's, describes: used, then guard. */
struct audit_span {
	uint64_t start, end, guard_end;
	const struct vm_map_entry *e;
	const struct audit_map *map;
};

/* A part of a snapshot's run inside kernel_map that lies in one place of the maps. */
enum audit_where { AUDIT_USED, AUDIT_GUARD, AUDIT_NOWHERE };
struct audit_piece {
	uint64_t va, npages, pa;
	struct view_attr attr;
	enum audit_where where;
	const struct audit_span *span; /* NULL: NOWHERE */
};

/* A run of free pages, from a tree (in order) or from a stack. */
struct audit_run {
	uint64_t frame, n;
	const struct vm_page *pg;
	unsigned kind; /* UVM_PMR_MEMTYPE_* */
	bool quick;
};

struct audit_objpage {
	uint64_t offset, pg_va;
	const struct vm_page *pg; /* NULL: pg_va is no page */
};

struct audit_input {
	const struct audit_source *src;
	const struct snapshot *snap;
	const struct audit_symbols *sym;
	bool oom;
	uint64_t kva_end;

	AUDIT_LIST(struct audit_table) table;

	const struct pmap *pmap;
	const struct pmap_l1 *l1; /* whole array, or NULL */
	uint64_t nl1;
	const struct uvmexp *exp;
	uint64_t maxkaddr;

	const struct vm_physseg *seg;
	unsigned nseg;
	struct audit_torn segs; /* array or segments unreadable: nothing below about pages */
	const struct uvm_pmemrange *pmr;
	AUDIT_LIST(struct audit_run) run; /* tree of kind 0, of kind 1, then the stacks */
	size_t nrun_tree[UVM_PMR_MEMTYPE_MAX];
	struct audit_torn trees, stacks;
	uint64_t quick_pages;
	AUDIT_LIST(const struct audit_run *) by_frame;

	const struct uvm_object *obj;
	AUDIT_LIST(struct audit_objpage) objpage;
	uint64_t obj_nodes;
	struct audit_torn object;

	AUDIT_LIST(struct audit_map) map;
	AUDIT_LIST(struct audit_entry) entry;
	AUDIT_LIST(uint64_t) stock; /* entries in stocks, all maps */
	struct audit_torn maps;
	AUDIT_LIST(struct audit_span) span;
	bool spans_good; /* every ring could be read and is in order */
	AUDIT_LIST(struct audit_piece) piece;

	/* Marks by page frame; a pass begins with ++gen. */
	uint32_t *mark, gen;
	uint64_t nmark;
	/* The index of the map being looked at (rule_index.c). */
	AUDIT_LIST(struct audit_indexed) indexed;

	struct audit_verdict *verdict; /* of the rule being checked */
};

struct audit_indexed {
	uint64_t page, owner;
	unsigned column;
};

/* What the last audit_run() or audit_look() has read; valid while its source, snapshot and guest are. */
const struct audit_input *audit_reading(const struct audit *);

/* Fills what it can; false: out of memory. */
bool audit_read(struct audit_input *);
void audit_input_free(struct audit_input *);

/* read_map.c and read_page.c: parts of audit_read(). */
void audit_read_maps(struct audit_input *);
void audit_read_spans(struct audit_input *);
void audit_read_pages(struct audit_input *);
void audit_read_object(struct audit_input *);

/*
 * Host address of `len` bytes the guest has at `va`, in its image or the direct map; NULL: not all of them
 * are memory, or va is not a multiple of `align`.
 */
const void *audit_ptr(const struct audit_input *, uint64_t va, uint64_t len, uint64_t align);
#define AUDIT_AT(in, type, va) \
	((const type *)audit_ptr(in, (uint64_t)(va), sizeof(type), _Alignof(type)))

/* Threads of the CPUs that there are, and the page below the stack of one of them. */
unsigned audit_nthreads(const struct audit_input *);
uint64_t audit_stack_guard(const struct audit_input *, unsigned thread);
#define AUDIT_AREA_STACKS (6 * BED_PAGE_SIZE) /* struct cpu_area.stack */

/* The vm_page of a frame, or NULL; its address in the guest; the frame of a vm_page, or UINT64_MAX. */
const struct vm_page *audit_page(const struct audit_input *, uint64_t frame);
uint64_t audit_page_va(const struct audit_input *, uint64_t frame);
uint64_t audit_page_frame(const struct audit_input *, uint64_t page_va);

static inline bool
audit_page_free(const struct vm_page *pg)
{
	return (pg->pg_flags & PQ_INUSE) == 0;
}

/* Note where reading stopped; only the first note stays. */
void audit_tear(struct audit_torn *, const char *fmt, ...)
    __attribute__((__format__(__printf__, 2, 3)));

static inline bool
audit_is_torn(const struct audit_torn *t)
{
	return t->text[0] != '\0';
}

/* The rule does not hold: says why, returns false. */
bool audit_finding(struct audit_input *, const char *fmt, ...)
    __attribute__((__format__(__printf__, 2, 3)));

/* ... and this page, this frame, is what it is about. */
#define audit_finding_at(in, page, ...)                                        \
	((in)->verdict->has_va = true, (in)->verdict->va = va_canonical(page), \
	    audit_finding(in, __VA_ARGS__))
#define audit_finding_frame(in, frame, ...) \
	((in)->verdict->has_pa = true, (in)->verdict->pa = (frame), audit_finding(in, __VA_ARGS__))

/* False if this frame has been marked since the last ++gen, or cannot be. */
bool audit_mark(struct audit_input *, uint64_t frame);

typedef bool audit_fn(struct audit_input *);
#define RULE(number, id, kind, fn, statement) audit_fn audit_##fn;
#include "vmm/audit/rules.def"
#undef RULE

#endif
