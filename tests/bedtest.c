/* SPDX-License-Identifier: ISC */
/*
 * The log behind bedtest.h: one line an event, appended with a single write so that parallel test
 * processes do not mix, to the file named by BEDTEST_LOG. Without that variable nothing is logged and
 * the tests run as plain Criterion tests.
 */
#include "tests/bedtest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char current[128];

/* There when the program is built with the address sanitizer. */
int __lsan_do_recoverable_leak_check(void) __attribute__((__weak__));

static void
log_line(const char *what, const char *text)
{
	const char *path = getenv("BEDTEST_LOG");
	char line[512];
	int fd, n;

	if (path == NULL)
		return;
	n = snprintf(line, sizeof(line), "%s\t%s\t%s\n", what, current, text);
	if (n >= (int)sizeof(line)) {
		n = (int)sizeof(line);
		line[n - 1] = '\n';
	}
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0 || write(fd, line, (size_t)n) != n) {
		fprintf(stderr, "bedtest: cannot write %s: %s\n", path, strerror(errno));
		abort();
	}
	close(fd);
}

static void
log_text(const char *what, const char *fmt, va_list ap)
{
	char text[300];

	vsnprintf(text, sizeof(text), fmt, ap);
	for (char *p = text; *p != '\0'; p++) {
		if (*p == '\n' || *p == '\t')
			*p = ' ';
	}
	log_line(what, text);
}

void
bedtest_begin(const char *suite, const char *name)
{
	snprintf(current, sizeof(current), "%s::%s", suite, name);
	log_line("begin", "");
}

void
bedtest_end(void)
{
	/* Criterion's worker ends without the leak check that a process normally gets at exit. */
	if (__lsan_do_recoverable_leak_check != NULL && __lsan_do_recoverable_leak_check() != 0) {
		log_line("leak", "");
		abort();
	}
	log_line("end", "");
}

void
bedtest_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_text("skip", fmt, ap);
	va_end(ap);
	cr_skip_test("skipped");
	abort();
}

void
bedtest_vacuous(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_text("vacuous", fmt, ap);
	va_end(ap);
	cr_skip_test("vacuous");
	abort();
}

void
bedtest_xfail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_text("xfail", fmt, ap);
	va_end(ap);
}
