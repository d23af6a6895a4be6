/* SPDX-License-Identifier: ISC */
/*
 * What the twin's page-side tests share: random numbers whose seed is printed, a page-table reader of
 * their own, and the whole-structure checks of free memory and of the kernel pmap.
 */
#ifndef TESTS_TWIN_CHECK_H
#define TESTS_TWIN_CHECK_H

#include "guest/pmap.h"
#include "guest/twin/twin.h"
#include "guest/uvm/uvm_page.h"
#include "guest/uvm/uvm_pmemrange.h"
#include "tests/bedtest.h"

#define MIB   (UINT64_C(1) << 20)
#define GIB   (UINT64_C(1) << 30)
#define KVA   VM_MIN_KERNEL_ADDRESS
#define RW    (PROT_READ | PROT_WRITE)
#define PAGES (TWIN_PAGES_ONLY)

/* Random numbers; the seed (tests/seed.h) is printed when the test begins. */
struct rnd {
	uint64_t seed, state;
};
struct rnd rnd_start(const char *test);
uint64_t rnd_next(struct rnd *);
static inline uint64_t
rnd_below(struct rnd *r, uint64_t n)
{
	return rnd_next(r) % n;
}

/* The raw leaf for va, read without the pmap's help; 0: no table or not present. */
uint64_t leaf_at(uint64_t va);
/* Leaves present in kernel_map, tables below the root of its part; wired ones in *wired. */
uint64_t count_leaves_of_map(uint64_t *wired, uint64_t *tables);
/* The pmap's counters agree with the tables, nothing stale is left in the TLB. `when` names the step. */
void check_pmap(const char *when, uint64_t seed);

/*
 * Free memory is in order: trees in address order, augmented and heap-ordered, runs disjoint, maximal,
 * marked at both ends, flags of every page fit; counts add up to uvmexp.free. Known-zero pages are zero
 * and dirty ones poisoned, if `contents`.
 */
void check_free(const char *when, uint64_t seed, bool contents);

/* Pages that the allocator cannot give out as they are in use (by scanning all vm_pages). */
uint64_t count_inuse(void);

#endif
