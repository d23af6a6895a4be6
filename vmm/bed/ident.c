/* SPDX-License-Identifier: ISC */
/*
 * Which image: finding the one that came with the program, and comparing its identity with ours.
 */
#include "vmm/bed/image.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *
flavour_name(uint32_t flavour)
{
	return flavour == BED_CHECKED ? "checked" : flavour == BED_RELEASE ? "release" : "unknown";
}

/* Printable part of an id that comes from a file. */
static void
clean_id(char out[BED_ID_LEN], const char in[BED_ID_LEN])
{
	size_t i;

	for (i = 0; i < BED_ID_LEN - 1 && in[i] > ' ' && in[i] <= '~'; i++)
		out[i] = in[i];
	out[i] = '\0';
}

bool
image_check_ident(const struct image *im, enum bed_flavour flavour, struct bed_err *err)
{
	const struct bed_ident *id = &im->ident;
	char theirs[BED_ID_LEN], ours[BED_ID_LEN] = BED_BUILD_ID;

	if (id->magic != BED_MAGIC)
		return bed_fail(err, BED_E_INPUT,
		    "guest image: identity note has magic %#" PRIx64 ", not %#" PRIx64, id->magic,
		    BED_MAGIC);
	if (id->version != BED_ABI_VERSION)
		return bed_fail(err, BED_E_INPUT,
		    "guest image speaks contract version %u, this program version %d: rebuild both "
		    "(make)",
		    id->version, BED_ABI_VERSION);
	clean_id(theirs, id->build_id);
	if (memcmp(id->build_id, ours, BED_ID_LEN) != 0)
		return bed_fail(err, BED_E_INPUT,
		    "guest image has build id \"%s\", this program \"%s\": they were built from "
		    "different contracts, rebuild both (make)",
		    theirs, ours);
	if (id->flavour != (uint32_t)flavour)
		return bed_fail(err, BED_E_INPUT,
		    "guest image is of the %s flavour, wanted is %s: choose the other image",
		    flavour_name(id->flavour), flavour_name((uint32_t)flavour));
	return true;
}

char *
image_find(enum bed_flavour flavour, struct bed_err *err)
{
	/* Beside the command in the build directory; above a test program; installed. */
	static const char *const places[] = { "", "/..", "/../lib/uvmbed" };
	const char *name = flavour == BED_CHECKED ? "guest-checked.elf" : "guest.elf";
	char dir[4096], *path, *slash;
	ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);

	if (n > 0) {
		dir[n] = '\0';
		slash = strrchr(dir, '/');
		if (slash != NULL)
			*slash = '\0';
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			if (asprintf(&path, "%s%s/%s", dir, places[i], name) == -1)
				break;
			if (access(path, F_OK) == 0)
				return path;
			free(path);
		}
	}
	bed_fail(err, BED_E_INPUT,
	    "no guest image %s beside this program, one directory up or in ../lib/uvmbed: `make` "
	    "builds it, or name one",
	    name);
	return NULL;
}
