/* SPDX-License-Identifier: ISC */
/*
 * Names of witnesses.
 */
#include <string.h>

#include "vmm/check/check.h"

bool
check_parse_witnesses(const char *text, unsigned *witnesses)
{
	static const struct {
		const char *name;
		unsigned set;
	} names[] = { { "mappings", CHECK_MAPPINGS }, { "mmu", CHECK_MMU },
		{ "audit", CHECK_AUDIT }, { "ghost", CHECK_GHOST }, { "tlb", CHECK_TLB },
		{ "all", CHECK_ALL }, { "none", 0 } };

	*witnesses = 0;
	for (;;) {
		size_t len = strcspn(text, ","), i = 0, n = sizeof(names) / sizeof(names[0]);

		while (i < n &&
		       (strlen(names[i].name) != len || strncmp(names[i].name, text, len) != 0))
			i++;
		if (i == n)
			return false;
		*witnesses |= names[i].set;
		if (text[len] == '\0')
			return true;
		text += len + 1;
	}
}
