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
	ok = hv_cpu_run(bed->cpu, left, e, err);
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

static bool
run(struct bed *bed, enum bed_exit want, uint64_t deadline, struct bed_err *err)
{
	const char *wrong;
	struct hv_exit e;

	for (;;) {
		if (!enter(bed, deadline, &e, err))
			return false;
		if (e.kind == HV_EXIT_STEP) {
			bed->steps++;
			continue;
		}
		if (!rings_drain(bed, &wrong))
			return bed_die(bed, DEATH_PROTOCOL, &e, wrong, err);
		if (e.kind != HV_EXIT_OUT || e.addr != BED_PORT || e.size != 4)
			return die_of(bed, &e, err);
		if (e.value == (uint64_t)want)
			return true;
		switch (e.value) {
		case BED_EXIT_PANIC:
			return bed_die(bed, DEATH_GUEST, &e, NULL, err);
		case BED_EXIT_SYNC:
			bed->stopped = true;
			if (bed->on_sync != NULL)
				bed->on_sync(bed->on_sync_arg, bed,
				    __atomic_load_n(&bed->share->death.info, __ATOMIC_RELAXED));
			bed->stopped = false;
			break;
		case BED_EXIT_CONSOLE:
		case BED_EXIT_EVENTS:
		case BED_EXIT_NOP:
			break;
		default:
			return unexpected(bed, &e, want, err);
		}
	}
}

bool
bed_run(struct bed *bed, enum bed_exit want, struct bed_err *err)
{
	uint64_t limit = (uint64_t)bed->cfg.timeout_ms * 1000000;
	bool ok;

	if (bed->stepping)
		limit *= STEP_SLOWER;
	hv_cpu_regs(bed->cpu, &bed->before);
	bed->running = true;
	ok = run(bed, want, limit == 0 ? 0 : bed_now_ns() + limit, err);
	bed->running = false;
	return ok;
}
