/* SPDX-License-Identifier: ISC */
/*
 * The TLB sanitizer: the corpus of good and bad logs, random correct protocols, and mutations of them.
 */
#include "tests/bedtest.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/tlbgen.h"
#include "vmm/tlbsan/log.h"

#define CORPUS "tests/corpus/tlb"

struct seen {
	char kinds[400]; /* words in the order of discovery */
	char first[1000];
	unsigned n, errors;
};

static void
see(void *arg, const struct tlb_finding *f)
{
	struct seen *seen = arg;
	size_t used = strlen(seen->kinds);

	snprintf(seen->kinds + used, sizeof(seen->kinds) - used, "%s%s", used ? " " : "",
	    tlb_kind_word(f->kind));
	if (seen->n++ == 0)
		tlb_finding_text(seen->first, sizeof(seen->first), f);
	seen->errors += f->severity == TLB_ERROR;
}

static bool
feed(void *arg, const struct tlb_event *ev, struct bed_err *err)
{
	return tlb_event(arg, ev, err);
}

/* The words after "# expect: " in the file. */
static void
expected(FILE *in, char *words, int size)
{
	char line[TLBLOG_LINE];

	words[0] = '\0';
	while (fgets(line, sizeof(line), in) != NULL) {
		if (strncmp(line, "# expect: ", 10) == 0)
			snprintf(
			    words, (size_t)size, "%.*s", (int)strcspn(line + 10, "\n"), line + 10);
	}
	rewind(in);
}

static bool
good_and_bad(const char *file)
{
	char path[300], want[100];
	struct seen seen = { .n = 0 };
	struct bed_err err;
	struct tlb *t = tlb_new(NULL, see, &seen, &err);
	FILE *in;

	snprintf(path, sizeof(path), CORPUS "/%s", file);
	in = fopen(path, "r");
	cr_assert(t != NULL && in != NULL, "%s", path);
	expected(in, want, sizeof(want));
	cr_assert_str_not_empty(want, "%s says not what to expect", path);
	cr_assert(tlblog_read(in, path, feed, t, &err), "%s", err.text);
	fclose(in);
	tlb_settle(t);
	tlb_free(t);
	cr_expect_str_eq(seen.n ? seen.kinds : "nothing", want, "%s: found %s, not %s\n%s", path,
	    seen.n ? seen.kinds : "nothing", want, seen.first);
	return seen.n != 0;
}

BED_TEST(tlbsan, corpus)
{
	DIR *dir = opendir(CORPUS);
	unsigned good = 0, bad = 0;

	cr_assert(dir != NULL, "no %s here; tests run in the top folder", CORPUS);
	for (struct dirent *d; (d = readdir(dir)) != NULL;) {
		if (strstr(d->d_name, ".tlblog") == NULL)
			continue;
		if (good_and_bad(d->d_name))
			bad++;
		else
			good++;
	}
	closedir(dir);
	cr_expect(good >= 15 && bad >= 25, "%u good logs, %u bad ones", good, bad);
}

static struct seen
run(const struct tlbgen *g)
{
	struct seen seen = { .n = 0 };
	struct bed_err err;
	struct tlb *t = tlb_new(NULL, see, &seen, &err);

	cr_assert(t != NULL);
	for (unsigned i = 0; i < g->n; i++)
		cr_assert(tlb_event(t, &g->ev[i], &err), "event %u: %s", i, err.text);
	tlb_settle(t);
	tlb_free(t);
	return seen;
}

/* Not even a note: a protocol without a superfluous invalidation. */
BED_TEST(tlbsan, correct_protocols_are_silent)
{
	static const unsigned ncpus[] = { 1, 2, 4, 7 };
	uint64_t seed = tlbgen_seed("correct_protocols_are_silent");
	struct tlbgen *g = malloc(sizeof(*g));

	cr_assert(g != NULL);
	for (unsigned i = 0; i < 120; i++) {
		struct seen seen;

		tlbgen_make(g, seed + i, ncpus[i % 4], 1500);
		seen = run(g);
		cr_assert(seen.n == 0, "seed %llu, log %u: %u findings\n%s",
		    (unsigned long long)seed, i, seen.n, seen.first);
	}
	free(g);
}

/* One mutation of g at i; the log must be found wrong. */
static void
mutate(const struct tlbgen *g, struct tlbgen *wrong, unsigned i, const char *how,
    void (*change)(struct tlbgen *, unsigned))
{
	struct seen seen;

	memcpy(wrong, g, sizeof(*wrong));
	change(wrong, i);
	seen = run(wrong);
	cr_assert(seen.errors > 0, "event %u (%s) of %u, %u CPUs: %s, and nothing was found", i,
	    tlb_word(g->ev[i].type), g->n, g->ncpu, how);
}

BED_TEST(tlbsan, mutations_are_found)
{
	static const unsigned ncpus[] = { 1, 2, 4 };
	uint64_t seed = tlbgen_seed("mutations_are_found");
	struct tlbgen *g = malloc(sizeof(*g)), *wrong = malloc(sizeof(*wrong));
	unsigned dropped = 0, shifted = 0, freed = 0;

	cr_assert(g != NULL && wrong != NULL);
	for (unsigned log = 0; log < 12; log++) {
		tlbgen_make(g, seed + log, ncpus[log % 3], 400);
		for (unsigned i = 0; i < g->n; i++) {
			if (g->role[i] & ROLE_NEEDED) {
				mutate(g, wrong, i, "dropped", tlbgen_drop);
				dropped++;
			}
			if (g->role[i] & ROLE_ADDRESSED) {
				mutate(g, wrong, i, "address shifted", tlbgen_shift);
				shifted++;
			}
			if (g->role[i] & ROLE_FREE) {
				mutate(g, wrong, i, "moved before the invalidation",
				    tlbgen_free_early);
				freed++;
			}
		}
	}
	cr_expect(
	    dropped > 100 && shifted > 100 && freed > 100, "%u %u %u", dropped, shifted, freed);
	free(g);
	free(wrong);
}

/* Records and tables in use follow what is open, not what has happened. */
BED_TEST(tlbsan, memory_does_not_grow)
{
	struct bed_err err;
	struct tlb *t = tlb_new(NULL, NULL, NULL, &err);
	struct tlb_event ev = { .type = TLB_TABLE, .a = { 0x5000, 1, 0 } };
	uint64_t ticket = 0;

	cr_assert(t != NULL && tlb_event(t, &ev, &err));
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t page = i % 512, pte = 0x100003 + i * UINT64_C(4096);
		const struct tlb_event round[] = {
			{ .type = TLB_STORE, .a = { 0x5000 + page * 8, 0, pte } },
			{ .type = TLB_STORE, .a = { 0x5000 + page * 8, pte, 0 } },
			{ .type = TLB_UPDATE },
		};

		/* Nothing is ever invalidated: the worst kernel. */
		for (unsigned j = 0; j < 3; j++) {
			ev = round[j];
			ev.ticket = ++ticket;
			cr_assert(tlb_event(t, &ev, &err), "%s", err.text);
		}
	}
	tlb_settle(t);
	cr_expect(tlb_totals(t).found[TLB_MISSING] > 100000);
	cr_expect(
	    tlb_totals(t).peak <= 1024, "%llu records", (unsigned long long)tlb_totals(t).peak);
	cr_expect(tlb_totals(t).tables == 1);
	tlb_free(t);
}
