/* SPDX-License-Identifier: ISC */
/*
 * What every test is written with: Criterion plus the verdicts it does not have.
 *
 * BED_TEST(suite, name) { body } is a Criterion test that also logs that it began and that its body came
 * to an end, so that a test process which exits early (exit(0), a lost child) cannot count as passed.
 * tests/run compares this log with Criterion's own results and with the number of BED_TESTs in the
 * sources.
 */
#ifndef TESTS_BEDTEST_H
#define TESTS_BEDTEST_H

#include <criterion/criterion.h>

void bedtest_begin(const char *suite, const char *name);
void bedtest_end(void);

/* This host cannot run the test: ends it. Must be listed in tests/allowed-skips for the engine. */
void bedtest_skip(const char *fmt, ...) __attribute__((__format__(__printf__, 1, 2), __noreturn__));
/* The test ran, but on this engine it could not have failed: ends it, and it does not count as passed. */
void bedtest_vacuous(const char *fmt, ...)
    __attribute__((__format__(__printf__, 1, 2), __noreturn__));
/* From here on a failure of this test is expected, for the given reason; a pass is then a failure. */
void bedtest_xfail(const char *fmt, ...) __attribute__((__format__(__printf__, 1, 2)));

#define BED_TEST(suite, name, ...)               \
	static void suite##_##name##_body(void); \
	Test(suite, name, ##__VA_ARGS__)         \
	{                                        \
		bedtest_begin(#suite, #name);    \
		suite##_##name##_body();         \
		bedtest_end();                   \
	}                                        \
	static void suite##_##name##_body(void)

#endif
