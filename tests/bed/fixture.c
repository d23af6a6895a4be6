/* SPDX-License-Identifier: ISC */
/*
 * See fixture.h.
 */
#include "tests/bed/fixture.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/seed.h"
#include "vmm/bed/planted.h"
#include "vmm/view/snapshot.h"
#include "vmm/view/walk.h"

/* Of the test that runs: part of every failure. */
static char seed_text[40];

void
test_fail(const char *file, int line, const char *fmt, ...)
{
	char text[sizeof(((struct bed_err *)NULL)->text) + 100];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (file != NULL)
		cr_assert_fail("%s:%d: %s%s", file, line, seed_text, text);
	else
		cr_assert_fail("%s%s", seed_text, text);
	abort();
}

static void
call_failed(const struct bed_err *err)
{
	test_fail(NULL, 0, "%s", err->text);
}

unsigned
scaled_ms(unsigned ms)
{
	const char *scale = getenv("BED_TIMEOUT_SCALE");
	unsigned long n = scale == NULL ? 1 : strtoul(scale, NULL, 10);

	return n == 0 || n > 1000 ? ms : ms * (unsigned)n;
}

unsigned
scaled_rounds(unsigned n)
{
	return (n + scaled_ms(1) - 1) / scaled_ms(1);
}

/* All beds of this process are twins (make check-twin-bed). */
static bool
on_twin(void)
{
	const char *engine = getenv("BEDTEST_ENGINE");

	return engine != NULL && strcmp(engine, "twin") == 0;
}

/* BED_PLANT=NAME: every checked bed has that bug, to see which tests notice. */
static unsigned
planted_by_environment(void)
{
	const char *name = getenv("BED_PLANT");
	const struct planted *bug = name == NULL ? NULL : planted_named(name);

	if (name != NULL && bug == NULL)
		test_fail(NULL, 0, "BED_PLANT=%s: there is no bug of that name", name);
	return bug == NULL ? PLANTED_NONE : bug->id;
}

struct bed_config
bed_opts_config(const struct bed_opts *opts)
{
	struct bed_config cfg;

	bed_config_init(&cfg);
	if (opts->ram != 0)
		cfg.ram = opts->ram;
	if (opts->ncpu != 0)
		cfg.ncpu = opts->ncpu;
	if (opts->kva != 0)
		cfg.kva_size = opts->kva;
	cfg.ptpool = opts->ptpool;
	cfg.flush_threshold = opts->flush_threshold;
	cfg.flags |= opts->flags;
	cfg.timeout_ms = scaled_ms(opts->timeout_ms != 0 ? opts->timeout_ms : cfg.timeout_ms);
	if (opts->release)
		cfg.flavour = BED_RELEASE;
	else
		cfg.planted = planted_by_environment();
	if (opts->twin || on_twin())
		cfg.engine = BED_ENGINE_TWIN;
	return cfg;
}

struct bed *
bed_up(const struct bed_opts *opts, const char *file, int line)
{
	struct bed_config cfg = bed_opts_config(opts);
	bool boot = opts->boot || getenv("BED_BOOT") != NULL;
	struct bed_err err;
	const char *note;
	struct bed *bed = boot ? bed_create(&cfg, &err) : bed_start(&cfg, &err);

	if (bed == NULL)
		test_fail(file, line, "no bed: %s", err.text);
	note = bed_start_note(bed);
	if (note != NULL && note[0] != '\0')
		fprintf(stderr, "snapshot: %s\n", note);
	bed_call_failed = call_failed;
	return bed;
}

void
bed_down(struct bed *bed)
{
	bed_destroy(bed);
}

bool
bed_shows(const struct bed *bed, const struct pt_expect *expect, char report[REPORT])
{
	struct view view = bed_view(bed);

	return view_expect(&view, expect, report, REPORT);
}

void
bed_must_show(const struct bed *bed, const struct pt_expect *expect, const char *file, int line)
{
	char report[REPORT];

	if (!bed_shows(bed, expect, report))
		test_fail(file, line, "%s", report);
}

struct snapshot
bed_snapshot(const struct bed *bed)
{
	struct view view = bed_view(bed);
	struct snapshot snap = { 0 };
	struct bed_err err;

	if (!snapshot_take(&snap, &view, NULL, &err))
		test_fail(__FILE__, __LINE__, "%s", err.text);
	return snap;
}

void
bed_must_differ(const struct bed *bed, struct snapshot *before, const struct pt_delta *row,
    size_t n, const char *file, int line)
{
	struct snapshot after = bed_snapshot(bed);
	char report[REPORT];
	bool ok = snapshot_delta(before, &after, row, n, report, sizeof(report));

	snapshot_free(before);
	snapshot_free(&after);
	if (!ok)
		test_fail(file, line, "%s", report);
}

struct work
bed_work(struct bed *bed)
{
	struct bed_stats stats = bed_stats(bed);

	return (struct work){ bed_counters(bed, 0), stats.exits, stats.has_insns, stats.has_invlpg,
		stats.insns, stats.invlpg };
}

struct work
bed_work_since(struct bed *bed, const struct work *start)
{
	struct work w = bed_work(bed);

#define X(name, text) w.count.name -= start->count.name;
	BED_COUNTERS(X)
#undef X
	w.exits -= start->exits;
	w.insns -= start->insns;
	w.invlpg -= start->invlpg;
	return w;
}

bool
bed_faults(struct bed *bed, gva_t va, enum access kind, uint64_t *code)
{
	int error = kind == LOAD    ? bed_load(bed, va)
	            : kind == STORE ? bed_store(bed, va, 0x5a5a)
	                            : bed_exec(bed, va);

	*code = bed_result2(bed);
	return error == BED_EFAULT;
}

void
bed_must_fault(
    struct bed *bed, gva_t va, enum access kind, uint64_t code, const char *file, int line)
{
	static const char *const name[] = { "load from", "store to", "jump to" };
	uint64_t got;

	if (!bed_faults(bed, va, kind, &got))
		test_fail(file, line, "the %s %#lx did not fault", name[kind], va.v);
	if (got != code)
		test_fail(file, line, "the %s %#lx faulted with code %#lx instead of %#lx",
		    name[kind], va.v, got, code);
}

uint64_t
bed_must_load(struct bed *bed, gva_t va, const char *file, int line)
{
	if (bed_load(bed, va) != 0)
		test_fail(file, line, "the guest cannot load from %#lx: code %#lx", va.v,
		    bed_result2(bed));
	return bed_result2(bed);
}

uint64_t *
bed_host(const struct bed *bed, gva_t va, const char *file, int line)
{
	struct view view = bed_view(bed);
	struct walk w = view_walk(&view, va);
	uint64_t *word = walk_mapped(&w) ? bed_ptr(bed, w.pa, sizeof(*word)) : NULL;

	if (word == NULL)
		test_fail(
		    file, line, "%#lx is not mapped to memory: %s", va.v, walk_stop_name(w.stop));
	return word;
}

uint64_t *
bed_entry(const struct bed *bed, gva_t va, int level)
{
	struct view view = bed_view(bed);
	struct walk w = view_walk(&view, va);
	uint64_t *entry = NULL;

	for (unsigned i = 0; i < w.nsteps; i++) {
		if (w.step[i].level == level)
			entry = bed_ptr(bed, w.step[i].entry, sizeof(*entry));
	}
	if (entry == NULL)
		test_fail(__FILE__, __LINE__, "%#lx has no entry at level %d", va.v, level);
	return entry;
}

void
kvm_only(const char *why)
{
	if (on_twin())
		bedtest_skip("%s", why);
}

enum engine_class
engine_class(void)
{
	struct bed_err err;
	const struct engine *e = on_twin() ? engine_twin() : engine_get(&err);

	if (e == NULL)
		test_fail(__FILE__, __LINE__, "%s", err.text);
	return e->class;
}

struct rng
rng_seeded(const char *test)
{
	uint64_t seed = test_seed(test);

	fprintf(stderr, "%s: BED_SEED=%#lx\n", test, seed);
	snprintf(seed_text, sizeof(seed_text), "BED_SEED=%#lx: ", seed);
	return (struct rng){ seed };
}

/* splitmix64: every state is a good state. */
uint64_t
rng_next(struct rng *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t
rng_below(struct rng *r, uint64_t n)
{
	return rng_next(r) % n;
}
