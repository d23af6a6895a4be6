/* SPDX-License-Identifier: ISC */
/*
 * Bringing a bed back to its snapshot: see snapshot.h. What changed since is known from KVM's dirty log, which has the
 * guest's stores, and from bed_pokes(), which has the host's; only these pages are copied.
 */
#include "vmm/bed/rewind.h"
#include "vmm/bed/snap.h"

#include "shared/paging.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define PAGE BED_PAGE_SIZE

void
bed_pokes(const struct bed *bed, const void *host, uint64_t len)
{
	uint64_t first = (uint64_t)((const uint8_t *)host - bed->mem.base) / PAGE;
	uint64_t last = ((uint64_t)((const uint8_t *)host - bed->mem.base) + len - 1) / PAGE;

	if (bed->poked == NULL || len == 0)
		return;
	for (uint64_t p = first; p <= last; p++)
		bed->poked[p / 64] |= UINT64_C(1) << p % 64;
}

/* The host's books as they were when the guest was ready. */
bool
snap_books(struct bed *bed, struct bed_err *err)
{
	const struct snap *s = bed->snap;
	size_t len = strlen(s->console);

	if (bed->console_cap <= len) {
		char *p = realloc(bed->console, len + 1);

		if (p == NULL)
			return bed_fail(err, BED_E_HOST, "out of memory for console text");
		bed->console = p;
		bed->console_cap = len + 1;
	}
	memcpy(bed->console, s->console, len + 1);
	bed->console_len = len;
	for (unsigned i = 0; i < bed->cfg.ncpu; i++) {
		struct bed_cpu *cpu = &bed->cpus[i];

		cpu->event_tail = cpu->share->event_head;
		cpu->console_tail = cpu->share->console_head;
		memset(cpu->inflight, 0, sizeof(cpu->inflight));
		cpu->nposted = 0;
		cpu->fresh = false;
	}
	bed->nrecent = s->head->nrecent;
	memcpy(bed->recent, s->head->recent, sizeof(bed->recent));
	bed->at = &bed->cpus[s->head->at];
	bed->result2 = 0;
	bed->stopped = NULL;
	free(bed->report);
	bed->report = NULL;
	return true;
}

static void
restore_page(struct bed *bed, uint64_t offset)
{
	const uint8_t *saved = snap_page(bed->snap, offset);

	if (saved != NULL)
		memcpy(bed->mem.base + offset, saved, PAGE);
	else
		memset(bed->mem.base + offset, 0, PAGE);
	bed->reset.pages++;
}

static void
restore_pages(struct bed *bed, uint64_t offset, uint64_t *bitmap, uint64_t npages)
{
	for (uint64_t w = 0; w * 64 < npages; w++) {
		uint64_t bits = bitmap[w];

		for (; bits != 0; bits &= bits - 1)
			restore_page(
			    bed, offset + (w * 64 + (unsigned)__builtin_ctzl(bits)) * PAGE);
		bitmap[w] = 0;
	}
}

/* The share areas' first pages are the host's in every run: slots, doorbells, tails of rings. */
static void
poke_shares(const struct bed *bed)
{
	for (unsigned i = 0; i < bed->cfg.ncpu; i++)
		bed_pokes(bed, bed->cpus[i].share, offsetof(struct bed_cpushare, console));
}

static bool
restore_memory(struct bed *bed, struct bed_err *err)
{
	struct memory_slot slot[MEMORY_SLOTS];
	unsigned n = memory_slots(&bed->mem, slot);

	for (unsigned i = 0; i < n; i++) {
		if (slot[i].len == 0)
			continue;
		if (!hv_vm_dirty(bed->vm, i, bed->dirty, err))
			return false;
		restore_pages(bed, slot[i].offset, bed->dirty, slot[i].len / PAGE);
	}
	bed->reset.guest_pages = bed->reset.pages;
	poke_shares(bed);
	restore_pages(bed, 0, bed->poked, bed->mem.bytes / PAGE);
	return true;
}

bool
reset_to_snap(struct bed *bed, enum hv_flush how, struct bed_err *err)
{
	bed->reset = (struct bed_reset_work){ .flush = hv_flush_name(how) };
	cpus_stop(bed);
	/* Before memory: finishing an exit that is half done may still store there. */
	for (unsigned i = 0; i < bed->cfg.ncpu; i++)
		if (!hv_cpu_load(
			bed->cpus[i].hv, snap_state(bed->snap, i), false, how == HV_FLUSH_PGE, err))
			return false;
	return restore_memory(bed, err) && hv_vm_drop(bed->vm, how, err) && snap_books(bed, err) &&
	       cpus_rest(bed, err);
}

static bool
page_differs(struct bed *bed, uint64_t offset, struct bed_err *err)
{
	static const uint8_t zero[PAGE];
	const uint8_t *saved = snap_page(bed->snap, offset), *now = bed->mem.base + offset;
	uint64_t at = 0,
		 gpa = offset < BED_HOLE_START ? offset : offset + BED_HOLE_END - BED_HOLE_START;

	if (saved == NULL)
		saved = zero;
	if (memcmp(now, saved, PAGE) == 0)
		return false;
	while (now[at] == saved[at])
		at++;
	bed_fail(err, BED_E_FINDING,
	    "after a reset, the page at guest physical %#" PRIx64
	    " (%s) differs from the snapshot, "
	    "first at byte %#" PRIx64
	    ": %#x instead of %#x. Was it written through a pointer from before the reset, or by a way "
	    "that bed_pokes() does not know?",
	    gpa,
	    gpa < bed->mem.pool_start ? "low memory"
	    : gpa < bed->mem.pool_end ? "page tables"
				      : "the allocator's memory",
	    at, now[at], saved[at]);
	return true;
}

static bool
all_same(struct bed *bed, struct bed_err *err)
{
	for (uint64_t at = 0; (at = snap_next(bed->snap, &bed->mem, at)) < bed->mem.bytes;
	     at += PAGE)
		if (page_differs(bed, at, err))
			return false;
	for (unsigned i = 0; i < bed->cfg.ncpu; i++)
		if (!hv_cpu_same(bed->cpus[i].hv, snap_state(bed->snap, i), err))
			return bed_fail_in(err, "after a reset");
	return true;
}

bool
bed_is_reset(struct bed *bed, struct bed_err *err)
{
	bool same;

	if (bed->twin != NULL)
		return bed_is_rewound(bed, err);
	if (bed->snap == NULL)
		return bed_fail(err, BED_E_USAGE, "this bed booted: it has no snapshot");
	if (bed->running)
		return bed_fail(
		    err, BED_E_USAGE, "a comparison from inside a callback of the same bed");
	cpus_stop(bed);
	same = all_same(bed, err);
	return cpus_rest(bed, same ? err : NULL) && same;
}

static bool
always_check(void)
{
	const char *env = getenv("UVMBED_RESET_CHECK");

	return env != NULL && env[0] != '\0' && strcmp(env, "0") != 0;
}

bool
bed_reset(struct bed *bed, struct bed_err *err)
{
	enum hv_flush how;

	if (bed->twin != NULL)
		return bed_rewind(bed, err);
	if (bed->snap == NULL)
		return bed_fail(err, BED_E_USAGE,
		    "a bed that booted cannot be reset; make it with bed_start()");
	if (bed->running)
		return bed_fail(err, BED_E_USAGE, "a reset from inside a callback of the same bed");
	return reset_prove(bed, &how, err) && reset_to_snap(bed, how, err) &&
	       (!always_check() || bed_is_reset(bed, err));
}

struct bed_reset_work
bed_reset_work(const struct bed *bed)
{
	return bed->reset;
}
