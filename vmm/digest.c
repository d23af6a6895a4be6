/* SPDX-License-Identifier: ISC */
/*
 * See digest.h. Each step is a bijection of the state for a given word, and of the word for a given state.
 */
#include "vmm/digest.h"

#include <string.h>

#define PRIME UINT64_C(0x9e3779b97f4a7c15)

static uint64_t
step(uint64_t h, uint64_t word)
{
	h = (h ^ word) * PRIME;
	return h ^ h >> 32;
}

uint64_t
bed_digest(uint64_t seed, const void *data, size_t bytes)
{
	const uint8_t *p = data;
	uint64_t h = seed, word;

	for (; bytes >= sizeof(word); bytes -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		h = step(h, word);
	}
	word = 0;
	memcpy(&word, p, bytes);
	/* The number of odd bytes tells "a" from "a" and a zero byte. */
	return step(step(h, word), bytes + 1);
}
