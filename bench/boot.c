/* SPDX-License-Identifier: ISC */
/*
 * Sections "boot" and "call": from nothing to ready against a bare machine, and the two round trips that
 * everything else is made of.
 */
#include <math.h>
#include <stdio.h>

#include "bench/bench.h"
#include "vmm/bed/bootbench.h"

#define BOOT_ROUNDS      15
#define BOOT_INSNS_MAX   20000
#define BOOT_INSNS_RAM   (UINT64_C(64) << 20)
#define BOOT_HOST_FACTOR 1.5
#define TRIP_ROUNDS      500
#define NULL_INSNS_MAX   60

static struct bench_result *
row(struct bench_list *list, struct bed_err *err, const char *name, const char *unit, double ns,
    unsigned n)
{
	struct bench_result *r = bench_add(list, err, "%s", name);

	if (r == NULL)
		return NULL;
	r->unit = unit;
	r->operations = n;
	r->ns = r->ns_min = r->ns_max = ns;
	return r;
}

/* The figure is for 64 MiB: a boot that touched every page would show here. */
static bool
boot_instructions(const struct bed_config *cfg, struct bench_list *list, struct bed_err *err)
{
	struct bed_config big = *cfg;
	struct boot_bench b;
	struct bench_result *r;

	big.ram = BOOT_INSNS_RAM;
	big.flags |= BED_COUNT_BOOT;
	if (!bed_bench_boot(&big, 3, &b, err) ||
	    (r = row(list, err, "boot/entry to ready, 64 MiB", "boot", NAN, 3)) == NULL)
		return false;
	bench_count(r, "insns", b.insns != 0 ? (double)b.insns : NAN);
	bench_count(r, "exits", (double)b.exits);
	snprintf(r->note, sizeof(r->note), "at most %d guest instructions", BOOT_INSNS_MAX);
	r->missed = b.insns > BOOT_INSNS_MAX;
	return true;
}

bool
bench_boot(const struct bed_config *cfg, struct bench_list *list, struct bed_err *err)
{
	struct boot_bench b;
	struct bench_result *r;
	char name[48];

	if (!bed_bench_boot(cfg, BOOT_ROUNDS, &b, err))
		return false;
	snprintf(name, sizeof(name), "boot/create to ready, %llu MiB",
	    (unsigned long long)(cfg->ram >> 20));
	r = row(list, err, name, "boot", b.total_ns, b.rounds);
	if (r == NULL)
		return false;
	bench_count(r, "in KVM_RUN us", b.run_ns / 1e3);
	bench_count(r, "exits", (double)b.exits);
	r = row(list, err, "boot/host part", "boot", b.host_ns, b.rounds);
	if (r == NULL)
		return false;
	bench_count(r, "x floor", b.host_ratio);
	snprintf(r->note, sizeof(r->note), "at most %.1f x floor", BOOT_HOST_FACTOR);
	r->missed = b.host_ratio > BOOT_HOST_FACTOR;
	r->timed = true;
	return row(list, err, "boot/floor: bare machine, one OUT", "boot", b.floor_ns, b.rounds) !=
	           NULL &&
	       row(list, err, "boot/destroy", "boot", b.destroy_ns, b.rounds) != NULL &&
	       boot_instructions(cfg, list, err);
}

bool
bench_call(const struct bed_config *cfg, struct bench_list *list, struct bed_err *err)
{
	struct bed *bed = bed_create(cfg, err);
	struct trip_bench t;
	struct bench_result *r = NULL;
	bool ok = bed != NULL && bed_bench_trips(bed, TRIP_ROUNDS, &t, err) &&
	          row(list, err, "call/bare port exit", "exit", t.port_ns, t.rounds) != NULL &&
	          row(list, err, "call/port exit of the bed", "exit", t.nop_ns, t.rounds) != NULL &&
	          (r = row(list, err, "call/null", "call", t.null_ns, t.rounds)) != NULL;

	if (ok) {
		bench_count(r, "exits", (double)t.null_exits / t.rounds);
		bench_count(r, "insns", t.null_insns > 0 ? t.null_insns : NAN);
		bench_count(r, "x port exit", t.null_ns / t.port_ns);
		snprintf(
		    r->note, sizeof(r->note), "one exit, at most %d instructions", NULL_INSNS_MAX);
		r->missed = t.null_exits != t.rounds || t.null_insns > NULL_INSNS_MAX;
	}
	bed_destroy(bed);
	return ok;
}
