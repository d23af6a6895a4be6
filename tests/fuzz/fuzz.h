/* SPDX-License-Identifier: ISC */
/*
 * What the fuzz targets share. Each is a program of libFuzzer (docs/fuzzing.md); tests/fuzz/run builds on
 * their names: fuzz_NAME.c is target NAME, seeds come from tests/fuzz/seeds/NAME and what run adds.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_ASSERT(what)                                                                  \
	do {                                                                               \
		if (!(what)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what); \
			abort();                                                           \
		}                                                                          \
	} while (0)

#endif
