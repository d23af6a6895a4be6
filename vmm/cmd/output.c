/* SPDX-License-Identifier: ISC */
/*
 * Reading numbers from the command line and writing for a person or for a program.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/abi.h"
#include "vmm/cmd/cmd.h"
#include "vmm/kvm/engine.h"

bool
cmd_parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "kmgt";
	unsigned shift = 0;
	char *end;
	unsigned long long n;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	n = strtoull(text, &end, 0);
	if (errno != 0)
		return false;
	if (*end != '\0') {
		const char *unit = strchr(units, tolower((unsigned char)*end));

		if (unit == NULL || (end[1] != '\0' && strcasecmp(end + 1, "b") != 0 &&
					strcasecmp(end + 1, "ib") != 0))
			return false;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (n > UINT64_MAX >> shift)
		return false;
	*bytes = n << shift;
	return true;
}

bool
cmd_parse_address(const char *text, uint64_t *address)
{
	uint64_t a = 0;
	unsigned digits = 0;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;
	for (; *text != '\0'; text++) {
		int c = tolower((unsigned char)*text);

		if (c == '_' && digits > 0)
			continue;
		if (!isxdigit(c) || ++digits > 16)
			return false;
		a = a << 4 | (uint64_t)(isdigit(c) ? c - '0' : c - 'a' + 10);
	}
	*address = a;
	return digits > 0;
}

int
cmd_error(const struct bed_err *err)
{
	fflush(stdout);
	fprintf(stderr, "uvmbed: %s\n", err->text);
	return err->class == BED_OK ? BED_E_INTERNAL : (int)err->class;
}

bool
cmd_is_terminal(void)
{
	return isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL;
}

static const char *
escape(const char *sequence)
{
	return cmd_is_terminal() ? sequence : "";
}

const char *
cmd_bold(void)
{
	return escape("\033[1m");
}

const char *
cmd_green(void)
{
	return escape("\033[32m");
}

const char *
cmd_red(void)
{
	return escape("\033[31m");
}

const char *
cmd_dim(void)
{
	return escape("\033[2m");
}

const char *
cmd_plain(void)
{
	return escape("\033[0m");
}

int
cmd_print_json(json_t *doc)
{
	int rc = doc == NULL ? -1 : json_dumpf(doc, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);

	json_decref(doc);
	if (rc == 0 && putchar('\n') != EOF)
		return BED_OK;
	fprintf(stderr, "uvmbed: cannot write the JSON document\n");
	return BED_E_OUTPUT;
}

json_t *
cmd_json_context(void)
{
	const struct engine *e = cmd_engine_chosen(NULL);

	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "uvmbed", UVMBED_VERSION, "build_id",
	    BED_BUILD_ID, "engine", e ? e->name : "none", "host_cpu", e ? e->cpu : "unknown", "tcg",
	    e ? e->tcg : 0, "format", "uvmbed-1");
}
