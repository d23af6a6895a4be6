/* SPDX-License-Identifier: ISC */
/*
 * Random programs: the same seed does the same, nothing is found in a good allocator, what is bad is found, told
 * once, and shrunk to what it takes. All on the twin, but for one run in a guest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bed/command.h"
#include "tests/bed/fixture.h"
#include "vmm/explore/explore.h"

enum { OPS = 300 };

static struct xlab *
lab_of(const struct xprofile *p, enum xchecks checks, bool record)
{
	struct xlab_config cfg = { .bed = bed_opts_config(&(struct bed_opts){ .twin = true }),
		.checks = checks,
		.every = 50,
		.record = record };
	struct bed_err err;
	struct xlab *lab;

	if (p->ram != 0)
		cfg.bed.ram = p->ram;
	if (p->kva != 0)
		cfg.bed.kva_size = p->kva;
	cfg.bed.flags |= p->guard ? BED_BOOT_GUARDPAGES : 0;
	lab = xlab_new(&cfg, &err);
	CHECK(lab != NULL, "%s", err.text);
	return lab;
}

/* Every profile, with every check after each call. */
BED_TEST(explore, nothing_is_found)
{
	struct rng rng = rng_seeded("nothing_is_found");
	uint8_t bytes[OPS * XOP_BYTES];

	for (unsigned i = 0; xprofile_at(i) != NULL; i++) {
		/* The specification has no word yet for who sleeps for addresses with pages in hand. */
		bool whole = xprofile_at(i)->max_pages != 0;
		struct xlab *lab =
		    lab_of(xprofile_at(i), whole ? XCHECK_CALLS : XCHECK_INVARIANTS, false);

		for (unsigned round = 0; round < 4; round++) {
			struct bed_err err = { 0 };
			struct xresult r;

			xprogram_make(bytes, OPS, rng.state, round, xprofile_at(i));
			CHECK(xlab_run(lab, bytes, sizeof(bytes), &r, &err), "%s, program %u: %s",
			    xprofile_at(i)->name, round, err.text);
			CHECK(r.calls > OPS / 10, "%s: %lu calls of %d operations",
			    xprofile_at(i)->name, r.calls, OPS);
		}
		xlab_free(lab);
	}
}

/* Every string of bytes is a program: none does what nobody may do. */
BED_TEST(explore, any_bytes_are_a_program)
{
	struct rng rng = rng_seeded("any_bytes_are_a_program");
	struct xlab *lab = lab_of(xprofile_find("mixed"), XCHECK_INVARIANTS, false);
	uint8_t bytes[OPS * XOP_BYTES + 7];

	for (unsigned round = 0; round < 40; round++) {
		size_t len = rng_below(&rng, sizeof(bytes));
		struct bed_err err = { 0 };
		struct xresult r;

		for (size_t i = 0; i < len; i++)
			bytes[i] = (uint8_t)(rng_next(&rng) >> 32);
		CHECK(xlab_run(lab, bytes, len, &r, &err), "round %u: %s", round, err.text);
		CHECK(r.ops <= len / XOP_BYTES, "%lu operations of %zu bytes", r.ops, len);
	}
	xlab_free(lab);
}

/* The same bytes, twice in one lab and once in another: the same hash and the same trace. */
BED_TEST(explore, the_same_program_does_the_same)
{
	struct xlab *lab = lab_of(xprofile_find("mixed"), XCHECK_CALLS, true);
	uint8_t bytes[OPS * XOP_BYTES];
	struct bed_err err = { 0 };
	struct xresult first, again;
	char *trace;

	xprogram_make(bytes, OPS, 5, 0, xprofile_find("mixed"));
	CHECK(xlab_run(lab, bytes, sizeof(bytes), &first, &err), "%s", err.text);
	trace = strdup(first.trace);
	CHECK(xlab_run(lab, bytes, sizeof(bytes), &again, &err), "%s", err.text);
	CHECK(first.hash == again.hash && strcmp(trace, again.trace) == 0, "after a rewind");
	xlab_free(lab);
	lab = lab_of(xprofile_find("mixed"), XCHECK_CALLS, true);
	CHECK(xlab_run(lab, bytes, sizeof(bytes), &again, &err), "%s", err.text);
	CHECK(first.hash == again.hash && strcmp(trace, again.trace) == 0,
	    "in another process' worth");
	free(trace);
	xlab_free(lab);
}

/* A finding is known by what it says, whatever the numbers. */
BED_TEST(explore, keys_of_findings)
{
	static const struct {
		const char *a, *b;
		bool same;
	} row[] = {
		{ "f.trace:3: uvm_km_free kernel_map 0x1000 3p: 2 entries were cleared",
		    "program:77: uvm_km_free kernel_map 0xffff800000001000 1p: 17 entries were cleared",
		    true },
		{ "guest panic: assertion \"x\" failed: a.c:12\n  at foo",
		    "f:1: die_panic: guest panic: assertion \"x\" failed: a.c:12\n  at bar", true },
		{ "uvm_km_free kernel_map 1p: invariant broken: 29 index: a",
		    "uvm_km_free kernel_map 1p: invariant broken: 30 other: a", false },
		{ "null: guest panic: a", "null: guest panic: b", false },
	};

	for (size_t i = 0; i < COUNT_OF(row); i++) {
		struct bed_err a = { .class = BED_E_FINDING }, b = a;
		char one[160], two[160];

		strcpy(a.text, row[i].a);
		strcpy(b.text, row[i].b);
		finding_key(one, sizeof(one), &a);
		finding_key(two, sizeof(two), &b);
		CHECK(
		    (strcmp(one, two) == 0) == row[i].same, "row %zu: \"%s\", \"%s\"", i, one, two);
	}
}

/* The command: a failing trace becomes the two lines it takes; a sound one is left alone. */
BED_TEST(explore, replay_shrinks)
{
	const char *file =
	    command_file("uvmbed-trace 1\na = uvm_km_alloc kernel_map 7p\n"
			 "b = uvm_km_zalloc kernel_map 3p\nfill a 7 0x33\n"
			 "c = uvm_km_valloc phys_map 9p\nuvm_km_free kernel_map b 3p\n"
			 "expect absent b 3p\nload c+2p\nuvm_km_free kernel_map a 7p\n");
	const struct command *c = UVMBED("replay", "--engine=twin", "--shrink", file);
	char min[100], text[400] = "";
	FILE *f;

	snprintf(min, sizeof(min), "%s.min", file);
	CHECK(c->code == 0 && strstr(c->out, "from 8 operations to 2") != NULL, "%d %s%s", c->code,
	    c->out, c->err);
	f = fopen(min, "r");
	CHECK(f != NULL && fread(text, 1, sizeof(text) - 1, f) > 0, "%s", min);
	fclose(f);
	CHECK(strstr(text, "c = uvm_km_valloc phys_map 1p\nload c") != NULL, "%s", text);
	c = UVMBED("replay", "--engine=twin", min);
	CHECK(c->code == 5 && strstr(c->out, "non-pageable") != NULL, "%d %s", c->code, c->out);
	unlink(min);
	c = UVMBED("replay", "--engine=twin", "--until=7", file);
	CHECK(c->code == 0 && strstr(c->out, "6 operations") != NULL, "%d %s", c->code, c->out);
	c = UVMBED("replay", "--criterion", file);
	CHECK(c->code == 0 && strstr(c->out, "BED_TEST(found, trace)") != NULL &&
		  strstr(c->out, "BED_CALL_uvm_km_zalloc") != NULL && c->err[0] == '\0',
	    "%s%s", c->out, c->err);
	command_tidy();
	c = UVMBED("replay", "--engine=twin", "--shrink", "tests/corpus/valloc.trace");
	CHECK(c->code == 1 && strstr(c->out, "nothing is wrong") != NULL, "%d %s", c->code, c->out);
}

/* Stopped and resumed, in shards or not: the same programs are run, each once. */
BED_TEST(explore, stops_and_goes_on)
{
	char state[] = "/tmp/uvmbed-explore-XXXXXX";
	int fd = mkstemp(state);
	const struct command *c;

	CHECK(fd != -1, "%s", state);
	close(fd);
	unlink(state);
	c = UVMBED("explore", "--engine=twin", "--seed=3", "--ops=400", "--resume", state);
	CHECK(c->code == 0 && strstr(c->out, "2 programs, 400 of 400") != NULL, "%s%s", c->out,
	    c->err);
	c = UVMBED("explore", "--engine=twin", "--seed=3", "--ops=1000", "--resume", state);
	CHECK(c->code == 0 && strstr(c->out, "5 programs, 1000 of 1000") != NULL, "%s%s", c->out,
	    c->err);
	c = UVMBED("explore", "--engine=twin", "--seed=4", "--ops=1000", "--resume", state);
	CHECK(c->code == 2 && strstr(c->err, "another run") != NULL, "%s%s", c->out, c->err);
	c = UVMBED(
	    "explore", "--engine=twin", "--seed=3", "--ops=1000", "--shard=1/2", "--resume", state);
	CHECK(c->code == 2, "%s%s", c->out, c->err);
	unlink(state);
	c = UVMBED("explore", "--engine=twin", "--ops=10", "--shard=3/2");
	CHECK(c->code == 2 && strstr(c->err, "K/N") != NULL, "%s", c->err);
	c = UVMBED("explore", "--engine=twin", "--profile=nosuch");
	CHECK(c->code == 2 && strstr(c->err, "no profile") != NULL, "%s", c->err);
}

/* In the machine itself, a little. */
BED_TEST(explore, in_a_guest)
{
	const struct command *c = UVMBED("explore", "--ops=120", "--length=60", "--profile=mixed");

	CHECK(c->code == 0 && strstr(c->out, "0 findings") != NULL, "%s%s", c->out, c->err);
}
