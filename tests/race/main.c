/* SPDX-License-Identifier: ISC */
/*
 * race [-c CPUS] [-n ROUNDS] [-s SEED] [-p deaf|unlocked]: random programs on several CPUs, plainly from
 * main(), for the thread sanitizer does not get on with the test framework. Exit code 0: nothing found; 1: a
 * mark, a count or the end was wrong; what the sanitizer says is its own.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/race/program.h"

static int
usage(void)
{
	fprintf(stderr, "usage: race [-c CPUS] [-n ROUNDS] [-s SEED] [-p deaf|unlocked]\n");
	return 2;
}

int
main(int argc, char **argv)
{
	struct race how = { .seed = 1, .ncpu = 4, .rounds = 10000 };
	struct race_result r;
	bool ok;

	for (int opt; (opt = getopt(argc, argv, "c:n:s:p:")) != -1;) {
		switch (opt) {
		case 'c':
			how.ncpu = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 'n':
			how.rounds = strtoull(optarg, NULL, 0);
			break;
		case 's':
			how.seed = strtoull(optarg, NULL, 0);
			break;
		case 'p':
			how.deaf = strcmp(optarg, "deaf") == 0;
			how.unlocked = strcmp(optarg, "unlocked") == 0;
			if (!how.deaf && !how.unlocked)
				return usage();
			break;
		default:
			return usage();
		}
	}
	if (optind != argc || how.ncpu < 2 || how.ncpu > 16)
		return usage();
	ok = race_run(&how, &r);
	printf("race: %u CPUs, seed %" PRIu64 ": %" PRIu64 " operations, %" PRIu64
	       " changed hands, %" PRIu64 " IPIs, %" PRIu64 " INVLPGs, %" PRIu64
	       " full flushes: %s%s\n",
	    how.ncpu, how.seed, r.ops, r.moved, r.ipi, r.invlpg, r.tlb_full, ok ? "ok" : "",
	    ok ? "" : r.text);
	return ok ? 0 : 1;
}
