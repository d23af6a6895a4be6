/* SPDX-License-Identifier: ISC */
/*
 * Running the uvmbed command from a test, as a user would: arguments in; exit code and both outputs out.
 */
#ifndef TESTS_BED_COMMAND_H
#define TESTS_BED_COMMAND_H

#include <stdbool.h>

#define COMMAND_OUTPUT (256 * 1024)

struct command {
	int code;                                      /* exit code; -signal if it was killed */
	char out[COMMAND_OUTPUT], err[COMMAND_OUTPUT]; /* zero terminated, cut to size */
};

/* Where standard output goes. */
enum command_stdout { STDOUT_READ, STDOUT_CLOSED, STDOUT_FULL, STDOUT_BROKEN_PIPE };

/*
 * Run uvmbed with these words, which end with NULL. The result is static: the next run overwrites it. Ends
 * the test if the command cannot be started, or still runs after a minute.
 */
const struct command *command_run(enum command_stdout, const char *const *words);
#define UVMBED(...)           command_run(STDOUT_READ, (const char *const[]){ __VA_ARGS__, NULL })
#define UVMBED_TO(where, ...) command_run(where, (const char *const[]){ __VA_ARGS__, NULL })

/* A file with this text; the path is static. Removed by command_tidy(). */
const char *command_file(const char *text);
void command_tidy(void);

#endif
