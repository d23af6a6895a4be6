/* SPDX-License-Identifier: ISC */
/*
 * Inside vmm/bed/: what a bed is made of.
 */
#ifndef VMM_BED_BED_PRIV_H
#define VMM_BED_BED_PRIV_H

#include <pthread.h>

#include "vmm/bed/bed.h"
#include "vmm/bed/image.h"
#include "vmm/bed/memory.h"
#include "vmm/bed/snapshot.h"
#include "vmm/bed/watch.h"
#include "vmm/kvm/hv.h"
#include "vmm/twin/twin.h"

struct snap;

#define BED_RECENT 16 /* events kept for a report */

/* The host's side of a call slot; the guest's side is copied and never believed. */
struct bed_inflight {
	bool busy;
	uint16_t call, nargs;
	uint64_t arg[BED_ARGS_MAX];
};

/* Where a vCPU that has a host thread stands; changed with bed.team's lock held. */
enum bed_cpu_state {
	CPU_OUT,  /* it has left, or has not begun; the bed's owner may use it */
	CPU_IN,   /* its thread runs it */
	CPU_QUIT, /* its thread is to end */
};

struct bed_cpu {
	struct bed *bed;
	unsigned id;
	struct hv_cpu *hv;
	struct bed_cpushare *share; /* hostile */
	struct bed_inflight inflight[BED_SLOTS];
	unsigned nposted; /* calls left for the guest to find when it runs next */
	/* Our own copies of the rings' tails. */
	uint64_t console_tail, event_tail;
	struct hv_regs before; /* at the last entry: all there is after a triple fault on AMD */
	/* Only with several vCPUs: */
	pthread_t thread;
	bool has_thread;
	enum bed_cpu_state state;
	bool fresh;          /* it has left, and nobody has looked why */
	void (*job)(void *); /* what the thread does instead of running it, or NULL */
	void *job_arg;
	struct hv_exit exit;
	bool failed; /* KVM_RUN itself: err */
	struct bed_err err;
	uint64_t yields; /* returns with BED_EXIT_YIELD, not counted elsewhere */
	uint64_t ring_exits;
	bool halted; /* when it was stopped, after a death */
};

struct bed {
	struct bed_config cfg;
	char *path;
	struct image image;
	struct memory mem;
	struct view_seg seg[2];
	struct bed_bootinfo info;
	struct hv_vm *vm;
	struct twin *twin;                /* NULL: KVM's */
	size_t mark_console;              /* rewind.c: console_len at the mark */
	struct bed_cpu cpus[BED_CPU_MAX]; /* cfg.ncpu of them */
	struct bed_cpu *at;               /* the one that left last: its registers are current */
	struct {
		pthread_mutex_t lock;
		pthread_cond_t go, out;
		bool made;
	} team;
	unsigned maxphyaddr;
	bool nx, pages_1g;

	uint64_t result2; /* of the last finished call */
	gva_t map_table;  /* inspect.c: the guest's bed_map[]; 0: not looked up yet */

	char *console;
	size_t console_len, console_cap;
	struct bed_event recent[BED_RECENT]; /* ring: nrecent counts all ever seen */
	uint64_t nrecent;
	bed_sync_fn *on_sync;
	void *on_sync_arg;

	bed_step_fn *on_step; /* watch.c */
	void *on_step_arg;
	bed_store_fn *on_store;
	void *on_store_arg;
	uint64_t stores; /* exits to it */

	struct bed_boot boot;
	bool booting;
	bool stepping;
	bool running;            /* a callback is not the place for another call */
	struct bed_cpu *stopped; /* in on_sync: a call may be posted to this one */
	uint64_t steps;
	char *report;           /* not NULL: dead */
	const char *death_word; /* of what */

	/* Beds that started from a snapshot. */
	struct snap *snap;
	uint64_t *dirty; /* reset.c: a bit a page of RAM, written by the guest */
	uint64_t *poked; /* ... by the host */
	struct bed_reset_work reset;
	char note[256];
};

/* bed.c: the steps of making a bed. A bed that failed in one of them is for bed_destroy(). */
struct bed *bed_alloc(const struct bed_config *, struct bed_err *);
bool bed_open_image(struct bed *, struct bed_err *);
bool bed_make_ram(struct bed *, const struct hv_features *, struct bed_err *);
bool bed_make_machine(struct bed *, unsigned slot_flags, struct bed_err *);
/* bed->info, as the guest is to be given it. */
void bed_fill_info(struct bed *, const struct hv_features *, uint64_t root);

/* reset.c: the host writes to guest memory, or may from now on. Every way to do so says it here. */
void bed_pokes(const struct bed *, const void *host, uint64_t len);

/* run.c: run until the guest has nothing to do. `want`: BED_EXIT_READY or BED_EXIT_IDLE. */
bool bed_run(struct bed *, enum bed_exit want, struct bed_err *);
uint64_t bed_now_ns(void);
/* What an exit of a vCPU means. */
enum bed_heard {
	HEARD_WANTED, /* it left with `want` */
	HEARD_RESUME, /* nothing that ends the run: go on */
	HEARD_DEATH,  /* the bed is dead, err has the report */
};
enum bed_heard bed_hear(
    struct bed_cpu *, const struct hv_exit *, enum bed_exit want, struct bed_err *);

/*
 * cpus.c: several vCPUs, each with a thread. cpus_start() brings up all but bed->at: after the first has
 * left with BED_EXIT_READY, all others.
 */
void cpus_start(struct bed *);
/* As bed_run(): resume bed->at, until a vCPU leaves with `want`; deadline 0: none. */
bool cpus_run(struct bed *, enum bed_exit want, uint64_t deadline, struct bed_err *);
/* Make every vCPU leave, and stay out; until cpus_rest(). */
void cpus_stop(struct bed *);
/* All are out, with state loaded or stopped at rest: all but bed->at go back to where they sleep. */
bool cpus_rest(struct bed *, struct bed_err *);
void cpus_end(struct bed *);
/* At rest: make those that sleep leave for a moment, so that their registers can be read. Returns who. */
uint32_t cpus_pause(struct bed *);
void cpus_unpause(struct bed *, uint32_t who);
/* fn(arg) on the thread of a vCPU that is out. */
void cpus_do(struct bed_cpu *, void (*fn)(void *), void *arg);

/* rings.c: false if an index or a record makes no sense; the text says which. */
bool rings_drain(struct bed_cpu *, const char **wrong);

/* watch.c: the guest stands before an instruction; true: the exit was a store that somebody watches. */
void watch_step(struct bed *);
bool watch_store(struct bed *, const struct hv_exit *);

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
