/* SPDX-License-Identifier: ISC */
/*
 * Inside vmm/bed/: what a bed is made of.
 */
#ifndef VMM_BED_BED_PRIV_H
#define VMM_BED_BED_PRIV_H

#include "vmm/bed/bed.h"
#include "vmm/bed/image.h"
#include "vmm/bed/memory.h"
#include "vmm/kvm/hv.h"
#include "vmm/twin/twin.h"

#define BED_RECENT 16 /* events kept for a report */

/* The host's side of a call slot; the guest's side is copied and never believed. */
struct bed_inflight {
	bool busy;
	uint16_t call, nargs;
	uint64_t arg[BED_ARGS_MAX];
};

struct bed {
	struct bed_config cfg;
	char *path;
	struct image image;
	struct memory mem;
	struct view_seg seg[2];
	struct bed_bootinfo info;
	struct hv_vm *vm;
	struct hv_cpu *cpu;
	struct twin *twin;          /* NULL: KVM's */
	struct bed_cpushare *share; /* vCPU 0's: hostile */
	unsigned maxphyaddr;
	bool nx, pages_1g;

	struct bed_inflight inflight[BED_SLOTS];
	unsigned next_slot;
	uint64_t result2; /* of the last finished call */
	gva_t map_table;  /* inspect.c: the guest's bed_map[]; 0: not looked up yet */

	/* Our own copies of the rings' tails. */
	uint64_t console_tail, event_tail;
	char *console;
	size_t console_len, console_cap;
	struct bed_event recent[BED_RECENT]; /* ring: nrecent counts all ever seen */
	uint64_t nrecent;
	bed_sync_fn *on_sync;
	void *on_sync_arg;

	struct hv_regs before; /* at the last entry: all there is after a triple fault on AMD */
	struct bed_boot boot;
	bool booting;
	bool stepping;
	bool running; /* a callback is not the place for another call */
	bool stopped; /* in on_sync: a call may be posted */
	uint64_t steps;
	char *report; /* not NULL: dead */
};

/* run.c: run until the guest has nothing to do. `want`: BED_EXIT_READY or BED_EXIT_IDLE. */
bool bed_run(struct bed *, enum bed_exit want, struct bed_err *);
uint64_t bed_now_ns(void);

/* rings.c: false if an index or a record makes no sense; the text says which. */
bool rings_drain(struct bed *, const char **wrong);

/* report.c: mark the bed dead, write its report, and fail with it. */
enum death {
	DEATH_GUEST, /* the guest said so: share->death */
	DEATH_TRIPLE,
	DEATH_HANG,
	DEATH_EMULATION,
	DEATH_MMIO,
	DEATH_PROTOCOL, /* detail says what rule was broken */
	DEATH_KVM,      /* detail: what KVM says */
};
bool bed_die(
    struct bed *, enum death, const struct hv_exit *, const char *detail, struct bed_err *);
/* Fails with the report of a bed that died before. */
bool bed_dead(const struct bed *, struct bed_err *);

#endif
