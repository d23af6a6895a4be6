/* SPDX-License-Identifier: ISC */
/*
 * See tlbgen.h. Two level 1 tables under one level 2 table; each operation ends with an update.
 */
#include "tests/unit/tlbgen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/paging.h"
#include "tests/seed.h"

#define BASE   UINT64_C(0xffff800000000000)
#define HALF   (TLBGEN_PAGES / 2)
#define UPPER  UINT64_C(0x2000) /* level 2 */
#define LOWER  UINT64_C(0x3000) /* level 1: pages 0 .. HALF-1 */
#define SECOND UINT64_C(0x4000) /* level 1: the others, 2 MiB above */
#define FRAME  UINT64_C(0x100000)

uint64_t
tlbgen_random(struct tlbgen *g, uint64_t below)
{
	g->rng ^= g->rng << 13;
	g->rng ^= g->rng >> 7;
	g->rng ^= g->rng << 17;
	return (g->rng >> 11) % below;
}

static unsigned
put(struct tlbgen *g, enum tlb_type type, unsigned cpu, uint64_t a, uint64_t b, uint64_t c)
{
	g->role[g->n] = ROLE_NONE;
	g->ev[g->n] =
	    (struct tlb_event){ .type = (uint8_t)type, .cpu = (uint16_t)cpu, .a = { a, b, c } };
	return g->n++;
}

static uint64_t
page_va(unsigned page)
{
	return BASE + (page < HALF ? page : PT_ENTRIES + page - HALF) * BED_PAGE_SIZE;
}

static uint64_t
page_entry(unsigned page)
{
	return page < HALF ? LOWER + page * 8 : SECOND + (page - HALF) * 8;
}

static unsigned
some_cpu(struct tlbgen *g)
{
	unsigned cpu;

	do
		cpu = (unsigned)tlbgen_random(g, g->ncpu);
	while (!(g->on & UINT64_C(1) << cpu));
	return cpu;
}

static void
store(struct tlbgen *g, unsigned cpu, unsigned page, uint64_t new)
{
	uint64_t old = g->entry[page];

	/* The CPU may have set A and D since. */
	if ((old & PTE_P) && tlbgen_random(g, 2))
		old |= PTE_A | (old & PTE_W ? PTE_D : 0);
	put(g, TLB_STORE, cpu, page_entry(page), old, new);
	g->entry[page] = new;
}

/* One CPU drops what it may hold of these pages. */
static void
invalidate(struct tlbgen *g, unsigned cpu, const unsigned *page, unsigned n)
{
	unsigned i;

	if (tlbgen_random(g, 4) == 0) {
		i = put(g, TLB_FLUSH, cpu, 0, 0, 0);
		g->role[i] = ROLE_NEEDED;
		return;
	}
	for (unsigned p = 0; p < n; p++) {
		i = put(g, TLB_INVLPG, cpu, page_va(page[p]), 0, 0);
		g->role[i] = ROLE_NEEDED | ROLE_ADDRESSED;
	}
}

/* What was taken away (bits of tlbgen.held) is missed by a CPU that had it when it went off, and only then:
 * what came and went while it was off it cannot hold. */
static void
lost_on_off_cpus(struct tlbgen *g, uint64_t taken, bool only_writing)
{
	for (unsigned cpu = 0; cpu < g->ncpu; cpu++) {
		uint64_t had = only_writing ? g->held_w[cpu] : g->held[cpu];

		if (!(g->on & UINT64_C(1) << cpu) && (had & taken) != 0)
			g->missed[cpu] = true;
	}
}

static uint64_t
page_bits(const unsigned *page, unsigned n)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < n; i++)
		bits |= UINT64_C(1) << page[i];
	return bits;
}

/* Everybody drops them: this CPU first or last, the others when asked. */
static void
shootdown(struct tlbgen *g, unsigned cpu, const unsigned *page, unsigned n, bool only_writing)
{
	bool first = tlbgen_random(g, 2) != 0;
	uint64_t others = g->on & ~(UINT64_C(1) << cpu);

	lost_on_off_cpus(g, page_bits(page, n), only_writing);
	if (first)
		invalidate(g, cpu, page, n);
	if (others != 0) {
		put(g, TLB_SEND, cpu, others, 0, 0);
		for (unsigned c = 0; c < g->ncpu; c++) {
			if (others & UINT64_C(1) << c) {
				invalidate(g, c, page, n);
				put(g, TLB_ACK, c, cpu, 0, 0);
			}
		}
	}
	if (!first)
		invalidate(g, cpu, page, n);
	put(g, TLB_UPDATE, cpu, 0, 0, 0);
}

/* Up to 6 different pages that are mapped (or not), in usable tables. */
static unsigned
choose(struct tlbgen *g, bool mapped, unsigned page[6])
{
	unsigned first = (unsigned)tlbgen_random(g, TLBGEN_PAGES), n = 0;
	unsigned want = 1 + (unsigned)tlbgen_random(g, 6);

	for (unsigned i = 0; i < TLBGEN_PAGES && n < want; i++) {
		unsigned p = (first + i) % TLBGEN_PAGES;

		if (((g->entry[p] & PTE_P) != 0) == mapped && (p < HALF || g->linked))
			page[n++] = p;
	}
	return n;
}

static void
map(struct tlbgen *g)
{
	unsigned page[6], n = choose(g, false, page), cpu = some_cpu(g);

	for (unsigned i = 0; i < n; i++) {
		uint64_t frame = FRAME + page[i] * BED_PAGE_SIZE;

		put(g, TLB_PAGE_ALLOC, cpu, frame, 1, 0);
		put(g, TLB_VA_ALLOC, cpu, 1, page_va(page[i]), page_va(page[i]) + BED_PAGE_SIZE);
		store(g, cpu, page[i],
		    frame | PTE_P | (tlbgen_random(g, 3) ? PTE_W : 0) |
			(tlbgen_random(g, 3) ? 0 : PTE_G));
	}
	put(g, TLB_UPDATE, cpu, 0, 0, 0);
}

static void
unmap(struct tlbgen *g)
{
	unsigned page[6], n = choose(g, true, page), cpu = some_cpu(g), last;

	if (n == 0)
		return;
	for (unsigned i = 0; i < n; i++)
		store(g, cpu, page[i], 0);
	last = g->n - 1;
	shootdown(g, cpu, page, n, false);
	for (unsigned i = 0; i < n; i++) {
		unsigned at = put(g, TLB_PAGE_FREE, cpu, FRAME + page[i] * BED_PAGE_SIZE, 1, 0);

		g->role[at] = ROLE_FREE;
		g->stored[at] = last;
		put(g, TLB_VA_FREE, cpu, 1, page_va(page[i]), page_va(page[i]) + BED_PAGE_SIZE);
	}
}

/* Narrow, or widen, which needs nobody. */
static void
protect(struct tlbgen *g)
{
	unsigned page[6], n = choose(g, true, page), cpu = some_cpu(g), narrowed = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t old = g->entry[page[i]];

		if (old & PTE_W)
			page[narrowed++] = page[i];
		store(g, cpu, page[i], old & PTE_W ? old & ~PTE_W : old | PTE_W);
	}
	if (narrowed > 0)
		shootdown(g, cpu, page, narrowed, true);
	else
		put(g, TLB_UPDATE, cpu, 0, 0, 0);
}

/* The second table comes, or goes when it is empty. */
static void
table(struct tlbgen *g)
{
	unsigned cpu = some_cpu(g), at;

	if (!g->linked) {
		put(g, TLB_TABLE_ALLOC, cpu, SECOND, 0, 0);
		put(g, TLB_STORE, cpu, UPPER + 8, 0, SECOND | PTE_P | PTE_W);
		g->linked = true;
		return;
	}
	for (unsigned p = HALF; p < TLBGEN_PAGES; p++) {
		if (g->entry[p] != 0)
			return;
	}
	put(g, TLB_STORE, cpu, UPPER + 8, SECOND | PTE_P | PTE_W | PTE_A, 0);
	for (unsigned c = 0; c < g->ncpu; c++) {
		if (g->on & UINT64_C(1) << c) {
			at = put(g, TLB_INVLPG, c, page_va(HALF), 0, 0);
			g->role[at] = ROLE_NEEDED; /* any address would do */
		}
	}
	put(g, TLB_UPDATE, cpu, 0, 0, 0);
	put(g, TLB_TABLE_FREE, cpu, SECOND, 0, 0);
	g->linked = false;
}

static void
sleep_or_wake(struct tlbgen *g)
{
	unsigned cpu = (unsigned)tlbgen_random(g, g->ncpu), at;
	uint64_t bit = UINT64_C(1) << cpu;

	if (g->on == bit)
		return;
	if (g->on & bit) {
		put(g, TLB_OFF, cpu, 0, 0, 0);
		g->missed[cpu] = false;
		g->held[cpu] = g->held_w[cpu] = 0;
		for (unsigned p = 0; p < TLBGEN_PAGES; p++) {
			g->held[cpu] |= g->entry[p] & PTE_P ? UINT64_C(1) << p : 0;
			g->held_w[cpu] |= g->entry[p] & PTE_W ? UINT64_C(1) << p : 0;
		}
	} else {
		at = put(g, TLB_FLUSH, cpu, 0, 0, 0);
		g->role[at] = g->missed[cpu] ? ROLE_NEEDED : ROLE_NONE;
		put(g, TLB_ON, cpu, 0, 0, 0);
	}
	g->on ^= bit;
}

void
tlbgen_number(struct tlbgen *g)
{
	uint64_t ticket = 1;

	for (unsigned i = 0; i < g->n; i++) {
		struct tlb_event *ev = &g->ev[i];

		if (ev->type < TLB_FIRST_TIMED)
			continue;
		ev->ticket = ticket += 2;
		if (ev->type == TLB_FLUSH)
			ev->a[0] = ticket - 1;
		else if (ev->type == TLB_INVLPG)
			ev->a[1] = ticket - 1;
	}
}

void
tlbgen_make(struct tlbgen *g, uint64_t seed, unsigned ncpu, unsigned n)
{
	static void (*const acts[])(
	    struct tlbgen *) = { map, map, unmap, unmap, protect, table, sleep_or_wake };

	memset(g, 0, sizeof(*g));
	g->rng = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	g->ncpu = ncpu;
	g->on = (UINT64_C(1) << ncpu) - 1;
	put(g, TLB_CPUS, 0, ncpu, 0, 0);
	put(g, TLB_TABLE, 0, UPPER, 2, BASE);
	put(g, TLB_ENTRY, 0, UPPER, LOWER | PTE_P | PTE_W, 0);
	while (g->n < n)
		acts[tlbgen_random(g, sizeof(acts) / sizeof(acts[0]))](g);
	tlbgen_number(g);
}

static void
take_out(struct tlbgen *g, unsigned i)
{
	g->n--;
	memmove(&g->ev[i], &g->ev[i + 1], (g->n - i) * sizeof(g->ev[0]));
}

void
tlbgen_drop(struct tlbgen *g, unsigned i)
{
	take_out(g, i);
	tlbgen_number(g);
}

void
tlbgen_shift(struct tlbgen *g, unsigned i)
{
	g->ev[i].a[0] ^= UINT64_C(0x40000000);
}

void
tlbgen_free_early(struct tlbgen *g, unsigned i)
{
	struct tlb_event ev = g->ev[i];
	unsigned to = g->stored[i] + 1;

	memmove(&g->ev[to + 1], &g->ev[to], (i - to) * sizeof(g->ev[0]));
	g->ev[to] = ev;
	tlbgen_number(g);
}

uint64_t
tlbgen_seed(const char *test)
{
	uint64_t seed = test_seed(test);

	fprintf(stderr, "%s: BED_SEED=%llu\n", test, (unsigned long long)seed);
	return seed;
}
