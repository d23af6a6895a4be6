/* SPDX-License-Identifier: ISC */
/*
 * The report of a finding: a guest is broken from outside, as a wild store or a wrong call would, and the report
 * must name the page, the level that differs, the owner, the last writer and what to run again. Its JSON obeys the
 * schema, whatever the guest's memory holds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest/uvm/uvm_map.h"
#include "shared/events.h"
#include "tests/bed/audit_scene.h"
#include "tests/bed/command.h"
#include "tests/bed/inside.h"
#include "tests/bed/schema.h"
#include "vmm/finding/finding.h"

#define SCHEMA "docs/finding.schema.json"

/* A guest with all its witnesses, and one checked allocation of four pages. */
struct stage {
	struct bed *bed;
	struct check *check;
	struct tlbsan *tlb;
	struct recorder *recorder;
	gva_t a;
};

static struct stage
stage_up(void)
{
	struct stage s = { .bed = BED() };
	uint64_t args[] = { KERNEL, 4 * PAGE };
	struct bed_result res;
	struct bed_err err;

	s.check = check_new(s.bed, &err);
	s.recorder = recorder_attach(s.bed, &err);
	s.tlb = tlbsan_attach(s.bed, NULL, NULL, &err);
	CHECK(s.check != NULL && s.recorder != NULL && s.tlb != NULL, "%s", err.text);
	recorder_operation(s.recorder, 1);
	CHECK(
	    check_call(s.check, NULL, BED_CALL_uvm_km_alloc, args, 2, &res, &err), "%s", err.text);
	s.a = GVA(res.value);
	recorder_operation(s.recorder, 2);
	return s;
}

static void
stage_down(struct stage *s)
{
	tlbsan_detach(s->tlb);
	recorder_detach(s->recorder);
	check_free(s->check);
	bed_down(s->bed);
}

static json_t *
the_schema(void)
{
	json_error_t je;
	json_t *schema = json_load_file(SCHEMA, 0, &je);

	CHECK(schema != NULL, SCHEMA ":%d: %s", je.line, je.text);
	return schema;
}

/* The report of err as text, to be freed; its JSON has been held against the schema. */
static char *
report(struct stage *s, const struct bed_err *err, const char *replay, json_t **json)
{
	const struct finding_source src = { .bed = s->bed,
		.err = err,
		.check = s->check,
		.tlb = s->tlb,
		.recorder = s->recorder,
		.file = "t.trace",
		.text = "null",
		.line = 3,
		.operation = 2,
		.replay = replay };
	json_t *schema = the_schema(), *doc;
	char *text = NULL, why[300];
	struct finding f;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	finding_make(&f, &src);
	finding_print(out, &f);
	fclose(out);
	doc = finding_json(&f);
	CHECK(doc != NULL, "no JSON of %s", text);
	CHECK(schema_holds(schema, doc, why, sizeof(why)), "%s", why);
	finding_free(&f);
	json_decref(schema);
	if (json != NULL)
		*json = doc;
	else
		json_decref(doc);
	return text;
}

static void
null_call(struct stage *s, struct bed_err *err)
{
	struct bed_result res;

	*err = (struct bed_err){ 0 };
	CHECK(!check_call(s->check, NULL, BED_CALL_null, NULL, 0, &res, err), "nothing was found");
}

static void
no_write(struct stage *s)
{
	*bed_entry(s->bed, page_of(s->a, 2), 1) &= ~PTE_W;
}

static void
no_page(struct stage *s)
{
	*bed_entry(s->bed, page_of(s->a, 2), 1) = 0;
}

static void
other_frame(struct stage *s)
{
	*bed_entry(s->bed, page_of(s->a, 2), 1) ^= PAGE << 6;
}

static void
frame_of_neighbour(struct stage *s)
{
	*bed_entry(s->bed, page_of(s->a, 2), 1) = *bed_entry(s->bed, s->a, 1);
}

static void
no_write_above(struct stage *s)
{
	*bed_entry(s->bed, s->a, 2) &= ~PTE_W;
}

static void
reserved_above(struct stage *s)
{
	*bed_entry(s->bed, s->a, 3) |= UINT64_C(1) << bed_view(s->bed).maxphyaddr;
}

static const struct {
	const char *what;
	void (*edit)(struct stage *);
	unsigned page; /* that the report is about */
	const char *says[5];
} wrongs[] = {
	{ "W gone", no_write, 2,
	    { "W lost here", "they part at PT[", "(W taken at PT[", "kernel_object" } },
	{ "a page gone", no_page, 2, { "<- not present", "they part at PT[", "expected by" } },
	{ "another frame", other_frame, 2, { "<- other frame", "they part at PT[" } },
	{ "a frame twice", frame_of_neighbour, 2, { "<- other frame", "also mapped at" } },
	{ "W gone above", no_write_above, 0,
	    { "W lost here", "they part at PD[", "(W taken at PD[" } },
	{ "a reserved bit above", reserved_above, 0,
	    { "<- reserved bit set", "they part at PDPT[" } },
};

/* Page, level, owner, last writer with symbol and line, that the log does not know the store, and the command. */
BED_TEST(finding, the_report_explains)
{
	for (size_t i = 0; i < COUNT_OF(wrongs); i++) {
		struct stage s = stage_up();
		struct bed_err err;
		char va[40], *text;

		snprintf(va, sizeof(va), "  va             %016lx", page_of(s.a, wrongs[i].page).v);
		wrongs[i].edit(&s);
		null_call(&s, &err);
		text = report(&s, &err, "uvmbed replay t.trace", NULL);
		CHECK(strstr(text, va), "%s: no \"%s\" in\n%s", wrongs[i].what, va, text);
		for (unsigned k = 0; wrongs[i].says[k] != NULL; k++)
			CHECK(strstr(text, wrongs[i].says[k]), "%s: no \"%s\" in\n%s",
			    wrongs[i].what, wrongs[i].says[k], text);
		CHECK(strstr(text, "kernel_map entry ") &&
			  strstr(text, "operation      2: null  (t.trace:3)") &&
			  strstr(text, "replay         uvmbed replay t.trace") &&
			  strstr(text, "last writers"),
		    "%s: %s", wrongs[i].what, text);
		/* The guest's own stores to leaves of this run are in the log, those to upper tables before it. */
		if (i < 4)
			CHECK(strstr(text, "not logged") && strstr(text, "op 1 ") &&
				  strstr(text, "guest/pmap_range.c:"),
			    "%s: %s", wrongs[i].what, text);
		free(text);
		stage_down(&s);
	}
}

/* A finding that no table shows: the invariant's page and frame come from the audit. */
BED_TEST(finding, an_invariant_has_its_place)
{
	struct stage s = stage_up();
	struct snapshot snap;
	struct bed_err err = { 0 };
	json_t *doc, *page;
	char *text;

	*bed_entry(s.bed, page_of(s.a, 1), 1) =
	    (*bed_entry(s.bed, page_of(s.a, 1), 1) & ~PTE_FRAME) | BED_IMAGE_PA;
	snap = bed_snapshot(s.bed);
	CHECK(!check_invariants(s.bed, &snap, &err), "no invariant is broken");
	text = report(&s, &err, NULL, &doc);
	CHECK(err.about.witness != NULL && strcmp(err.about.witness, "invariant") == 0 &&
		  err.about.has_va && err.about.va == page_of(s.a, 1).v,
	    "about %#lx", err.about.va);
	page = json_object_get(doc, "page");
	CHECK(json_is_object(page) && strstr(text, "0x400000: image"), "%s", text);
	json_decref(doc);
	free(text);
	snapshot_free(&snap);
	stage_down(&s);
}

/* What the map says where the call says nothing: a page in a hole is absent by the map. */
BED_TEST(finding, the_map_is_asked_last)
{
	struct stage s = stage_up();
	struct bed_err err = { 0 };
	json_t *doc, *page;
	char *text;

	uint64_t leaf = *bed_entry(s.bed, s.a, 1) ^ PAGE << 7;

	bed_uvm_km_free(s.bed, KERNEL, s.a, 4 * PAGE);
	*bed_entry(s.bed, s.a, 1) = leaf;
	/* This checker knows nothing but the damaged state. */
	check_free(s.check);
	s.check = NULL;
	bed_fail(&err, BED_E_FINDING, "made up");
	bed_fail_at(&err, s.a.v);
	text = report(&s, &err, NULL, &doc);
	page = json_object_get(doc, "page");
	CHECK(strcmp(json_string_value(json_object_get(json_object_get(page, "expected"), "by")),
		  "the map") == 0 &&
		  strstr(text, "kernel_map hole ") && strstr(text, "<- present"),
	    "%s", text);
	json_decref(doc);
	free(text);
	stage_down(&s);
}

/* What is owed: after an entry was cleared and before it is invalidated, the report says so. */
BED_TEST(finding, what_is_owed_is_shown)
{
	struct tlb_event store = { .type = TLB_STORE, .ticket = 1, .a = { 0x5000, 0x9063, 0 } };
	struct tlb_event start[] = { { .type = TLB_CPUS, .a = { 2 } },
		{ .type = TLB_TABLE, .a = { 0x5000, 1, BED_KVA_BASE } },
		{ .type = TLB_ENTRY, .a = { 0x5000, 0x9063 } } };
	struct tlb_open open[4];
	struct bed_err err;
	struct tlb *t = tlb_new(NULL, NULL, NULL, &err);
	struct tlb_event inval = { .type = TLB_INVLPG, .ticket = 3, .a = { BED_KVA_BASE, 2 } };

	for (size_t i = 0; i < COUNT_OF(start); i++)
		CHECK(tlb_event(t, &start[i], &err), "%s", err.text);
	CHECK(tlb_open_at(t, BED_KVA_BASE, open, 4) == 0, "owed before anything was taken");
	CHECK(tlb_event(t, &store, &err), "%s", err.text);
	CHECK(tlb_open_at(t, BED_KVA_BASE, open, 4) == 1 && open[0].cpus == 3 &&
		  open[0].old == 0x9063 && open[0].frame == 0x9000,
	    "cpus %#lx old %#lx", open[0].cpus, open[0].old);
	CHECK(tlb_open_at(t, BED_KVA_BASE + PAGE, open, 4) == 0, "owed for the page behind");
	CHECK(tlb_event(t, &inval, &err), "%s", err.text);
	CHECK(tlb_open_at(t, BED_KVA_BASE, open, 4) == 1 && open[0].cpus == 2, "cpus %#lx",
	    open[0].cpus);
	tlb_free(t);
}

/* At rest the tables are what the log says: an entry that changed behind it is found without a store to it. */
BED_TEST(finding, tables_at_rest_are_what_the_log_says)
{
	struct stage s = stage_up();
	struct bed_err err;
	char *text;

	CHECK(tlbsan_poll(s.tlb, &err), "%s", err.text);
	*bed_entry(s.bed, page_of(s.a, 3), 1) |= PTE_A | PTE_D;
	CHECK(tlbsan_poll(s.tlb, &err), "A and D are the CPU's: %s", err.text);
	*bed_entry(s.bed, page_of(s.a, 3), 1) ^= PTE_SW_3;
	CHECK(!tlbsan_poll(s.tlb, &err) && err.class == BED_E_FINDING, "not found");
	CHECK(strstr(err.text, "unlogged") && strstr(err.text, "memory has") && err.about.has_va &&
		  err.about.va == page_of(s.a, 3).v,
	    "%s", err.text);
	text = report(&s, &err, NULL, NULL);
	CHECK(strstr(text, "not logged"), "%s", text);
	free(text);
	CHECK(tlbsan_poll(s.tlb, &err), "said twice: %s", err.text);
	/* An upper entry, too. */
	*bed_entry(s.bed, s.a, 2) |= PTE_SW_3;
	CHECK(!tlbsan_poll(s.tlb, &err), "not found");
	stage_down(&s);
}

/* Events on their way to the sanitizer, invalidations left out: a guest that forgets them. */
struct forgetful {
	bed_event_fn *fn;
	void *arg;
};

static void
forget(void *arg, const struct bed_event *e, unsigned n)
{
	const struct forgetful *f = arg;

	for (unsigned i = 0; i < n; i++)
		if (e[i].type != BED_EV_INVLPG)
			f->fn(f->arg, &e[i], 1);
}

BED_TEST(finding, a_missing_invalidation_is_explained)
{
	struct stage s = stage_up();
	struct forgetful f = { bed_config(s.bed)->on_events, bed_config(s.bed)->on_events_arg };
	uint64_t args[] = { KERNEL, s.a.v, 4 * PAGE };
	struct bed_result res;
	struct bed_err err;
	json_t *doc;
	char *text;

	bed_on_events(s.bed, forget, &f);
	CHECK(check_call(s.check, NULL, BED_CALL_uvm_km_free, args, 3, &res, &err), "%s", err.text);
	CHECK(!tlbsan_poll(s.tlb, &err), "nothing is missing");
	bed_on_events(s.bed, f.fn, f.arg);
	text = report(&s, &err, "uvmbed replay t.trace", &doc);
	/* Who stored and when, which deadline, by name and line; and that it is owed still. */
	CHECK(strstr(text, "TLB sanitizer: ") == text && strstr(text, "missing:") &&
		  strstr(text, "stored at ") && strstr(text, "guest/uvm/") &&
		  strstr(text, "TLB, owed      since event") &&
		  strstr(text, "not invalidated on cpu 0"),
	    "%s", text);
	CHECK(strstr(text, "pc 0x") == NULL, "an address without its name: %s", text);
	CHECK(json_array_size(json_object_get(doc, "tlb_owed")) == 1, "%s", text);
	puts(text);
	json_decref(doc);
	free(text);
	stage_down(&s);
}

static bool
model(void *arg, gva_t va, char *buf, size_t size)
{
	snprintf(buf, size, "%s of %#lx", (const char *)arg, va.v);
	return true;
}

/* A model of the maps has its line, beside the map's. */
BED_TEST(finding, a_model_may_name_the_owner)
{
	struct stage s = stage_up();
	struct bed_err err;
	struct finding f;
	char name[] = "allocation 7";
	struct finding_source src = {
		.bed = s.bed, .err = &err, .model = model, .model_arg = name
	};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	bed_fail(&err, BED_E_FINDING, "made up");
	bed_fail_at(&err, s.a.v);
	finding_make(&f, &src);
	finding_print(out, &f);
	fclose(out);
	CHECK(strstr(text, "owner by model allocation 7 of 0xffff8"), "%s", text);
	finding_free(&f);
	free(text);
	stage_down(&s);
}

/* Garbage in tables and structures: the report ends, and its JSON obeys the schema. */
BED_TEST(finding, garbage_is_reported_too)
{
	struct rng r = rng_seeded("finding");
	struct stage s = stage_up();
	const struct bed_bootinfo *boot = bed_bootinfo(s.bed);
	uint64_t data = inside_symbol(s.bed, "data_start").v - BED_IMAGE_BASE;

	for (unsigned i = 0; i < scaled_rounds(150); i++) {
		struct bed_err err;
		json_t *doc;

		for (unsigned k = 0; k < 20; k++) {
			bool tables = rng_below(&r, 2) == 0;
			uint64_t start = tables ? boot->ptpool_start : data;
			uint64_t len = tables ? 16 * PAGE : boot->image_end - data;
			uint64_t *word = bed_ptr(s.bed, GPA(start + rng_below(&r, len / 8) * 8), 8);

			*word = rng_below(&r, 3) == 0 ? rng_next(&r) : *word ^ rng_below(&r, 4096);
		}
		bed_fail(&err, BED_E_FINDING, "garbage, pc 0xffffffff80400000 and pc 0x%lx",
		    rng_next(&r));
		bed_fail_at(&err, rng_below(&r, 2) == 0 ? rng_next(&r) : s.a.v);
		if (rng_below(&r, 2) == 0)
			bed_fail_frame(&err, rng_next(&r));
		free(report(&s, &err, NULL, &doc));
		json_decref(doc);
	}
	/* The bed is beyond help: it is not asked to end well. */
	tlbsan_detach(s.tlb);
	recorder_detach(s.recorder);
	check_free(s.check);
	bed_destroy(s.bed);
}

/* The schema itself can be broken. */
BED_TEST(finding, the_schema_refuses)
{
	static const struct {
		const char *doc, *says;
	} row[] = {
		{ "[]", "type" },
		{ "{}", "missing schema" },
		{ "{\"schema\":\"uvmbed-finding-2\",\"witness\":\"\",\"message\":\"\",\"operation\":null,"
		  "\"page\":null,\"entry\":null,\"tlb_owed\":[],\"frame\":null,\"replay\":null}",
		    "value" },
		{ "{\"schema\":\"uvmbed-finding-1\",\"witness\":\"\",\"message\":\"\",\"operation\":null,"
		  "\"page\":null,\"entry\":null,\"tlb_owed\":[{}],\"frame\":null,\"replay\":null}",
		    "/tlb_owed/0: missing va" },
		{ "{\"schema\":\"uvmbed-finding-1\",\"witness\":\"\",\"message\":\"\",\"operation\":null,"
		  "\"page\":null,\"entry\":null,\"tlb_owed\":[],\"frame\":null,\"replay\":null,\"x\":1}",
		    "not in the schema: x" },
	};
	json_t *schema = the_schema();

	for (size_t i = 0; i < COUNT_OF(row); i++) {
		json_t *doc = json_loads(row[i].doc, 0, NULL);
		char why[300];

		CHECK(!schema_holds(schema, doc, why, sizeof(why)) && strstr(why, row[i].says),
		    "row %zu: %s", i, why);
		json_decref(doc);
	}
	json_decref(schema);
}

/* uvmbed audit has the page a broken invariant is about, and when it was freed. */
BED_TEST(finding, the_audit_command_reports)
{
	const char *path = command_file("uvmbed-trace 1\na = uvm_km_alloc kernel_map 3p\n"
					"uvm_km_free kernel_map a 3p\n"
					"store 0xfffffd8000ff0000 0x1\n");
	const struct command *c = UVMBED("audit", "--trace", path);
	json_t *doc, *list, *schema = the_schema(), *frame;
	char why[300];

	CHECK(c->code == 1 && strstr(c->out, "BROKEN 24 poison") &&
		  strstr(c->out, "frame          0xff0000: free") && strstr(c->out, "op 2 ") &&
		  strstr(c->out, "freed with 3 pages"),
	    "code %d: %s%s", c->code, c->out, c->err);
	c = UVMBED("audit", "--json", "--trace", path);
	doc = json_loads(c->out, 0, NULL);
	list = json_object_get(doc, "findings");
	CHECK(c->code == 1 && json_array_size(list) == 1, "code %d: %s%s", c->code, c->out, c->err);
	CHECK(schema_holds(schema, json_array_get(list, 0), why, sizeof(why)), "%s", why);
	frame = json_object_get(json_array_get(list, 0), "frame");
	CHECK(
	    strcmp(json_string_value(json_object_get(frame, "owner")), "free") == 0, "%s", c->out);
	json_decref(doc);
	/* A program that fails on the way is reported as replay does. */
	path = command_file("uvmbed-trace 1\na = uvm_km_alloc kernel_map 3p\nexpect absent a 3p\n");
	c = UVMBED("audit", "--trace", path);
	CHECK(c->code == 1 && strstr(c->out, "they part at PT["), "code %d: %s%s", c->code, c->out,
	    c->err);
	json_decref(schema);
	command_tidy();
}

/* As a user meets it: `uvmbed replay --json` has the finding, and its command repeats it. */
BED_TEST(finding, the_command_reports)
{
	const char *path = command_file("uvmbed-trace 1\nram 8m\na = uvm_km_alloc kernel_map 3p\n"
					"uvm_km_free kernel_map a+1p 1p\nexpect mapped a 3p rw-\n");
	const struct command *c = UVMBED("replay", "--json", "--guard", path);
	json_t *doc = json_loads(c->out, 0, NULL), *finding, *schema = the_schema();
	char why[300], replay[200];
	const char *again;

	CHECK(c->code == 1 && doc != NULL, "code %d: %s%s", c->code, c->out, c->err);
	finding = json_object_get(json_array_get(json_object_get(doc, "programs"), 0), "finding");
	CHECK(schema_holds(schema, finding, why, sizeof(why)), "%s", why);
	again = json_string_value(json_object_get(finding, "replay"));
	snprintf(replay, sizeof(replay), "uvmbed replay --guard %s", path);
	CHECK(again != NULL && strcmp(again, replay) == 0, "%s", again);
	CHECK(json_integer_value(
		  json_object_get(json_object_get(finding, "operation"), "number")) == 3 &&
		  json_integer_value(
		      json_object_get(json_object_get(finding, "operation"), "line")) == 5,
	    "%s", c->out);
	json_decref(doc);
	json_decref(schema);
	command_tidy();
}
