/* SPDX-License-Identifier: ISC */
/*
 * A 64-bit checksum for telling whether bytes are what they were: a change within any one word of 8 bytes always
 * shows. It is no defence against someone who computes it, too.
 */
#ifndef VMM_DIGEST_H
#define VMM_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/* Of `bytes` bytes after what `seed` already stands for; seed 0 to begin. */
uint64_t bed_digest(uint64_t seed, const void *, size_t bytes);

#endif
