/* SPDX-License-Identifier: ISC */
/*
 * Beds that need no boot: a snapshot of a booted bed is made once for each guest image and configuration, kept
 * in a file, and every further bed starts from it, its memory mapped copy-on-write. Such a bed can also
 * be brought back to that point in microseconds. docs/snapshots.md has the whole story.
 *
 *	struct bed *bed = bed_start(&cfg, &err);
 *	for (...) {
 *		... calls ...
 *		bed_reset(bed, &err);
 *	}
 *	bed_destroy(bed);
 */
#ifndef VMM_BED_SNAPSHOT_H
#define VMM_BED_SNAPSHOT_H

#include "vmm/bed/bed.h"

/*
 * As bed_create(), but from a snapshot; the first time for an image and configuration it boots, and saves one. What
 * differs from a booted bed: no boot events are reported, bed_boot() has counted nothing, and the guest's
 * stores are logged by KVM. cfg->flags may not have BED_COUNT_BOOT. A twin just boots: that takes no longer.
 */
struct bed *bed_start(const struct bed_config *, struct bed_err *);

/*
 * Back to the snapshot: memory, all vCPU state (but for time: vmm/kvm/state.h), and the host's own books; calls
 * in flight are forgotten, a dead bed lives again, the console is as after boot. Pointers from
 * bed_ptr() may be read, but not written any more; a TLB sanitizer attached before must be attached anew.
 *
 * What costs time is what was dirtied since. The first reset in a process also proves, on a bed of its own, that
 * resets work here (a few 10 ms), and is refused if they do not. With UVMBED_RESET_CHECK set (and
 * not 0), every reset is followed by bed_is_reset().
 *
 * False: the bed cannot be used any more. A bed that did not come from bed_start() cannot be reset.
 */
bool bed_reset(struct bed *, struct bed_err *);

/* Compare all memory and every vCPU's state with the snapshot; the text names the first difference. */
bool bed_is_reset(struct bed *, struct bed_err *);

/* What the last reset did. */
struct bed_reset_work {
	uint64_t pages;       /* copied back or zeroed */
	uint64_t guest_pages; /* of these dirtied by the guest, as KVM's log says */
	const char *flush;    /* how translations were forgotten */
};
struct bed_reset_work bed_reset_work(const struct bed *);

/* NULL: this bed booted. Else "" or one line: why its snapshot was not from the cache, or is not in it now. */
const char *bed_start_note(const struct bed *);

/*
 * Where snapshots are kept: $UVMBED_CACHE, else $XDG_CACHE_HOME/uvmbed, else $HOME/.cache/uvmbed. False: nowhere (no such
 * variable is set, or UVMBED_CACHE is empty); then each process boots once for itself.
 */
bool bed_cache_dir(char *path, unsigned size);
/* The file that a configuration's snapshot has there. */
bool bed_cache_file(const struct bed_config *, char *path, unsigned size);

#endif
