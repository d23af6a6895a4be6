/* SPDX-License-Identifier: ISC */
/*
 * Formatting for the console and for panic messages: %c %s %p, and %d %u %x with l, ll or z, a width
 * and zero padding.
 */
#ifndef GUEST_FORMAT_H
#define GUEST_FORMAT_H

#include <stdarg.h>

struct sink {
	void (*put)(struct sink *, char);
};

void format(struct sink *, const char *fmt, va_list) __attribute__((__format__(__printf__, 2, 0)));

#endif
