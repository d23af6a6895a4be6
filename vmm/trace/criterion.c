/* SPDX-License-Identifier: ISC */
/*
 * Trace to C: see criterion.h. A line that gives a result gets a variable, called after the line's number.
 */
#include "vmm/trace/criterion.h"

#include <inttypes.h>

#include "shared/paging.h"

/* The value as a C expression; a result keeps its line. */
static void
put_value(FILE *out, const struct trace *t, const struct trace_value *v)
{
	if (v->ref < 0)
		fprintf(out, "%#" PRIx64, v->number);
	else if (v->number == 0)
		fprintf(out, "r%u.value", t->line[v->ref].number);
	else
		fprintf(out, "r%u.value + %#" PRIx64, t->line[v->ref].number, v->number);
}

static void
put_call(FILE *out, const struct trace *t, const struct trace_line *l)
{
	fprintf(out, "\tCHECK(check_call(check, \"line %u\", BED_CALL_%s,\n\t    ", l->number,
	    call_shape(l->which)->name);
	if (l->nvalue == 0)
		fputs("NULL", out);
	else
		fputs("(uint64_t[]){ ", out);
	for (unsigned i = 0; i < l->nvalue; i++) {
		put_value(out, t, &l->value[i]);
		fputs(i + 1 < l->nvalue ? ", " : " }", out);
	}
	fprintf(out, ", %u, &r%u, &err), \"%%s\", err.text);\n", l->nvalue, l->number);
}

static void
put_range(FILE *out, const struct trace *t, const struct trace_line *l, const char *more)
{
	fputs("\tPT_EXPECT(bed, GVA(", out);
	put_value(out, t, &l->value[0]);
	fputs("), .npages = (", out);
	put_value(out, t, &l->value[1]);
	fprintf(out, " + BED_PAGE_MASK) >> BED_PAGE_SHIFT%s", more);
	if (l->which == TRACE_MAPPED && l->nvalue == 3)
		fprintf(out, ", .perm = %s, .nx = %s",
		    l->value[2].number & BED_PROT_WRITE ? "PT_RW" : "PT_R",
		    l->value[2].number & BED_PROT_EXEC ? "PT_NO" : "PT_YES");
	fputs(");\n", out);
}

static void
put_filled(FILE *out, const struct trace *t, const struct trace_line *l)
{
	fputs("\tCHECK(bed_verify(bed, GVA(", out);
	put_value(out, t, &l->value[0]);
	fputs("), (", out);
	put_value(out, t, &l->value[1]);
	fputs(" + BED_PAGE_MASK) >> BED_PAGE_SHIFT, ", out);
	put_value(out, t, &l->value[2]);
	fprintf(out, ") == 0, \"line %u\");\n", l->number);
}

static void
put_expect(FILE *out, const struct trace *t, const struct trace_line *l)
{
	switch ((enum trace_expect)l->which) {
	case TRACE_MAPPED:
		put_range(out, t, l, ", .state = PT_PRESENT");
		break;
	case TRACE_ABSENT:
		put_range(out, t, l, ", .state = PT_ABSENT");
		break;
	case TRACE_ZERO:
		put_range(out, t, l, ", .state = PT_PRESENT, .zero = PT_YES");
		break;
	case TRACE_FILLED:
		put_filled(out, t, l);
		break;
	case TRACE_ASLEEP:
		fprintf(out,
		    "\tCHECK(r%u.state == BED_STATE_BLOCKED && strcmp(r%u.wmesg, \"%s\") == 0, ",
		    t->line[l->value[0].ref].number, t->line[l->value[0].ref].number,
		    l->value[1].text);
		fprintf(out, "\"line %u\");\n", l->number);
		break;
	case TRACE_AWAKE:
		fprintf(out, "\tCHECK(r%u.state == BED_STATE_DONE, \"line %u\");\n",
		    t->line[l->value[0].ref].number, l->number);
		break;
	default:
		fputs("\tCHECK(", out);
		put_value(out, t, &l->value[0]);
		fputs(l->which == TRACE_EQUAL ? " == " : " != ", out);
		put_value(out, t, &l->value[1]);
		fprintf(out, ", \"line %u\");\n", l->number);
	}
}

static void
put_machine(FILE *out, const struct trace *t)
{
	fputs("\tstruct bed *bed = BED(", out);
	for (unsigned i = 0; i < t->nline; i++) {
		const struct trace_line *l = &t->line[i];

		if (l->kind != TRACE_SET)
			continue;
		if (l->which == TRACE_RAM)
			fprintf(out, ".ram = %#" PRIx64 ", ", l->value[0].number);
		else if (l->which == TRACE_KVA)
			fprintf(out, ".kva = %#" PRIx64 ", ", l->value[0].number);
		else if (l->which == TRACE_GUARD && l->value[0].number != 0)
			fputs(".flags = BED_BOOT_GUARDPAGES, ", out);
	}
	fputs(");\n", out);
}

bool
trace_criterion(const struct trace *t, const char *name, FILE *out)
{
	unsigned nresults = 0;

	fputs(
	    "#include <string.h>\n\n#include \"tests/bed/fixture.h\"\n#include \"vmm/check/check.h\"\n\n",
	    out);
	fprintf(out, "/* From %s. */\nBED_TEST(found, %s)\n{\n", t->file, name);
	put_machine(out, t);
	fputs("\tstruct bed_err err;\n\tstruct check *check = check_new(bed, &err);\n", out);
	for (unsigned i = 0; i < t->nline; i++) {
		if (t->line[i].kind == TRACE_CALL)
			fprintf(out, nresults++ == 0 ? "\tstruct bed_result r%u" : ", r%u",
			    t->line[i].number);
	}
	if (nresults > 0)
		fputs(";\n", out);
	fputs("\n\tCHECK(check != NULL, \"%s\", err.text);\n", out);
	for (unsigned i = 0; i < t->nline; i++) {
		if (t->line[i].kind == TRACE_CALL)
			put_call(out, t, &t->line[i]);
		else if (t->line[i].kind == TRACE_EXPECT)
			put_expect(out, t, &t->line[i]);
	}
	fputs("\tcheck_free(check);\n\tbed_down(bed);\n}\n", out);
	return fflush(out) == 0 && !ferror(out);
}
