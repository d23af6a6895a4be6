/* SPDX-License-Identifier: ISC */
/*
 * The twin as an engine: the same as the guest, call by call; it dies as a guest does, and lives again; it goes
 * back to where it was to the byte. That everything else works on it too is what `make check-twin-bed` says.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bed/fixture.h"
#include "vmm/bed/rewind.h"
#include "vmm/explore/explore.h"
#include "vmm/trace/replay.h"

#define CORPUS "tests/corpus"

/* The hash of a trace on an engine; false, with the text, if it fails there. */
static bool
run_on(enum bed_engine_kind engine, enum bed_flavour flavour, const struct trace *t, uint64_t *hash,
    struct bed_err *err)
{
	struct bed_config cfg = bed_opts_config(&(struct bed_opts){ 0 });
	struct check *check = NULL;
	struct bed *bed = NULL;
	bool ok;

	cfg.engine = engine;
	cfg.flavour = flavour;
	ok = trace_config(t, &cfg, err) && (bed = bed_create(&cfg, err)) != NULL &&
	     (check = check_new(bed, err)) != NULL && trace_replay(t, bed, check, NULL, NULL, err);
	if (ok)
		*hash = check_hash(check);
	check_free(check);
	bed_destroy(bed);
	return ok;
}

static void
compare(const struct trace *t, enum bed_flavour flavour)
{
	uint64_t guest = 0, twin = 1;
	struct bed_err err = { 0 };

	CHECK(run_on(BED_ENGINE_KVM, flavour, t, &guest, &err), "guest: %s", err.text);
	CHECK(run_on(BED_ENGINE_TWIN, flavour, t, &twin, &err), "twin: %s", err.text);
	CHECK(guest == twin,
	    "%s, flavour %d: hash %016" PRIx64 " in the guest, %016" PRIx64 " in the twin", t->file,
	    (int)flavour, guest, twin);
}

/* Each trace of the corpus does the same on both, results, addresses, frames and counted work. */
BED_TEST(twin_engine, corpus_has_the_same_hash_in_guest_and_twin)
{
	DIR *dir = opendir(CORPUS);
	unsigned n = 0;

	CHECK(dir != NULL, CORPUS ": %s", strerror(errno));
	for (struct dirent *d; (d = readdir(dir)) != NULL;) {
		struct bed_err err = { 0 };
		struct trace trace;
		char path[300];

		if (strstr(d->d_name, ".trace") == NULL)
			continue;
		snprintf(path, sizeof(path), CORPUS "/%s", d->d_name);
		CHECK(trace_load(&trace, path, &err), "%s", err.text);
		compare(&trace, BED_CHECKED);
		compare(&trace, BED_RELEASE);
		trace_free(&trace);
		n++;
	}
	closedir(dir);
	CHECK(n > 5, "%u traces in " CORPUS, n);
}

/* ... and so do random programs, of each profile. */
BED_TEST(twin_engine, random_programs_have_the_same_hash)
{
	struct rng rng = rng_seeded("random_programs_have_the_same_hash");
	enum { OPS = 60 };
	uint8_t bytes[OPS * XOP_BYTES];

	for (unsigned i = 0; xprofile_at(i) != NULL; i++) {
		struct xlab_config cfg = { .bed = bed_opts_config(&(struct bed_opts){ 0 }),
			.checks = XCHECK_CALLS };
		uint64_t hash[2];

		xprogram_make(bytes, OPS, rng_next(&rng), i, xprofile_at(i));
		for (unsigned e = 0; e < 2; e++) {
			struct bed_err err = { 0 };
			struct xresult r;
			struct xlab *lab;

			cfg.bed.engine = e == 0 ? BED_ENGINE_KVM : BED_ENGINE_TWIN;
			lab = xlab_new(&cfg, &err);
			CHECK(lab != NULL && xlab_run(lab, bytes, sizeof(bytes), &r, &err),
			    "%s: %s", xprofile_at(i)->name, err.text);
			hash[e] = r.hash;
			xlab_free(lab);
		}
		CHECK(hash[0] == hash[1],
		    "%s: %016" PRIx64 " in the guest, %016" PRIx64 " in the twin",
		    xprofile_at(i)->name, hash[0], hash[1]);
	}
}

/* The hash sees what it is for: a result, a frame, an amount of work. */
BED_TEST(twin_engine, different_work_has_a_different_hash)
{
	static const char *const texts[] = {
		"uvmbed-trace 1\na = uvm_km_alloc kernel_map 3p\n",
		"uvmbed-trace 1\na = uvm_km_alloc kernel_map 4p\n",
		"uvmbed-trace 1\na = uvm_km_zalloc kernel_map 3p\n",
		"uvmbed-trace 1\na = uvm_km_valloc kernel_map 3p\n",
		"uvmbed-trace 1\na = uvm_km_kmemalloc kmem_map 0 3p 0\n",
		"uvmbed-trace 1\na = uvm_km_alloc kernel_map 3p\nload a\n",
	};
	uint64_t hash[COUNT_OF(texts)];

	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		struct bed_err err = { 0 };
		struct trace t;

		CHECK(trace_parse(&t, "t", texts[i], strlen(texts[i]), &err), "%s", err.text);
		CHECK(run_on(BED_ENGINE_TWIN, BED_CHECKED, &t, &hash[i], &err), "%s", err.text);
		trace_free(&t);
		for (size_t k = 0; k < i; k++)
			CHECK(hash[i] != hash[k], "programs %zu and %zu", i, k);
	}
}

/* A twin that dies ends its bed, not the process; the next bed on it is as good as new. */
BED_TEST(twin_engine, a_death_is_a_report_and_the_process_lives)
{
	static const struct {
		enum bed_call_id id;
		const char *says;
	} row[] = {
		{ BED_CALL_die_panic, "asked to by the call die_panic" },
		{ BED_CALL_die_hang, "guest hangs" },
		{ BED_CALL_die_stack, "stack overflow" },
		{ BED_CALL_die_ud, "invalid opcode" },
	};
#ifdef __SANITIZE_ADDRESS__
	const size_t rows = 2; /* the signals of the others are the sanitizer's */
#else
	const size_t rows = COUNT_OF(row);
#endif

	for (size_t i = 0; i < rows; i++) {
		struct bed *bed = BED(.twin = true, .timeout_ms = 300);
		struct bed_result r;
		struct bed_err err;

		CHECK(
		    !bed_call_try(bed, row[i].id, NULL, 0, &r, &err), "%s: it lives", row[i].says);
		CHECK(err.class == BED_E_GUEST && strstr(err.text, row[i].says) != NULL, "%s",
		    err.text);
		CHECK(strstr(err.text, bed_call_name(row[i].id)) != NULL, "no backtrace: %s",
		    err.text);
		CHECK(!bed_call_try(bed, BED_CALL_null, NULL, 0, &r, &err), "it lives again");
		bed_down(bed);
		bed = BED(.twin = true);
		CHECK(bed_uvm_km_alloc(bed, KERNEL, 3 * PAGE).v != 0, "no memory after a death");
		bed_down(bed);
	}
}

BED_TEST(twin_engine, a_process_has_one_of_each_flavour)
{
	struct bed *checked = BED(.twin = true), *release = BED(.twin = true, .release = true);
	struct bed_config cfg = bed_opts_config(&(struct bed_opts){ .twin = true });
	struct bed_err err;

	CHECK(bed_create(&cfg, &err) == NULL && err.class == BED_E_USAGE, "a second checked twin");
	bed_uvm_km_alloc(checked, KERNEL, 3 * PAGE);
	CHECK(bed_counters(checked, 0).pte_set == 3 && bed_counters(release, 0).pte_set == 0,
	    "they are not apart");
	bed_down(checked);
	checked = bed_create(&cfg, &err);
	CHECK(checked != NULL, "%s", err.text);
	bed_down(checked);
	bed_down(release);
	cfg.ram = 4 * GIB;
	cfg.flags |= BED_OVERCOMMIT;
	CHECK(bed_create(&cfg, &err) == NULL && strstr(err.text, "hole") != NULL, "%s", err.text);
}

/* After programs of every kind, a rewound twin is the one that was marked, to the byte, and does the same. */
BED_TEST(twin_engine, a_rewound_twin_is_as_it_was)
{
	struct rng rng = rng_seeded("a_rewound_twin_is_as_it_was");
	struct bed *bed = BED(.twin = true);
	struct bed_counters before;
	struct bed_err err;
	gva_t kept, again;

	kept = bed_uvm_km_alloc(bed, KERNEL, 5 * PAGE);
	GUEST_STORE(bed, kept, 0x1234);
	CHECK(bed_mark(bed, &err), "%s", err.text);
	before = bed_counters(bed, 0);
	for (unsigned round = 0; round < 30; round++) {
		gva_t va = bed_uvm_km_zalloc(bed, KERNEL, (1 + rng_below(&rng, 40)) * PAGE);
		gva_t lazy = bed_uvm_km_valloc(bed, KERNEL, 64 * PAGE);
		struct bed_counters after;

		again = round == 0 ? va : again;
		CHECK(va.v == again.v, "round %u: %#lx, not %#lx", round, va.v, again.v);
		bed_fill(bed, lazy, 1 + rng_below(&rng, 64), round);
		GUEST_STORE(bed, kept, round);
		if (round % 2 != 0)
			bed_uvm_km_free(bed, KERNEL, kept, 5 * PAGE);
		if (round % 3 == 0) {
			struct bed_result r;

			CHECK(
			    !bed_call_try(bed, BED_CALL_die_panic, NULL, 0, &r, &err), "it lives");
		}
		CHECK(bed_rewind(bed, &err) && bed_is_rewound(bed, &err), "round %u: %s", round,
		    err.text);
		after = bed_counters(bed, 0);
		CHECK(memcmp(&before, &after, sizeof(before)) == 0, "counters of round %u", round);
		CHECK(GUEST_LOAD(bed, kept) == 0x1234, "round %u", round);
	}
	/* The proof can fail. */
	*HOST(bed, kept) ^= 1;
	CHECK(!bed_is_rewound(bed, &err), "a changed word goes unnoticed");
	bed_down(bed);
}

BED_TEST(twin_engine, no_mark_no_rewind)
{
	struct bed *bed = BED(.twin = true, .boot = true);
	struct bed_err err;

	CHECK(!bed_rewind(bed, &err) && err.class == BED_E_USAGE, "%s", err.text);
	bed_down(bed);
}
