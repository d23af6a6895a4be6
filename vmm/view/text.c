/* SPDX-License-Identifier: ISC */
/*
 * Text put together in a buffer of the caller: see text.h.
 */
#include "vmm/view/text.h"

#include <stdarg.h>
#include <stdio.h>

struct text
text_on(char *buf, size_t size)
{
	if (size > 0)
		buf[0] = '\0';
	return (struct text){ .buf = buf, .size = size };
}

void
text_add(struct text *text, const char *fmt, ...)
{
	size_t room = text->len < text->size ? text->size - text->len : 0;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(room > 0 ? text->buf + text->len : NULL, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		text->len += (size_t)n;
}

void
text_column(struct text *text, size_t line_start, size_t column)
{
	do
		text_add(text, " ");
	while (text->len - line_start < column);
}
