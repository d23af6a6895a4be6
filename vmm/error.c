/* SPDX-License-Identifier: ISC */
/*
 * Errors as values: see error.h.
 */
#include "vmm/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool
bed_fail(struct bed_err *err, enum bed_class class, const char *fmt, ...)
{
	va_list ap;

	if (err == NULL)
		return false;
	err->class = class;
	err->lead = err->brief = 0;
	err->about = (struct bed_subject){ .witness = NULL };
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return false;
}

bool
bed_fail_by(struct bed_err *err, const char *witness)
{
	if (err != NULL)
		err->about.witness = witness;
	return false;
}

bool
bed_fail_at(struct bed_err *err, uint64_t va)
{
	if (err != NULL) {
		err->about.has_va = true;
		err->about.va = va;
	}
	return false;
}

bool
bed_fail_frame(struct bed_err *err, uint64_t pa)
{
	if (err != NULL) {
		err->about.has_pa = true;
		err->about.pa = pa;
	}
	return false;
}

bool
bed_fail_in(struct bed_err *err, const char *fmt, ...)
{
	char old[sizeof(err->text)], prefix[256];
	va_list ap;

	if (err == NULL)
		return false;
	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(prefix, sizeof(prefix), fmt, ap);
	va_end(ap);
	err->lead += strlen(prefix) + 2;
	if (err->brief != 0)
		err->brief += strlen(prefix) + 2;
	/* A text cut at the end is still readable; that the buffers may not both fit is known. */
	if (snprintf(err->text, sizeof(err->text), "%s: %s", prefix, old) < 0)
		err->text[0] = '\0';
	return false;
}
