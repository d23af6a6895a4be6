/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: any text as a trace. What parses must print, and what was printed must parse to the same
 * print again; what does not parse must say where.
 */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/trace/trace.h"

static char *
printed(const struct trace *trace, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	FUZZ_ASSERT(f != NULL && trace_print(trace, f) && fclose(f) == 0);
	return text;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct trace first, second;
	struct bed_err err = { 0 };
	char *once, *twice;
	size_t nonce, ntwice;

	if (!trace_parse(&first, "fuzz.trace", (const char *)data, size, &err)) {
		FUZZ_ASSERT(strncmp(err.text, "fuzz.trace", 10) == 0);
		return 0;
	}
	once = printed(&first, &nonce);
	FUZZ_ASSERT(trace_parse(&second, "fuzz.trace", once, nonce, &err));
	twice = printed(&second, &ntwice);
	FUZZ_ASSERT(nonce == ntwice && memcmp(once, twice, nonce) == 0);
	free(once);
	free(twice);
	trace_free(&first);
	trace_free(&second);
	return 0;
}
