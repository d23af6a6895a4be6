/* SPDX-License-Identifier: ISC */
/*
 * Reading and checking a guest image. The file is mapped once and libelf decodes it in place; every
 * number in it is taken for hostile until a row below has looked at it.
 */
#include "vmm/bed/image.h"

#include "shared/layout.h"
#include "shared/paging.h"
#undef PF_W /* the page-fault bit; here it is the segment flag of elf.h */

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGE_BYTES_MAX (UINT64_C(256) << 20) /* with its debug information */

static bool bad(struct bed_err *err, const char *fmt, ...)
    __attribute__((__format__(__printf__, 2, 3)));

static bool
bad(struct bed_err *err, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return bed_fail(err, BED_E_INPUT, "%s", text);
}

static bool
map_file(struct image *im, const char *path, struct bed_err *err)
{
	struct stat st;
	void *map;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd == -1)
		return bad(err, "%s%s", strerror(errno),
		    errno == ENOENT ? "; `make` builds the guest images" : "");
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return bad(err, "not a regular file");
	}
	if (st.st_size < (off_t)sizeof(Elf64_Ehdr) || (uint64_t)st.st_size > IMAGE_BYTES_MAX) {
		close(fd);
		return bad(err, "%jd bytes: too %s to be a guest image", (intmax_t)st.st_size,
		    st.st_size < (off_t)sizeof(Elf64_Ehdr) ? "short" : "long");
	}
	im->bytes = (size_t)st.st_size;
	map = mmap(NULL, im->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return bad(err, "cannot be mapped: %s", strerror(errno));
	im->map = map;
	return true;
}

static bool
check_header(const struct image *im, GElf_Ehdr *eh, Elf *elf, struct bed_err *err)
{
	if (memcmp(im->map, ELFMAG, SELFMAG) != 0)
		return bad(err, "not an ELF file");
	if (im->map[EI_CLASS] != ELFCLASS64)
		return bad(err, "ELF class %u, not 64-bit", im->map[EI_CLASS]);
	if (im->map[EI_DATA] != ELFDATA2LSB)
		return bad(err, "ELF data encoding %u, not little endian", im->map[EI_DATA]);
	if (im->map[EI_VERSION] != EV_CURRENT)
		return bad(err, "ELF version %u, not 1", im->map[EI_VERSION]);
	if (elf == NULL || elf_kind(elf) != ELF_K_ELF || gelf_getehdr(elf, eh) == NULL)
		return bad(err, "ELF header unreadable: %s", elf_errmsg(-1));
	if (eh->e_version != EV_CURRENT)
		return bad(err, "e_version %u, not 1", eh->e_version);
	if (eh->e_machine != EM_X86_64)
		return bad(err, "machine %u, not x86-64 (62)", eh->e_machine);
	if (eh->e_type != ET_EXEC)
		return bad(err, "ELF type %u, not a static executable (2)", eh->e_type);
	if (eh->e_ehsize != sizeof(Elf64_Ehdr))
		return bad(err, "e_ehsize %u, not %zu", eh->e_ehsize, sizeof(Elf64_Ehdr));
	if (eh->e_phnum == 0 || eh->e_phnum > 64)
		return bad(err, "%u program headers (e_phnum), not 1 to 64", eh->e_phnum);
	if (eh->e_phentsize != sizeof(Elf64_Phdr))
		return bad(err, "e_phentsize %u, not %zu", eh->e_phentsize, sizeof(Elf64_Phdr));
	if (eh->e_phoff > im->bytes ||
	    (uint64_t)eh->e_phnum * sizeof(Elf64_Phdr) > im->bytes - eh->e_phoff)
		return bad(
		    err, "program headers (e_phoff %#" PRIx64 ") outside the file", eh->e_phoff);
	if (eh->e_phoff % 8 != 0)
		return bad(
		    err, "program headers (e_phoff %#" PRIx64 ") not aligned to 8", eh->e_phoff);
	return true;
}

static bool
in_file(const struct image *im, const GElf_Phdr *ph)
{
	return ph->p_offset <= im->bytes && ph->p_filesz <= im->bytes - ph->p_offset;
}

/* What does not depend on other segments. */
static bool
check_load(const struct image *im, const GElf_Phdr *ph, unsigned n, struct bed_err *err)
{
	const uint64_t low = BED_IMAGE_BASE + BED_IMAGE_PA;
	const uint64_t high = ~BED_PAGE_MASK; /* the last page stays free: ends never wrap */

	if (!in_file(im, ph))
		return bad(err,
		    "segment %u: file part %#" PRIx64 " + %#" PRIx64 " outside the file", n,
		    ph->p_offset, ph->p_filesz);
	if (ph->p_memsz == 0)
		return bad(err, "segment %u is empty (p_memsz 0)", n);
	if (ph->p_filesz > ph->p_memsz)
		return bad(err, "segment %u: p_filesz %#" PRIx64 " above p_memsz %#" PRIx64, n,
		    ph->p_filesz, ph->p_memsz);
	if (ph->p_align < BED_PAGE_SIZE || (ph->p_align & (ph->p_align - 1)) != 0)
		return bad(err,
		    "segment %u: p_align %#" PRIx64 " is not a power of two from 4096 up", n,
		    ph->p_align);
	if ((ph->p_vaddr & BED_PAGE_MASK) != 0)
		return bad(
		    err, "segment %u: p_vaddr %#" PRIx64 " not page aligned", n, ph->p_vaddr);
	if (((ph->p_vaddr - ph->p_offset) & (ph->p_align - 1)) != 0)
		return bad(err, "segment %u: p_vaddr and p_offset differ modulo p_align", n);
	if (ph->p_vaddr < low || ph->p_vaddr > high || ph->p_memsz > high - ph->p_vaddr)
		return bad(err,
		    "segment %u: %#" PRIx64 " + %#" PRIx64
		    " outside the image's addresses, %#" PRIx64 " to the top",
		    n, ph->p_vaddr, ph->p_memsz, low);
	if (ph->p_paddr != ph->p_vaddr - BED_IMAGE_BASE)
		return bad(err,
		    "segment %u: p_paddr %#" PRIx64 ", not %#" PRIx64 " (p_vaddr - %#" PRIx64 ")",
		    n, ph->p_paddr, ph->p_vaddr - BED_IMAGE_BASE, (uint64_t)BED_IMAGE_BASE);
	if ((ph->p_flags & ~(uint32_t)(PF_R | PF_W | PF_X)) != 0 || (ph->p_flags & PF_R) == 0)
		return bad(
		    err, "segment %u: p_flags %#x: not readable, or unknown bits", n, ph->p_flags);
	if ((ph->p_flags & PF_W) != 0 && (ph->p_flags & PF_X) != 0)
		return bad(err, "segment %u is writable and executable", n);
	return true;
}

static bool
add_load(struct image *im, const GElf_Phdr *ph, unsigned n, struct bed_err *err)
{
	struct image_seg *s;

	if (!check_load(im, ph, n, err))
		return false;
	if (im->nseg == IMAGE_SEGS_MAX)
		return bad(err, "more than %u segments to load", IMAGE_SEGS_MAX);
	if (im->nseg > 0 && ph->p_paddr < im->pa_end)
		return bad(err,
		    "segment %u at %#" PRIx64 " overlaps a page of the one before, or comes out of "
		    "order",
		    n, ph->p_vaddr);
	s = &im->seg[im->nseg++];
	*s = (struct image_seg){ .va = ph->p_vaddr,
		.pa = ph->p_paddr,
		.filesz = ph->p_filesz,
		.memsz = ph->p_memsz,
		.offset = ph->p_offset,
		.write = (ph->p_flags & PF_W) != 0,
		.exec = (ph->p_flags & PF_X) != 0 };
	if (im->nseg == 1)
		im->pa_start = s->pa;
	im->pa_end = (s->pa + s->memsz + BED_PAGE_MASK) & ~BED_PAGE_MASK;
	return true;
}

/* The identity note, if this note segment has it; *found counts. */
static bool
read_notes(struct image *im, Elf *elf, const GElf_Phdr *ph, unsigned n, unsigned *found,
    struct bed_err *err)
{
	size_t off = 0, next, name, desc;
	Elf_Data *data;
	GElf_Nhdr nh;

	if (!in_file(im, ph))
		return bad(err, "note segment %u: %#" PRIx64 " + %#" PRIx64 " outside the file", n,
		    ph->p_offset, ph->p_filesz);
	if (ph->p_filesz == 0 || ph->p_offset % 4 != 0)
		return bad(err, "note segment %u is empty or not aligned to 4", n);
	data = elf_getdata_rawchunk(
	    elf, (int64_t)ph->p_offset, ph->p_filesz, ph->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
	if (data == NULL)
		return bad(err, "note segment %u unreadable: %s", n, elf_errmsg(-1));
	while ((next = gelf_getnote(data, off, &nh, &name, &desc)) > 0) {
		if (nh.n_type == BED_NOTE_TYPE && nh.n_namesz == sizeof(BED_NOTE_NAME) &&
		    memcmp((char *)data->d_buf + name, BED_NOTE_NAME, sizeof(BED_NOTE_NAME)) == 0) {
			if (nh.n_descsz != sizeof(im->ident))
				return bad(err,
				    "identity note of %u bytes, not %zu: built against another "
				    "contract; rebuild the guest",
				    nh.n_descsz, sizeof(im->ident));
			memcpy(&im->ident, (char *)data->d_buf + desc, sizeof(im->ident));
			++*found;
		}
		off = next;
	}
	return true;
}

static bool
check_entry(struct image *im, uint64_t entry, struct bed_err *err)
{
	for (unsigned i = 0; i < im->nseg; i++) {
		const struct image_seg *s = &im->seg[i];

		if (s->exec && entry >= s->va && entry - s->va < s->filesz) {
			im->entry = entry;
			return true;
		}
	}
	return bad(err, "entry point %#" PRIx64 " is in no executable segment", entry);
}

static bool
parse(struct image *im, Elf *elf, struct bed_err *err)
{
	unsigned notes = 0;
	GElf_Ehdr eh;
	GElf_Phdr ph;

	if (!check_header(im, &eh, elf, err))
		return false;
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		if (gelf_getphdr(elf, (int)i, &ph) == NULL)
			return bad(err, "program header %u unreadable: %s", i, elf_errmsg(-1));
		switch (ph.p_type) {
		case PT_LOAD:
			if (!add_load(im, &ph, i, err))
				return false;
			break;
		case PT_NOTE:
			if (!read_notes(im, elf, &ph, i, &notes, err))
				return false;
			break;
		case PT_INTERP:
		case PT_DYNAMIC:
		case PT_TLS:
			return bad(err, "segment %u: %s: not a static, position-dependent image", i,
			    ph.p_type == PT_TLS ? "thread-local data" : "dynamically linked");
		default:
			break;
		}
	}
	if (im->nseg == 0)
		return bad(err, "nothing to load (no PT_LOAD)");
	if (!check_entry(im, eh.e_entry, err))
		return false;
	if (notes != 1)
		return bad(err, "%s \"%s\" identity note: not a guest of this program",
		    notes == 0 ? "no" : "more than one", BED_NOTE_NAME);
	return true;
}

bool
image_open(struct image *im, const char *path, struct bed_err *err)
{
	bool ok = false;
	Elf *elf = NULL;

	memset(im, 0, sizeof(*im));
	if (map_file(im, path, err)) {
		elf_version(EV_CURRENT);
		/* libelf only reads a file opened this way. */
		elf = elf_memory((char *)(uintptr_t)im->map, im->bytes);
		ok = parse(im, elf, err);
		elf_end(elf);
	}
	if (ok)
		return true;
	image_close(im);
	return bed_fail_in(err, "guest image %s", path);
}

void
image_close(struct image *im)
{
	if (im->map != NULL)
		munmap((void *)(uintptr_t)im->map, im->bytes);
	im->map = NULL;
}

void
image_extend(struct image *im, uint64_t bytes)
{
	if (bytes == 0)
		return;
	im->seg[im->nseg++] = (struct image_seg){
		.va = im->pa_end + BED_IMAGE_BASE, .pa = im->pa_end, .memsz = bytes, .write = true
	};
	im->pa_end += bytes;
}
