/* SPDX-License-Identifier: ISC */
/*
 * A bed: a virtual machine with the guest kernel booted in it, ready for calls (call.h).
 *
 *	struct bed_config cfg;
 *	struct bed_err err;
 *	bed_config_init(&cfg);
 *	struct bed *bed = bed_create(&cfg, &err);
 *	... bed_call_try(), the stubs of stubs.h, bed_view() ...
 *	bed_destroy(bed);
 *
 * A bed belongs to the thread that created it and must not cross a fork. When its guest dies (panic,
 * triple fault, hang, scribbled share area) the call that saw it fails with class BED_E_GUEST and the
 * report; from then on every call fails with the same text, while memory can still be looked at.
 */
#ifndef VMM_BED_BED_H
#define VMM_BED_BED_H

#include "shared/abi.h"
#include "shared/bootinfo.h"
#include "shared/share.h"
#include "vmm/error.h"
#include "vmm/view/view.h"

struct bed;

/* bed_config.flags: those of bed_bootinfo.flags (BED_BOOT_*), and */
#define BED_OVERCOMMIT 0x80000000u /* do not compare RAM with the host's free memory */
#define BED_COUNT_BOOT 0x40000000u /* count the boot's instructions, by single steps if need be */

/*
 * Event records, in order, as the ring is drained: at every exit. n >= 1. The records are copies, their
 * type and cpu are in range; what their arguments mean is for the receiver to check. Of several vCPUs the
 * records of one come at a time; when a call has returned all have come, and their tickets tell the order.
 */
typedef void bed_event_fn(void *arg, const struct bed_event *, unsigned n);

/* What runs the guest. */
enum bed_engine_kind {
	BED_ENGINE_KVM = 0,
	BED_ENGINE_TWIN, /* this process: guest/twin/engine.h; one CPU, up to 3 GiB, one bed of a flavour */
};

struct bed_config {
	enum bed_engine_kind engine;
	uint64_t ram;             /* bytes, a multiple of 2 MiB, BED_RAM_MIN..BED_RAM_MAX */
	unsigned ncpu;            /* 1..BED_CPU_MAX */
	uint64_t kva_size;        /* bytes of kernel_map, a multiple of 2 MiB, up to BED_KVA_MAX */
	uint64_t ptpool;          /* bytes for page tables; 0: a sixteenth of RAM, 1..256 MiB */
	const char *image;        /* guest image; NULL: the one of `flavour` that came with us */
	enum bed_flavour flavour; /* what the image must be */
	unsigned timeout_ms;      /* for boot and for each call, all vCPUs together; 0: none */
	uint32_t flags;
	uint64_t dma_high;              /* highest DMA-able address, inclusive */
	uint64_t seed, flush_threshold; /* see bed_bootinfo */
	unsigned planted;        /* enum bed_planted, checked flavour only; planted.h; 0: none */
	bed_event_fn *on_events; /* from the first instruction on; NULL: nobody listens */
	void *on_events_arg;
};

/* 16 MiB, one CPU, 4 GiB of kernel_map, checked flavour, deterministic, 10 s. */
void bed_config_init(struct bed_config *);
/* What bed_create() checks before it touches anything. */
bool bed_config_check(const struct bed_config *, struct bed_err *);

/* Boots; returns after BED_EXIT_READY. NULL: err says why. */
struct bed *bed_create(const struct bed_config *, struct bed_err *);
void bed_destroy(struct bed *); /* NULL is fine */

/* The guest's memory through the page tables CR3 names now. Valid until bed_destroy(). */
struct view bed_view(const struct bed *);
/*
 * Host address of guest memory, or NULL if any of [gpa, gpa + len) is not RAM. It may be written until the
 * next bed_reset(); ask again after one. To only read, view_ptr() of bed_view() makes resets cheaper.
 */
void *bed_ptr(const struct bed *, gpa_t, uint64_t len);
/* What KVM makes of va (an address, never rights): a witness beside the walker. */
bool bed_translate(struct bed *, gva_t, gpa_t *);

const struct bed_config *bed_config(const struct bed *);
const struct bed_bootinfo *bed_bootinfo(const struct bed *); /* as the guest was given it */
const char *bed_image_path(const struct bed *);
struct engine;
const struct engine *bed_engine(const struct bed *); /* NULL: not known */

/*
 * What the guest kernel's own pointers are: addresses of its direct map, [direct, + direct_bytes), which is
 * physical memory from 0 on, and addresses of its data, [data, + data_bytes), from data_pa on. In the twin
 * they are host addresses, and neither is in its page tables.
 */
struct bed_pointers {
	uint64_t direct, direct_bytes;
	uint64_t data, data_bytes, data_pa;
};
struct bed_pointers bed_pointers(const struct bed *);
/* The physical address behind such a pointer; false: it is neither. */
static inline bool
bed_pointer_pa(const struct bed_pointers *p, uint64_t va, uint64_t *pa)
{
	if (va - p->data < p->data_bytes)
		*pa = va - p->data + p->data_pa;
	else if (va - p->direct < p->direct_bytes)
		*pa = va - p->direct;
	else
		return false;
	return true;
}
/* The code address that an event record's `pc` means. */
uint64_t bed_event_pc(const struct bed *, uint32_t pc);

/* The guest's own work counters of a vCPU, copied. */
struct bed_counters bed_counters(const struct bed *, unsigned cpu);
struct bed_counters bed_counters_all(const struct bed *); /* the sum over all vCPUs */

/* What the VMM and KVM counted, since creation. */
struct bed_stats {
	/* Returns from KVM_RUN, all vCPUs together; those for watching (watch.h) not counted. */
	uint64_t exits;
	uint64_t yields; /* more of them, with which a busy wait gave the host's CPU away */
	uint64_t rings;  /* of the exits, those because a ring was full */
	bool has_insns;  /* the engine counts instructions exactly */
	uint64_t insns;  /* guest ring-0 instructions */
	bool has_invlpg; /* the engine sees every INVLPG */
	uint64_t invlpg;
};
struct bed_stats bed_stats(struct bed *);

/* Guest ring-0 instructions of one vCPU; false: the engine does not count them. */
bool bed_insns(struct bed *, unsigned cpu, uint64_t *insns);

/* How the boot went. */
struct bed_boot {
	uint64_t total_ns; /* bed_create() from start to end */
	uint64_t run_ns;   /* of these, inside KVM_RUN */
	uint64_t exits;
	uint64_t insns; /* entry to BED_EXIT_READY; 0: not counted */
};
struct bed_boot bed_boot(const struct bed *);

/* Everything the guest wrote to its console (the last 1 MiB of it), printable, zero terminated. */
const char *bed_console(const struct bed *);

/* NULL while the guest lives; else the whole report of its death. */
const char *bed_report(const struct bed *);

/* What it died of, in a word: assertion, panic, fault, trap, triple, hang, emulation, mmio, protocol, kvm. */
const char *bed_death_word(const struct bed *);

/* Another receiver of events from now on, or none (NULL). */
void bed_on_events(struct bed *, bed_event_fn *, void *arg);

/* BED_EXIT_SYNC: the guest stands at a stop point; it goes on when this returns. May use bed_call_post(). */
typedef void bed_sync_fn(void *arg, struct bed *, uint64_t info);
void bed_on_sync(struct bed *, bed_sync_fn *, void *arg);

/* For this and the following calls; 0: no limit. */
void bed_set_timeout(struct bed *, unsigned timeout_ms);

#endif
