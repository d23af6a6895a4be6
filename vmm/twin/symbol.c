/* SPDX-License-Identifier: ISC */
/*
 * Names of the twin's data: they are local to its object, but in the symbol table of the program.
 */
#include <fcntl.h>
#include <gelf.h>
#include <string.h>
#include <unistd.h>

#include "vmm/twin/priv.h"

/* The first byte of the program in memory, by the linker. */
extern const char __ehdr_start[];

/* Opened once, and kept: the program does not change while it runs. */
static Elf *
program(void)
{
	static Elf *elf;

	if (elf == NULL && elf_version(EV_CURRENT) != EV_NONE) {
		int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

		if (fd != -1) {
			elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
			close(fd);
		}
	}
	return elf;
}

static uint64_t
bias_of(Elf *elf)
{
	GElf_Ehdr header;

	return gelf_getehdr(elf, &header) != NULL && header.e_type == ET_DYN
	           ? (uint64_t)__ehdr_start
	           : 0;
}

static bool
find_in(const struct twin *t, Elf *elf, Elf_Scn *section, const GElf_Shdr *header, const char *name,
    uint64_t *addr)
{
	Elf_Data *data = elf_getdata(section, NULL);
	size_t n = header->sh_entsize ? header->sh_size / header->sh_entsize : 0;
	uint64_t bias = bias_of(elf);
	GElf_Sym sym;

	for (size_t i = 0; data != NULL && i < n; i++) {
		const char *s;

		if (gelf_getsym(data, (int)i, &sym) == NULL || sym.st_shndx == SHN_UNDEF)
			continue;
		*addr = sym.st_value + bias;
		if (*addr < (uint64_t)t->machine->data_start ||
		    *addr >= (uint64_t)t->machine->data_end)
			continue;
		s = elf_strptr(elf, header->sh_link, sym.st_name);
		if (s != NULL && strcmp(s, name) == 0)
			return true;
	}
	return false;
}

bool
twin_symbol(const struct twin *t, const char *name, uint64_t *addr)
{
	Elf *elf = program();
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	while (elf != NULL && (section = elf_nextscn(elf, section)) != NULL) {
		if (gelf_getshdr(section, &header) != NULL && header.sh_type == SHT_SYMTAB &&
		    find_in(t, elf, section, &header, name, addr))
			return true;
	}
	return false;
}
