/* SPDX-License-Identifier: ISC */
/*
 * What the subcommands share: the table row of a subcommand, the options every one that boots a bed
 * takes, and output that is either text for a person or one JSON document.
 */
#ifndef VMM_CMD_CMD_H
#define VMM_CMD_CMD_H

#include <argp.h>
#include <jansson.h>

#include "vmm/bed/bed.h"
#include "vmm/error.h"

struct subcommand {
	const char *name;
	/* argv[0] is "uvmbed name"; returns an exit code (enum bed_class). */
	int (*run)(int argc, char **argv);
	const char *doc;
};

int cmd_run(int, char **);
int cmd_bench(int, char **);
int cmd_walk(int, char **);
int cmd_map(int, char **);
int cmd_engine(int, char **);
int cmd_replay(int, char **);
int cmd_audit(int, char **);
int cmd_explore(int, char **);
int cmd_tlbsan(int, char **);
int cmd_planted(int, char **);

/* tests/corpus/first-light.trace, as it was when this program was built (builtin.asm). */
extern const char builtin_trace[];
extern const unsigned builtin_trace_len;

/* Options of every subcommand that boots a bed: a child parser of its own argp. */
struct cmd_common {
	struct bed_config config;
	bool json;
	unsigned witnesses; /* enum check_witness; all, unless a subcommand has an option for it */
};
extern const struct argp cmd_common_argp;
/* Sets the defaults and runs argp; argp's own errors end the process with BED_E_USAGE. */
void cmd_parse(const struct argp *, int argc, char **argv, struct cmd_common *, void *own);

/* The engine the options named, as far as it can be known: NULL, and err says why. */
struct engine;
const struct engine *cmd_engine_chosen(struct bed_err *);

/* "64M", "16m", "4096", "2g": a size in bytes with an optional binary unit. */
bool cmd_parse_size(const char *text, uint64_t *bytes);
/* An address: hexadecimal with or without 0x, underscores between digits allowed. */
bool cmd_parse_address(const char *text, uint64_t *address);

/* Report err on standard error; returns its exit code. */
int cmd_error(const struct bed_err *);

bool cmd_is_terminal(void); /* standard output is one, and NO_COLOR is not set */
/* Escape sequences, or "" when standard output is no terminal. */
const char *cmd_bold(void);
const char *cmd_green(void);
const char *cmd_red(void);
const char *cmd_dim(void);
const char *cmd_plain(void);

/* Print a JSON document (and drop the reference); exit code. */
int cmd_print_json(json_t *);
/* The context every JSON document carries: version, build id, engine, host CPU. */
json_t *cmd_json_context(void);

#endif
