/* SPDX-License-Identifier: ISC */
/*
 * Accesses that must succeed, for the suites about faults.
 */
#ifndef TESTS_TWIN_ACCESS_H
#define TESTS_TWIN_ACCESS_H

#include "guest/twin/twin.h"
#include "tests/bedtest.h"
#include "tests/twin/check.h"

static inline void
boot_small(void)
{
	twin_boot(16 * MIB, 64 * MIB, 0);
}

static inline uint64_t
load(vaddr_t va)
{
	uint64_t value = 1, err = 0;

	cr_assert_eq(twin_load(va, &value, &err), 0, "load of 0x%lx: error code 0x%lx", va, err);
	return value;
}

static inline void
store(vaddr_t va, uint64_t value)
{
	uint64_t err = 0;

	cr_assert_eq(twin_store(va, value, &err), 0, "store to 0x%lx: error code 0x%lx", va, err);
}

static inline uint64_t
faults(void)
{
	return twin_count()->fault;
}

#endif
