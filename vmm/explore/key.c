/* SPDX-License-Identifier: ISC */
/*
 * What a finding is about, without its circumstances: see finding_key().
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "vmm/explore/explore.h"
#include "vmm/trace/trace.h"

/* "uvm_km_free kernel_map 0x.. 3p -> 0x..: rest": is the text up to the colon a call? */
static bool
begins_with_call(const char *text)
{
	size_t len = strcspn(text, " :\n");

	for (unsigned id = 0; id < BED_CALL_LIMIT; id++) {
		const struct call_shape *shape = call_shape(id);

		if (shape != NULL && strlen(shape->name) == len &&
		    memcmp(shape->name, text, len) == 0)
			return true;
	}
	return false;
}

/* "FILE:LINE: " */
static const char *
behind_place(const char *text)
{
	const char *at = strstr(text, ": ");
	const char *colon = at == NULL ? NULL : memchr(text, ':', (size_t)(at - text));

	return colon != NULL && colon[1 + strspn(colon + 1, "0123456789")] == ':' ? at + 2 : text;
}

void
finding_key(char *key, size_t size, const struct bed_err *err)
{
	const char *text = behind_place(err->text);
	size_t used = (size_t)snprintf(key, size, "%d ", (int)err->class);

	while (begins_with_call(text) && strstr(text, ": ") != NULL &&
	       strcspn(text, "\n") > (size_t)(strstr(text, ": ") - text))
		text = strstr(text, ": ") + 2;
	for (; *text != '\0' && *text != '\n' && used + 1 < size; used++) {
		if (isdigit((unsigned char)*text)) {
			key[used] = '#';
			text += text[0] == '0' && text[1] == 'x' ? 2 : 0;
			while (isxdigit((unsigned char)*text))
				text++;
		} else {
			key[used] = *text++;
		}
	}
	key[used < size ? used : size - 1] = '\0';
}
