/* SPDX-License-Identifier: ISC */
/*
 * Boot and round-trip measurements: see bootbench.h.
 */
#include "vmm/bed/bootbench.h"

#include "vmm/bed/bed_priv.h"
#include "vmm/bed/call.h"
#include "vmm/kvm/tiny.h"

#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 1000
#define COUNTED    2 /* boots whose instructions are counted */

/* 1: out 0x80,al; jmp 1b */
static const uint8_t out_loop[] = { 0xe6, 0x80, 0xeb, 0xfc };

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), by_size);
	return n % 2 != 0 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

struct sample {
	double total[ROUNDS_MAX], run[ROUNDS_MAX], host[ROUNDS_MAX], destroy[ROUNDS_MAX];
	double floor[ROUNDS_MAX], floor_run[ROUNDS_MAX], ratio[ROUNDS_MAX];
};

/* A bare machine with the slots the bed has. */
static bool
floor_once(const struct tiny_slot *slot, unsigned nslot, uint64_t bytes, double *total, double *run,
    struct bed_err *err)
{
	uint64_t begin = bed_now_ns(), mid;
	struct tiny t;
	bool ok;

	if (!tiny_create(&t, bytes, true, slot, nslot, err))
		return false;
	mid = bed_now_ns();
	ok = tiny_run(&t, out_loop, sizeof(out_loop), 0, err);
	*total = (double)(bed_now_ns() - begin);
	*run = (double)(bed_now_ns() - mid);
	tiny_destroy(&t);
	return ok;
}

static bool
round_once(const struct bed_config *cfg, struct sample *s, unsigned i, struct boot_bench *out,
    struct bed_err *err)
{
	struct memory_slot slot[MEMORY_SLOTS];
	struct tiny_slot bare[MEMORY_SLOTS];
	struct bed *bed = bed_create(cfg, err);
	struct bed_boot boot;
	uint64_t begin;
	unsigned n;

	if (bed == NULL)
		return false;
	boot = bed->boot;
	n = memory_slots(&bed->mem, slot);
	for (unsigned k = 0; k < n; k++)
		bare[k] = (struct tiny_slot){ slot[k].gpa, slot[k].len, slot[k].offset, 0 };
	begin = bed_now_ns();
	bed_destroy(bed);
	s->destroy[i] = (double)(bed_now_ns() - begin);
	s->total[i] = (double)boot.total_ns;
	s->run[i] = (double)boot.run_ns;
	s->host[i] = (double)(boot.total_ns - boot.run_ns);
	out->exits = boot.exits;
	if (!floor_once(bare, n, cfg->ram, &s->floor[i], &s->floor_run[i], err))
		return false;
	s->ratio[i] = s->host[i] / s->floor[i];
	return true;
}

static bool
count_once(const struct bed_config *cfg, uint64_t *insns, struct bed_err *err)
{
	struct bed *bed = bed_create(cfg, err);

	if (bed == NULL)
		return false;
	*insns = bed->boot.insns;
	bed_destroy(bed);
	return true;
}

bool
bed_bench_boot(
    const struct bed_config *base, unsigned rounds, struct boot_bench *out, struct bed_err *err)
{
	struct bed_config cfg = *base;
	uint64_t insns[COUNTED];
	struct sample *s;
	bool ok = true;

	memset(out, 0, sizeof(*out));
	if (rounds < 1 || rounds > ROUNDS_MAX)
		return bed_fail(err, BED_E_USAGE, "%u rounds: from 1 to %d", rounds, ROUNDS_MAX);
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return bed_fail(err, BED_E_HOST, "out of memory");
	cfg.flags |= BED_COUNT_BOOT;
	for (unsigned i = 0; ok && i < COUNTED; i++)
		ok = count_once(&cfg, &insns[i], err);
	cfg.flags &= ~BED_COUNT_BOOT;
	for (unsigned i = 0; ok && i < rounds; i++)
		ok = round_once(&cfg, s, i, out, err);
	if (ok) {
		out->rounds = rounds;
		out->insns = insns[0];
		out->insns_stable = insns[0] == insns[COUNTED - 1];
		out->total_ns = median(s->total, rounds);
		out->run_ns = median(s->run, rounds);
		out->host_ns = median(s->host, rounds);
		out->destroy_ns = median(s->destroy, rounds);
		out->floor_ns = median(s->floor, rounds);
		out->floor_run_ns = median(s->floor_run, rounds);
		out->host_ratio = median(s->ratio, rounds);
	}
	free(s);
	return ok;
}

static bool
port_trips(unsigned rounds, double *ns, struct bed_err *err)
{
	struct tiny t;
	uint64_t begin;
	bool ok;

	if (!tiny_create(&t, 0x12000, false, NULL, 0, err))
		return false;
	ok = tiny_run(&t, out_loop, sizeof(out_loop), 0, err);
	begin = bed_now_ns();
	for (unsigned i = 0; ok && i < rounds; i++)
		ok = tiny_resume(&t, err);
	*ns = (double)(bed_now_ns() - begin) / rounds;
	tiny_destroy(&t);
	return ok;
}

bool
bed_bench_trips(struct bed *bed, unsigned rounds, struct trip_bench *out, struct bed_err *err)
{
	uint64_t count = rounds, begin, exits;
	struct bed_stats before, after;
	struct bed_result res;

	memset(out, 0, sizeof(*out));
	if (rounds == 0)
		return bed_fail(err, BED_E_USAGE, "no rounds");
	if (!port_trips(rounds, &out->port_ns, err))
		return false;
	begin = bed_now_ns();
	if (!bed_call_try(bed, BED_CALL_nop_exits, &count, 1, &res, err))
		return false;
	out->nop_ns = (double)(bed_now_ns() - begin) / rounds;
	before = bed_stats(bed);
	exits = hv_cpu_exits(bed->at->hv);
	begin = bed_now_ns();
	for (unsigned i = 0; i < rounds; i++)
		if (!bed_call_try(bed, BED_CALL_null, NULL, 0, &res, err))
			return false;
	out->null_ns = (double)(bed_now_ns() - begin) / rounds;
	out->null_exits = hv_cpu_exits(bed->at->hv) - exits;
	after = bed_stats(bed);
	if (after.has_insns)
		out->null_insns = (double)(after.insns - before.insns) / rounds;
	out->rounds = rounds;
	return true;
}
