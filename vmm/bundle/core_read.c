/* SPDX-License-Identifier: ISC */
/*
 * Reading a core file that core_write() made, or somebody damaged: see core.h.
 */
#include "shared/paging.h"
#undef PF_W /* the page-fault bit; here it is the segment flag of elf.h */

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/bundle/core.h"

static bool
map_file(struct core *c, const char *path, struct bed_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	void *map;

	if (fd == -1)
		return bed_fail(err, BED_E_INPUT, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(Elf64_Ehdr)) {
		close(fd);
		return bed_fail(err, BED_E_INPUT, "%s: no core file", path);
	}
	c->bytes = (size_t)st.st_size;
	map = mmap(NULL, c->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return bed_fail(err, BED_E_HOST, "%s: %s", path, strerror(errno));
	c->map = map;
	return true;
}

/* Our note among those of a segment. */
static bool
find_note(struct core *c, const GElf_Phdr *ph)
{
	const uint8_t *at = c->map + ph->p_offset;
	uint64_t left = ph->p_filesz;
	Elf64_Nhdr h;

	while (left >= sizeof(h)) {
		uint64_t name, whole;

		memcpy(&h, at, sizeof(h));
		name = ((uint64_t)h.n_namesz + 3) & ~UINT64_C(3);
		whole = sizeof(h) + name + (((uint64_t)h.n_descsz + 3) & ~UINT64_C(3));
		if (whole > left)
			return false;
		if (h.n_type == CORE_NOTE_TYPE && h.n_namesz == sizeof(CORE_NOTE_NAME) &&
		    memcmp(at + sizeof(h), CORE_NOTE_NAME, sizeof(CORE_NOTE_NAME)) == 0 &&
		    h.n_descsz == sizeof(c->note)) {
			memcpy(&c->note, at + sizeof(h) + name, sizeof(c->note));
			return c->note.magic == CORE_MAGIC;
		}
		at += whole;
		left -= whole;
	}
	return false;
}

/* A part of RAM: virtual address = physical address. Only these make the view. */
static bool
take_ram(struct core *c, const GElf_Phdr *ph)
{
	uint64_t end = 0;

	if (c->view.nseg > 0)
		end = c->seg[c->view.nseg - 1].start.v + c->seg[c->view.nseg - 1].len;
	if (c->view.nseg == sizeof(c->seg) / sizeof(c->seg[0]) || ph->p_paddr < end ||
	    ((ph->p_paddr | ph->p_filesz) & BED_PAGE_MASK) != 0 || ph->p_paddr > PTE_FRAME ||
	    ph->p_filesz > PTE_FRAME - ph->p_paddr)
		return false;
	c->seg[c->view.nseg++] = (struct view_seg){ GPA(ph->p_paddr), ph->p_filesz,
		(uint8_t *)(uintptr_t)c->map + ph->p_offset };
	return true;
}

static bool
take_segments(struct core *c, Elf *elf, const char *path, struct bed_err *err)
{
	bool noted = false;
	GElf_Phdr ph;
	size_t n;

	if (elf_getphdrnum(elf, &n) != 0)
		return bed_fail(err, BED_E_INPUT, "%s: %s", path, elf_errmsg(-1));
	for (size_t i = 0; i < n && i <= UINT16_MAX; i++) {
		if (gelf_getphdr(elf, (int)i, &ph) == NULL || ph.p_offset > c->bytes ||
		    ph.p_filesz > c->bytes - ph.p_offset)
			return bed_fail(err, BED_E_INPUT,
			    "%s: segment %zu lies outside the file; it is damaged or cut short",
			    path, i);
		if (ph.p_type == PT_NOTE && !noted)
			noted = find_note(c, &ph);
		if (ph.p_type == PT_LOAD && ph.p_vaddr == ph.p_paddr && ph.p_filesz != 0 &&
		    !take_ram(c, &ph))
			return bed_fail(err, BED_E_INPUT,
			    "%s: segment %zu, RAM at %#" PRIx64 ", makes no sense", path, i,
			    ph.p_paddr);
	}
	if (!noted)
		return bed_fail(err, BED_E_INPUT,
		    "%s: no note of uvmbed in it; only cores from a failure bundle can be read",
		    path);
	return c->view.nseg > 0 || bed_fail(err, BED_E_INPUT, "%s: it has no RAM", path);
}

static bool
take_note(struct core *c, const char *path, struct bed_err *err)
{
	const struct core_note *n = &c->note;

	if (n->version != CORE_VERSION)
		return bed_fail(err, BED_E_INPUT, "%s: core version %u; this uvmbed reads %d", path,
		    n->version, CORE_VERSION);
	if (n->maxphyaddr < 32 || n->maxphyaddr > 52)
		return bed_fail(
		    err, BED_E_INPUT, "%s: physical addresses of %u bits", path, n->maxphyaddr);
	c->view.seg = c->seg;
	c->view.root = GPA(n->root & PTE_FRAME);
	c->view.maxphyaddr = n->maxphyaddr;
	c->view.nx = n->nx != 0;
	c->view.pages_1g = n->pages_1g != 0;
	return true;
}

bool
core_open(struct core *c, const char *path, struct bed_err *err)
{
	GElf_Ehdr eh;
	Elf *elf;
	bool ok;

	memset(c, 0, sizeof(*c));
	if (!map_file(c, path, err))
		return false;
	elf_version(EV_CURRENT);
	elf = elf_memory((char *)(uintptr_t)c->map, c->bytes);
	ok = elf != NULL && gelf_getehdr(elf, &eh) != NULL && eh.e_type == ET_CORE &&
	     eh.e_machine == EM_X86_64 && gelf_getclass(elf) == ELFCLASS64;
	if (!ok)
		bed_fail(err, BED_E_INPUT, "%s: not a core file of an x86-64 machine", path);
	ok = ok && take_segments(c, elf, path, err) && take_note(c, path, err);
	elf_end(elf);
	if (!ok)
		core_close(c);
	return ok;
}

void
core_close(struct core *c)
{
	if (c->map != NULL)
		munmap((void *)(uintptr_t)c->map, c->bytes);
	memset(c, 0, sizeof(*c));
}
