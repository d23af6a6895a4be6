/* SPDX-License-Identifier: ISC */
/*
 * Section "smp": what a second CPU costs uvm_km_alloc + uvm_km_free. Each CPU has a submap of its own, so
 * that what is shared is free pages, page tables and the TLBs.
 *
 * Invalidations and interrupts are counted, and gated by equality: a mapping that goes while the other CPU
 * is on takes one interrupt whatever its size, and each page one INVLPG on each CPU; while the other is off
 * there is no interrupt. CPUs meet (the call `meet`) before the first pair and after the last, so that both
 * are on throughout.
 *
 * Instructions: with one CPU at work they are the exact difference of two lengths. With both on, how long a
 * CPU waits is the host's doing; the guest counts the turns of its busy waits by kind, and a least squares
 * fit over runs of many lengths tells pairs from turns. What a run deviates from the fit is printed.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/fit.h"
#include "bench/measure.h"
#include "shared/paging.h"
#include "vmm/bed/call.h"

#define SMP_CPUS  2
#define SMP_RUNS  24
#define SMP_LEAST 2   /* pairs of the shortest run, */
#define SMP_STEP  3   /* more in the next, */
#define SMP_SIZES 6   /* so many lengths */
#define SMP_MAP   64  /* pages of a submap */
#define SMP_MOST  1.2 /* times the instructions on one CPU, shootdown apart */

/* Calls `null` a pair: the partner that computes is at it for longer than the pairs take. */
#define SMP_NULLS 80

enum partner { PARTNER_OFF, PARTNER_COMPUTES, PARTNER_WORKS };

struct smp {
	struct bed *bed;
	uint64_t map[SMP_CPUS]; /* handles */
	unsigned pages;         /* of a pair */
	double null;            /* instructions of an operation that does nothing */
};

/* Terms of the fit, in this order. */
enum { TERM_CALL, TERM_PAIR, TERM_ACK, TERM_MEET, TERM_REST, TERM_YIELD, TERMS };

/* What one run took of one CPU. */
struct cost {
	double insns;
	double term[TERMS];
	uint64_t ipi, invlpg, set, clear;
};

static void
add_pairs(struct smp *s, struct bed_prog *p, unsigned cpu, unsigned n)
{
	uint64_t size = (uint64_t)s->pages * BED_PAGE_SIZE, map = s->map[cpu];

	for (unsigned i = 0; i < n; i++) {
		unsigned va = bed_prog_add(p, BED_CALL_uvm_km_alloc, (uint64_t[]){ map, size }, 2);
		unsigned op =
		    bed_prog_add(p, BED_CALL_uvm_km_free, (uint64_t[]){ map, 0, size }, 3);

		bed_prog_use(p, op, 1, va);
	}
}

/* Post it on that CPU: meet, so many pairs or nulls, meet. */
static struct bed_prog *
post(struct smp *s, unsigned cpu, unsigned pairs, unsigned nulls, unsigned together,
    struct bed_err *err)
{
	struct bed_prog *p = bed_prog_new(s->bed, err);
	uint64_t meet = together;

	if (p == NULL)
		return NULL;
	bed_prog_add(p, BED_CALL_meet, &meet, 1);
	add_pairs(s, p, cpu, pairs);
	for (unsigned i = 0; i < nulls; i++)
		bed_prog_add(p, BED_CALL_null, NULL, 0);
	bed_prog_add(p, BED_CALL_meet, &meet, 1);
	if (bed_prog_post(p, cpu, 1, err))
		return p;
	bed_prog_free(p);
	return NULL;
}

static struct cost
cost_now(struct bed *bed, unsigned cpu)
{
	struct bed_counters c = bed_counters(bed, cpu);
	struct cost now = { .ipi = c.ipi,
		.invlpg = c.invlpg,
		.set = c.pte_set,
		.clear = c.pte_clear,
		.term = { [TERM_ACK] = (double)c.ack_spin,
		    [TERM_REST] = (double)(c.spin - c.ack_spin),
		    [TERM_YIELD] = (double)c.yield } };
	uint64_t insns;

	now.insns = bed_insns(bed, cpu, &insns) ? (double)insns : NAN;
	return now;
}

static struct cost
cost_since(const struct cost *was, const struct cost *now, unsigned pairs, double met)
{
	struct cost d = { .insns = now->insns - was->insns,
		.ipi = now->ipi - was->ipi,
		.invlpg = now->invlpg - was->invlpg,
		.set = now->set - was->set,
		.clear = now->clear - was->clear };

	for (unsigned k = 0; k < TERMS; k++)
		d.term[k] = now->term[k] - was->term[k];
	d.term[TERM_CALL] = 1;
	d.term[TERM_PAIR] = pairs;
	d.term[TERM_MEET] = met;
	d.term[TERM_REST] -= met;
	return d;
}

/* n pairs on the first CPU; the other is off, computes, or does as many. */
static bool
run(struct smp *s, enum partner partner, unsigned n, struct cost *cost, struct bed_err *err)
{
	unsigned active = partner == PARTNER_OFF ? 1 : SMP_CPUS;
	struct bed_prog *p[SMP_CPUS] = { NULL };
	struct cost was[SMP_CPUS];
	bool ok = true;

	memset(cost, 0, SMP_CPUS * sizeof(*cost));
	for (unsigned cpu = 0; ok && cpu < active; cpu++) {
		bool works = cpu == 0 || partner == PARTNER_WORKS;

		was[cpu] = cost_now(s->bed, cpu);
		p[cpu] = post(s, cpu, works ? n : 0, works ? 0 : n * SMP_NULLS, active, err);
		ok = p[cpu] != NULL;
	}
	ok = ok && bed_wait(s->bed, err);
	for (unsigned cpu = 0; ok && cpu < active; cpu++) {
		struct cost now = cost_now(s->bed, cpu);
		unsigned last = bed_prog_len(p[cpu]) - 1;
		uint64_t done;

		ok = bed_prog_finish(p[cpu], &done, err);
		if (ok)
			cost[cpu] = cost_since(&was[cpu], &now, n,
			    (double)(bed_prog_result(p[cpu], 0)->result +
				     bed_prog_result(p[cpu], last)->result));
	}
	for (unsigned cpu = 0; cpu < active; cpu++)
		bed_prog_free(p[cpu]);
	return ok;
}

/* What was counted in all runs of a row, and the fit of each CPU's instructions. */
struct row {
	uint64_t ipi, invlpg, set, clear, mapped; /* mapped: pairs, of both CPUs */
	double yields;
	struct fit fit[SMP_CPUS];
};

/*
 * Once to get over first times: tables, pages, entries. If the other CPU is to be off, until nobody had to
 * be woken: then the first was the last to leave, and begins the next run without the other.
 */
static bool
warm(struct smp *s, enum partner partner, struct bed_err *err)
{
	struct cost cost[SMP_CPUS];
	uint64_t before;

	do {
		before = bed_counters_all(s->bed).wakeup;
		if (!run(s, partner, SMP_LEAST, cost, err))
			return false;
	} while (partner == PARTNER_OFF && bed_counters_all(s->bed).wakeup != before);
	return true;
}

static bool
measure(struct smp *s, enum partner partner, struct row *row, struct bed_err *err)
{
	struct cost cost[SMP_CPUS];

	memset(row, 0, sizeof(*row));
	if (!warm(s, partner, err))
		return false;
	for (unsigned i = 0; i < SMP_RUNS; i++) {
		unsigned n = SMP_LEAST + i % SMP_SIZES * SMP_STEP;

		if (!run(s, partner, n, cost, err))
			return false;
		row->mapped += partner == PARTNER_WORKS ? SMP_CPUS * n : n;
		for (unsigned cpu = 0; cpu < SMP_CPUS; cpu++) {
			struct fit *f = &row->fit[cpu];

			row->ipi += cost[cpu].ipi;
			row->invlpg += cost[cpu].invlpg;
			row->set += cost[cpu].set;
			row->clear += cost[cpu].clear;
			row->yields += cost[cpu].term[TERM_YIELD];
			memcpy(f->x[f->runs], cost[cpu].term, sizeof(cost[cpu].term));
			f->y[f->runs++] = cost[cpu].insns;
			f->terms = TERMS;
		}
	}
	fit_solve(&row->fit[0]);
	fit_solve(&row->fit[1]);
	return true;
}

/* The counts of a row and what they must be; ipi: per pair. */
static struct bench_result *
report(struct smp *s, const struct row *row, const char *name, unsigned ipi,
    struct bench_list *list, struct bed_err *err)
{
	struct bench_result *r = bench_add(list, err, "smp/%s, %u", name, s->pages);
	unsigned invlpg = (1 + ipi) * s->pages;
	double n = (double)row->mapped;

	if (r == NULL)
		return NULL;
	r->unit = "pair";
	r->operations = row->mapped;
	bench_count(r, "PTE set", (double)row->set / n);
	bench_count(r, "clear", (double)row->clear / n);
	bench_count(r, "INVLPG", (double)row->invlpg / n);
	bench_count(r, "IPI", (double)row->ipi / n);
	snprintf(r->note, sizeof(r->note), "IPI %u, INVLPG %u", ipi, invlpg);
	r->missed = row->ipi != ipi * row->mapped || row->invlpg != invlpg * row->mapped ||
	            row->set != s->pages * row->mapped || row->clear != s->pages * row->mapped;
	return r;
}

/* Instructions of a pair, waiting apart; at most: 0 for no figure. */
static void
judge(struct bench_result *r, double insns, double most)
{
	size_t used = strlen(r->note);

	bench_count(r, "insns", insns);
	if (most <= 0 || isnan(insns))
		return;
	snprintf(r->note + used, sizeof(r->note) - used, ", at most %.0f instructions", most);
	r->missed |= insns > most;
}

static bool
smp_make(struct smp *s, const struct bed_config *cfg, unsigned ncpu, struct bed_err *err)
{
	struct bed_config mine = *cfg;
	struct bed_result res;
	double few, many;

	mine.ncpu = ncpu;
	s->bed = bed_create(&mine, err);
	if (s->bed == NULL || !bench_batch_overhead(s->bed, 20, &few, err) ||
	    !bench_batch_overhead(s->bed, 60, &many, err))
		return false;
	s->null = (many - few) / 40;
	for (unsigned cpu = 0; cpu < ncpu; cpu++) {
		if (!bed_call_try(s->bed, BED_CALL_uvm_km_suballoc,
			(uint64_t[]){ BED_MAP_KERNEL, 0, SMP_MAP * BED_PAGE_SIZE, 0, 0 }, 5, &res,
			err))
			return false;
		if (res.value == 0)
			return bed_fail(err, BED_E_HOST, "no submap for CPU %u", cpu);
		s->map[cpu] = res.value;
	}
	return true;
}

/* With nobody else on: the fit has nothing to tell apart and is exact. */
static bool
alone(struct smp *s, const char *name, double most, double *insns, struct bench_list *list,
    struct bed_err *err)
{
	struct bench_result *r;
	struct row row;

	if (!measure(s, PARTNER_OFF, &row, err) ||
	    (r = report(s, &row, name, 0, list, err)) == NULL)
		return false;
	*insns = row.fit[0].coef[TERM_PAIR] - 2 * s->null;
	judge(r, *insns, most);
	bench_count(r, "+-", row.fit[0].rest);
	return true;
}

/* One sends, the other serves: what a round takes of each. */
static bool
round_trip(struct smp *s, double off, double *round, struct bench_list *list, struct bed_err *err)
{
	struct bench_result *r;
	struct row row;
	double send, serve;

	if (!measure(s, PARTNER_COMPUTES, &row, err) ||
	    (r = report(s, &row, "2 CPUs, other computes", 1, list, err)) == NULL)
		return false;
	send = row.fit[0].coef[TERM_PAIR] - 2 * s->null - off;
	serve = row.fit[1].coef[TERM_PAIR] - SMP_NULLS * s->null;
	*round = send + serve;
	judge(r, send + off, 0);
	bench_count(r, "send", send);
	bench_count(r, "serve", serve);
	bench_count(r, "a turn", row.fit[0].coef[TERM_ACK]);
	bench_count(r, "+-", row.fit[0].rest > row.fit[1].rest ? row.fit[0].rest : row.fit[1].rest);
	return true;
}

static bool
together(struct smp *s, double one, double round, struct bench_list *list, struct bed_err *err)
{
	struct bench_result *r;
	struct row row;

	if (!measure(s, PARTNER_WORKS, &row, err) ||
	    (r = report(s, &row, "2 CPUs, both work", 1, list, err)) == NULL)
		return false;
	judge(r, (row.fit[0].coef[TERM_PAIR] + row.fit[1].coef[TERM_PAIR]) / SMP_CPUS - 2 * s->null,
	    SMP_MOST * one + round);
	bench_count(r, "a turn", row.fit[0].coef[TERM_ACK]);
	bench_count(r, "+-", row.fit[0].rest);
	bench_count(r, "yields", row.yields / (double)row.mapped);
	return true;
}

bool
bench_smp(const struct bed_config *cfg, struct bench_list *list, struct bed_err *err)
{
	static const unsigned sizes[] = { 1, 16 };
	struct smp up = { 0 }, mp = { 0 };
	bool ok = smp_make(&up, cfg, 1, err) && smp_make(&mp, cfg, SMP_CPUS, err);

	for (unsigned i = 0; ok && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		double one, off, round;

		up.pages = mp.pages = sizes[i];
		ok = alone(&up, "1 CPU", 0, &one, list, err) &&
		     alone(&mp, "2 CPUs, other off", SMP_MOST * one, &off, list, err) &&
		     round_trip(&mp, off, &round, list, err) &&
		     together(&mp, one, round, list, err);
	}
	bed_destroy(mp.bed);
	bed_destroy(up.bed);
	return ok;
}
