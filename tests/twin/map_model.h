/* SPDX-License-Identifier: ISC */
/*
 * A map as a person would keep it: one byte a page. The placement rule of guest/uvm/uvm_addr.h in its
 * plainest form, and the comparison of a real map with all of this.
 */
#ifndef TESTS_TWIN_MAP_MODEL_H
#define TESTS_TWIN_MAP_MODEL_H

#include "guest/uvm/uvm_map.h"
#include "tests/twin/check.h"

#define MODEL_PAGES 20000

enum model_page { FREE = 0, USED = 1, GUARD = 2 };

struct model {
	vaddr_t base;
	uint64_t pages;
	bool best, guarded;
	uint8_t page[MODEL_PAGES]; /* enum model_page */
};

void model_init(struct model *, vaddr_t base, uint64_t pages, bool best, bool guarded);
/* Where n pages go at a multiple of align pages: an address, or 0. Nothing changes. */
vaddr_t model_place(const struct model *, uint64_t n, uint64_t align);
/* An automatic allocation there: the pages and the guard after it. */
void model_take(struct model *, vaddr_t va, uint64_t n);
/* Pages [va, va + n) and, if that is where it is, the guard behind them. */
void model_give(struct model *, vaddr_t va, uint64_t n);
uint64_t model_largest(const struct model *);

/* The ring tiles the map; entries are what the model says, no more; lookups and counters agree. */
void model_check(const struct model *, struct vm_map *, struct rnd *);

#endif
