/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: any file as a snapshot of a booted bed. The checksums and the key are put in order first, or
 * nothing behind them would ever be reached; what is then accepted must lie within itself and within RAM.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shared/paging.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/bed/snap.h"

static void
promises(const struct snap *s)
{
	const uint8_t *end = s->map + s->bytes;
	uint64_t seen = 0;

	FUZZ_ASSERT((const uint8_t *)s->console + strlen(s->console) < end);
	for (uint64_t at = 0; at < s->head->key.ram; at += BED_PAGE_SIZE) {
		const uint8_t *page = snap_page(s, at);

		if (page == NULL)
			continue;
		FUZZ_ASSERT(page >= s->pages && page + BED_PAGE_SIZE <= end);
		seen++;
	}
	FUZZ_ASSERT(s->pages + seen * BED_PAGE_SIZE == end);
	for (unsigned i = 0; i < s->head->key.ncpu; i++)
		FUZZ_ASSERT((const uint8_t *)snap_state(s, i) + hv_cpu_state_bytes() <= end);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct snap_key key = { .ram = 8 << 20 };
	size_t padded = (size + BED_PAGE_MASK) & ~BED_PAGE_MASK;
	uint8_t *file = calloc(1, padded + BED_PAGE_SIZE);
	struct bed_err err = { 0 };
	struct snap *s;
	int fd = memfd_create("snap", MFD_CLOEXEC);

	FUZZ_ASSERT(fd >= 0 && file != NULL);
	if (size > 0)
		memcpy(file, data, size);
	if (size >= sizeof(struct snap_head)) {
		struct snap_head *h = (struct snap_head *)file;

		key.ncpu = h->key.ncpu % 3;
		h->magic = SNAP_MAGIC;
		h->version = SNAP_VERSION;
		h->bytes = sizeof(*h);
		h->key = key;
		h->file_bytes = padded;
		snap_sign(h, file);
		size = padded;
	}
	FUZZ_ASSERT(write(fd, file, size) == (ssize_t)size);
	s = snap_open(fd, "fuzzed", &key, &err);
	if (s != NULL)
		promises(s);
	else
		FUZZ_ASSERT(err.text[0] != '\0');
	snap_release(s);
	free(file);
	return 0;
}
