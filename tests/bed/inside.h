/* SPDX-License-Identifier: ISC */
/*
 * The allocator's own structures, read by the host through their own headers (inside.c): what it believes, to
 * be compared with the page tables and with what the test knows. Only while the guest stands still.
 */
#ifndef TESTS_BED_INSIDE_H
#define TESTS_BED_INSIDE_H

#include "tests/bed/fixture.h"

/* Address of a symbol of the guest; ends the test if there is none. The name must be static. */
gva_t inside_symbol(const struct bed *, const char *name);

/* Everything that must be as before once all is freed again; all but the last three count pages. */
struct inside {
	uint64_t free;      /* on the free lists */
	uint64_t obj_pages; /* in kernel_object */
	uint64_t map_pages; /* kernel_map's size */
	uint64_t resident;  /* leaves of the pmap */
	uint64_t wired;     /* of these, wired */
	uint64_t entries;   /* of kernel_map */
	/* These only grow. */
	uint64_t kernpages; /* nodes of kernel_object */
	uint64_t ptps;      /* page-table pages */
	uint64_t misuse;    /* wrong frees, all kinds */
};
struct inside inside_look(const struct bed *);

/* Nothing that comes and goes is different: free pages but for those that went into nodes of the object. */
#define INSIDE_SAME(bed, before) inside_must_be(bed, before, __FILE__, __LINE__)
void inside_must_be(const struct bed *, const struct inside *before, const char *file, int line);

/*
 * The structures agree with themselves, with each other and with the page tables: kernel_map's entries tile it
 * and sum up to its size; each page of kernel_map that is mapped lies in an entry, its vm_page is in use
 * and in kernel_object at that offset, and the object has no other page.
 */
#define INSIDE_CHECK(bed) inside_must_agree(bed, __FILE__, __LINE__)
void inside_must_agree(const struct bed *, const char *file, int line);

/* What the allocator knows about a frame. */
struct inside_page {
	bool managed, in_use, tabled; /* tabled: in kernel_object at .offset */
	uint64_t offset;
	unsigned wire_count;
};
struct inside_page inside_page(const struct bed *, gpa_t);

/* Used ranges of kernel_map, guards included, ascending, joined where they touch; how many. */
struct inside_range {
	uint64_t start, end;
};
size_t inside_used(const struct bed *, struct inside_range *, size_t max);

/* Wrong frees are counted from now on, not punished by a panic. */
void inside_tolerate_misuse(struct bed *);

#endif
