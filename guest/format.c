/* SPDX-License-Identifier: ISC */
/*
 * Formatted output to a sink (guest/format.h).
 */
#include <machine/param.h>
#include "guest/format.h"

struct spec {
	bool zero;
	unsigned width;
	unsigned longs; /* l, ll, z */
};

static void
put_string(struct sink *to, const char *s)
{
	for (s = s == NULL ? "(null)" : s; *s != '\0'; s++)
		to->put(to, *s);
}

static void
put_number(struct sink *to, const struct spec *spec, uint64_t value, unsigned base, bool negative)
{
	char digits[20];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value != 0);
	if (negative && spec->zero)
		to->put(to, '-');
	for (unsigned i = n + negative; i < spec->width; i++)
		to->put(to, spec->zero ? '0' : ' ');
	if (negative && !spec->zero)
		to->put(to, '-');
	while (n > 0)
		to->put(to, digits[--n]);
}

/* Flags, width and length; returns the conversion that follows them. */
static const char *
parse(const char *fmt, struct spec *spec)
{
	*spec = (struct spec){ 0 };
	for (; *fmt == '0'; fmt++)
		spec->zero = true;
	for (; *fmt >= '0' && *fmt <= '9'; fmt++)
		spec->width = spec->width * 10 + (unsigned)(*fmt - '0');
	for (; *fmt == 'l' || *fmt == 'z'; fmt++)
		spec->longs++;
	return fmt;
}

void
format(struct sink *to, const char *fmt, va_list ap)
{
	for (; *fmt != '\0'; fmt++) {
		struct spec spec;

		if (*fmt != '%') {
			to->put(to, *fmt);
			continue;
		}
		fmt = parse(fmt + 1, &spec);
		if (*fmt == 'd') {
			int64_t v = spec.longs ? va_arg(ap, int64_t) : va_arg(ap, int);

			put_number(to, &spec, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, v < 0);
		} else if (*fmt == 'u' || *fmt == 'x') {
			uint64_t v = spec.longs ? va_arg(ap, uint64_t) : va_arg(ap, unsigned);

			put_number(to, &spec, v, *fmt == 'x' ? 16 : 10, false);
		} else if (*fmt == 'p') {
			put_string(to, "0x");
			put_number(to, &spec, (uint64_t)va_arg(ap, void *), 16, false);
		} else if (*fmt == 's') {
			put_string(to, va_arg(ap, const char *));
		} else if (*fmt == 'c') {
			to->put(to, (char)va_arg(ap, int));
		} else if (*fmt == '\0') {
			return;
		} else {
			to->put(to, *fmt); /* %% */
		}
	}
}
