/* SPDX-License-Identifier: ISC */
/*
 * Addresses of an image's symbols, by name.
 */
#include <gelf.h>
#include <string.h>

#include "vmm/bed/image.h"

static bool
find_in(Elf_Scn *section, const GElf_Shdr *header, Elf *elf, const char *name, uint64_t *addr)
{
	Elf_Data *data = elf_getdata(section, NULL);
	size_t n = header->sh_entsize ? header->sh_size / header->sh_entsize : 0;
	GElf_Sym sym;

	for (size_t i = 0; data != NULL && i < n; i++) {
		const char *s;

		if (gelf_getsym(data, (int)i, &sym) == NULL || sym.st_shndx == SHN_UNDEF)
			continue;
		s = elf_strptr(elf, header->sh_link, sym.st_name);
		if (s != NULL && strcmp(s, name) == 0) {
			*addr = sym.st_value;
			return true;
		}
	}
	return false;
}

bool
image_symbol(const struct image *image, const char *name, uint64_t *addr)
{
	Elf *elf;
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	bool found = false;

	if (elf_version(EV_CURRENT) == EV_NONE)
		return false;
	/* libelf does not write to an image it was given to read. */
	elf = elf_memory((char *)(uintptr_t)image->map, image->bytes);
	while (elf != NULL && !found && (section = elf_nextscn(elf, section)) != NULL) {
		if (gelf_getshdr(section, &header) != NULL && header.sh_type == SHT_SYMTAB)
			found = find_in(section, &header, elf, name, addr);
	}
	elf_end(elf);
	return found;
}
