/* SPDX-License-Identifier: ISC */
/*
 * A guest image: a static x86-64 ELF file linked at BED_IMAGE_BASE. Opening it checks every header, so
 * that what comes after may rely on them; a file that is not in order is refused with its fault named.
 */
#ifndef VMM_BED_IMAGE_H
#define VMM_BED_IMAGE_H

#include "shared/abi.h"
#include "vmm/error.h"

#define IMAGE_SEGS_MAX 16

struct image_seg {
	uint64_t va, pa;        /* page aligned; pa == va - BED_IMAGE_BASE */
	uint64_t filesz, memsz; /* bytes; the rest of memsz is zero */
	uint64_t offset;        /* in the file */
	bool write, exec;       /* never both */
};

struct image {
	const uint8_t *map; /* the file, read only; NULL: not open */
	size_t bytes;
	struct bed_ident ident; /* from its note; not yet compared */
	uint64_t entry;         /* in an executable segment */
	unsigned nseg;
	struct image_seg seg[IMAGE_SEGS_MAX + 1]; /* ascending, on pages of their own */
	uint64_t pa_start, pa_end;                /* page aligned */
};

bool image_open(struct image *, const char *path, struct bed_err *);
void image_close(struct image *);

/* Zeroed bytes, page aligned, behind what the file has, with the rights of its data. */
void image_extend(struct image *, uint64_t bytes);

/* Is it ours: magic, version, build id, flavour? */
bool image_check_ident(const struct image *, enum bed_flavour, struct bed_err *);

/* Address of a symbol; false: there is none of that name. */
bool image_symbol(const struct image *, const char *name, uint64_t *addr);

/* The image of that flavour that came with this program: a path to free(), or NULL. */
char *image_find(enum bed_flavour, struct bed_err *);

#endif
