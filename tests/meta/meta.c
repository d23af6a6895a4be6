/* SPDX-License-Identifier: ISC */
/*
 * Tests that are bad on purpose, each in one way that a test runner must not be fooled by. They are run
 * by tests/run-meta, which knows the verdict each must get.
 */
#include "tests/bedtest.h"

#include <stdlib.h>

BED_TEST(meta, passes)
{
	cr_assert(1);
}

BED_TEST(meta, fails)
{
	cr_assert(0, "two lines\nand <markup> & \"quotes\"");
}

BED_TEST(meta, exits_early)
{
	exit(0);
}

BED_TEST(meta, skips_unlisted)
{
	bedtest_skip("because");
}

BED_TEST(meta, skips_listed)
{
	bedtest_skip("because");
}

BED_TEST(meta, vacuous_listed)
{
	bedtest_vacuous("nothing shows here");
}

BED_TEST(meta, vacuous_unlisted)
{
	bedtest_vacuous("nothing shows here");
}

BED_TEST(meta, crashes)
{
	abort();
}

BED_TEST(meta, fails_as_expected)
{
	bedtest_xfail("known");
	cr_assert(0);
}

BED_TEST(meta, passes_unexpectedly)
{
	bedtest_xfail("known");
}

BED_TEST(meta, hangs, .timeout = 1)
{
	for (;;)
		;
}

BED_TEST(meta, leaks)
{
	for (int i = 0; i < 100; i++)
		cr_assert(malloc(12345) != NULL);
}

BED_TEST(meta, overflows_signed)
{
	volatile int i = 0x7fffffff;

	i = i + 1;
}

#ifdef META_NEVER
/* In the sources, not in the program: the runner must miss it. */
BED_TEST(meta, never_built)
{
}
#endif
