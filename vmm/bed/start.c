/* SPDX-License-Identifier: ISC */
/*
 * A bed from a snapshot: see snapshot.h.
 */
#include "vmm/bed/rewind.h"
#include "vmm/bed/snap.h"

#include "shared/paging.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE BED_PAGE_SIZE

static bool
map_memory(struct bed *bed, const struct snap *s, struct bed_err *err)
{
	for (uint64_t i = 0; i < s->head->nrun; i++) {
		const struct snap_run *r = &s->run[i];

		if (!memory_overlay(&bed->mem, r->offset, r->npages * PAGE, s->fd,
			s->head->pages_at + s->run_page[i] * PAGE))
			return bed_fail(err, BED_E_HOST,
			    "a snapshot's pages cannot be mapped: %s (each run of pages is a mapping, see "
			    "/proc/sys/vm/max_map_count)",
			    strerror(errno));
	}
	return true;
}

/* What this program would tell the guest is what that guest was told. */
static bool
check_info(
    struct bed *bed, const struct hv_features *feat, const struct snap *s, struct bed_err *err)
{
	bed->mem.pool_next = s->head->info.ptpool_next;
	bed_fill_info(bed, feat, s->head->info.root);
	if (memcmp(&bed->info, &s->head->info, sizeof(bed->info)) != 0)
		return bed_fail(err, BED_E_INPUT,
		    "a snapshot's memory is laid out otherwise than this program lays it out (or its TSC "
		    "runs at %" PRIu64 " kHz, not %" PRIu64 ")",
		    s->head->info.tsc_khz, bed->info.tsc_khz);
	return true;
}

static bool
load_cpus(struct bed *bed, const struct snap *s, struct bed_err *err)
{
	for (unsigned i = 0; i < bed->cfg.ncpu; i++)
		if (!hv_cpu_load(bed->cpus[i].hv, snap_state(s, i), true, false, err)) {
			/* The file is whole, but not for this KVM. */
			err->class = BED_E_INPUT;
			return bed_fail_in(err, "a snapshot's vCPU state");
		}
	return true;
}

static bool
begin(struct bed *bed, struct snap *s, struct bed_err *err)
{
	const struct hv_features *feat = hv_features(err);
	size_t words = bed->cfg.ram / PAGE / 64 + 1;

	bed->snap = snap_hold(s);
	bed->dirty = calloc(words, sizeof(*bed->dirty));
	bed->poked = calloc(words, sizeof(*bed->poked));
	if (bed->dirty == NULL || bed->poked == NULL)
		return bed_fail(err, BED_E_HOST, "out of memory");
	return feat != NULL && bed_make_ram(bed, feat, err) && map_memory(bed, s, err) &&
	       bed_make_machine(bed, HV_SLOT_DIRTY, err) && check_info(bed, feat, s, err) &&
	       load_cpus(bed, s, err) && snap_books(bed, err) && cpus_rest(bed, err);
}

/* The image is open: for whom is the snapshot, and here it is. */
static struct bed *
from_snap(struct bed *bed, const struct snap_key *key, struct snap **s, struct bed_err *err)
{
	char note[sizeof(bed->note)];

	*s = snap_get(&bed->cfg, key, note, err);
	if (*s != NULL) {
		memcpy(bed->note, note, sizeof(note));
		if (begin(bed, *s, err))
			return bed;
	}
	bed_destroy(bed);
	return NULL;
}

static struct bed *
open_bed(const struct bed_config *cfg, struct snap_key *key, struct bed_err *err)
{
	struct bed *bed = bed_alloc(cfg, err);

	if (bed == NULL || (bed_open_image(bed, err) && snap_key_of(bed, key, err)))
		return bed;
	bed_destroy(bed);
	return NULL;
}

/* A twin boots in no time; what it was then is remembered in the process. */
static struct bed *
start_twin(const struct bed_config *cfg, struct bed_err *err)
{
	struct bed *bed = bed_create(cfg, err);

	if (bed == NULL || bed_mark(bed, err))
		return bed;
	bed_destroy(bed);
	return NULL;
}

struct bed *
bed_start(const struct bed_config *cfg, struct bed_err *err)
{
	uint64_t start = bed_now_ns();
	struct bed_err why;
	struct snap *s = NULL;
	struct snap_key key;
	struct bed *bed;
	char again[sizeof(bed->note)] = "";

	if (cfg->engine == BED_ENGINE_TWIN)
		return start_twin(cfg, err);
	if ((cfg->flags & BED_COUNT_BOOT) != 0) {
		bed_fail(
		    err, BED_E_USAGE, "a bed that starts from a snapshot has no boot to count");
		return NULL;
	}
	for (unsigned try = 0;; try++) {
		bed = open_bed(cfg, &key, &why);
		if (bed != NULL)
			bed = from_snap(bed, &key, &s, &why);
		/* A file can be whole and yet not fit this KVM: make it anew, once. */
		if (bed != NULL || s == NULL || why.class != BED_E_INPUT || try > 0)
			break;
		snprintf(again, sizeof(again), "made anew: %.200s", why.text);
		snap_drop(s, cfg);
		snap_release(s);
		s = NULL;
	}
	snap_release(s);
	if (bed != NULL) {
		bed->boot.total_ns = bed_now_ns() - start;
		if (bed->note[0] == '\0')
			memcpy(bed->note, again, sizeof(again));
	} else
		bed_fail(err, why.class, "%s", why.text);
	return bed;
}

struct bed *
bed_again(const struct bed *bed, struct bed_err *err)
{
	struct bed_config cfg = bed->cfg;
	struct bed *other;

	cfg.on_events = NULL;
	other = bed_alloc(&cfg, err);
	if (other == NULL || (bed_open_image(other, err) && begin(other, bed->snap, err)))
		return other;
	bed_destroy(other);
	return NULL;
}

const char *
bed_start_note(const struct bed *bed)
{
	return bed->snap == NULL ? NULL : bed->note;
}
