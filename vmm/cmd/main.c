/* SPDX-License-Identifier: ISC */
/*
 * uvmbed: find the subcommand, run it, and make sure that what it printed has arrived.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/abi.h"
#include "vmm/cmd/cmd.h"

static const struct subcommand subcommands[] = {
	{ "run", cmd_run, "boot a guest and run the allocator under full checks" },
	{ "bench", cmd_bench, "what mapping and unmapping cost, against the bare floor" },
	{ "map", cmd_map, "every mapping of a booted guest, folded" },
	{ "walk", cmd_walk, "one address through the four levels" },
	{ "replay", cmd_replay, "run traces, each in a guest of its own, with every check on" },
	{ "explore", cmd_explore, "random programs; what fails is shrunk to a minimal trace" },
	{ "audit", cmd_audit, "every invariant of a booted guest, one by one" },
	{ "tlbsan", cmd_tlbsan, "find wrong TLB invalidations in logs of this or another kernel" },
	{ "planted", cmd_planted, "plant bugs in the guest and see which check finds them" },
	{ "engine", cmd_engine, "what kind of KVM this is and what it offers" },
};
#define NSUB (sizeof(subcommands) / sizeof(subcommands[0]))

static void
usage(FILE *out)
{
	fprintf(out, "usage: uvmbed COMMAND [OPTION...]\n\n"
		     "A kernel memory allocator under real paging, watched from outside.\n\n");
	for (size_t i = 0; i < NSUB; i++)
		fprintf(out, "  %-8s %s\n", subcommands[i].name, subcommands[i].doc);
	fprintf(out,
	    "\n  uvmbed COMMAND --help says more; uvmbed --version names the build.\n"
	    "\nExit codes: 0 good, 1 a check failed, 2 usage, 3 this host cannot,\n"
	    "4 bad input file, 5 the guest died, 6 output not written, 7 internal error.\n");
}

/* A full disk or a closed pipe must not look like success. */
static int
finish(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	fprintf(stderr, "uvmbed: cannot write to standard output: %s\n", strerror(errno));
	return code == BED_OK ? BED_E_OUTPUT : code;
}

/* Descriptors 0..2 exist from here on, so that no file of ours becomes standard output by accident. */
static bool
standard_descriptors_open(void)
{
	return lseek(STDOUT_FILENO, 0, SEEK_CUR) != -1 || errno != EBADF;
}

static int
run_subcommand(const struct subcommand *sub, int argc, char **argv)
{
	char name[64];

	snprintf(name, sizeof(name), "uvmbed %s", sub->name);
	argv[0] = name;
	return finish(sub->run(argc, argv));
}

int
main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;

	if (!standard_descriptors_open()) {
		fprintf(stderr,
		    "uvmbed: standard output is closed; redirect it to a file or /dev/null\n");
		return BED_E_OUTPUT;
	}
	signal(SIGPIPE, SIG_IGN);
	if (word == NULL) {
		usage(stderr);
		return BED_E_USAGE;
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
		usage(stdout);
		return finish(BED_OK);
	}
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
		printf("uvmbed %s (contract %d, build id %s)\n", UVMBED_VERSION, BED_ABI_VERSION,
		    BED_BUILD_ID);
		return finish(BED_OK);
	}
	for (size_t i = 0; i < NSUB; i++) {
		if (strcmp(word, subcommands[i].name) == 0)
			return run_subcommand(&subcommands[i], argc - 1, argv + 1);
	}
	fprintf(stderr, "uvmbed: unknown command \"%s\"; uvmbed --help lists them\n", word);
	return BED_E_USAGE;
}
