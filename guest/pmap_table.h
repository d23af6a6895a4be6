/* SPDX-License-Identifier: ISC */
/*
 * Inside of the pmap: reach a table, make one, and invalidate a batch of addresses. For guest/pmap*.c
 * only.
 */
#ifndef PMAP_TABLE_H
#define PMAP_TABLE_H

#include "pmap.h"

#define L1_SPAN PMAP_L1_SPAN

/*
 * Up to this many pages of a range are invalidated one by one, more by one full flush. An INVLPG costs
 * 100 to 200 cycles on current CPUs, so 32 of them cost about what a full flush and the refills after it
 * do. boot.flush_threshold replaces it.
 */
#define PMAP_FLUSH_THRESHOLD 32

/* Where the leaf for va is or would be; NULL: no table, or not an address of kernel_map. */
static inline pt_entry_t *
pmap_leaf(vaddr_t va)
{
	if (!pmap_inside(va) || pmap_l1(va)->pl_frame == 0)
		return NULL;
	return pmap_l1_leaf(pmap_l1(va), va);
}

/* Make the tables on the path to va's leaf; false: pool empty, nothing taken. */
bool pmap_make_tables(vaddr_t va);

/* Bugs to plant (machine/planted.h): pmap_planted.c. */
paddr_t pmap_planted_table(void);                /* a table of the wrong kind of page */
void pmap_planted_grown(vaddr_t end);            /* tables were made up to end */
void pmap_planted_emptied(vaddr_t va);           /* leaves of va's table were removed */
void pmap_planted_alias(paddr_t pa);             /* pa was mapped */
void pmap_planted_large(vaddr_t va, paddr_t pa); /* 512 pages from va on were mapped */
pt_entry_t pmap_planted_leaf(void);              /* bits that pmap_enter() adds */

/*
 * Runs of pages whose entries were cleared or narrowed and whose translations must go, on every CPU.
 * pmap_inval_add() after the stores, pmap_inval_done() before anyone may rely on them: however many pages
 * there are, the other CPUs are interrupted once.
 */
#define PMAP_INVAL_RUNS 16

struct pmap_inval {
	uint64_t pages; /* added so far */
	unsigned nrun;
	bool all; /* there were more runs than fit: drop everything */
	struct {
		vaddr_t va;
		uint64_t n;
	} run[PMAP_INVAL_RUNS];
};

static inline void
pmap_inval_init(struct pmap_inval *iv)
{
	iv->pages = 0;
	iv->nrun = 0;
	iv->all = false;
}

/* Too much to go page by page? */
static inline bool
pmap_inval_is_all(const struct pmap_inval *iv)
{
	return iv->all || iv->pages > pmap_flush_threshold;
}

void pmap_inval_spill(struct pmap_inval *);      /* make room for a run */
void pmap_inval_here(const struct pmap_inval *); /* invalidate, on this CPU */
void pmap_shootdown(const struct pmap_inval *);  /* ... and on all others */

static inline void
pmap_inval_add(struct pmap_inval *iv, vaddr_t va, uint64_t n)
{
	iv->pages += n;
	if (pmap_inval_is_all(iv))
		return;
	if (unlikely(iv->nrun == PMAP_INVAL_RUNS))
		pmap_inval_spill(iv);
	iv->run[iv->nrun].va = va;
	iv->run[iv->nrun++].n = n;
}

static inline void
pmap_inval_done(struct pmap_inval *iv)
{
	if (iv->pages == 0)
		return;
	if (unlikely(pmap_smp))
		pmap_shootdown(iv);
	else
		pmap_inval_here(iv);
}

/* By pmap_bootstrap(): this CPU is on, of so many. */
void pmap_shootdown_init(unsigned ncpu);

#endif
