/* SPDX-License-Identifier: ISC */
/*
 * The checker is checked: whatever a guest could do wrong is done behind its back by the host, in its page tables
 * in shared memory, and the next checked call must find it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bed/fixture.h"
#include "vmm/check/check.h"
#include "vmm/view/walk.h"

struct scene {
	struct bed *bed;
	struct check *check;
	gva_t a, b; /* two allocations of four pages, a hole between them */
};

static struct scene
scene(void)
{
	struct scene s = { .bed = BED() };
	struct bed_err err;
	gva_t gap;

	s.a = bed_uvm_km_alloc(s.bed, KERNEL, 4 * PAGE);
	gap = bed_uvm_km_alloc(s.bed, KERNEL, 2 * PAGE);
	s.b = bed_uvm_km_alloc(s.bed, KERNEL, 4 * PAGE);
	bed_uvm_km_free(s.bed, KERNEL, gap, 2 * PAGE);
	s.check = check_new(s.bed, &err);
	CHECK(s.check != NULL, "%s", err.text);
	return s;
}

static void
end_scene(struct scene *s)
{
	check_free(s->check);
	bed_down(s->bed);
}

/* A call that changes nothing by itself, checked. */
static bool
look(struct scene *s, struct bed_err *err)
{
	struct bed_result res;

	*err = (struct bed_err){ 0 };
	return check_call(s->check, NULL, BED_CALL_null, NULL, 0, &res, err);
}

static void
remap(struct scene *s)
{
	*bed_entry(s->bed, s->a, 1) ^= PAGE << 5;
}

static void
unmap(struct scene *s)
{
	*bed_entry(s->bed, page_of(s->a, 2), 1) = 0;
}

static void
map_in_hole(struct scene *s)
{
	*bed_entry(s->bed, page_of(s->a, 4), 1) =
	    (*bed_entry(s->bed, s->a, 1) & ~PTE_FRAME) | (bed_bootinfo(s->bed)->ram_bytes - PAGE);
}

static void
write_protect(struct scene *s)
{
	*bed_entry(s->bed, page_of(s->b, 3), 1) &= ~PTE_W;
}

static void
unwire(struct scene *s)
{
	*bed_entry(s->bed, s->b, 1) &= ~PTE_SW_W;
}

static void
writable_and_executable(struct scene *s)
{
	/* The tables above kernel_map deny execution, too: all levels must let it through. */
	for (int level = 4; level >= 1; level--)
		*bed_entry(s->bed, s->a, level) &= ~PTE_NX;
}

static void
for_users(struct scene *s)
{
	for (int level = 4; level >= 1; level--)
		*bed_entry(s->bed, s->a, level) |= PTE_U;
}

static void
frame_twice(struct scene *s)
{
	*bed_entry(s->bed, s->a, 1) = *bed_entry(s->bed, s->b, 1);
}

static void
frame_of_the_image(struct scene *s)
{
	uint64_t *e = bed_entry(s->bed, s->a, 1);

	*e = (*e & ~PTE_FRAME) | BED_IMAGE_PA;
}

static void
frame_of_a_table(struct scene *s)
{
	uint64_t *e = bed_entry(s->bed, s->a, 1);

	*e = (*e & ~PTE_FRAME) | bed_view(s->bed).root.v;
}

static void
frame_outside(struct scene *s)
{
	uint64_t *e = bed_entry(s->bed, s->a, 1);

	*e = (*e & ~PTE_FRAME) | bed_bootinfo(s->bed)->ram_bytes;
}

static void
reserved_bit(struct scene *s)
{
	*bed_entry(s->bed, s->a, 1) |= UINT64_C(1) << bed_view(s->bed).maxphyaddr;
}

static void
table_outside(struct scene *s)
{
	uint64_t *e = bed_entry(s->bed, s->a, 2);

	*e = (*e & ~PTE_FRAME) | bed_bootinfo(s->bed)->ram_bytes;
}

static void
uncached(struct scene *s)
{
	*bed_entry(s->bed, s->a, 1) |= PTE_PCD;
}

static void
direct_map_shifted(struct scene *s)
{
	*bed_entry(s->bed, GVA(BED_DIRECT_BASE + 8 * MIB), 2) += 2 * MIB;
}

static const struct {
	const char *what;
	void (*edit)(struct scene *);
	const char *says;
	bool invariant; /* broken in itself, not only by change */
} edits[] = {
	{ "another frame", remap, "", true },
	{ "a page gone", unmap, "pm_l1", true },
	{ "a page in a hole", map_in_hole, "", true },
	{ "W gone", write_protect, "", false },
	{ "software bit gone", unwire, "pm_wired", true },
	{ "W and X", writable_and_executable, "execution", true },
	{ "U", for_users, "user", true },
	{ "one frame twice", frame_twice, "twice", true },
	{ "a frame of the image", frame_of_the_image, "memory the allocator was given", true },
	{ "a frame of a table", frame_of_a_table, "page-table pages", true },
	{ "a frame outside RAM", frame_outside, "memory the allocator was given", true },
	{ "a reserved bit", reserved_bit, "reserved", true },
	{ "a table outside RAM", table_outside, "", true },
	{ "uncached memory", uncached, "write-back", true },
	{ "the direct map shifted", direct_map_shifted, "direct map", true },
};

/* The frame rule: nothing was asked, so nothing may have changed. The finding names call and address. */
BED_TEST(check, an_edit_behind_its_back_is_found)
{
	for (size_t i = 0; i < COUNT_OF(edits); i++) {
		struct scene s = scene();
		struct bed_err err;

		CHECK(look(&s, &err), "%s: before the edit: %s", edits[i].what, err.text);
		edits[i].edit(&s);
		CHECK(!look(&s, &err), "%s is not found", edits[i].what);
		CHECK(err.class == BED_E_FINDING && strstr(err.text, "null"), "%s: class %d: %s",
		    edits[i].what, err.class, err.text);
		end_scene(&s);
	}
}

/* Each invariant by itself: a checker that starts on tables like these refuses, and names the invariant. */
BED_TEST(check, every_invariant_can_be_broken)
{
	for (size_t i = 0; i < COUNT_OF(edits); i++) {
		struct scene s = scene();
		struct snapshot snap;
		struct bed_err err = { 0 };
		bool holds;

		edits[i].edit(&s);
		snap = bed_snapshot(s.bed);
		holds = check_invariants(s.bed, &snap, &err);
		CHECK(holds != edits[i].invariant, "%s: %s", edits[i].what,
		    holds ? "no invariant is broken" : err.text);
		CHECK(holds ||
			  (strstr(err.text, "invariant broken") && strstr(err.text, edits[i].says)),
		    "%s: %s", edits[i].what, err.text);
		CHECK(
		    holds || check_new(s.bed, &err) == NULL, "%s: a checker starts", edits[i].what);
		snapshot_free(&snap);
		end_scene(&s);
	}
}

/* Software is never the one to set them, and they come and go: no finding. */
BED_TEST(check, accessed_and_dirty_are_no_change)
{
	struct scene s = scene();
	struct bed_err err;

	*bed_entry(s.bed, s.a, 1) |= PTE_A | PTE_D;
	CHECK(look(&s, &err), "%s", err.text);
	*bed_entry(s.bed, s.a, 1) &= ~(PTE_A | PTE_D);
	CHECK(look(&s, &err), "%s", err.text);
	end_scene(&s);
}

/* The report shows the address, how it was and how it is. */
BED_TEST(check, a_finding_shows_the_mapping)
{
	struct scene s = scene();
	struct bed_err err;
	char va[32];

	snprintf(va, sizeof(va), "%lx", page_of(s.b, 3).v);
	write_protect(&s);
	CHECK(!look(&s, &err), "not found");
	CHECK(strstr(err.text, va) && strstr(err.text, "r"), "%s is not in %s", va, err.text);
	end_scene(&s);
}

/* An edit in the range of a call is found, too: the guest clears less than became unmapped. */
BED_TEST(check, an_edit_in_the_way_of_a_call)
{
	struct scene s = scene();
	uint64_t args[] = { KERNEL, s.a.v, 4 * PAGE };
	struct bed_result res;
	struct bed_err err;

	unmap(&s);
	CHECK(!check_call(s.check, "op 7", BED_CALL_uvm_km_free, args, 3, &res, &err), "not found");
	CHECK(err.class == BED_E_FINDING && strstr(err.text, "op 7") &&
		  strstr(err.text, "uvm_km_free") && strstr(err.text, "cleared"),
	    "%s", err.text);
	end_scene(&s);
}

/* Zeroed memory that is not zero: the host dirties a page that the guest believes to be zero. */
BED_TEST(check, zeroed_memory_is_looked_at)
{
	struct scene s = scene();
	uint64_t args[] = { KERNEL, PAGE };
	struct view view = bed_view(s.bed);
	struct bed_result res;
	struct bed_err err;
	gpa_t pa;

	CHECK(
	    check_call(s.check, NULL, BED_CALL_uvm_km_zalloc, args, 2, &res, &err), "%s", err.text);
	/* The next one comes from below it: placement is from the top of a run. */
	pa = view_walk(&view, GVA(res.value)).pa;
	for (unsigned i = 1; i <= 64; i++)
		memset(bed_ptr(s.bed, GPA(pa.v - i * PAGE), PAGE), 0xff, PAGE);
	CHECK(!check_call(s.check, NULL, BED_CALL_uvm_km_zalloc, args, 2, &res, &err), "not found");
	CHECK(strstr(err.text, "zero"), "%s", err.text);
	end_scene(&s);
}

/* What goes well is counted. */
BED_TEST(check, totals)
{
	struct scene s = scene();
	uint64_t args[3] = { KERNEL, 3 * PAGE };
	struct check_totals t;
	struct bed_result res;
	struct bed_err err;

	CHECK(
	    check_call(s.check, NULL, BED_CALL_uvm_km_alloc, args, 2, &res, &err), "%s", err.text);
	args[1] = res.value;
	args[2] = 3 * PAGE;
	CHECK(check_call(s.check, NULL, BED_CALL_uvm_km_free, args, 3, &res, &err), "%s", err.text);
	CHECK(look(&s, &err), "%s", err.text);
	t = check_totals(s.check);
	CHECK(t.calls == 3 && t.changed == 6 && t.translations >= 4 && t.pages > 3 * 8 && t.ns > 0,
	    "%lu calls, %lu pages changed, %lu translations, %lu compared", t.calls, t.changed,
	    t.translations, t.pages);
	end_scene(&s);
}
