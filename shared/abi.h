/* SPDX-License-Identifier: ISC */
/*
 * Identity of the contract. Every guest image carries one ELF note (name "uvmbed", type
 * BED_NOTE_TYPE) whose descriptor is struct bed_ident; the VMM compares it with its own before it
 * runs anything. The build id is a hash over shared/ and the guest headers the host reads structures
 * through, so that two sides that disagree about a layout never meet.
 */
#ifndef SHARED_ABI_H
#define SHARED_ABI_H

#include "types.h"

#define BED_MAGIC       UINT64_C(0x31644562764d5655) /* "UVMvbEd1" in memory order */
#define BED_ABI_VERSION 1
#define BED_NOTE_NAME   "uvmbed"
#define BED_NOTE_TYPE   1
#define BED_ID_LEN      40 /* hex digits with the terminating zero, zero padded */

#ifndef BED_BUILD_ID
#error "BED_BUILD_ID must come from the build"
#endif

enum bed_flavour {
	BED_RELEASE = 0, /* no assertions beyond the free ones, no event records */
	BED_CHECKED = 1, /* KASSERT, poison on free, event records */
};

struct bed_ident {
	uint64_t magic;   /* BED_MAGIC */
	uint32_t version; /* BED_ABI_VERSION */
	uint32_t flavour; /* enum bed_flavour */
	char build_id[BED_ID_LEN];
};
BED_ASSERT_SIZE(struct bed_ident, 56);

#endif
