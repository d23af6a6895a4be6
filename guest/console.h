/* SPDX-License-Identifier: ISC */
/*
 * The console: text for a person, through the ring in shared memory.
 */
#ifndef GUEST_CONSOLE_H
#define GUEST_CONSOLE_H

#include <machine/param.h>

/* The conversions of guest/format.h. */
void printf(const char *fmt, ...) __printf(1, 2);

#endif
