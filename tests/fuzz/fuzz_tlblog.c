/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: any text as a TLB log, through the reader, the sanitizer and the printer.
 */
#include "tests/fuzz/fuzz.h"
#include "vmm/tlbsan/log.h"

struct run {
	struct tlb *tlb;
	FILE *again;
};

static void
found(void *arg, const struct tlb_finding *f)
{
	(void)arg;
	FUZZ_ASSERT(f->kind < TLB_NKINDS && f->severity <= TLB_ERROR);
}

static bool
event(void *arg, const struct tlb_event *e, struct bed_err *err)
{
	struct run *run = arg;

	FUZZ_ASSERT(tlblog_print(run->again, e));
	return tlb_event(run->tlb, e, err);
}

static bool
nothing(void *arg, const struct tlb_event *e, struct bed_err *err)
{
	(void)arg;
	(void)e;
	(void)err;
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bed_err err = { 0 };
	struct run run;
	char *text = NULL;
	size_t len;
	bool good;
	FILE *f;

	if (size == 0)
		return 0;
	run.tlb = tlb_new(NULL, found, NULL, &err);
	run.again = open_memstream(&text, &len);
	f = fmemopen((void *)(uintptr_t)data, size, "r");
	FUZZ_ASSERT(run.tlb != NULL && run.again != NULL && f != NULL);
	FUZZ_ASSERT(tlblog_header(run.again));
	good = tlblog_read(f, "fuzz.tlblog", event, &run, &err);
	FUZZ_ASSERT(good || err.text[0] != '\0');
	tlb_settle(run.tlb);
	tlb_free(run.tlb);
	fclose(f);
	fclose(run.again);
	if (good) {
		/* What was printed reads back. */
		f = fmemopen(text, len, "r");
		FUZZ_ASSERT(f != NULL && tlblog_read(f, "again", nothing, NULL, &err));
		fclose(f);
	}
	free(text);
	return 0;
}
