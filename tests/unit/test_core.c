/* SPDX-License-Identifier: ISC */
/*
 * Reading core files that somebody damaged: refused, or read without harm. A small core is built here by hand.
 */
#include "shared/paging.h"
#undef PF_W /* the page-fault bit; here it is the segment flag of elf.h */

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bedtest.h"
#include "vmm/bundle/core.h"
#include "vmm/view/snapshot.h"
#include "vmm/view/walk.h"

#define PAGES 8
#define DATA  0x1000
#define BYTES (DATA + PAGES * BED_PAGE_SIZE)
#define ROOT  0x1000 /* then level 3, 2, 1, and a page */
#define VA    UINT64_C(0xffff800000000000)

/* Header, one segment of notes, one of RAM at physical 0, one of the page at its virtual address. */
struct small_core {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[3];
	Elf64_Nhdr nh;
	char name[8];
	struct core_note note;
} __attribute__((__packed__));

static uint8_t *
make(void)
{
	static uint8_t file[BYTES];
	struct small_core *c = (struct small_core *)file;
	uint64_t *ram = (uint64_t *)(file + DATA);
	const uint64_t notes = sizeof(c->nh) + sizeof(c->name) + sizeof(c->note);

	memset(file, 0, sizeof(file));
	memcpy(c->eh.e_ident, ELFMAG, SELFMAG);
	c->eh.e_ident[EI_CLASS] = ELFCLASS64;
	c->eh.e_ident[EI_DATA] = ELFDATA2LSB;
	c->eh.e_ident[EI_VERSION] = EV_CURRENT;
	c->eh.e_type = ET_CORE;
	c->eh.e_machine = EM_X86_64;
	c->eh.e_version = EV_CURRENT;
	c->eh.e_phoff = offsetof(struct small_core, ph);
	c->eh.e_ehsize = sizeof(c->eh);
	c->eh.e_phentsize = sizeof(c->ph[0]);
	c->eh.e_phnum = 3;
	c->ph[0] = (Elf64_Phdr){
		.p_type = PT_NOTE, .p_offset = offsetof(struct small_core, nh), .p_filesz = notes
	};
	c->ph[1] = (Elf64_Phdr){ .p_type = PT_LOAD,
		.p_offset = DATA,
		.p_filesz = PAGES * BED_PAGE_SIZE,
		.p_memsz = PAGES * BED_PAGE_SIZE };
	c->ph[2] = (Elf64_Phdr){ .p_type = PT_LOAD,
		.p_offset = DATA + 5 * BED_PAGE_SIZE,
		.p_vaddr = VA,
		.p_paddr = 5 * BED_PAGE_SIZE,
		.p_filesz = BED_PAGE_SIZE,
		.p_memsz = BED_PAGE_SIZE };
	c->nh = (Elf64_Nhdr){ sizeof(CORE_NOTE_NAME), sizeof(c->note), CORE_NOTE_TYPE };
	strcpy(c->name, CORE_NOTE_NAME);
	c->note = (struct core_note){ .magic = CORE_MAGIC,
		.version = CORE_VERSION,
		.maxphyaddr = 40,
		.nx = 1,
		.root = ROOT };
	ram[512 + 256] = 0x2000 | PTE_P | PTE_W;
	ram[1024] = 0x3000 | PTE_P | PTE_W;
	ram[1536] = 0x4000 | PTE_P | PTE_W;
	ram[2048] = 0x5000 | PTE_P | PTE_W | PTE_NX;
	ram[2560] = 0x1234;
	return file;
}

static char path[64];

static bool
open_bytes(struct core *core, const uint8_t *bytes, size_t len, struct bed_err *err)
{
	int fd;
	bool ok;

	strcpy(path, "/tmp/uvmbed-core-XXXXXX");
	fd = mkstemp(path);
	cr_assert(fd != -1 && write(fd, bytes, len) == (ssize_t)len, "%s", strerror(errno));
	close(fd);
	ok = core_open(core, path, err);
	unlink(path);
	return ok;
}

BED_TEST(core, a_good_one)
{
	struct core core;
	struct bed_err err;
	struct walk w;

	cr_assert(open_bytes(&core, make(), BYTES, &err), "%s", err.text);
	w = view_walk(&core.view, GVA(VA + 8));
	cr_assert(walk_mapped(&w) && w.pa.v == 0x5008 && (w.attr.rights & VIEW_W) != 0);
	cr_expect(*(uint64_t *)view_ptr(&core.view, GPA(0x5000), 8) == 0x1234);
	cr_expect(view_ptr(&core.view, GPA(PAGES * BED_PAGE_SIZE), 1) == NULL);
	core_close(&core);
}

static const struct {
	const char *what;
	size_t at;
	uint64_t value;
	unsigned bytes;
	const char *says;
} wrongs[] = {
#define AT(member) offsetof(struct small_core, member)
	{ "no ELF", 0, 0, 4, "not a core file" },
	{ "an executable", AT(eh.e_type), ET_EXEC, 2, "not a core file" },
	{ "another machine", AT(eh.e_machine), EM_AARCH64, 2, "not a core file" },
	{ "no segments", AT(eh.e_phnum), 0, 2, "no note" },
	{ "segments outside", AT(eh.e_phoff), BYTES, 8, "" },
	{ "many segments", AT(eh.e_phnum), 0xfffe, 2, "" },
	{ "RAM outside the file", AT(ph[1].p_offset), BYTES - 4096, 8, "outside the file" },
	{ "RAM longer than the file", AT(ph[1].p_filesz), UINT64_MAX, 8, "outside the file" },
	{ "notes outside the file", AT(ph[0].p_offset), UINT64_MAX - 8, 8, "outside the file" },
	{ "RAM off a page", AT(ph[1].p_filesz), 100, 8, "makes no sense" },
	{ "RAM twice", AT(ph[2].p_vaddr), 5 * BED_PAGE_SIZE, 8, "makes no sense" },
	{ "no RAM", AT(ph[1].p_vaddr), 0x1000, 8, "no RAM" },
	{ "a note of somebody else", AT(name), 'X', 1, "no note" },
	{ "a note that is too long", AT(nh.n_descsz), 0xfffffff0, 4, "no note" },
	{ "a long name", AT(nh.n_namesz), 0xffffffff, 4, "no note" },
	{ "another magic", AT(note.magic), 1, 8, "no note" },
	{ "another version", AT(note.version), 9, 4, "core version 9" },
	{ "too many address bits", AT(note.maxphyaddr), 64, 4, "64 bits" },
	{ "too few address bits", AT(note.maxphyaddr), 0, 4, "0 bits" },
#undef AT
};

BED_TEST(core, wrong_ones_are_refused)
{
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		uint8_t *file = make();
		struct bed_err err;
		struct core core;

		memcpy(file + wrongs[i].at, &wrongs[i].value, wrongs[i].bytes);
		cr_expect(!open_bytes(&core, file, BYTES, &err), "%s is read", wrongs[i].what);
		cr_expect(err.class == BED_E_INPUT && strstr(err.text, path) &&
			      strstr(err.text, wrongs[i].says),
		    "%s: %s", wrongs[i].what, err.text);
	}
}

/* Whatever the headers say, and wherever the file ends: no access outside of it. */
BED_TEST(core, damaged_headers_do_no_harm)
{
	uint64_t x = 88172645463325252;
	unsigned good = 0;

	for (unsigned i = 0; i < 4000; i++) {
		uint8_t *file = make();
		struct snapshot snap = { 0 };
		struct bed_err err;
		struct core core;
		size_t len = BYTES;

		for (unsigned k = 0; k < 1 + i % 3; k++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			file[x % sizeof(struct small_core)] = (uint8_t)(x >> 32);
		}
		if (i % 5 == 0)
			len = x % BYTES;
		if (!open_bytes(&core, file, len, &err))
			continue;
		good++;
		cr_assert(snapshot_take(&snap, &core.view, NULL, &err), "%s", err.text);
		for (unsigned k = 0; k < core.view.nseg; k++) {
			const volatile uint8_t *host = core.seg[k].host;

			(void)host[0];
			(void)host[core.seg[k].len - 1];
		}
		snapshot_free(&snap);
		core_close(&core);
	}
	cr_expect(good > 100, "%u could be read at all", good);
}
