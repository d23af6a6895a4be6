/* SPDX-License-Identifier: ISC */
/*
 * Names and text of page-table entries: see pte.h.
 */
#include "vmm/view/pte.h"

#include <inttypes.h>

const char *
pt_level_name(int level)
{
	static const char *const name[] = { "?", "PT", "PD", "PDPT", "PML4" };

	return level >= 1 && level <= PT_LEVELS ? name[level] : name[0];
}

const char *
pt_size_name(int level)
{
	static const char *const name[] = { "?", "4k", "2m", "1g" };

	return level >= 1 && level <= 3 ? name[level] : name[0];
}

const char *
view_rights_text(unsigned rights, char buf[5])
{
	buf[0] = (rights & VIEW_R) != 0 ? 'r' : '-';
	buf[1] = (rights & VIEW_W) != 0 ? 'w' : '-';
	buf[2] = (rights & VIEW_X) != 0 ? 'x' : '-';
	buf[3] = (rights & VIEW_U) != 0 ? 'u' : '-';
	buf[4] = '\0';
	return buf;
}

void
pte_soft_text(struct text *text, unsigned soft)
{
	unsigned rest = soft & ~(VIEW_SOFT_W | VIEW_SOFT_M);

	if ((soft & VIEW_SOFT_W) != 0)
		text_add(text, " wired");
	if ((soft & VIEW_SOFT_M) != 0)
		text_add(text, " managed");
	if (rest != 0)
		text_add(text, " sw=0x%x", rest);
}

void
pte_text(struct text *text, int level, uint64_t raw)
{
	bool leaf = pte_is_leaf(level, raw);
	uint64_t pat = level == 1 ? PTE_PAT : PTE_LPAT;
	uint64_t frame = raw & PTE_FRAME;

	if ((raw & PTE_P) == 0) {
		if (raw == 0)
			text_add(text, "not present");
		else
			text_add(text, "not present, raw 0x%" PRIx64, raw);
		return;
	}
	text_add(text, "P %c", (raw & PTE_W) != 0 ? 'W' : 'R');
	if ((raw & PTE_U) != 0)
		text_add(text, " U");
	if ((raw & PTE_NX) != 0)
		text_add(text, " NX");
	if ((raw & PTE_PWT) != 0)
		text_add(text, " PWT");
	if ((raw & PTE_PCD) != 0)
		text_add(text, " PCD");
	if ((raw & PTE_A) != 0)
		text_add(text, " A");
	if (leaf && (raw & PTE_D) != 0)
		text_add(text, " D");
	if (level > 1 && (raw & PTE_PS) != 0)
		text_add(text, " PS");
	if (leaf && (raw & PTE_G) != 0)
		text_add(text, " G");
	if (leaf && (raw & pat) != 0) {
		text_add(text, " PAT");
		if (level > 1)
			frame &= ~PTE_LPAT;
	}
	pte_soft_text(text, pte_leaf_attr(1, raw, 0).soft);
	text_add(text, " pa=0x%" PRIx64, frame);
}
