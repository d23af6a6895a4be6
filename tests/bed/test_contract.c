/* SPDX-License-Identifier: ISC */
/*
 * The contract between VMM and guest: what is refused before a guest runs, what a booted guest has been
 * given, and that one call is one exit.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shared/layout.h"
#include "shared/paging.h"
#include "tests/bedtest.h"
#include "vmm/bed/batch.h"
#include "vmm/bed/bed.h"
#include "vmm/bed/image.h"
#include "vmm/bed/stubs.h"
#include "vmm/view/walk.h"

#define MIB (UINT64_C(1) << 20)

static struct bed *
boot(const struct bed_config *cfg)
{
	struct bed_config def;
	struct bed_err err;
	struct bed *bed;

	bed_config_init(&def);
	bed = bed_create(cfg == NULL ? &def : cfg, &err);
	cr_assert(bed != NULL, "%s", err.text);
	return bed;
}

/* The checked image with its identity note changed, as a path. The descriptor stays open. */
static char *
changed_image(void (*change)(struct bed_ident *))
{
	struct bed_err err;
	char *path = image_find(BED_CHECKED, &err), *copy = NULL;
	struct bed_ident id;
	struct image im;
	uint8_t *bytes, *note;
	int fd = memfd_create("image", MFD_CLOEXEC);

	cr_assert(path != NULL && image_open(&im, path, &err), "%s", err.text);
	bytes = malloc(im.bytes);
	cr_assert(bytes != NULL && fd != -1);
	memcpy(bytes, im.map, im.bytes);
	note = memmem(bytes, im.bytes, &im.ident, sizeof(im.ident));
	cr_assert(note != NULL);
	id = im.ident;
	change(&id);
	memcpy(note, &id, sizeof(id));
	cr_assert(write(fd, bytes, im.bytes) == (ssize_t)im.bytes, "%s", strerror(errno));
	cr_assert(asprintf(&copy, "/proc/self/fd/%d", fd) > 0);
	image_close(&im);
	free(bytes);
	free(path);
	return copy;
}

static void
other_id(struct bed_ident *id)
{
	id->build_id[0] = id->build_id[0] == 'a' ? 'b' : 'a';
}

static void
other_version(struct bed_ident *id)
{
	id->version++;
}

static void
other_magic(struct bed_ident *id)
{
	id->magic ^= 1;
}

static void
other_flavour(struct bed_ident *id)
{
	id->flavour = BED_RELEASE;
}

BED_TEST(contract, a_foreign_image_never_runs)
{
	static const struct {
		void (*change)(struct bed_ident *);
		const char *says, *too;
	} row[] = {
		{ other_id, "build id", "rebuild" },
		{ other_version, "contract version", "rebuild" },
		{ other_magic, "magic", "" },
		{ other_flavour, "release flavour", "wanted is checked" },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		char *path = changed_image(row[i].change);
		struct bed_config cfg;
		struct bed_err err;

		bed_config_init(&cfg);
		cfg.image = path;
		cr_expect(bed_create(&cfg, &err) == NULL, "row %zu boots", i);
		cr_expect(err.class == BED_E_INPUT && strstr(err.text, row[i].says) &&
			      strstr(err.text, row[i].too),
		    "row %zu: %s", i, err.text);
		free(path);
	}
}

BED_TEST(contract, a_build_id_mismatch_shows_both_ids)
{
	char *path = changed_image(other_id), theirs[BED_ID_LEN] = BED_BUILD_ID;
	struct bed_config cfg;
	struct bed_err err;

	theirs[0] = theirs[0] == 'a' ? 'b' : 'a';
	bed_config_init(&cfg);
	cfg.image = path;
	cr_assert(bed_create(&cfg, &err) == NULL);
	cr_expect(strstr(err.text, theirs) != NULL, "%s", err.text);
	cr_expect(strstr(err.text, BED_BUILD_ID) != NULL, "%s", err.text);
	free(path);
}

BED_TEST(contract, both_flavours_boot)
{
	static const enum bed_flavour flavours[] = { BED_RELEASE, BED_CHECKED };

	for (size_t i = 0; i < 2; i++) {
		struct bed_config cfg;
		struct bed *bed;

		bed_config_init(&cfg);
		cfg.flavour = flavours[i];
		bed = boot(&cfg);
		bed_null(bed);
		cr_expect(bed_report(bed) == NULL);
		bed_destroy(bed);
	}
}

BED_TEST(contract, one_call_is_one_exit)
{
	struct bed *bed = boot(NULL);
	struct bed_stats before = bed_stats(bed);

	for (int i = 0; i < 200; i++)
		bed_null(bed);
	cr_expect(bed_stats(bed).exits - before.exits == 200);
	before = bed_stats(bed);
	bed_nop_exits(bed, 50);
	cr_expect(bed_stats(bed).exits - before.exits == 51);
	bed_destroy(bed);
}

/* Both counted with KVM's exact counter or by single steps: the same guest work, every time. */
BED_TEST(contract, boots_are_equal)
{
	struct bed_config cfg;
	uint64_t insns[2];

	bed_config_init(&cfg);
	cfg.flags |= BED_COUNT_BOOT;
	for (int i = 0; i < 2; i++) {
		struct bed *bed = boot(&cfg);

		insns[i] = bed_boot(bed).insns;
		bed_destroy(bed);
	}
	cr_expect(insns[0] > 100 && insns[0] == insns[1], "%lu and %lu", insns[0], insns[1]);
}

/* Three witnesses of the same translation: our walker, KVM, and the guest's own load. */
/* property 12: kernel_map */
BED_TEST(contract, walker_kvm_and_guest_agree)
{
	struct bed *bed = boot(NULL);
	struct view view = bed_view(bed);
	gva_t va = bed_uvm_km_alloc(bed, BED_MAP_KERNEL, 4 * BED_PAGE_SIZE);
	struct walk w;
	uint64_t *word;
	gpa_t pa;

	cr_assert(va.v != 0);
	for (unsigned i = 0; i < 4; i++) {
		gva_t page = GVA(va.v + i * BED_PAGE_SIZE + 8);

		w = view_walk(&view, page);
		cr_assert(walk_mapped(&w));
		cr_assert(bed_translate(bed, page, &pa) && pa.v == w.pa.v);
		word = bed_ptr(bed, w.pa, sizeof(*word));
		cr_assert(word != NULL);
		*word = UINT64_C(0x1122334455667788) + i;
		cr_expect(bed_load(bed, page) == 0);
		cr_expect(bed_result2(bed) == UINT64_C(0x1122334455667788) + i);
	}
	bed_uvm_km_free(bed, BED_MAP_KERNEL, va, 4 * BED_PAGE_SIZE);
	w = view_walk(&view, va);
	cr_expect(!walk_mapped(&w) && !bed_translate(bed, va, &pa));
	bed_destroy(bed);
}

BED_TEST(contract, memory_is_reached_within_bounds_only)
{
	struct bed *bed = boot(NULL);
	uint64_t ram = bed_bootinfo(bed)->ram_bytes;

	cr_expect(bed_ptr(bed, GPA(0), ram) != NULL);
	cr_expect(bed_ptr(bed, GPA(ram - 1), 1) != NULL);
	cr_expect(bed_ptr(bed, GPA(ram - 1), 2) == NULL);
	cr_expect(bed_ptr(bed, GPA(ram), 1) == NULL);
	cr_expect(bed_ptr(bed, GPA(UINT64_MAX), 2) == NULL);
	cr_expect(bed_ptr(bed, GPA(8), UINT64_MAX) == NULL);
	bed_destroy(bed);
}

BED_TEST(contract, a_program_runs_without_exits)
{
	struct bed *bed = boot(NULL);
	struct bed_err err = { 0 };
	struct bed_prog *p = bed_prog_new(bed, &err);
	uint64_t done, exits;
	unsigned a, f, s, l;

	cr_assert(p != NULL);
	a = bed_prog_add(p, BED_CALL_uvm_km_alloc, (uint64_t[]){ BED_MAP_KERNEL, 8192 }, 2);
	s = bed_prog_add(p, BED_CALL_store, (uint64_t[]){ 0, 0x5a5a }, 2);
	l = bed_prog_add(p, BED_CALL_load, (uint64_t[]){ 0 }, 1);
	f = bed_prog_add(p, BED_CALL_uvm_km_free, (uint64_t[]){ BED_MAP_KERNEL, 0, 8192 }, 3);
	bed_prog_use(p, s, 0, a);
	bed_prog_plus(p, s, 0, 4096);
	bed_prog_use(p, l, 0, a);
	bed_prog_plus(p, l, 0, 4096);
	bed_prog_use(p, f, 1, a);
	exits = bed_stats(bed).exits;
	cr_assert(bed_prog_run(p, 10, &done, &err), "%s", err.text);
	cr_expect(done == 40);
	cr_expect(bed_prog_result(p, a)->result >= BED_KVA_BASE);
	cr_expect(bed_prog_result(p, s)->result == 0);
	cr_expect(bed_prog_result(p, l)->result == 0 && bed_prog_result(p, l)->result2 == 0x5a5a);
	/* One for the call; more only to empty a full event ring. */
	cr_expect(bed_stats(bed).exits - exits <= 4, "%lu exits", bed_stats(bed).exits - exits);
	bed_prog_free(p);
	bed_destroy(bed);
}

BED_TEST(contract, a_wrong_program_is_refused_with_its_mistake)
{
	struct bed *bed = boot(NULL);
	struct bed_err err = { 0 };
	struct bed_prog *p = bed_prog_new(bed, &err);
	uint64_t done;

	cr_assert(p != NULL);
	cr_expect(bed_prog_add(p, BED_CALL_null, NULL, 0) == 0);
	bed_prog_use(p, 0, 0, 0);
	cr_expect(
	    !bed_prog_run(p, 1, &done, &err) && strstr(err.text, "reference"), "%s", err.text);
	bed_prog_clear(p);
	cr_expect(bed_prog_add(p, BED_CALL_null, (uint64_t[]){ 1 }, 1) == BED_PROG_BAD);
	cr_expect(
	    !bed_prog_run(p, 1, &done, &err) && strstr(err.text, "arguments"), "%s", err.text);
	bed_prog_clear(p);
	cr_expect(bed_prog_add(p, BED_CALL_batch, (uint64_t[]){ 0, 0, 0 }, 3) == BED_PROG_BAD);
	bed_prog_clear(p);
	for (unsigned i = 0; i < BED_PROG_OPS; i++)
		cr_assert(bed_prog_add(p, BED_CALL_null, NULL, 0) == i);
	cr_assert(bed_prog_run(p, 1, &done, &err) && done == BED_PROG_OPS, "%s", err.text);
	cr_expect(bed_prog_add(p, BED_CALL_null, NULL, 0) == BED_PROG_BAD);
	bed_prog_free(p);
	bed_destroy(bed);
}
