/* SPDX-License-Identifier: ISC */
/*
 * uvmexp: what the allocator says about itself, in pages unless noted. The host reads it.
 */
#ifndef UVMEXP_H
#define UVMEXP_H

#include <machine/param.h>

struct uvmexp {
	uint64_t npages; /* pages managed: every page that can be or was free */
	/* Free pages, all kinds. Also the wait channel of those who need some. */
	uint64_t free;
	uint64_t wired; /* pages with a wire_count */
	/* Pages the allocator uses for itself: nodes of objects and of map indices, entries, maps. */
	uint64_t kernpages;

	uint64_t reserve_pagedaemon; /* the last pages: for the page daemon alone */
	uint64_t reserve_kernel;     /* the last pages: for kernel objects alone */
	uint64_t freemin;            /* below this an allocation wakes the page daemon */
	uint64_t freetarg;           /* what the page daemon aims at */
	uint64_t wiredmax;

	uint64_t faults;    /* uvm_fault calls */
	uint64_t pdwoke;    /* times the page daemon was woken */
	uint64_t pdfreed;   /* pages its hooks gave back */
	uint64_t kmapent;   /* static map entries in use */
	uint64_t pagewaits; /* sleeps for pages */
};

extern struct uvmexp uvmexp;

/* Free pages at some moment, for who does not hold the lock that keeps the count (uvm_pmemrange.h). */
static inline uint64_t
uvm_pages_free(void)
{
	return __atomic_load_n(&uvmexp.free, __ATOMIC_RELAXED);
}

#endif
