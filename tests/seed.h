/* SPDX-License-Identifier: ISC */
/*
 * The seed of a random test: the same in every run, and another one for each name; BED_SEED=N in the environment
 * sets it, BED_SEED=random takes it from the clock. The caller prints it.
 */
#ifndef TESTS_SEED_H
#define TESTS_SEED_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline uint64_t
test_seed(const char *test)
{
	const char *text = getenv("BED_SEED");
	uint32_t hash = 0x811c9dc5;
	struct timespec now;

	if (text != NULL && strcmp(text, "random") == 0) {
		clock_gettime(CLOCK_REALTIME, &now);
		return ((uint64_t)now.tv_sec << 20 ^ (uint64_t)now.tv_nsec) & 0xffffffff;
	}
	if (text != NULL)
		return strtoull(text, NULL, 0);
	/* FNV-1a */
	for (; *test != '\0'; test++)
		hash = (hash ^ (unsigned char)*test) * 0x01000193u;
	return hash;
}

#endif
