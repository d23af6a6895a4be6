/* SPDX-License-Identifier: ISC */
/*
 * A world for the specification (ghost_scene.h).
 */
#include "tests/unit/ghost_scene.h"

static struct ghost_state *
state(struct ghost_scene *s, unsigned i)
{
	return i == 0 ? &s->before : i == 1 ? &s->now : &s->seen;
}

#define STATES 3

static struct ghost_what
what(enum ghost_kind kind, unsigned maxprot)
{
	return (struct ghost_what){ .kind = (uint8_t)kind,
		.prot = 3,
		.maxprot = (uint8_t)maxprot,
		.inherit = 2,
		.advice = 1 };
}

void
ghost_scene_up(struct ghost_scene *s)
{
	*s = (struct ghost_scene){ .world = { .kva_min = BED_KVA_BASE,
				       .kva_end = VA(PAGES),
				       .direct_min = BED_DIRECT_BASE,
				       .direct_end = BED_DIRECT_BASE + (FRAME + NFRAMES) * PAGE,
				       .dma_high = UINT64_MAX,
				       .reserve = 4,
				       .misuse_panics = true } };
	runs_put(&s->world.managed, run_of_frames(FRAME, NFRAMES));
	for (unsigned i = 0; i < STATES; i++) {
		struct ghost_state *st = state(s, i);

		st->map[0] = (struct ghost_map){ .used = true,
			.best_fit = true,
			.min = VA(0),
			.max = VA(PAGES),
			.flags = 1,
			.refs = 1 };
		runs_put(&st->free, run_of_frames(FRAME, NFRAMES));
		st->maxkaddr = st->pm_end = VA(PAGES);
		st->npages = NFRAMES;
		st->pool = 8;
		runs_put(&st->table[0], run_of_frames(BED_KVA_BASE >> 21, 2));
		runs_put(&st->table[1], run_of_frames(BED_KVA_BASE >> 30, 1));
		runs_put(&st->table[2], run_of_frames(BED_KVA_BASE >> 39, 1));
	}
}

void
ghost_scene_down(struct ghost_scene *s)
{
	for (unsigned i = 0; i < STATES; i++) {
		struct ghost_state *st = state(s, i);

		ghost_state_free(st);
	}
	runs_free(&s->world.managed);
	runs_free(&s->sleep.held);
}

void
ghost_scene_use(struct ghost_scene *s, uint64_t n, uint64_t pages)
{
	for (unsigned i = 0; i < STATES; i++) {
		struct ghost_state *st = state(s, i);

		ghost_map_insert(st, 0,
		    (struct ghost_range){
			.start = VA(n), .end = VA(n + pages), .what = what(GHOST_BARE, 3) });
	}
}

static void
back(struct ghost_state *st, uint64_t n, uint64_t pages, uint64_t frame)
{
	struct ghost_run run = { .at = VA(n) >> BED_PAGE_SHIFT,
		.n = pages,
		.to = frame,
		.attr = GHOST_LEAF(3, 1, 0, 1, 3) };

	ghost_map_insert(st, 0,
	    (struct ghost_range){
		.start = VA(n), .end = VA(n + pages), .what = what(GHOST_OBJECT, 7) });
	runs_put(&st->leaf, run);
	run.attr = 0;
	runs_put(&st->object, run);
	runs_remove(&st->free, frame, pages);
}

void
ghost_scene_back(struct ghost_scene *s, uint64_t n, uint64_t pages, uint64_t frame)
{
	for (unsigned i = 0; i < STATES; i++) {
		struct ghost_state *st = state(s, i);

		back(st, n, pages, frame);
	}
}

void
ghost_scene_sees(struct ghost_scene *s, uint64_t n, uint64_t pages, uint64_t frame)
{
	back(&s->seen, n, pages, frame);
}

enum ghost_verdict
ghost_scene_apply(struct ghost_scene *s)
{
	enum ghost_verdict v;

	if (s->call.wmesg == NULL)
		s->call.wmesg = "";
	ghost_state_copy(&s->now, &s->before);
	s->step = (struct ghost_step){ .world = &s->world,
		.memory = &s->memory,
		.now = &s->now,
		.seen = &s->seen,
		.call = &s->call,
		.sleep = &s->sleep,
		.resumed = s->resumed };
	v = ghost_apply(&s->step);
	if (v == GHOST_OK &&
	    !ghost_compare(&s->before, &s->now, &s->seen, 1, s->step.why, sizeof(s->step.why)))
		v = GHOST_VIOLATION;
	return v;
}
