/* SPDX-License-Identifier: ISC */
/*
 * Text put together in a buffer of the caller. What does not fit is cut; len goes on counting, so that
 * len >= size says that something is missing. The buffer is always terminated, unless its size is 0.
 */
#ifndef VMM_VIEW_TEXT_H
#define VMM_VIEW_TEXT_H

#include <stddef.h>

struct text {
	char *buf;
	size_t size;
	size_t len;
};

/* An empty text over buf[size]; buf may be NULL when size is 0. */
struct text text_on(char *buf, size_t size);

void text_add(struct text *, const char *fmt, ...) __attribute__((__format__(__printf__, 2, 3)));

/* Blanks until the current line is `column` characters wide; one blank at least. */
void text_column(struct text *, size_t line_start, size_t column);

#endif
