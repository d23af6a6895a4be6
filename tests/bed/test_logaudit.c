/* SPDX-License-Identifier: ISC */
/*
 * The guest's event log against what is seen from outside. Honest work gives the same stores and invalidations,
 * in the same order; a store past the wrappers is found, as is a log that leaves something out.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/bed/command.h"
#include "tests/bed/inside.h"
#include "vmm/logaudit/logaudit.h"

#define STEPS 60

/* Random allocations and frees: faults there are none, all memory is wired. */
static void
work(struct bed *bed, struct logaudit *l, unsigned steps)
{
	struct rng r = rng_seeded("logaudit");
	struct {
		gva_t va;
		uint64_t n;
	} live[12] = { 0 };
	struct bed_err err;

	for (unsigned i = 0; i < steps; i++) {
		unsigned k = (unsigned)rng_below(&r, COUNT_OF(live));

		if (live[k].n != 0) {
			bed_uvm_km_free(bed, KERNEL, live[k].va, live[k].n * PAGE);
			live[k].n = 0;
		} else {
			live[k].n = 1 + rng_below(&r, i % 8 == 0 ? 40 : 4);
			live[k].va = bed_uvm_km_alloc(bed, KERNEL, live[k].n * PAGE);
		}
		CHECK(logaudit_poll(l, &err), "step %u: %s", i, err.text);
	}
}

static struct logaudit *
attach(struct bed *bed, enum logaudit_mode mode)
{
	struct bed_err err;
	struct logaudit *l = logaudit_attach(bed, mode, &err);

	CHECK(l != NULL, "%s", err.text);
	return l;
}

/* The table's own entry for va, as the guest's direct map has it. */
static gva_t
entry_va(struct bed *bed, gva_t va)
{
	struct view view = bed_view(bed);
	struct walk w = view_walk(&view, va);

	CHECK(w.nsteps == PT_LEVELS, "no leaf");
	return GVA(BED_DIRECT_BASE + w.step[PT_LEVELS - 1].entry.v);
}

/* A guest that stores to a table past pte_set(): the host sees it, the log does not. */
static void
bypass(enum logaudit_mode mode)
{
	struct bed *bed = BED();
	gva_t va = bed_uvm_km_alloc(bed, KERNEL, PAGE), entry = entry_va(bed, va);
	uint64_t value = *bed_entry(bed, va, 1);
	struct logaudit *l = attach(bed, mode);
	struct bed_err err;

	bed_null(bed);
	CHECK(logaudit_poll(l, &err), "an empty call: %s", err.text);
	GUEST_STORE(bed, entry, value ^ PTE_SW_3);
	CHECK(!logaudit_poll(l, &err) && err.class == BED_E_FINDING, "not found");
	CHECK(strstr(err.text, "nothing more") && strstr(err.text, "store to entry") &&
		  err.about.witness != NULL,
	    "%s", err.text);
	GUEST_STORE(bed, entry, value);
	CHECK(!logaudit_poll(l, &err), "the second is not found");
	logaudit_detach(l);
	bed_uvm_km_free(bed, KERNEL, va, PAGE);
	bed_down(bed);
}

static void
honest(enum logaudit_mode mode, unsigned steps)
{
	struct bed *bed = BED();
	struct logaudit *l = attach(bed, mode);
	struct logaudit_totals t;
	gva_t va;

	work(bed, l, steps);
	t = logaudit_totals(l);
	CHECK(t.stores > steps, "only %lu stores were seen", t.stores);
	CHECK(mode == LOGAUDIT_TABLES || (t.invalidations > steps / 4 && t.steps > 1000),
	    "%lu invalidations, %lu steps", t.invalidations, t.steps);
	logaudit_detach(l);
	/* It runs as before. */
	va = bed_uvm_km_alloc(bed, KERNEL, 2 * PAGE);
	PT_EXPECT(bed, va, .npages = 2, .perm = PT_RW);
	bed_uvm_km_free(bed, KERNEL, va, 2 * PAGE);
	bed_down(bed);
}

BED_TEST(logaudit, single_steps_see_what_was_logged)
{
	honest(LOGAUDIT_STEPS, scaled_rounds(STEPS));
}

BED_TEST(logaudit, single_steps_see_a_store_past_the_log)
{
	bypass(LOGAUDIT_STEPS);
}

/* Code of the guest, which it never had: the rest of the page behind its own, put there by the host. */
BED_TEST(logaudit, single_steps_see_an_invalidation_past_the_log)
{
	static const struct {
		const char *says;
		uint8_t code[8];
	} row[] = {
		{ "INVLPG 0x", { 0x0f, 0x01, 0x38, 0xc3 } }, /* invlpg (%rax); ret */
		{ "CR3 = 0x", { 0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8, 0xc3 } }, /* CR3 to itself */
		{ NULL,
		    { 0x0f, 0x20, 0xe0, 0x0f, 0x22, 0xe0, 0xc3 } }, /* CR4 to itself: harmless */
	};
	struct bed *bed = BED();
	gva_t at = inside_symbol(bed, "text_end");
	struct logaudit *l = attach(bed, LOGAUDIT_STEPS);
	struct bed_err err;

	CHECK((at.v & BED_PAGE_MASK) != 0 && PAGE - (at.v & BED_PAGE_MASK) > 64,
	    "the code ends at %#lx: no room behind it", at.v);
	at.v = (at.v + 15) & ~UINT64_C(15);
	for (size_t i = 0; i < COUNT_OF(row); i++) {
		bool ok;

		memcpy(HOST(bed, at), row[i].code, sizeof(row[i].code));
		CHECK(bed_exec(bed, at) == 0, "row %zu does not run", i);
		ok = logaudit_poll(l, &err);
		CHECK(ok == (row[i].says == NULL), "row %zu: %s", i, ok ? "not found" : err.text);
		CHECK(ok || (strstr(err.text, row[i].says) && strstr(err.text, "nothing more")),
		    "row %zu: %s", i, err.text);
	}
	logaudit_detach(l);
	bed_down(bed);
}

/* Where the probe says that it cannot work, it must be refused, quickly, and with the reason. */
static void
need_readonly_tables(void)
{
	struct bed_err err = { 0 };
	struct bed *bed;

	if (logaudit_usable(LOGAUDIT_TABLES, &err))
		return;
	CHECK(err.class == BED_E_HOST && strstr(err.text, "read-only"), "%s", err.text);
	bed = BED();
	CHECK(logaudit_attach(bed, LOGAUDIT_TABLES, &err) == NULL, "attached all the same");
	bed_down(bed);
	bedtest_skip("%s", err.text);
}

BED_TEST(logaudit, read_only_tables_see_what_was_logged)
{
	need_readonly_tables();
	honest(LOGAUDIT_TABLES, 4 * STEPS);
}

BED_TEST(logaudit, read_only_tables_see_a_store_past_the_log)
{
	need_readonly_tables();
	bypass(LOGAUDIT_TABLES);
}

BED_TEST(logaudit, what_cannot_be_audited_is_refused)
{
	struct bed *bed = BED(.release = true);
	struct bed_err err;

	CHECK(logaudit_attach(bed, LOGAUDIT_STEPS, &err) == NULL && err.class == BED_E_USAGE,
	    "a guest that logs nothing");
	bed_down(bed);
	CHECK(UVMBED("replay", "--audit=nonsense", "tests/corpus/wait.trace")->code == 2, "a mode");
	CHECK(UVMBED("replay", "--audit=steps", "--release", "tests/corpus/wait.trace")->code == 2,
	    "the release flavour");
}

BED_TEST(logaudit, the_command_says_what_it_saw)
{
	const char *path = command_file("uvmbed-trace 1\na = uvm_km_alloc kernel_map 3p\n"
					"uvm_km_free kernel_map a 3p\n");
	const struct command *c = UVMBED("replay", "--audit=steps", path);

	CHECK(c->code == 0 && strstr(c->out, "  event log  6 stores and 3 invalidations in "),
	    "code %d: %s%s", c->code, c->out, c->err);
	command_tidy();
}
