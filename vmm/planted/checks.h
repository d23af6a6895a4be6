/* SPDX-License-Identifier: ISC */
/*
 * All checks that can kill a planted bug, by their ids: the rules of the audit, the findings of the TLB
 * sanitizer, what is asked of each call, the expectations of traces, and the ways a guest can die.
 */
#ifndef VMM_PLANTED_CHECKS_H
#define VMM_PLANTED_CHECKS_H

#include <stdbool.h>

enum checks_group {
	CHECKS_CALL,
	CHECKS_INVARIANT,
	CHECKS_TLB,
	CHECKS_EXPECT,
	CHECKS_DEATH,
	CHECKS_GROUPS
};

#define CHECKS_MAX 128

struct check_row {
	enum checks_group group;
	unsigned number; /* of an invariant, else 0 */
	char id[32];
	const char *text;
};

unsigned checks_count(void); /* below CHECKS_MAX */
const struct check_row *checks_at(unsigned i);
/* The place of an id of len characters, or -1. */
int checks_find(const char *id, unsigned len);
const char *checks_group_name(enum checks_group);

#endif
