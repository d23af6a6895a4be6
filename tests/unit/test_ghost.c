/* SPDX-License-Identifier: ISC */
/*
 * The specification functions, put to calls by hand: no guest, no allocator.
 */
#include <stdio.h>
#include <string.h>

#include "tests/bedtest.h"
#include "tests/unit/ghost_scene.h"
#include "vmm/ghost/session.h"

#define KERNEL BED_MAP_KERNEL

#define EXPECT(s, want, verdict)                                                           \
	do {                                                                               \
		enum ghost_verdict v_ = (verdict);                                         \
		cr_assert(v_ == (want), "verdict %d, wanted %d: %s", (int)v_, (int)(want), \
		    (s)->step.why);                                                        \
	} while (0)
#define SAYS(s, text) cr_assert(strstr((s)->step.why, text) != NULL, "it says: %s", (s)->step.why)

/* Best fit: the smallest hole, the lowest of its size, whatever else there is. */
BED_TEST(ghost, an_address_is_predicted)
{
	struct ghost_scene s;

	ghost_scene_up(&s);
	ghost_scene_use(&s, 0, 10); /* holes: 10..14 (4), 20..23 (3), 30..33 (3), 40.. */
	ghost_scene_use(&s, 14, 6);
	ghost_scene_use(&s, 23, 7);
	ghost_scene_use(&s, 33, 7);
	ghost_scene_sees(&s, 20, 3, FRAME);
	EXPECT(&s, GHOST_OK, CALL(&s, uvm_km_alloc, VA(20), KERNEL, 3 * PAGE));
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, uvm_km_alloc, VA(10), KERNEL, 3 * PAGE));
	SAYS(&s, "must return 0xffff800000014000: the lowest of the smallest holes");
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, uvm_km_alloc, VA(30), KERNEL, 3 * PAGE));
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, uvm_km_alloc, 0, KERNEL, 3 * PAGE));
	SAYS(&s, "had no reason to");
	ghost_scene_down(&s);
}

static void
wrong_max(struct ghost_scene *s)
{
	s->seen.map[0].range[0].what.maxprot = 3;
}

static void
wrong_prot(struct ghost_scene *s)
{
	s->seen.map[0].range[0].what.prot = 1;
}

static void
wired_entry(struct ghost_scene *s)
{
	s->seen.map[0].range[0].what.wired = 1;
}

static void
extra_range(struct ghost_scene *s)
{
	struct ghost_range r = s->seen.map[0].range[0];

	r.start = VA(100);
	r.end = VA(101);
	ghost_map_push(&s->seen, 0, r);
}

static void
longer_range(struct ghost_scene *s)
{
	s->seen.map[0].range[0].end += PAGE;
}

static void
guard(struct ghost_scene *s)
{
	s->seen.map[0].range[0].guard = PAGE;
}

static void
lost_range(struct ghost_scene *s)
{
	s->seen.map[0].n = 0;
}

static void
missing_page(struct ghost_scene *s)
{
	runs_remove(&s->seen.leaf, (VA(0) >> 12) + 1, 1);
}

static void
extra_page(struct ghost_scene *s)
{
	runs_put(&s->seen.leaf,
	    (struct ghost_run){
		.at = VA(50) >> 12, .n = 1, .to = FRAME + 9, .attr = GHOST_LEAF(3, 1, 0, 1, 3) });
}

static void
not_writable(struct ghost_scene *s)
{
	runs_mark(&s->seen.leaf, VA(0) >> 12, 1, GHOST_LEAF_W, 0);
}

static void
not_managed(struct ghost_scene *s)
{
	runs_mark(&s->seen.leaf, VA(0) >> 12, 1, GHOST_LEAF_MANAGED, 0);
}

static void
not_in_the_object(struct ghost_scene *s)
{
	runs_remove(&s->seen.object, VA(0) >> 12, 1);
}

static void
wired_page(struct ghost_scene *s)
{
	runs_mark(&s->seen.object, VA(0) >> 12, 1, 0, 1);
}

static void
leaked_page(struct ghost_scene *s)
{
	runs_remove(&s->seen.free, FRAME + 100, 1);
}

static void
still_free(struct ghost_scene *s)
{
	runs_put(&s->seen.free, run_of_frames(FRAME, 1));
}

static void
page_in_use(struct ghost_scene *s)
{
	runs_remove(&s->before.free, FRAME + 1, 1);
}

static void
books_off(struct ghost_scene *s)
{
	s->seen.kernpages++;
}

static void
wired_off(struct ghost_scene *s)
{
	s->seen.wired++;
}

static void
refs_off(struct ghost_scene *s)
{
	s->seen.map[0].refs++;
}

static void
wakeups_off(struct ghost_scene *s)
{
	s->seen.map[0].wakeups++;
}

static void
faults_off(struct ghost_scene *s)
{
	s->seen.faults++;
}

static void
table_off(struct ghost_scene *s)
{
	runs_put(&s->seen.table[0], run_of_frames((BED_KVA_BASE >> 21) + 2, 1));
	s->seen.pool--;
}

static void
table_count_off(struct ghost_scene *s)
{
	s->seen.pool--;
}

static void
map_flags(struct ghost_scene *s)
{
	s->seen.map[0].flags |= 2;
}

static void
map_more(struct ghost_scene *s)
{
	s->seen.map[7] = (struct ghost_map){ .used = true, .min = VA(60), .max = VA(61) };
}

/* Of everything that is seen, exactly what the call does may have changed. */
static const struct {
	const char *what, *says;
	void (*edit)(struct ghost_scene *);
} edits[] = {
	{ "the maximum protection", "object rw-/rwx", wrong_max },
	{ "the protection", "object r--/rwx", wrong_prot },
	{ "a wire count", "wired 1", wired_entry },
	{ "a range too many", "0xffff800000064000..0xffff800000065000", extra_range },
	{ "a range too long", "(1 pages)", longer_range },
	{ "a guard", "guard", guard },
	{ "a range lost", "actual    free", lost_range },
	{ "a page not mapped", "is not mapped", missing_page },
	{ "a page too many", "expected  none", extra_page },
	{ "a leaf not writable", "actual    pa 0x800000 r---", not_writable },
	{ "a leaf not managed", "mapping", not_managed },
	{ "a page not in the object", "page of kernel_object", not_in_the_object },
	{ "a wired page", "wire count 1", wired_page },
	{ "a page lost", "1 should be free and are not (0x864000)", leaked_page },
	{ "a page that is used and free", "1 are free and should not be (0x800000)", still_free },
	{ "a page that somebody had", "not all were free", page_in_use },
	{ "pages for the books", "has +1", books_off },
	{ "uvmexp.wired", "uvmexp.wired: before 0, expected 0, actual 0x1", wired_off },
	{ "references of a map", "references", refs_off },
	{ "wakeups of a map", "wakeups", wakeups_off },
	{ "faults", "uvmexp.faults", faults_off },
	{ "a table", "level-1 table", table_off },
	{ "the pool of tables", "table pages left", table_count_off },
	{ "flags of a map", "flags", map_flags },
	{ "a map", "map 7: is a map", map_more },
};

BED_TEST(ghost, everything_is_compared)
{
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		struct ghost_scene s;

		ghost_scene_up(&s);
		ghost_scene_sees(&s, 0, 3, FRAME);
		EXPECT(&s, GHOST_OK, CALL(&s, uvm_km_alloc, VA(0), KERNEL, 3 * PAGE));
		edits[i].edit(&s);
		cr_assert(CALL(&s, uvm_km_alloc, VA(0), KERNEL, 3 * PAGE) == GHOST_VIOLATION,
		    "%s is not noticed", edits[i].what);
		cr_assert(strstr(s.step.why, edits[i].says) != NULL, "%s: it says %s",
		    edits[i].what, s.step.why);
		ghost_scene_down(&s);
	}
}

/* Refused is refused, with nothing changed. */
BED_TEST(ghost, what_is_refused)
{
	static const struct ghost_call refused[] = {
		{ .id = BED_CALL_uvm_km_alloc, .arg = { KERNEL, 0 } },
		{ .id = BED_CALL_uvm_km_alloc, .arg = { KERNEL, UINT64_MAX } },
		{ .id = BED_CALL_uvm_km_alloc, .arg = { KERNEL, (PAGES + 1) * PAGE } },
		{ .id = BED_CALL_uvm_km_alloc1, .arg = { KERNEL, PAGE, 3, 0 } },
		{ .id = BED_CALL_uvm_km_kmemalloc, .arg = { KERNEL, 0, PAGE, 1 } },
		{ .id = BED_CALL_uvm_km_kmemalloc, .arg = { KERNEL, 1, PAGE, 10 } },
		{ .id = BED_CALL_uvm_km_kmemalloc_pla,
		    .arg = { KERNEL, 1, PAGE, 0, 1, 2 * PAGE, PAGE, 0, 0, 0 } },
		{ .id = BED_CALL_km_alloc, .arg = { PAGE + 1, BED_KV_any, 0, 0 } },
		{ .id = BED_CALL_km_alloc, .arg = { 2 * PAGE, BED_KV_page, 0, 0 } },
		{ .id = BED_CALL_km_alloc, .arg = { PAGE, BED_KV_page, BED_KP_none, 0 } },
		{ .id = BED_CALL_uvm_km_suballoc, .arg = { KERNEL, VA(1) + 1, PAGE, 0, 1 } },
	};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct ghost_scene s;

		ghost_scene_up(&s);
		s.call = refused[i];
		EXPECT(&s, GHOST_OK, ghost_scene_apply(&s));
		s.call.value = VA(0);
		EXPECT(&s, GHOST_VIOLATION, ghost_scene_apply(&s));
		s.call.value = 0;
		s.call.asleep = true;
		s.call.wmesg = "pglalloc";
		EXPECT(&s, GHOST_VIOLATION, ghost_scene_apply(&s));
		ghost_scene_down(&s);
	}
}

/* Too few pages: it may not succeed; enough: it may not fail; in between, for its books, it may do both. */
BED_TEST(ghost, when_pages_are_short)
{
	struct ghost_scene s;

	ghost_scene_up(&s);
	runs_remove(&s.before.free, FRAME, NFRAMES - 10);
	runs_remove(&s.seen.free, FRAME, NFRAMES - 10);
	EXPECT(&s, GHOST_OK, CALL(&s, uvm_km_kmemalloc, 0, KERNEL, 1, 7 * PAGE, 1));
	EXPECT(&s, GHOST_OK, CALL(&s, uvm_km_kmemalloc, 0, KERNEL, 1, 2 * PAGE, 1));
	s.call = (struct ghost_call){ .id = BED_CALL_uvm_km_alloc,
		.arg = { KERNEL, 7 * PAGE },
		.asleep = true,
		.wmesg = "pglalloc" };
	/* Asleep, it has its addresses. */
	EXPECT(&s, GHOST_VIOLATION, ghost_scene_apply(&s));
	SAYS(&s, "actual    free");
	ghost_map_insert(&s.seen, 0, s.now.map[0].range[0]);
	EXPECT(&s, GHOST_OK, ghost_scene_apply(&s));
	cr_assert(s.sleep.va == VA(0) && s.sleep.size == 7 * PAGE);
	s.seen.map[0].n = 0;
	ghost_scene_sees(&s, 0, 7, FRAME + NFRAMES - 10);
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, uvm_km_alloc, VA(0), KERNEL, 7 * PAGE));
	SAYS(&s, "with 10 pages free");
	ghost_scene_down(&s);
	ghost_scene_up(&s);
	s.call = (struct ghost_call){ .id = BED_CALL_uvm_km_alloc,
		.arg = { KERNEL, 7 * PAGE },
		.asleep = true,
		.wmesg = "pglalloc" };
	EXPECT(&s, GHOST_VIOLATION, ghost_scene_apply(&s));
	SAYS(&s, "256 pages of such kind are free");
	ghost_scene_down(&s);
}

/* A fault that slept may have been woken by pages of the books; what it leaves is the reserve at least. */
BED_TEST(ghost, a_woken_fault_leaves_the_reserve)
{
	struct ghost_scene s;

	ghost_scene_up(&s);
	ghost_scene_back(&s, 0, 1, FRAME);
	runs_remove(&s.before.object, VA(0) / PAGE, 1);
	runs_remove(&s.before.leaf, VA(0) / PAGE, 1);
	s.seen.leaf.run[runs_above(&s.seen.leaf, VA(0) / PAGE)].attr = GHOST_LEAF(3, 1, 0, 1, 2);
	s.before.kernpages = 8;
	s.world.reserve = 4;
	runs_remove(&s.before.free, FRAME, NFRAMES - 4);
	runs_remove(&s.seen.free, FRAME, NFRAMES - 4);
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, uvm_fault, 0, KERNEL, VA(0), BED_PROT_WRITE));
	SAYS(&s, "with 4 free it must not");
	s.sleep = (struct ghost_sleep){ .taken_up = true, .in_fault = true, .fault_va = VA(0) };
	s.resumed = true;
	s.seen.kernpages = 7;
	EXPECT(&s, GHOST_OK, ghost_scene_apply(&s));
	runs_remove(&s.seen.free, FRAME + NFRAMES - 1, 1);
	s.sleep.in_fault = true;
	EXPECT(&s, GHOST_VIOLATION, ghost_scene_apply(&s));
	SAYS(&s, "it must not");
	ghost_scene_down(&s);
}

/* Constraints on pages: inside, aligned, in so many segments; and no failure where there are such pages. */
BED_TEST(ghost, constraints_on_pages)
{
	struct ghost_scene s;
	const uint64_t low = (FRAME + 16) * PAGE, high = (FRAME + 32) * PAGE - 1;

	ghost_scene_up(&s);
	ghost_scene_sees(&s, 0, 4, FRAME + 16);
	s.seen.map[0].range[0].what.maxprot = 3;
	EXPECT(&s, GHOST_OK,
	    CALL(&s, uvm_km_kmemalloc_pla, VA(0), KERNEL, 1, 4 * PAGE, 0, 1, low, high, 4 * PAGE, 0,
		1));
	EXPECT(&s, GHOST_VIOLATION,
	    CALL(
		&s, uvm_km_kmemalloc_pla, 0, KERNEL, 1, 4 * PAGE, 0, 1, low, high, 4 * PAGE, 0, 1));
	EXPECT(&s, GHOST_VIOLATION,
	    CALL(&s, uvm_km_kmemalloc_pla, VA(0), KERNEL, 1, 4 * PAGE, 0, 1, low + PAGE, high, 0, 0,
		1));
	SAYS(&s, "segments of");
	EXPECT(&s, GHOST_VIOLATION,
	    CALL(&s, uvm_km_kmemalloc_pla, VA(0), KERNEL, 1, 4 * PAGE, 0, 1, low, high, 0, 2 * PAGE,
		1));
	EXPECT(&s, GHOST_VIOLATION,
	    CALL(&s, uvm_km_kmemalloc_pla, VA(0), KERNEL, 1, 4 * PAGE, 0, 1, low, high, 32 * PAGE,
		0, 0));
	ghost_scene_down(&s);
	/* More than there is between the bounds: only failure will do. */
	ghost_scene_up(&s);
	EXPECT(&s, GHOST_OK,
	    CALL(&s, uvm_km_kmemalloc_pla, 0, KERNEL, 1, 17 * PAGE, 0, 1, low, high, 0, 0, 0));
	ghost_scene_down(&s);
}

BED_TEST(ghost, a_free_gives_everything_back)
{
	struct ghost_scene s;

	ghost_scene_up(&s);
	ghost_scene_back(&s, 4, 4, FRAME + 8);
	s.seen.map[0].n = 0;
	runs_clear(&s.seen.leaf);
	runs_clear(&s.seen.object);
	runs_put(&s.seen.free, run_of_frames(FRAME + 8, 4));
	EXPECT(&s, GHOST_OK, CALL(&s, uvm_km_free, 0, KERNEL, VA(4), 4 * PAGE));
	EXPECT(&s, GHOST_OK, CALL(&s, uvm_km_free, 0, KERNEL, VA(4) + 1, 4 * PAGE - 1));
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, uvm_km_free, 0, KERNEL, VA(5), 3 * PAGE));
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, uvm_km_free_wakeup, 0, KERNEL, VA(4), 4 * PAGE));
	SAYS(&s, "wakeups: before 0, expected 0x1, actual 0");
	runs_remove(&s.seen.free, FRAME + 9, 1);
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, uvm_km_free, 0, KERNEL, VA(4), 4 * PAGE));
	SAYS(&s, "1 should be free and are not (0x809000)");
	ghost_scene_down(&s);
}

/* A wrong free is the end of a checked guest, and counted by another. */
BED_TEST(ghost, misuse)
{
	struct ghost_scene s;

	ghost_scene_up(&s);
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, uvm_km_free, 0, KERNEL, VA(4), PAGE));
	SAYS(&s, "end of the guest");
	s.world.misuse_panics = false;
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, uvm_km_free, 0, KERNEL, VA(4), PAGE));
	SAYS(&s, "free_unmapped");
	s.seen.free_unmapped = 1;
	EXPECT(&s, GHOST_OK, CALL(&s, uvm_km_free, 0, KERNEL, VA(4), PAGE));
	s.seen.free_unmapped = 0;
	s.seen.free_wraps = 1;
	EXPECT(&s, GHOST_OK, CALL(&s, uvm_km_free, 0, KERNEL, UINT64_MAX, PAGE));
	ghost_scene_down(&s);
}

/* Rights: entries at once, leaves when they lose any; what may not be is refused. */
BED_TEST(ghost, protection)
{
	struct ghost_scene s;

	ghost_scene_up(&s);
	ghost_scene_back(&s, 0, 4, FRAME);
	EXPECT(&s, GHOST_OK, CALL(&s, uvm_map_protect, BED_EINVAL, KERNEL, VA(0) + 1, PAGE, 1, 0));
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, uvm_map_protect, 0, KERNEL, VA(1), 2 * PAGE, 1, 0));
	ghost_map_split(&s.seen, 0, VA(1));
	ghost_map_split(&s.seen, 0, VA(3));
	s.seen.map[0].range[1].what.prot = 1;
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, uvm_map_protect, 0, KERNEL, VA(1), 2 * PAGE, 1, 0));
	SAYS(&s, "mapping 0xffff800000001000 (2 pages)");
	runs_mark(&s.seen.leaf, VA(1) >> 12, 2, GHOST_LEAF_W, 0);
	EXPECT(&s, GHOST_OK, CALL(&s, uvm_map_protect, 0, KERNEL, VA(1), 2 * PAGE, 1, 0));
	EXPECT(&s, GHOST_OK,
	    CALL(&s, uvm_map_checkprot, 0, KERNEL, VA(0), 5 * PAGE, 1) == GHOST_OK ? GHOST_VIOLATION
										   : GHOST_OK);
	ghost_scene_down(&s);
}

/* A first touch brings a zeroed page; where none may come, the access fails with the right code. */
static bool
dirty(void *arg, uint64_t frame, unsigned from, unsigned to)
{
	(void)frame, (void)from, (void)to;
	return *(bool *)arg;
}

BED_TEST(ghost, demand_zero)
{
	struct ghost_scene s;
	bool zero = true;
	struct ghost_run leaf = {
		.at = VA(2) >> 12, .n = 1, .to = FRAME + 5, .attr = GHOST_LEAF(3, 1, 0, 1, 2)
	};

	ghost_scene_up(&s);
	s.memory = (struct ghost_memory){ .arg = &zero, .zero = dirty };
	ghost_scene_use(&s, 0, 4);
	s.before.map[0].range[0].what.kind = s.seen.map[0].range[0].what.kind = GHOST_OBJECT;
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, load, 0, VA(2)));
	SAYS(&s, "is not mapped");
	runs_put(&s.seen.leaf, leaf);
	leaf.attr = 0;
	runs_put(&s.seen.object, leaf);
	runs_remove(&s.seen.free, FRAME + 5, 1);
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, load, 0, VA(2)));
	SAYS(&s, "uvmexp.faults");
	s.seen.faults = 1;
	EXPECT(&s, GHOST_OK, CALL(&s, load, 0, VA(2)));
	EXPECT(&s, GHOST_OK, CALL(&s, uvm_fault, 0, KERNEL, VA(2), 2));
	zero = false;
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, store, 0, VA(2), 7));
	SAYS(&s, "was not zero");
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, load, BED_EFAULT, VA(2)));
	ghost_scene_down(&s);
	ghost_scene_up(&s);
	s.seen.faults = 1;
	s.call = (struct ghost_call){
		.id = BED_CALL_store, .arg = { VA(9) }, .value = BED_EFAULT, .value2 = 2
	};
	EXPECT(&s, GHOST_OK, ghost_scene_apply(&s));
	s.call.value2 = 3;
	EXPECT(&s, GHOST_VIOLATION, ghost_scene_apply(&s));
	SAYS(&s, "error code 0x3, must be 0x2");
	ghost_scene_down(&s);
}

/* Tables come with addresses, as many as there are missing, and not if there are too few. */
BED_TEST(ghost, tables)
{
	struct ghost_scene s;

	ghost_scene_up(&s);
	s.before.map[0].max = s.now.map[0].max = s.seen.map[0].max = VA(4 * PAGES);
	s.world.kva_end = VA(4 * PAGES);
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, pmap_growkernel, VA(1536), VA(1030)));
	SAYS(&s, "level-1 table");
	runs_put(&s.seen.table[0], run_of_frames((BED_KVA_BASE >> 21) + 2, 1));
	s.seen.pool--;
	s.seen.pm_end = VA(1536);
	EXPECT(&s, GHOST_OK, CALL(&s, pmap_growkernel, VA(1536), VA(1030)));
	s.before.pool = 0;
	s.seen.pool = 0;
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, pmap_growkernel, VA(1536), VA(1030)));
	ghost_scene_down(&s);
}

BED_TEST(ghost, submaps)
{
	struct ghost_scene s;
	struct ghost_what sub = { GHOST_SUBMAP, 3, 3, 2, 1, 0, 1, 0, 0 };

	ghost_scene_up(&s);
	ghost_map_insert(
	    &s.seen, 0, (struct ghost_range){ .start = VA(0), .end = VA(16), .what = sub });
	s.seen.map[1] =
	    (struct ghost_map){ .used = true, .min = VA(0), .max = VA(16), .flags = 1, .refs = 2 };
	s.seen.pm_refs = 1;
	s.call = (struct ghost_call){ .id = BED_CALL_uvm_km_suballoc,
		.arg = { KERNEL, 0, 16 * PAGE, 1, 0 },
		.value = 1,
		.value2 = VA(0) };
	EXPECT(&s, GHOST_OK, ghost_scene_apply(&s));
	s.call.value = 2;
	EXPECT(&s, GHOST_VIOLATION, ghost_scene_apply(&s));
	/* The parent may not free what is the submap's, and nobody else's map may be undone. */
	ghost_state_copy(&s.before, &s.seen);
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, uvm_km_free, 0, KERNEL, VA(3), PAGE));
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, uvm_km_subfree, 0, KERNEL, 1));
	s.seen.map[0].n = 0;
	s.seen.map[1].used = false;
	s.seen.pm_refs = 0;
	EXPECT(&s, GHOST_OK, CALL(&s, uvm_km_subfree, 0, KERNEL, 1));
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, uvm_km_alloc, VA(0), 5, PAGE));
	SAYS(&s, "names no map");
	ghost_scene_down(&s);
}

/* What the specification does not say it says it does not. */
BED_TEST(ghost, inconclusive)
{
	static const enum bed_call_id open[] = { BED_CALL_batch, BED_CALL_work_run,
		BED_CALL_scribble };
	struct ghost_scene s;

	ghost_scene_up(&s);
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
		s.call = (struct ghost_call){ .id = open[i] };
		EXPECT(&s, GHOST_INCONCLUSIVE, ghost_scene_apply(&s));
		cr_assert(s.step.why[0] != '\0');
	}
	EXPECT(&s, GHOST_VIOLATION, CALL(&s, die_panic, 0, 0));
	ghost_scene_down(&s);
}

/* A session: the state goes along; what nobody asked for is noticed before the next call. */
BED_TEST(ghost, session)
{
	struct ghost_memory memory = { 0 };
	struct ghost_session *g = ghost_session_new(&memory);
	struct ghost_call call = { .id = BED_CALL_null };
	struct ghost_scene s;
	char why[GHOST_WHY];

	ghost_scene_up(&s);
	*ghost_session_world(g) = s.world;
	s.world = (struct ghost_world){ 0 };
	ghost_state_copy(ghost_session_seen(g), &s.seen);
	ghost_session_adopt(g);
	cr_assert(ghost_session_call(g, &call, 0, why) == GHOST_OK, "%s", why);
	ghost_scene_sees(&s, 0, 2, FRAME);
	ghost_state_copy(ghost_session_seen(g), &s.seen);
	cr_assert(!ghost_session_untouched(g, why) && strstr(why, "kernel_map"));
	cr_assert(ghost_session_call(g, &call, 0, why) == GHOST_VIOLATION);
	call = (struct ghost_call){
		.id = BED_CALL_uvm_km_alloc, .arg = { KERNEL, 2 * PAGE }, .value = VA(0)
	};
	cr_assert(ghost_session_call(g, &call, 0, why) == GHOST_OK, "%s", why);
	cr_assert(ghost_session_untouched(g, why), "%s", why);
	ghost_owner(ghost_session_state(g), VA(1), why, sizeof(why));
	cr_assert(strcmp(why, "kernel_map: object rw-/rwx inherit 2 advice 1, made by call 3") == 0,
	    "%s", why);
	ghost_owner(ghost_session_state(g), VA(PAGES), why, sizeof(why));
	cr_assert(strcmp(why, "outside kernel_map") == 0, "%s", why);
	call = (struct ghost_call){ .id = BED_CALL_batch };
	cr_assert(ghost_session_call(g, &call, 0, why) == GHOST_INCONCLUSIVE);
	cr_assert(
	    ghost_session_totals(g)->inconclusive == 1 && ghost_session_totals(g)->calls == 4);
	ghost_session_free(g);
	ghost_scene_down(&s);
}
