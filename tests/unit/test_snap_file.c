/* SPDX-License-Identifier: ISC */
/*
 * Snapshot files without a machine: what is written is what is read back, and a file that is stale, cut off,
 * flipped in any bit, or written by someone with ill intent is refused with its fault named.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shared/paging.h"
#include "tests/bedtest.h"
#include "vmm/bed/snap.h"
#include "vmm/digest.h"

#define PAGE BED_PAGE_SIZE
#define MIB  (UINT64_C(1) << 20)

/* A bed of RAM alone: with no vCPU there is no state to save, and no KVM is needed. */
static struct bed *
ram_bed(void)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct bed_err err;

	cr_assert(bed != NULL && memory_create(&bed->mem, 8 * MIB, true, &err), "%s", err.text);
	bed->cfg.ram = 8 * MIB;
	bed->console = strdup("booting\n");
	bed->console_len = strlen(bed->console);
	return bed;
}

static void
ram_bed_end(struct bed *bed)
{
	memory_destroy(&bed->mem);
	free(bed->console);
	free(bed);
}

static const uint64_t used[] = { 0, 1, 2, 5, 100, 101, 2046, 2047 };
#define NUSED (sizeof(used) / sizeof(used[0]))

static struct snap_key
some_key(void)
{
	struct snap_key key;

	memset(&key, 0, sizeof(key));
	strcpy(key.ident.build_id, "0123456789abcdef");
	key.image = 1;
	key.model = 2;
	key.ram = 8 * MIB;
	return key;
}

/* A file's bytes, of a bed with the used pages. */
static uint8_t *
some_file(size_t *bytes)
{
	struct bed *bed = ram_bed();
	struct snap_key key = some_key();
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct bed_err err;
	uint8_t *data;

	for (size_t i = 0; i < NUSED; i++)
		memset(bed->mem.base + used[i] * PAGE + 8 * i, (int)i + 1, 16);
	memset(bed->mem.base + 50 * PAGE, 0, PAGE); /* has memory, and is zero */
	cr_assert(snap_write(bed, &key, fd, &err), "%s", err.text);
	*bytes = (size_t)lseek(fd, 0, SEEK_END);
	data = malloc(*bytes);
	cr_assert(data != NULL && pread(fd, data, *bytes, 0) == (ssize_t)*bytes);
	close(fd);
	ram_bed_end(bed);
	return data;
}

static struct snap *
open_bytes(const void *data, size_t bytes, struct bed_err *err)
{
	struct snap_key key = some_key();
	int fd = memfd_create("test", MFD_CLOEXEC);

	cr_assert(fd != -1 && write(fd, data, bytes) == (ssize_t)bytes);
	return snap_open(fd, "test.snap", &key, err);
}

static void
refused(const void *data, size_t bytes, const char *words, const char *what)
{
	struct bed_err err = { 0 };
	struct snap *s = open_bytes(data, bytes, &err);

	cr_assert(s == NULL, "%s is opened", what);
	cr_assert(err.class == BED_E_INPUT && strstr(err.text, "test.snap") != NULL &&
		      strstr(err.text, words) != NULL,
	    "%s: \"%s\" has no \"%s\"", what, err.text, words);
}

BED_TEST(snap_file, what_is_written_is_read)
{
	struct memory none = { .fd = memfd_create("empty", MFD_CLOEXEC), .bytes = 8 * MIB };
	size_t bytes, at = 0;
	uint8_t *data = some_file(&bytes);
	struct bed_err err;
	struct snap *s = open_bytes(data, bytes, &err);

	cr_assert(s != NULL, "%s", err.text);
	cr_expect(s->head->nrun == 4 && bytes == s->head->pages_at + NUSED * PAGE);
	cr_expect_str_eq(s->console, "booting\n");
	for (uint64_t page = 0; page < 2048; page++) {
		const uint8_t *p = snap_page(s, page * PAGE);

		if (at == NUSED || page != used[at]) {
			cr_expect(p == NULL, "page %lu", page);
			continue;
		}
		cr_assert(p != NULL, "page %lu", page);
		cr_expect(p[8 * at] == at + 1 && p[8 * at + 16] == 0, "page %lu", page);
		at++;
	}
	cr_expect(at == NUSED);
	/* With no memory but the runs', going on from page to page meets just them. */
	cr_assert(ftruncate(none.fd, 8 * MIB) == 0);
	at = 0;
	for (uint64_t o = 0; (o = snap_next(s, &none, o)) < none.bytes; o += PAGE)
		cr_expect(o == used[at++] * PAGE, "%#lx", o);
	cr_expect(at == NUSED);
	close(none.fd);
	snap_release(s);
	free(data);
}

BED_TEST(snap_file, cut_off_or_grown)
{
	size_t bytes;
	uint8_t *data = some_file(&bytes), *more = calloc(1, bytes + PAGE);
	static const struct {
		size_t cut;
		const char *words;
	} row[] = { { 1, "cut off" }, { PAGE, "cut off" }, { 3 * PAGE - 1, "cut off" } };

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		refused(data, bytes - row[i].cut, row[i].words, "a shorter file");
	refused(data, sizeof(struct snap_head), "cut off", "a head alone");
	for (size_t n = 0; n < sizeof(struct snap_head); n += 97)
		refused(data, n, "too few", "a part of a head");
	memcpy(more, data, bytes);
	refused(more, bytes + PAGE, "grown", "a longer file");
	memset(more, 0, bytes);
	refused(more, bytes, "no snapshot", "zeroes");
	free(more);
	free(data);
}

/* Each bit of head and tables, and a sample of those of the pages. */
BED_TEST(snap_file, any_flipped_bit_shows)
{
	size_t bytes, step = 1;
	uint8_t *data = some_file(&bytes);
	uint64_t tables = ((struct snap_head *)data)->pages_at;

	for (size_t bit = 0; bit < bytes * 8; bit += step) {
		struct bed_err err = { 0 };
		struct snap *s;

		step = bit / 8 < sizeof(struct snap_head) ? 1 : bit / 8 < tables ? 41 : 547;
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		s = open_bytes(data, bytes, &err);
		cr_assert(s == NULL, "bit %zu of byte %zu", bit % 8, bit / 8);
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	free(data);
}

/* Nonsense whose checksums are right. */
BED_TEST(snap_file, checksums_alone_convince_nobody)
{
	size_t bytes;
	uint8_t *good = some_file(&bytes), *data = malloc(bytes);
	struct snap_head *h = (struct snap_head *)data;
	struct snap_run *run;

#define CASE(words, change)                                                      \
	do {                                                                     \
		memcpy(data, good, bytes);                                       \
		run = (struct snap_run *)(data + sizeof(*h) + h->console_bytes); \
		change;                                                          \
		snap_sign(h, data);                                              \
		refused(data, bytes, words, #change);                            \
	} while (0)

	CASE("format version 2", h->version = 2);
	CASE("a head of 8 bytes", h->bytes = 8);
	CASE("makes no sense", h->nrun = UINT64_MAX / sizeof(*run));
	CASE("makes no sense", h->console_bytes = UINT64_MAX - 7);
	CASE("makes no sense", h->console_bytes = 0);
	CASE("makes no sense", h->pages_at += 8);
	CASE("makes no sense", h->pages_at = UINT64_MAX & ~(PAGE - 1));
	CASE("parts overlap", h->nrun = h->pages_at / sizeof(*run));

	CASE("no end", ((char *)(h + 1))[h->console_bytes - 1] = 'x');
	CASE("run 0", run[0].offset = 1);
	CASE("run 0", run[0].offset = 8 * MIB);
	CASE("run 0", run[0].npages = UINT64_MAX);
	CASE("run 1", run[1].offset = run[0].offset + PAGE);
	CASE("run 1", run[1].npages = 0);
	CASE("run 3", run[3].npages++);
	CASE("run 3", run[3].offset += PAGE);
	CASE("no run names", run[3].npages--);
#undef CASE
	free(data);
	free(good);
}

BED_TEST(snap_file, made_for_someone_else)
{
	static const struct {
		const char *words;
		size_t offset;
	} row[] = {
		{ "another build: id", offsetof(struct snap_key, ident.build_id) },
		{ "contract version", offsetof(struct snap_key, ident.version) },
		{ "another flavour", offsetof(struct snap_key, ident.flavour) },
		{ "another identity", offsetof(struct snap_key, ident.magic) },
		{ "another guest image", offsetof(struct snap_key, image) },
		{ "another host", offsetof(struct snap_key, model) },
		{ "amount of RAM", offsetof(struct snap_key, ram) },
		{ "number of CPUs", offsetof(struct snap_key, ncpu) },
		{ "size of kernel_map", offsetof(struct snap_key, kva_size) },
		{ "page-table pool", offsetof(struct snap_key, ptpool) },
		{ "DMA limit", offsetof(struct snap_key, dma_high) },
		{ "another seed", offsetof(struct snap_key, seed) },
		{ "flush threshold", offsetof(struct snap_key, flush_threshold) },
		{ "other flags", offsetof(struct snap_key, flags) },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct snap_key want = some_key(), got = some_key();
		struct bed_err err = { 0 };

		cr_expect(snap_key_equal(&want, &got, &err));
		((uint8_t *)&got)[row[i].offset] ^= 1;
		cr_expect(!snap_key_equal(&want, &got, &err));
		cr_expect(strstr(err.text, row[i].words) != NULL, "\"%s\" has no \"%s\"", err.text,
		    row[i].words);
	}
}

BED_TEST(snap_file, full_disk)
{
	struct bed *bed = ram_bed();
	struct snap_key key = some_key();
	struct bed_err err = { 0 };
	int fd = open("/dev/full", O_RDWR | O_CLOEXEC);

	cr_assert(fd != -1);
	cr_expect(!snap_write(bed, &key, fd, &err));
	cr_expect(err.class == BED_E_OUTPUT && strstr(err.text, strerror(ENOSPC)) != NULL, "%s",
	    err.text);
	close(fd);
	ram_bed_end(bed);
}

BED_TEST(snap_file, digest)
{
	uint8_t data[40] = "abcdefgh";
	uint64_t all = bed_digest(0, data, sizeof(data));

	for (size_t bit = 0; bit < sizeof(data) * 8; bit++) {
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		cr_expect(bed_digest(0, data, sizeof(data)) != all, "bit %zu", bit);
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	cr_expect(bed_digest(0, data, 0) != bed_digest(1, data, 0));
	for (size_t n = 0; n < 31; n++)
		cr_expect(bed_digest(0, data + 8, n) != bed_digest(0, data + 8, n + 1),
		    "%zu zeroes and one more", n);
}

/* What the proof of resets would see if they did not work. */
BED_TEST(snap_file, a_reset_that_does_not_work_is_no_proof)
{
	const struct reset_seen good = { 1, 2, 3, 1, 2 };
	struct reset_seen same = good, results = good, memory = good;
	struct bed_err err;

	same.other = 1;
	results.again = 4;
	memory.left_again = 4;
	cr_expect(reset_judge(&good, true, &err));
	cr_expect(!reset_judge(&same, true, &err) && strstr(err.text, "told apart"));
	cr_expect(!reset_judge(&results, true, &err) && strstr(err.text, "other results"));
	cr_expect(!reset_judge(&results, false, &err) && strstr(err.text, "other results"));
	cr_expect(!reset_judge(&memory, true, &err) && strstr(err.text, "other memory"));
	cr_expect(reset_judge(&memory, false, &err));
}
