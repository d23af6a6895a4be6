/* SPDX-License-Identifier: ISC */
/*
 * The ELF note by which the VMM knows the image (shared/abi.h).
 */
#include "shared/abi.h"

/* Notes are aligned to 4 bytes, so the descriptor follows the 20 bytes of header and name at once. */
struct __attribute__((__packed__, __aligned__(4))) bed_note {
	uint32_t namesz, descsz, type;
	char name[8];
	struct bed_ident ident;
};

static const struct bed_note note __attribute__((__section__(".note.uvmbed"), __used__)) = {
	.namesz = sizeof(BED_NOTE_NAME),
	.descsz = sizeof(struct bed_ident),
	.type = BED_NOTE_TYPE,
	.name = BED_NOTE_NAME,
	.ident = {
		.magic = BED_MAGIC,
		.version = BED_ABI_VERSION,
#ifdef BED_CHECKED_BUILD
		.flavour = BED_CHECKED,
#else
		.flavour = BED_RELEASE,
#endif
		.build_id = BED_BUILD_ID,
	},
};
