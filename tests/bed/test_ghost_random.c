/* SPDX-License-Identifier: ISC */
/*
 * The allocator and its specification agree on random programs over every call and map. BED_GHOST_OPS=N in the
 * environment makes each program N calls long.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bed/ghost_gen.h"
#include "tests/bed/inside.h"
#include "vmm/trace/trace.h"

#define LAST 24 /* calls shown with a failure */

struct line {
	char text[300];
};

static void
note(struct line *line, const struct gen_call *c)
{
	const struct call_shape *shape = call_shape(c->id);
	size_t used = (size_t)snprintf(line->text, sizeof(line->text), "%s", shape->name);

	for (unsigned i = 0; i < c->nargs && used < sizeof(line->text); i++) {
		char token[TRACE_TOKEN];

		trace_token(token, sizeof(token), shape->kind[i], c->arg[i]);
		used +=
		    (size_t)snprintf(line->text + used, sizeof(line->text) - used, " %s", token);
	}
}

static void
show(const struct line *line, unsigned n)
{
	for (unsigned i = n > LAST ? n - LAST : 0; i < n; i++)
		fprintf(stderr, "  %u: %s\n", i + 1, line[i % LAST].text);
}

struct sleeping {
	bool used;
	struct gen_call call;
	struct bed_result result;
};

/* Calls that slept and have come back. */
static void
collect(struct gen *g, struct sleeping *sleeping)
{
	for (unsigned i = 0; i < BED_SLOTS; i++) {
		if (!sleeping[i].used || sleeping[i].result.state != BED_STATE_DONE)
			continue;
		sleeping[i].used = false;
		gen_done(g, &sleeping[i].call, &sleeping[i].result);
	}
}

static unsigned
ops(unsigned n)
{
	const char *text = getenv("BED_GHOST_OPS");

	return text != NULL ? (unsigned)strtoul(text, NULL, 0) : n;
}

/* With so many calls asleep nothing more is asked for until some have woken. */
#define ASLEEP_MAX 6

static struct check_totals
run_program(struct gen *g, struct bed *bed, unsigned n)
{
	struct sleeping sleeping[BED_SLOTS] = { 0 };
	struct bed_err err = { 0 };
	struct check *check;
	struct line line[LAST];
	struct check_totals totals;
	unsigned asleep = 0;

	check = check_new(bed, &err);
	CHECK(check != NULL, "%s", err.text);
	for (unsigned i = 0; i < n; i++) {
		struct gen_call c;
		unsigned slot = 0;

		if (asleep < ASLEEP_MAX)
			c = gen_next(g);
		else if (!gen_give(g, &c))
			break;
		while (slot < BED_SLOTS && sleeping[slot].used)
			slot++;
		CHECK(slot < BED_SLOTS, "everything sleeps");
		sleeping[slot].call = c;
		note(&line[i % LAST], &c);
		if (!check_call(check, NULL, c.id, c.arg, c.nargs, &sleeping[slot].result, &err)) {
			show(line, i + 1);
			FAIL("call %u: %s", i + 1, err.text);
		}
		sleeping[slot].used = true;
		collect(g, sleeping);
		asleep = 0;
		for (slot = 0; slot < BED_SLOTS; slot++)
			asleep += sleeping[slot].used;
	}
	totals = check_totals(check);
	check_free(check);
	return totals;
}

static void
agree(const struct bed_config *config, const char *name, unsigned n, bool misuse)
{
	struct gen g = { .rng = rng_seeded(name), .misuse = misuse, .kva_size = config->kva_size };
	struct bed_err err = { 0 };
	struct bed *bed = bed_create(config, &err);
	struct check_totals t;

	CHECK(bed != NULL, "%s", err.text);
	if (misuse)
		inside_tolerate_misuse(bed);
	t = run_program(&g, bed, ops(n));
	fprintf(stderr, "%s: %lu calls, %lu of them inconclusive (%s), %lu sleeps\n", name, t.calls,
	    t.inconclusive, t.open, bed_counters(bed, 0).sleep);
	CHECK(t.inconclusive <= t.calls / 50, "%lu of %lu calls were inconclusive (%s)",
	    t.inconclusive, t.calls, t.open);
	bed_destroy(bed);
}

static void
agree_on_kvm(struct bed_opts opts, const char *name, unsigned n, bool misuse)
{
	struct bed_config config = bed_opts_config(&opts);

	engine_class();
	agree(&config, name, n, misuse);
}

static void
agree_on_twin(struct bed_opts opts, const char *name, unsigned n)
{
	struct bed_config config = bed_opts_config(&opts);

	config.engine = BED_ENGINE_TWIN;
	agree(&config, name, n, true);
}

/* property 1 2 3 5 6 7 8 9 13 14 15 16 18 20 26 28 29 33 34 39 40 41 45 77 79 85 86 87 88: kernel_map */
/* property 1 2 3 8 9 10 15 16 18 33 34 40 41 77: kmem_map */
/* property 1 3 8 9 19 20 26 29 33 34 85 86 87 88: exec_map */
/* property 62 63 65 70 71: submap */
BED_TEST(ghost_random, as_booted)
{
	agree_on_kvm((struct bed_opts){ 0 }, "ghost_plain", 300, false);
}

/* property 42 44 74 75: kernel_map kmem_map */
/* property 70: submap */
BED_TEST(ghost_random, with_guards_and_misuse)
{
	agree_on_kvm((struct bed_opts){ .flags = BED_BOOT_GUARDPAGES }, "ghost_guards", 300, true);
}

/* Little of everything: pages, addresses, page tables run out again and again. */
/* property 48 49 50 51 54 81: kernel_map kmem_map exec_map */
BED_TEST(ghost_random, in_want)
{
	agree_on_kvm((struct bed_opts){ .ram = 10 * MIB, .kva = 64 * MIB, .ptpool = 1 * MIB },
	    "ghost_want", 300, true);
}

BED_TEST(ghost_random, release_flavour)
{
	agree_on_kvm((struct bed_opts){ .release = true }, "ghost_release", 300, true);
}

/* The allocator as a process: the same calls, the same specification, many more of them. */
BED_TEST(ghost_random, on_the_twin)
{
	agree_on_twin((struct bed_opts){ 0 }, "ghost_twin", 5000);
}

BED_TEST(ghost_random, on_the_twin_with_guards)
{
	agree_on_twin((struct bed_opts){ .flags = BED_BOOT_GUARDPAGES }, "ghost_twin_guards", 5000);
}

BED_TEST(ghost_random, on_the_twin_in_want)
{
	agree_on_twin((struct bed_opts){ .ram = 10 * MIB, .kva = 64 * MIB, .ptpool = 1 * MIB },
	    "ghost_twin_want", 5000);
}
