/* SPDX-License-Identifier: ISC */
/*
 * The table of planted bugs: see planted.h.
 */
#include "vmm/bed/planted.h"

#include <stddef.h>
#include <string.h>

static const struct planted rows[] = {
#define PLANT(id, constant, name, what, origin, killers) { id, name, what, origin, killers },
#include "shared/planted.def"
#undef PLANT
};
#define NROWS (sizeof(rows) / sizeof(rows[0]))

unsigned
planted_count(void)
{
	return NROWS;
}

const struct planted *
planted_at(unsigned i)
{
	return &rows[i];
}

const struct planted *
planted_find(unsigned id)
{
	for (size_t i = 0; i < NROWS; i++) {
		if (rows[i].id == id)
			return &rows[i];
	}
	return NULL;
}

const struct planted *
planted_named(const char *name)
{
	for (size_t i = 0; i < NROWS; i++) {
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	}
	return NULL;
}
