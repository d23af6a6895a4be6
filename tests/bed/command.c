/* SPDX-License-Identifier: ISC */
/*
 * See command.h.
 */
#include "tests/bed/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bed/fixture.h"

#define WORDS_MAX 32

extern char **environ;

/* The command beside, or one directory above, this test program. */
static const char *
command_path(void)
{
	static char path[4200];
	ssize_t n = readlink("/proc/self/exe", path, 4096);

	CHECK(n > 0, "/proc/self/exe: %s", strerror(errno));
	path[n] = '\0';
	strcpy(strrchr(path, '/'), "/../uvmbed");
	CHECK(access(path, X_OK) == 0, "%s: %s", path, strerror(errno));
	return path;
}

/* Read both until both end. */
static void
collect(int out, int err, struct command *c)
{
	struct pollfd fd[2] = { { .fd = out, .events = POLLIN }, { .fd = err, .events = POLLIN } };
	char *text[2] = { c->out, c->err }, spill[4096];
	size_t used[2] = { 0, 0 };

	for (unsigned open = 2; open > 0;) {
		int ready = poll(fd, 2, (int)scaled_ms(60000));

		/* The watchdog's timer of an earlier run in this process may still go off. */
		if (ready == -1 && errno == EINTR)
			continue;
		CHECK(ready > 0, "uvmbed is silent: %s%s", c->out, c->err);
		for (unsigned i = 0; i < 2; i++) {
			size_t room = COMMAND_OUTPUT - 1 - used[i];
			ssize_t n;

			if (fd[i].revents == 0)
				continue;
			n = read(fd[i].fd, room > 0 ? text[i] + used[i] : spill,
			    room > 0 ? room : sizeof(spill));
			if (n <= 0) {
				close(fd[i].fd);
				fd[i].fd = -1;
				fd[i].revents = 0;
				open--;
			} else if (room > 0) {
				used[i] += (size_t)n;
			}
		}
	}
	c->out[used[0]] = c->err[used[1]] = '\0';
}

const struct command *
command_run(enum command_stdout where, const char *const *words)
{
	static struct command c;
	posix_spawn_file_actions_t fa;
	char *argv[WORDS_MAX + 2] = { (char *)(uintptr_t) "uvmbed" };
	int out[2], err[2], status, rc;
	unsigned n = 0;
	pid_t pid;

	for (; words[n] != NULL && n < WORDS_MAX; n++)
		argv[n + 1] = (char *)(uintptr_t)words[n];
	memset(&c, 0, sizeof(c));
	CHECK(pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0, "%s", strerror(errno));
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&fa, err[1], 2);
	if (where == STDOUT_CLOSED)
		posix_spawn_file_actions_addclose(&fa, 1);
	else if (where == STDOUT_FULL)
		posix_spawn_file_actions_addopen(&fa, 1, "/dev/full", O_WRONLY, 0);
	else
		posix_spawn_file_actions_adddup2(&fa, out[1], 1);
	if (where == STDOUT_BROKEN_PIPE) {
		close(out[0]);
		out[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	rc = posix_spawn(&pid, command_path(), &fa, NULL, argv, environ);
	CHECK(rc == 0, "posix_spawn: %s", strerror(rc));
	posix_spawn_file_actions_destroy(&fa);
	close(out[1]);
	close(err[1]);
	collect(out[0], err[0], &c);
	CHECK(waitpid(pid, &status, 0) == pid, "%s", strerror(errno));
	c.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	return &c;
}

static char file_path[64];

const char *
command_file(const char *text)
{
	size_t len = strlen(text);
	int fd;

	command_tidy();
	strcpy(file_path, "/tmp/uvmbed-test-XXXXXX");
	fd = mkstemp(file_path);
	CHECK(
	    fd != -1 && write(fd, text, len) == (ssize_t)len, "%s: %s", file_path, strerror(errno));
	close(fd);
	return file_path;
}

void
command_tidy(void)
{
	if (file_path[0] != '\0')
		unlink(file_path);
	file_path[0] = '\0';
}
