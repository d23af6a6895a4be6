/* SPDX-License-Identifier: ISC */
/*
 * What the host's own side is given: configurations and images that cannot be. Each is refused before a machine
 * exists, with what is wrong and what to do; and KVM devices that cannot be used.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/bed/fixture.h"
#include "vmm/bed/image.h"
#include "vmm/kvm/hv.h"

static void
refused(const char *what, const struct bed_config *cfg, enum bed_class class, const char *says,
    const char *remedy)
{
	struct bed_err err = { 0 };
	struct bed *bed = bed_create(cfg, &err);

	CHECK(bed == NULL, "%s boots", what);
	CHECK(err.class == class, "%s: class %d: %s", what, err.class, err.text);
	CHECK(strstr(err.text, says) && strstr(err.text, remedy), "%s: %s", what, err.text);
	CHECK(strchr(err.text, '\n') == NULL, "%s: more than a line: %s", what, err.text);
}

BED_TEST(config, absurd_machines_are_refused)
{
	static const struct {
		const char *what;
		uint64_t ram, kva, ptpool;
		unsigned ncpu;
		uint32_t flags;
		const char *says, *remedy;
	} row[] = {
		{ "no RAM", 0, 4 * GIB, 0, 1, 0, "RAM of 0", "from 8 MiB" },
		{ "a page of RAM", PAGE, 4 * GIB, 0, 1, 0, "RAM of 4096", "from 8 MiB" },
		{ "odd RAM", 16 * MIB + 1, 4 * GIB, 0, 1, 0, "RAM of", "multiple of 2 MiB" },
		{ "1 TiB", 1024 * GIB, 4 * GIB, 0, 1, 0, "RAM of", "to 65536 MiB" },
		{ "all of it", UINT64_MAX, 4 * GIB, 0, 1, 0, "RAM of", "multiple" },
		{ "no kernel_map", 16 * MIB, 0, 0, 1, 0, "kernel_map of 0", "multiple of 2 MiB" },
		{ "odd kernel_map", 16 * MIB, 5 * MIB, 0, 1, 0, "kernel_map of", "multiple" },
		{ "1 TiB of kernel_map", 16 * MIB, 1024 * GIB, 0, 1, 0, "kernel_map of",
		    "512 GiB" },
		{ "a page of tables", 16 * MIB, 4 * GIB, PAGE, 1, 0, "page-table pool", "larger" },
		{ "odd pool", 16 * MIB, 4 * GIB, 6000, 1, 0, "page-table pool", "multiple" },
		{ "all is pool", 16 * MIB, 4 * GIB, 16 * MIB, 1, 0, "page tables", "more RAM" },
		{ "a pool of 1 TiB", 16 * MIB, 4 * GIB, 1024 * GIB, 1, 0, "page-table pool",
		    "less than RAM" },
		{ "no CPU", 16 * MIB, 4 * GIB, 0, 0, 0, "0 CPUs", "from 1 to 16" },
		{ "17 CPUs", 16 * MIB, 4 * GIB, 0, 17, 0, "17 CPUs", "from 1 to 16" },
		{ "two CPUs, counted", 16 * MIB, 4 * GIB, 0, 2, BED_COUNT_BOOT, "2 CPUs",
		    "counted with one" },
		{ "16 CPUs in 8 MiB", 8 * MIB, 4 * GIB, 0, 16, 0, "what each CPU has", "more RAM" },
		{ "unknown flag", 16 * MIB, 4 * GIB, 0, 1, 0x1000, "flags 0x1000", "" },
	};

	for (size_t i = 0; i < COUNT_OF(row); i++) {
		struct bed_config cfg;

		bed_config_init(&cfg);
		cfg.ram = row[i].ram;
		cfg.kva_size = row[i].kva;
		cfg.ptpool = row[i].ptpool;
		cfg.ncpu = row[i].ncpu;
		cfg.flags |= row[i].flags;
		refused(row[i].what, &cfg, BED_E_USAGE, row[i].says, row[i].remedy);
	}
}

/* The smallest pool that holds the VMM's own tables is either enough for the guest, or the guest says so. */
BED_TEST(config, too_few_table_pages_end_in_words)
{
	unsigned booted = 0;

	for (uint64_t pages = 1; pages <= 48; pages += pages < 12 ? 1 : 6) {
		struct bed_config cfg =
		    bed_opts_config(&(struct bed_opts){ .ptpool = pages * PAGE });
		struct bed_err err;
		struct bed *bed = bed_create(&cfg, &err);

		CHECK(bed != NULL || strstr(err.text, "page-table pool") ||
			  strstr(err.text, "page-table pages"),
		    "%lu pages: %s", pages, err.text);
		CHECK(bed == NULL || bed_report(bed) == NULL, "%lu pages", pages);
		booted += bed != NULL;
		bed_down(bed);
	}
	CHECK(booted > 0, "none boots");
}

static const struct {
	const char *what, *says, *remedy;
	int byte; /* of the image that is spoilt; -1: see `image_file` */
} images[] = {
	{ "not there", "No such file", "", -1 },
	{ "a directory", "not a regular file", "", -1 },
	{ "empty", "0 bytes", "too short", -1 },
	{ "a text", "not an ELF file", "", -1 },
	{ "cut off", "", "", -1 },
	{ "32 bits", "64-bit", "", 4 },
	{ "big endian", "", "", 5 },
	{ "for another machine", "x86-64", "", 18 },
};

/* A file for row i; the caller frees the path. */
static char *
image_file(size_t i, const char *dir)
{
	char *good = NULL, *path = NULL;
	struct bed_err err;
	struct image im;
	uint8_t *bytes;
	size_t len;
	FILE *f;

	CHECK(asprintf(&path, "%s/%zu", dir, i) > 0, "no memory");
	if (strcmp(images[i].what, "not there") == 0)
		return path;
	if (strcmp(images[i].what, "a directory") == 0) {
		CHECK(mkdir(path, 0700) == 0, "%s", path);
		return path;
	}
	good = image_find(BED_CHECKED, &err);
	CHECK(good != NULL && image_open(&im, good, &err), "%s", err.text);
	len = im.bytes;
	bytes = malloc(len);
	CHECK(bytes != NULL, "no memory");
	memcpy(bytes, im.map, len);
	image_close(&im);
	free(good);
	if (images[i].byte >= 0)
		bytes[images[i].byte] ^= 3;
	else if (strcmp(images[i].what, "empty") == 0)
		len = 0;
	else if (strcmp(images[i].what, "cut off") == 0)
		len = 4000;
	else
		memset(bytes, 'x', len = 100);
	f = fopen(path, "we");
	CHECK(f != NULL && fwrite(bytes, 1, len, f) == len && fclose(f) == 0, "%s", path);
	free(bytes);
	return path;
}

/* Foreign build ids, versions and flavours are in test_contract.c, every single header field in the unit tests. */
BED_TEST(config, unusable_images_are_refused)
{
	char dir[] = "/tmp/uvmbed-images-XXXXXX", *path;

	CHECK(mkdtemp(dir) != NULL, "%s", dir);
	for (size_t i = 0; i < COUNT_OF(images); i++) {
		struct bed_config cfg;

		bed_config_init(&cfg);
		cfg.image = path = image_file(i, dir);
		/* The message names the file. */
		refused(images[i].what, &cfg, BED_E_INPUT, images[i].says, path);
		refused(images[i].what, &cfg, BED_E_INPUT, images[i].remedy, path);
		if (remove(path) != 0 && strcmp(images[i].what, "not there") != 0)
			FAIL("%s stays", path);
		free(path);
	}
	CHECK(rmdir(dir) == 0, "%s stays", dir);
}

BED_TEST(config, an_unreadable_image_is_refused)
{
	char path[] = "/tmp/uvmbed-image-XXXXXX";
	struct bed_config cfg;
	int fd = mkstemp(path);

	CHECK(fd != -1 && fchmod(fd, 0) == 0, "%s", path);
	close(fd);
	bed_config_init(&cfg);
	cfg.image = path;
	if (geteuid() == 0) {
		/* Root reads it all the same; it is empty. */
		refused("an empty image", &cfg, BED_E_INPUT, path, "too short");
	} else {
		refused("an unreadable image", &cfg, BED_E_INPUT, path, "Permission denied");
	}
	unlink(path);
}

/* What is there instead of /dev/kvm, and what is said about it. */
BED_TEST(config, unusable_kvm_devices_are_refused)
{
	char path[] = "/tmp/uvmbed-kvm-XXXXXX";
	struct bed_err err;
	int fd = mkstemp(path);

	CHECK(fd != -1, "%s", path);
	close(fd);
	CHECK(!hv_check_device("/nonexistent/kvm", &err) && err.class == BED_E_HOST &&
		  strstr(err.text, "/nonexistent/kvm") && strstr(err.text, "modprobe"),
	    "%s", err.text);
	CHECK(!hv_check_device("/dev/null", &err) && err.class == BED_E_HOST, "%s", err.text);
	CHECK(!hv_check_device(path, &err) && err.class == BED_E_HOST && strstr(err.text, path),
	    "%s", err.text);
	CHECK(!hv_check_device("/", &err) && err.class == BED_E_HOST, "%s", err.text);
	CHECK(hv_check_device("/dev/kvm", &err), "%s", err.text);
	unlink(path);
}

/* More RAM than the host has is said before it is missing. */
BED_TEST(config, more_memory_than_the_host_has)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long kib = 0;
	struct bed_config cfg;
	char line[128];

	CHECK(f != NULL, "/proc/meminfo");
	while (fgets(line, sizeof(line), f) != NULL && sscanf(line, "MemAvailable: %lu", &kib) != 1)
		;
	fclose(f);
	if (kib == 0 || kib > (60 * GIB) / KIB)
		bedtest_vacuous("this host has more than a bed can be given");
	bed_config_init(&cfg);
	cfg.ram = 64 * GIB;
	refused("64 GiB", &cfg, BED_E_HOST, "65536 MiB", "use less RAM");
}
