/* SPDX-License-Identifier: ISC */
/*
 * Inside vmm/bed/: the snapshot of a booted bed as a file, and the object that stands for an open one. What
 * callers outside see of it is snapshot.h.
 *
 * The file, version 1, in this order, little endian, written for one program, image, CPU model and configuration:
 *
 *	struct snap_head	who it is for, how long everything is, two checksums
 *	states			of the vCPUs, state_bytes each (vmm/kvm/state.h)
 *	console			what the boot wrote there
 *	struct snap_run[nrun]	which pages of RAM follow; every other page is zero
 *	pages			from pages_at on, a multiple of 4096: run after run
 *
 * Nothing in a file is believed before both checksums fit; nothing is used before it was compared with what
 * this program would have written.
 */
#ifndef VMM_BED_SNAP_H
#define VMM_BED_SNAP_H

#include "vmm/bed/bed_priv.h"
#include "vmm/kvm/state.h"

#define SNAP_MAGIC   UINT64_C(0x31706e736d567655) /* "UvVmsnp1" in memory order */
#define SNAP_VERSION 1

/* For whom a snapshot is; all of it must be equal. Zeroed before it is filled: padding counts. */
struct snap_key {
	struct bed_ident ident; /* contract and flavour */
	uint64_t image;         /* digest of what the image loads */
	uint64_t model;         /* hv_model_id() */
	uint64_t ram, kva_size, ptpool, dma_high, seed, flush_threshold;
	uint32_t ncpu, flags;
};

struct snap_run {
	uint64_t offset; /* in RAM as the memfd has it; page aligned, ascending */
	uint64_t npages;
};

struct snap_head {
	uint64_t magic;
	uint32_t version, bytes; /* of this struct */
	uint64_t file_bytes;
	uint64_t head_sum; /* of this struct with 0 here */
	uint64_t body_sum; /* of everything behind it */
	struct snap_key key;
	struct bed_bootinfo info;
	uint64_t state_bytes, console_bytes, nrun, pages_at;
	uint32_t at, zero; /* the vCPU that left last; the others sleep */
	uint64_t nrecent;  /* as in struct bed */
	struct bed_event recent[BED_RECENT];
};

/* An open, checked snapshot. */
struct snap {
	unsigned refs;
	int fd; /* what RAM is mapped from */
	const uint8_t *map;
	uint64_t bytes;
	const struct snap_head *head;
	const uint8_t *states;
	const char *console;
	const struct snap_run *run;
	const uint8_t *pages;
	uint64_t *run_page; /* of each run: its first page's number in the file */
};

struct snap *snap_hold(struct snap *);
void snap_release(struct snap *); /* NULL is fine */

/* snap_key.c: for whom a bed with its image open is. */
bool snap_key_of(const struct bed *, struct snap_key *, struct bed_err *);
/* False, with the first difference in words. */
bool snap_key_equal(const struct snap_key *want, const struct snap_key *got, struct bed_err *);

/* snap_file.c */
/*
 * Write a bed that just booted to an empty file, and leave all its vCPUs stopped. On failure the file holds
 * rubbish, and is refused as such.
 */
bool snap_write(struct bed *, const struct snap_key *, int fd, struct bed_err *);
/* Both checksums into a head, of which all else is final, and whose file_bytes are at `file`. */
void snap_sign(struct snap_head *, const void *file);
/* Check a file and open it; fd belongs to the snapshot, or is closed. name: for messages. NULL: err says why. */
struct snap *snap_open(int fd, const char *name, const struct snap_key *, struct bed_err *);
/* The saved contents of the page at this offset in RAM; NULL: zeroes. */
const uint8_t *snap_page(const struct snap *, uint64_t offset);
bool snap_page_is_zero(const uint8_t *page);
const struct hv_cpu_state *snap_state(const struct snap *, unsigned cpu);
/* The next offset from `from` on that may not be zero in RAM: of a run, or where the memfd has memory. */
uint64_t snap_next(const struct snap *, const struct memory *, uint64_t from);

/* snap_cache.c: from the process, from the cache, or by booting. *note: why the cache was of no use, or "". */
struct snap *snap_get(
    const struct bed_config *, const struct snap_key *, char note[256], struct bed_err *);
/* What was got turned out unusable: it is forgotten, here and in the cache. */
void snap_drop(struct snap *, const struct bed_config *);

/* reset.c */
/* Bring memory, vCPUs and our own view of them to the snapshot. */
bool reset_to_snap(struct bed *, enum hv_flush, struct bed_err *);
/* Our own view alone: rings, slots, console, death. Memory is as in the snapshot. */
bool snap_books(struct bed *, struct bed_err *);
/* start.c: another bed of the same configuration and snapshot. */
struct bed *bed_again(const struct bed *, struct bed_err *);
/* reset_proof.c: once a process, see snapshot.h; and the proof itself, with a way to flush of the caller's. */
bool reset_prove(struct bed *, enum hv_flush *, struct bed_err *);
bool reset_prove_with(struct bed *, enum hv_flush, struct bed_err *);
/* What the proof saw, as digests: of results and of memory left behind. */
struct reset_seen {
	uint64_t first, left;       /* the first program on a fresh bed */
	uint64_t other;             /* the second, after a reset */
	uint64_t again, left_again; /* the first, after another */
};
bool reset_judge(const struct reset_seen *, bool one_cpu, struct bed_err *);

#endif
