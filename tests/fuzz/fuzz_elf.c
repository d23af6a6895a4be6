/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: any file as a guest image. What the loader accepts must keep its own promises.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shared/layout.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/bed/image.h"

static void
promises(const struct image *image)
{
	bool entry = false;

	for (unsigned i = 0; i < image->nseg; i++) {
		const struct image_seg *seg = &image->seg[i];

		FUZZ_ASSERT(seg->va == seg->pa + BED_IMAGE_BASE && seg->va % 4096 == 0);
		FUZZ_ASSERT(seg->filesz <= seg->memsz);
		FUZZ_ASSERT(
		    seg->offset <= image->bytes && seg->filesz <= image->bytes - seg->offset);
		FUZZ_ASSERT(!(seg->write && seg->exec));
		FUZZ_ASSERT(seg->pa >= image->pa_start && seg->pa + seg->memsz <= image->pa_end);
		FUZZ_ASSERT(i == 0 || seg->va >= seg[-1].va + seg[-1].memsz);
		entry |= seg->exec && image->entry - seg->va < seg->memsz;
	}
	FUZZ_ASSERT(entry);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image image;
	struct bed_err err = { 0 };
	char path[64];
	uint64_t addr;
	int fd = memfd_create("image", MFD_CLOEXEC);

	FUZZ_ASSERT(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (image_open(&image, path, &err)) {
		promises(&image);
		(void)image_check_ident(&image, BED_CHECKED, &err);
		(void)image_symbol(&image, "kernel_map", &addr);
		image_close(&image);
	} else {
		FUZZ_ASSERT(err.text[0] != '\0');
	}
	close(fd);
	return 0;
}
