/* SPDX-License-Identifier: ISC */
/*
 * The image loader against malformed files: a good image is made in memory, one thing in it is broken,
 * and the loader must refuse it with a text that names what. Nothing here needs /dev/kvm.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/layout.h"
#include "tests/bedtest.h"
#include "vmm/bed/image.h"

#define BASE (BED_IMAGE_BASE + BED_IMAGE_PA)

enum { TEXT, RODATA, DATA, NOTE, NPH };

/* A whole image file. */
struct file {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[NPH];
	uint8_t pad[4096 - sizeof(Elf64_Ehdr) - NPH * sizeof(Elf64_Phdr)];
	uint8_t text[4096];
	struct __attribute__((__packed__)) {
		Elf64_Nhdr nh;
		char name[8]; /* "uvmbed", padded to 4 */
		struct bed_ident id;
	} note;
	uint8_t ropad[4096 - sizeof(Elf64_Nhdr) - 8 - sizeof(struct bed_ident)];
	uint8_t data[4096];
};

static Elf64_Phdr
load(uint64_t offset, uint64_t page, uint64_t memsz, uint32_t flags)
{
	return (Elf64_Phdr){ .p_type = PT_LOAD,
		.p_flags = flags,
		.p_offset = offset,
		.p_vaddr = BASE + page * 4096,
		.p_paddr = BED_IMAGE_PA + page * 4096,
		.p_filesz = 4096,
		.p_memsz = memsz,
		.p_align = 4096 };
}

static void
make_good(struct file *f)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->eh.e_ident, ELFMAG, SELFMAG);
	f->eh.e_ident[EI_CLASS] = ELFCLASS64;
	f->eh.e_ident[EI_DATA] = ELFDATA2LSB;
	f->eh.e_ident[EI_VERSION] = EV_CURRENT;
	f->eh.e_type = ET_EXEC;
	f->eh.e_machine = EM_X86_64;
	f->eh.e_version = EV_CURRENT;
	f->eh.e_entry = BASE + 16;
	f->eh.e_phoff = offsetof(struct file, ph);
	f->eh.e_ehsize = sizeof(Elf64_Ehdr);
	f->eh.e_phentsize = sizeof(Elf64_Phdr);
	f->eh.e_phnum = NPH;
	f->eh.e_shentsize = sizeof(Elf64_Shdr);
	f->ph[TEXT] = load(offsetof(struct file, text), 0, 4096, PF_R | PF_X);
	f->ph[RODATA] = load(offsetof(struct file, note), 1, 4096, PF_R);
	f->ph[DATA] = load(offsetof(struct file, data), 2, 3 * 4096 + 8, PF_R | PF_W);
	f->ph[NOTE] = (Elf64_Phdr){ .p_type = PT_NOTE,
		.p_flags = PF_R,
		.p_offset = offsetof(struct file, note),
		.p_vaddr = f->ph[RODATA].p_vaddr,
		.p_paddr = f->ph[RODATA].p_paddr,
		.p_filesz = sizeof(f->note),
		.p_memsz = sizeof(f->note),
		.p_align = 4 };
	f->note.nh = (Elf64_Nhdr){ sizeof(BED_NOTE_NAME), sizeof(struct bed_ident), BED_NOTE_TYPE };
	memcpy(f->note.name, BED_NOTE_NAME, sizeof(BED_NOTE_NAME));
	f->note.id = (struct bed_ident){ .magic = BED_MAGIC,
		.version = BED_ABI_VERSION,
		.flavour = BED_CHECKED,
		.build_id = BED_BUILD_ID };
}

/* Open `bytes` of the file through the loader, as it would open any path. */
static bool
open_bytes(struct image *im, const void *bytes, size_t len, struct bed_err *err)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	char path[64];
	bool ok;

	cr_assert(fd != -1 && write(fd, bytes, len) == (ssize_t)len, "%s", strerror(errno));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ok = image_open(im, path, err);
	close(fd);
	return ok;
}

BED_TEST(loader, good_image)
{
	struct bed_err err = { 0 };
	struct image im;
	struct file f;

	make_good(&f);
	cr_assert(open_bytes(&im, &f, sizeof(f), &err), "%s", err.text);
	cr_assert(im.nseg == 3 && im.entry == BASE + 16);
	cr_assert(im.pa_start == BED_IMAGE_PA && im.pa_end == BED_IMAGE_PA + 6 * 4096);
	cr_assert(im.seg[TEXT].exec && !im.seg[TEXT].write);
	cr_assert(!im.seg[RODATA].exec && !im.seg[RODATA].write);
	cr_assert(!im.seg[DATA].exec && im.seg[DATA].write && im.seg[DATA].memsz == 3 * 4096 + 8);
	cr_assert(image_check_ident(&im, BED_CHECKED, &err), "%s", err.text);
	image_close(&im);
}

/* One broken thing a row: what is done to a good image, and a word the refusal must contain. */
struct mutation {
	void (*breaks)(struct file *);
	const char *what, *says;
};

#define M(number, statement)                       \
	static void break_##number(struct file *f) \
	{                                          \
		statement;                         \
	}
#define MUTATIONS(X)                                                                          \
	X(1, f->eh.e_ident[0] = 0, "not an ELF file")                                         \
	X(2, f->eh.e_ident[EI_CLASS] = ELFCLASS32, "ELF class 1")                             \
	X(3, f->eh.e_ident[EI_CLASS] = 9, "ELF class 9")                                      \
	X(4, f->eh.e_ident[EI_DATA] = ELFDATA2MSB, "not little endian")                       \
	X(5, f->eh.e_ident[EI_VERSION] = 0, "ELF version 0")                                  \
	X(6, f->eh.e_version = 7, "e_version 7")                                              \
	X(7, f->eh.e_machine = EM_AARCH64, "machine 183")                                     \
	X(8, f->eh.e_type = ET_DYN, "ELF type 3")                                             \
	X(9, f->eh.e_type = ET_REL, "ELF type 1")                                             \
	X(10, f->eh.e_ehsize = 63, "e_ehsize 63")                                             \
	X(11, f->eh.e_phnum = 0, "e_phnum")                                                   \
	X(12, f->eh.e_phnum = 65, "65 program headers")                                       \
	X(13, f->eh.e_phnum = PN_XNUM, "program headers")                                     \
	X(14, f->eh.e_phentsize = 32, "e_phentsize 32")                                       \
	X(15, f->eh.e_phoff = sizeof(struct file) - 8, "outside the file")                    \
	X(16, f->eh.e_phoff = UINT64_MAX - 7, "outside the file")                             \
	X(17, f->eh.e_phoff += 1, "not aligned")                                              \
	X(18, f->eh.e_entry = BASE + 0x1000, "entry point")                                   \
	X(19, f->eh.e_entry = 0, "entry point")                                               \
	X(20, f->eh.e_entry = BASE + 4096 + 4096 * 2, "entry point")                          \
	X(21, f->ph[TEXT].p_offset = sizeof(struct file), "outside the file")                 \
	X(22, f->ph[TEXT].p_offset = UINT64_MAX - 100, "outside the file")                    \
	X(23, f->ph[DATA].p_filesz = 1 << 20, "outside the file")                             \
	X(24, f->ph[DATA].p_filesz = UINT64_MAX, "outside the file")                          \
	X(25, f->ph[DATA].p_memsz = 100, "above p_memsz")                                     \
	X(26, f->ph[DATA].p_memsz = 0, "p_memsz 0")                                           \
	X(27, f->ph[DATA].p_memsz = UINT64_MAX, "outside the image's addresses")              \
	X(28, f->ph[DATA].p_align = 0, "p_align 0")                                           \
	X(29, f->ph[DATA].p_align = 2048, "p_align 0x800")                                    \
	X(30, f->ph[DATA].p_align = 0x3000, "p_align 0x3000")                                 \
	X(31, f->ph[DATA].p_offset -= 8, "modulo p_align")                                    \
	X(32, f->ph[DATA].p_vaddr += 8, "not page aligned")                                   \
	X(33, f->ph[DATA].p_paddr += 4096, "p_paddr")                                         \
	X(34, f->ph[DATA].p_paddr = 0, "p_paddr")                                             \
	X(35, f->ph[TEXT].p_vaddr = BED_IMAGE_BASE, "outside the image's addresses")          \
	X(36, f->ph[TEXT].p_vaddr = 0x400000, "outside the image's addresses")                \
	X(37, f->ph[DATA].p_vaddr = UINT64_MAX - 4095, "outside the image's addresses")       \
	X(38, f->ph[RODATA] = load(f->ph[RODATA].p_offset, 0, 4096, PF_R), "overlaps")        \
	X(39, f->ph[TEXT] = load(f->ph[TEXT].p_offset, 9, 4096, PF_R | PF_X), "out of order") \
	X(40, f->ph[TEXT].p_memsz = 4097, "overlaps")                                         \
	X(41, f->ph[TEXT].p_flags |= PF_W, "writable and executable")                         \
	X(42, f->ph[DATA].p_flags |= PF_X, "writable and executable")                         \
	X(43, f->ph[TEXT].p_flags = PF_X, "not readable")                                     \
	X(44, f->ph[TEXT].p_flags |= 0x100000, "unknown bits")                                \
	X(45, f->ph[NOTE].p_type = PT_NULL, "no \"uvmbed\" identity note")                    \
	X(46, f->ph[NOTE].p_offset = sizeof(struct file), "outside the file")                 \
	X(47, f->ph[NOTE].p_filesz = UINT64_MAX, "outside the file")                          \
	X(48, f->ph[NOTE].p_filesz = 0, "note segment")                                       \
	X(49, f->ph[NOTE].p_offset += 1, "note segment")                                      \
	X(50, f->note.nh.n_type = 2, "identity note")                                         \
	X(51, f->note.nh.n_namesz = UINT32_MAX, "identity note")                              \
	X(52, f->note.nh.n_descsz = UINT32_MAX, "identity note")                              \
	X(53, f->note.nh.n_descsz = 48, "identity note of 48 bytes")                          \
	X(54, f->note.name[0] = 'x', "identity note")                                         \
	X(55, f->ph[TEXT].p_type = PT_INTERP, "dynamically linked")                           \
	X(56, f->ph[DATA].p_type = PT_DYNAMIC, "dynamically linked")                          \
	X(57, f->ph[DATA].p_type = PT_TLS, "thread-local")                                    \
	X(58, f->ph[TEXT].p_type = f->ph[RODATA].p_type = f->ph[DATA].p_type = PT_NULL,       \
	    "nothing to load")                                                                \
	X(59, f->ph[DATA] = f->ph[NOTE], "more than one")                                     \
	X(60, f->ph[TEXT].p_filesz = 8, "entry point")

#define X(number, statement, says) M(number, statement)
MUTATIONS(X)
#undef X

static const struct mutation mutations[] = {
#define X(number, statement, says) { break_##number, #statement, says },
	MUTATIONS(X)
#undef X
};

BED_TEST(loader, every_mutation_is_refused_by_name)
{
	for (size_t i = 0; i < sizeof(mutations) / sizeof(mutations[0]); i++) {
		const struct mutation *m = &mutations[i];
		struct bed_err err = { 0 };
		struct image im;
		struct file f;

		make_good(&f);
		m->breaks(&f);
		cr_expect(!open_bytes(&im, &f, sizeof(f), &err), "accepted: %s", m->what);
		cr_expect(err.class == BED_E_INPUT, "%s: class %d", m->what, err.class);
		cr_expect(strstr(err.text, m->says) != NULL, "%s: \"%s\" does not say \"%s\"",
		    m->what, err.text, m->says);
		cr_expect(
		    strncmp(err.text, "guest image /proc/", 18) == 0, "no path: %s", err.text);
		cr_expect(im.map == NULL, "%s: left open", m->what);
	}
}

/* What every accepted image promises to those who load it. */
static void
check_promises(const struct image *im, size_t bytes, const char *what, size_t at)
{
	uint64_t end = BED_IMAGE_PA;
	bool entry = false;

	for (unsigned i = 0; i < im->nseg; i++) {
		const struct image_seg *s = &im->seg[i];

		cr_assert(s->pa >= end && s->pa % 4096 == 0, "%s at %zu", what, at);
		cr_assert(s->va == s->pa + BED_IMAGE_BASE, "%s at %zu", what, at);
		cr_assert(s->filesz <= s->memsz && s->memsz != 0, "%s at %zu", what, at);
		cr_assert(
		    s->offset <= bytes && s->filesz <= bytes - s->offset, "%s at %zu", what, at);
		cr_assert(!(s->write && s->exec), "%s at %zu", what, at);
		end = s->pa + s->memsz;
		entry |= s->exec && im->entry >= s->va && im->entry < s->va + s->filesz;
	}
	cr_assert(entry && im->pa_end >= end && im->pa_end % 4096 == 0, "%s at %zu", what, at);
}

BED_TEST(loader, truncated_anywhere)
{
	struct file f;

	make_good(&f);
	for (size_t len = 0; len < sizeof(f); len += len < 512 ? 1 : 61) {
		struct bed_err err = { 0 };
		struct image im;

		cr_assert(!open_bytes(&im, &f, len, &err), "accepted with %zu bytes", len);
		cr_assert(err.class == BED_E_INPUT && err.text[0] != '\0');
	}
}

BED_TEST(loader, any_byte_of_the_headers_changed)
{
	static const uint8_t flips[] = { 0x01, 0x02, 0x10, 0x80, 0xff };
	const size_t heads = sizeof(Elf64_Ehdr) + NPH * sizeof(Elf64_Phdr);
	const size_t note = offsetof(struct file, note);
	unsigned refused = 0;
	struct file f;

	make_good(&f);
	for (size_t i = 0; i < heads + sizeof(f.note); i++) {
		uint8_t *byte = (uint8_t *)&f + (i < heads ? i : note + i - heads);

		for (size_t k = 0; k < sizeof(flips); k++) {
			struct bed_err err = { 0 };
			struct image im;

			*byte ^= flips[k];
			if (open_bytes(&im, &f, sizeof(f), &err)) {
				check_promises(&im, sizeof(f), "byte changed", i);
				image_close(&im);
			} else {
				refused++;
			}
			*byte ^= flips[k];
		}
	}
	/* Only the likes of p_memsz, section fields and the identity may change and still load. */
	cr_assert(refused > 800, "only %u refused", refused);
}

BED_TEST(loader, not_a_file)
{
	static const char *const paths[][2] = {
		{ "/nonexistent/guest.elf", "No such file" },
		{ "/", "not a regular file" },
		{ "/dev/null", "not a regular file" },
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct bed_err err = { 0 };
		struct image im;

		cr_expect(!image_open(&im, paths[i][0], &err));
		cr_expect(
		    strstr(err.text, paths[i][0]) && strstr(err.text, paths[i][1]), "%s", err.text);
	}
}

BED_TEST(loader, identity_is_compared)
{
	struct bed_err err = { 0 };
	struct image im;
	struct file f;

	make_good(&f);
	f.note.id.magic++;
	cr_assert(open_bytes(&im, &f, sizeof(f), &err), "%s", err.text);
	cr_expect(!image_check_ident(&im, BED_CHECKED, &err) && strstr(err.text, "magic"));
	image_close(&im);

	make_good(&f);
	f.note.id.version = 99;
	cr_assert(open_bytes(&im, &f, sizeof(f), &err), "%s", err.text);
	cr_expect(!image_check_ident(&im, BED_CHECKED, &err) && strstr(err.text, "version 99"));
	image_close(&im);

	make_good(&f);
	memset(f.note.id.build_id, '\x1b', BED_ID_LEN); /* unterminated, and nothing to print */
	cr_assert(open_bytes(&im, &f, sizeof(f), &err), "%s", err.text);
	cr_expect(!image_check_ident(&im, BED_CHECKED, &err));
	cr_expect(
	    strchr(err.text, '\x1b') == NULL && strstr(err.text, BED_BUILD_ID), "%s", err.text);
	image_close(&im);

	make_good(&f);
	memcpy(f.note.id.build_id, "0123beef", 9);
	cr_assert(open_bytes(&im, &f, sizeof(f), &err), "%s", err.text);
	cr_expect(!image_check_ident(&im, BED_CHECKED, &err));
	cr_expect(strstr(err.text, "0123beef") && strstr(err.text, BED_BUILD_ID) &&
		      strstr(err.text, "rebuild"),
	    "%s", err.text);
	image_close(&im);

	make_good(&f);
	cr_assert(open_bytes(&im, &f, sizeof(f), &err), "%s", err.text);
	cr_expect(!image_check_ident(&im, BED_RELEASE, &err) && strstr(err.text, "flavour"));
	image_close(&im);
}
