/* SPDX-License-Identifier: ISC */
/*
 * Section "tlbsan": how many events a second the TLB sanitizer judges, from memory.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "shared/paging.h"
#include "vmm/tlbsan/core.h"

#define PAGES    (UINT64_C(1) << 16) /* 256 MiB of address space: more than the host's caches hold */
#define TABLES   (PAGES / PT_ENTRIES)
#define VA       UINT64_C(0xffff800000000000)
#define TABLE_PA UINT64_C(0x40000000)
#define RATE     5e6 /* events a second that one core should reach */

struct stream {
	struct tlb_event *ev;
	unsigned n, cap;
};

static void
put(struct stream *s, enum tlb_type type, unsigned cpu, uint64_t a, uint64_t b, uint64_t c)
{
	if (s->n < s->cap)
		s->ev[s->n++] = (struct tlb_event){
			.type = (uint8_t)type, .cpu = (uint16_t)cpu, .a = { a, b, c }
		};
}

/* Map `run` pages somewhere, unmap them, invalidate on every CPU one by one, free. */
static void
round_trip(struct stream *s, uint64_t random, unsigned run, unsigned ncpu)
{
	uint64_t first = random % (PAGES - run);

	for (unsigned unmap = 0; unmap < 2; unmap++) {
		for (uint64_t p = first; p < first + run; p++) {
			uint64_t pte = (p << BED_PAGE_SHIFT) | PTE_P | PTE_W;

			put(s, TLB_STORE, 0, TABLE_PA + p * sizeof(pte), unmap ? pte : 0,
			    unmap ? 0 : pte);
		}
	}
	for (unsigned cpu = 0; cpu < ncpu; cpu++) {
		for (uint64_t p = first; p < first + run; p++)
			put(s, TLB_INVLPG, cpu, VA + (p << BED_PAGE_SHIFT), 0, 0);
	}
	put(s, TLB_UPDATE, 0, 0, 0, 0);
	for (uint64_t p = first; p < first + run; p++)
		put(s, TLB_PAGE_FREE, 0, p << BED_PAGE_SHIFT, 1, 0);
}

static bool
start(struct tlb *t, unsigned ncpu, struct bed_err *err)
{
	struct tlb_event ev = { .type = TLB_CPUS, .a = { ncpu } };
	bool ok = tlb_event(t, &ev, err);

	for (uint64_t i = 0; ok && i < TABLES; i++) {
		ev = (struct tlb_event){ .type = TLB_TABLE,
			.a = { TABLE_PA + (i << BED_PAGE_SHIFT), 1,
			    VA + i * PT_ENTRIES * BED_PAGE_SIZE } };
		ok = tlb_event(t, &ev, err);
	}
	return ok;
}

/* The stream again, with new tickets. */
static bool
feed(struct tlb *t, struct stream *s, uint64_t *ticket, struct bed_err *err)
{
	for (unsigned i = 0; i < s->n; i++) {
		struct tlb_event *ev = &s->ev[i];

		ev->ticket = *ticket += 2;
		ev->a[1] = ev->type == TLB_INVLPG ? *ticket - 1 : ev->a[1];
		if (!tlb_event(t, ev, err))
			return false;
	}
	return true;
}

static bool
measure(struct bench_list *list, struct bed_err *err, struct stream *s, unsigned run, unsigned ncpu)
{
	struct bench_result *r = bench_add(list, err, "tlbsan/%u pages, %u CPUs", run, ncpu);
	struct tlb *t = r != NULL ? tlb_new(NULL, NULL, NULL, err) : NULL;
	double ns[BENCH_REPEATS];
	uint64_t ticket = 0, random = 1;
	bool ok = t != NULL && start(t, ncpu, err);

	s->n = 0;
	while (s->n + run * (3 + ncpu) + 1 <= s->cap) {
		random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
		round_trip(s, random >> 20, run, ncpu);
	}
	ok = ok && feed(t, s, &ticket, err); /* warm */
	for (unsigned i = 0; ok && i < BENCH_REPEATS; i++) {
		uint64_t begin = bench_now();

		ok = feed(t, s, &ticket, err);
		ns[i] = (double)(bench_now() - begin) / s->n;
	}
	if (ok) {
		struct tlb_totals totals = tlb_totals(t);

		r->unit = "event";
		r->operations = (uint64_t)s->n * BENCH_REPEATS;
		bench_times(r, ns, BENCH_REPEATS);
		bench_count(r, "events/s", 1e9 / r->ns);
		bench_count(r, "records", (double)totals.peak);
		bench_count(r, "findings", (double)(totals.at[TLB_ERROR] + totals.at[TLB_NOTE]));
		snprintf(r->note, sizeof(r->note), "at least %.0f million events/s", RATE / 1e6);
		r->missed = 1e9 / r->ns < RATE;
		r->timed = true;
		/* The stream is a correct protocol: with findings something else was measured. */
		ok = totals.at[TLB_ERROR] + totals.at[TLB_NOTE] == 0 ||
		     bed_fail(err, BED_E_INTERNAL, "the TLB sanitizer alarms on a correct stream");
	}
	tlb_free(t);
	return ok;
}

bool
bench_tlbsan(const struct bed_config *cfg, struct bench_list *list, struct bed_err *err)
{
	struct stream s = { .cap = 400000 };
	bool ok;

	(void)cfg; /* needs no guest */
	s.ev = malloc(s.cap * sizeof(*s.ev));
	if (s.ev == NULL)
		return bed_fail(err, BED_E_HOST, "out of memory for the event stream");
	ok = measure(list, err, &s, 1, 1) && measure(list, err, &s, 16, 1) &&
	     measure(list, err, &s, 16, 4) && measure(list, err, &s, 512, 4);
	free(s.ev);
	return ok;
}
