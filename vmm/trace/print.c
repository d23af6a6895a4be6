/* SPDX-License-Identifier: ISC */
/*
 * Trace to text and file to trace.
 */
#include "vmm/trace/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void
trace_line_print(const struct trace_line *l, FILE *out)
{
	switch (l->kind) {
	case TRACE_BLANK:
		break;
	case TRACE_CALL:
		if (l->beside != 0)
			fprintf(out, "beside %u ", l->beside);
		if (l->stop != 0)
			fprintf(out, "at %u ", l->stop);
		if (l->name[0] != '\0')
			fprintf(out, "%s = ", l->name);
		fputs(call_shape(l->which)->name, out);
		break;
	case TRACE_EXPECT:
		fprintf(out, "expect %s", trace_form_of(l)->word);
		break;
	case TRACE_SET:
		fputs(trace_form_of(l)->word, out);
		break;
	}
	for (unsigned i = 0; i < l->nvalue; i++)
		fprintf(out, " %s", l->value[i].text);
	if (l->comment != NULL)
		fputs(l->comment, out);
}

bool
trace_print(const struct trace *t, FILE *out)
{
	fprintf(out, "uvmbed-trace %d\n", TRACE_VERSION);
	for (unsigned i = 0; i < t->nline; i++) {
		trace_line_print(&t->line[i], out);
		putc('\n', out);
	}
	return fflush(out) == 0 && !ferror(out);
}

static char *
read_whole(const char *file, size_t *len, struct bed_err *err)
{
	FILE *in = fopen(file, "r");
	char *text = NULL;
	size_t cap = 0, n;

	if (in == NULL) {
		bed_fail(err, BED_E_INPUT, "%s: cannot open: %s", file, strerror(errno));
		return NULL;
	}
	*len = 0;
	do {
		if (*len == cap) {
			char *bigger = realloc(text, cap = cap ? cap * 2 : 65536);

			if (bigger == NULL) {
				bed_fail(err, BED_E_HOST, "%s: too large for memory", file);
				break;
			}
			text = bigger;
		}
		n = fread(text + *len, 1, cap - *len, in);
		*len += n;
		if (n == 0) {
			if (!ferror(in)) {
				fclose(in);
				return text;
			}
			bed_fail(err, BED_E_INPUT, "%s: cannot read: %s", file, strerror(errno));
			break;
		}
	} while (true);
	fclose(in);
	free(text);
	return NULL;
}

bool
trace_load(struct trace *t, const char *file, struct bed_err *err)
{
	size_t len;
	char *text = read_whole(file, &len, err);
	bool ok;

	if (text == NULL)
		return false;
	ok = trace_parse(t, file, text, len, err);
	free(text);
	return ok;
}
