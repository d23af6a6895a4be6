/* SPDX-License-Identifier: ISC */
/*
 * Running the guest until it has nothing to do: every exit on the way, and every way it can end badly.
 */
#include "vmm/bed/bed_priv.h"

#include <inttypes.h>
#include <stdio.h>

#define STEP_SLOWER 100 /* an exit an instruction: the limit is that much longer */

static const char *const exit_names[] = {
	[BED_EXIT_READY] = "READY",
	[BED_EXIT_IDLE] = "IDLE",
	[BED_EXIT_PANIC] = "PANIC",
	[BED_EXIT_CONSOLE] = "CONSOLE",
	[BED_EXIT_EVENTS] = "EVENTS",
	[BED_EXIT_SYNC] = "SYNC",
	[BED_EXIT_NOP] = "NOP",
	[BED_EXIT_YIELD] = "YIELD",
};

/* One entry and return. What is left of the limit bounds the run, so exits cannot prolong it. */
static bool
enter(struct bed *bed, uint64_t deadline, struct hv_exit *e, struct bed_err *err)
{
	unsigned left = 0;
	uint64_t now = bed_now_ns();
	bool ok;

	if (deadline != 0) {
		if (now >= deadline) {
			*e = (struct hv_exit){ .kind = HV_EXIT_TIMEOUT };
			return true;
		}
		left = (unsigned)((deadline - now + 999999) / 1000000);
	}
	ok = hv_cpu_run(bed->at->hv, left, e, err);
	if (bed->booting)
		bed->boot.run_ns += bed_now_ns() - now;
	return ok;
}

/* Not a write to our port: the guest is lost. */
static bool
die_of(struct bed *bed, const struct hv_exit *e, struct bed_err *err)
{
	char text[128];

	switch (e->kind) {
	case HV_EXIT_SHUTDOWN:
		return bed_die(bed, DEATH_TRIPLE, e, NULL, err);
	case HV_EXIT_TIMEOUT:
		return bed_die(bed, DEATH_HANG, e, NULL, err);
	case HV_EXIT_EMULATION:
		return bed_die(bed, DEATH_EMULATION, e, NULL, err);
	case HV_EXIT_MMIO:
		return bed_die(bed, DEATH_MMIO, e, NULL, err);
	case HV_EXIT_OUT:
	case HV_EXIT_IN:
		snprintf(text, sizeof(text),
		    "%u-byte port %s at port %#" PRIx64
		    ", where nothing is (the bed's port is %#x)",
		    e->size, e->kind == HV_EXIT_OUT ? "write" : "read", e->addr, BED_PORT);
		return bed_die(bed, DEATH_PROTOCOL, e, text, err);
	case HV_EXIT_OTHER:
		snprintf(text, sizeof(text),
		    "KVM exit %s (%" PRIu64 "), which has no business here",
		    hv_kvm_reason_name(e->code), e->code);
		return bed_die(bed, DEATH_KVM, e, text, err);
	default:
		snprintf(
		    text, sizeof(text), "%s (code %#" PRIx64 ")", hv_exit_name(e->kind), e->code);
		return bed_die(bed, DEATH_KVM, e, text, err);
	}
}

static bool
unexpected(struct bed *bed, const struct hv_exit *e, enum bed_exit want, struct bed_err *err)
{
	char text[128];

	if (e->value >= 1 && e->value <= BED_EXIT_LAST)
		snprintf(text, sizeof(text), "it left with BED_EXIT_%s where BED_EXIT_%s was due",
		    exit_names[e->value], exit_names[want]);
	else
		snprintf(text, sizeof(text), "it left with %#" PRIx64 ", which is no enum bed_exit",
		    e->value);
	return bed_die(bed, DEATH_PROTOCOL, e, text, err);
}

static void
stop_point(struct bed_cpu *cpu)
{
	struct bed *bed = cpu->bed;

	if (bed->on_sync == NULL)
		return;
	bed->stopped = cpu;
	bed->on_sync(
	    bed->on_sync_arg, bed, __atomic_load_n(&cpu->share->death.info, __ATOMIC_RELAXED));
	bed->stopped = NULL;
}

enum bed_heard
bed_hear(struct bed_cpu *cpu, const struct hv_exit *e, enum bed_exit want, struct bed_err *err)
{
	struct bed *bed = cpu->bed;
	const char *wrong;

	bed->at = cpu;
	if (!rings_drain(cpu, &wrong)) {
		bed_die(bed, DEATH_PROTOCOL, e, wrong, err);
		return HEARD_DEATH;
	}
	if (e->kind != HV_EXIT_OUT || e->addr != BED_PORT || e->size != 4) {
		die_of(bed, e, err);
		return HEARD_DEATH;
	}
	if (e->value == (uint64_t)want)
		return HEARD_WANTED;
	switch (e->value) {
	case BED_EXIT_PANIC:
		bed_die(bed, DEATH_GUEST, e, NULL, err);
		return HEARD_DEATH;
	case BED_EXIT_SYNC:
		stop_point(cpu);
		return HEARD_RESUME;
	case BED_EXIT_CONSOLE:
	case BED_EXIT_EVENTS:
		cpu->ring_exits++;
		return HEARD_RESUME;
	case BED_EXIT_NOP:
	case BED_EXIT_YIELD:
		return HEARD_RESUME;
	default:
		unexpected(bed, e, want, err);
		return HEARD_DEATH;
	}
}

/* One vCPU, in this thread. */
static bool
run(struct bed *bed, enum bed_exit want, uint64_t deadline, struct bed_err *err)
{
	enum bed_heard heard;
	struct hv_exit e;

	hv_cpu_regs(bed->at->hv, &bed->at->before);
	do {
		if (!enter(bed, deadline, &e, err))
			return false;
		if (e.kind == HV_EXIT_STEP) {
			bed->steps++;
			watch_step(bed);
			heard = HEARD_RESUME;
			continue;
		}
		heard = watch_store(bed, &e) ? HEARD_RESUME : bed_hear(bed->at, &e, want, err);
	} while (heard == HEARD_RESUME);
	return heard == HEARD_WANTED;
}

bool
bed_run(struct bed *bed, enum bed_exit want, struct bed_err *err)
{
	uint64_t limit = (uint64_t)bed->cfg.timeout_ms * 1000000;
	bool ok;

	if (bed->stepping)
		limit *= STEP_SLOWER;
	if (limit != 0)
		limit += bed_now_ns();
	bed->running = true;
	watch_step(bed);
	ok = bed->cfg.ncpu == 1 ? run(bed, want, limit, err) : cpus_run(bed, want, limit, err);
	for (unsigned i = 0; i < bed->cfg.ncpu; i++)
		bed->cpus[i].nposted = 0;
	bed->running = false;
	return ok;
}
