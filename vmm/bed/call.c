/* SPDX-License-Identifier: ISC */
/*
 * Call slots: filling one, ringing, and believing nothing of what comes back.
 */
#include "vmm/bed/call.h"

#include "vmm/bed/bed_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	int nargs;
} calls[BED_CALL_LIMIT] = {
#define BED_ROW(id, name, r, nargs, text, ...) [id] = { #name, nargs },
#include "shared/calls_rows.h"
#undef BED_ROW
};

static void
print_and_abort(const struct bed_err *err)
{
	fprintf(stderr, "%s\n", err->text);
	abort();
}

void (*bed_call_failed)(const struct bed_err *) = print_and_abort;

const char *
bed_call_name(unsigned id)
{
	return id < BED_CALL_LIMIT ? calls[id].name : NULL;
}

int
bed_call_nargs(unsigned id)
{
	return bed_call_name(id) == NULL ? -1 : calls[id].nargs;
}

/* A slot by the number that callers know it by: of all slots of all vCPUs. */
static struct bed_cpu *
cpu_of(struct bed *bed, unsigned handle)
{
	return &bed->cpus[handle / BED_SLOTS];
}

static bool
broken(struct bed_cpu *cpu, unsigned slot, const char *what, uint64_t value, struct bed_err *err)
{
	char text[128], where[24] = "";

	if (cpu->bed->cfg.ncpu > 1)
		snprintf(where, sizeof(where), "CPU %u, ", cpu->id);
	snprintf(text, sizeof(text), "%scall slot %u: %s (%#" PRIx64 ")", where, slot, what, value);
	cpu->bed->at = cpu;
	return bed_die(cpu->bed, DEATH_PROTOCOL, NULL, text, err);
}

/* With the guest idle: every slot is as the host left it, or done, refused or asleep. */
static bool
check_slots(struct bed_cpu *cpu, struct bed_err *err)
{
	const struct bed_cpushare *s = cpu->share;
	uint32_t bell = __atomic_load_n(&s->doorbell, __ATOMIC_RELAXED);

	if (bell != 0)
		return broken(cpu, bell - 1, "idle, but the doorbell was not answered", bell, err);
	for (unsigned i = 0; i < BED_SLOTS; i++) {
		uint32_t state = __atomic_load_n(&s->slot[i].state, __ATOMIC_ACQUIRE);
		uint16_t call = __atomic_load_n(&s->slot[i].call, __ATOMIC_RELAXED);

		if (!cpu->inflight[i].busy) {
			if (state != BED_SLOT_FREE)
				return broken(
				    cpu, i, "not free, though nothing was asked of it", state, err);
			continue;
		}
		if (state != BED_SLOT_DONE && state != BED_SLOT_BLOCKED &&
		    state != BED_SLOT_REFUSED)
			return broken(
			    cpu, i, "the guest is idle, but the call is in state", state, err);
		if (call != cpu->inflight[i].call)
			return broken(cpu, i, "the call's id was changed", call, err);
	}
	return true;
}

static bool
check_all_slots(struct bed *bed, struct bed_err *err)
{
	for (unsigned i = 0; i < bed->cfg.ncpu; i++)
		if (!check_slots(&bed->cpus[i], err))
			return false;
	return true;
}

/* Copy a slot's outcome and, if it is over, free the slot. check_slots() has been here. */
static bool
collect(struct bed *bed, unsigned handle, struct bed_result *res, struct bed_err *err)
{
	struct bed_cpu *cpu = cpu_of(bed, handle);
	struct bed_inflight *f = &cpu->inflight[handle % BED_SLOTS];
	struct bed_slot *s = &cpu->share->slot[handle % BED_SLOTS], copy;
	const char *name;

	memcpy(&copy, s, sizeof(copy));
	memset(res, 0, sizeof(*res));
	res->slot = handle;
	if (copy.state == BED_SLOT_BLOCKED) {
		res->state = BED_STATE_BLOCKED;
		res->wchan = GVA(copy.wchan);
		for (size_t k = 0; k < sizeof(res->wmesg) - 1 && copy.wmesg[k] != '\0'; k++)
			res->wmesg[k] =
			    copy.wmesg[k] > ' ' && copy.wmesg[k] <= '~' ? copy.wmesg[k] : '?';
		return true;
	}
	name = bed_call_name(f->call);
	f->busy = false;
	__atomic_store_n(&s->state, BED_SLOT_FREE, __ATOMIC_RELAXED);
	if (copy.state == BED_SLOT_REFUSED)
		return bed_fail(err, BED_E_USAGE,
		    "the guest refused call %u (%s): it does not know it, or not with these "
		    "arguments",
		    f->call, name == NULL ? "not in calls.def" : name);
	res->state = BED_STATE_DONE;
	res->value = copy.result;
	res->value2 = copy.result2;
	bed->result2 = copy.result2;
	return true;
}

static bool
callable(const struct bed *bed, struct bed_err *err)
{
	if (bed->report != NULL)
		return bed_dead(bed, err);
	return !bed->running ||
	       bed_fail(err, BED_E_USAGE, "a call from inside a callback of the same bed");
}

static bool
find_slot(const struct bed_cpu *cpu, unsigned *slot, struct bed_err *err)
{
	unsigned limit = cpu->id == 0 ? BED_SLOTS : BED_CPU_CALLS, busy = 0;

	for (unsigned i = 0; i < BED_SLOTS; i++)
		busy += cpu->inflight[i].busy;
	for (unsigned i = 0; busy < limit && i < BED_SLOTS; i++)
		if (!cpu->inflight[i].busy) {
			*slot = i;
			return true;
		}
	if (cpu->id == 0)
		return bed_fail(
		    err, BED_E_USAGE, "all %d call slots hold blocked calls", BED_SLOTS);
	return bed_fail(err, BED_E_USAGE,
	    "%d calls are blocked on CPU %u, which has threads for no more", BED_CPU_CALLS,
	    cpu->id);
}

/* Fill a free slot and ring; the guest sees it when it is next entered. */
static bool
post(struct bed_cpu *cpu, enum bed_call_id id, const uint64_t *args, unsigned nargs,
    unsigned *handle, struct bed_err *err)
{
	struct bed_inflight *f;
	struct bed_slot *s;
	unsigned slot = 0;

	if (nargs > BED_ARGS_MAX)
		return bed_fail(err, BED_E_USAGE, "call %u with %u arguments, more than %d", id,
		    nargs, BED_ARGS_MAX);
	if ((unsigned)id > UINT16_MAX)
		return bed_fail(err, BED_E_USAGE, "call %u: no call has an id of %d or more", id,
		    BED_CALL_LIMIT);
	if (!find_slot(cpu, &slot, err))
		return false;
	*handle = cpu->id * BED_SLOTS + slot;
	s = &cpu->share->slot[slot];
	s->call = (uint16_t)id;
	s->nargs = (uint16_t)nargs;
	f = &cpu->inflight[slot];
	f->busy = true;
	f->call = (uint16_t)id;
	f->nargs = (uint16_t)nargs;
	for (unsigned k = 0; k < nargs; k++)
		s->arg[k] = f->arg[k] = args[k];
	__atomic_store_n(&s->state, BED_SLOT_REQUESTED, __ATOMIC_RELEASE);
	__atomic_store_n(&cpu->share->doorbell, slot + 1, __ATOMIC_RELEASE);
	cpu->nposted++;
	return true;
}

bool
bed_post_on(struct bed *bed, unsigned cpu, enum bed_call_id id, const uint64_t *args,
    unsigned nargs, unsigned *slot, struct bed_err *err)
{
	if (!callable(bed, err))
		return false;
	if (cpu >= bed->cfg.ncpu)
		return bed_fail(
		    err, BED_E_USAGE, "a call on CPU %u of a bed with %u", cpu, bed->cfg.ncpu);
	if (bed->cpus[cpu].nposted != 0)
		return bed_fail(err, BED_E_USAGE,
		    "CPU %u has a call posted already: bed_wait() comes between two", cpu);
	return post(&bed->cpus[cpu], id, args, nargs, slot, err);
}

bool
bed_wait(struct bed *bed, struct bed_err *err)
{
	return callable(bed, err) && bed_run(bed, BED_EXIT_IDLE, err) && check_all_slots(bed, err);
}

bool
bed_start_on(struct bed *bed, unsigned cpu, enum bed_call_id id, const uint64_t *args,
    unsigned nargs, struct bed_result *res, struct bed_err *err)
{
	unsigned slot = 0;

	return bed_post_on(bed, cpu, id, args, nargs, &slot, err) && bed_wait(bed, err) &&
	       collect(bed, slot, res, err);
}

bool
bed_call_start(struct bed *bed, enum bed_call_id id, const uint64_t *args, unsigned nargs,
    struct bed_result *res, struct bed_err *err)
{
	return bed_start_on(bed, 0, id, args, nargs, res, err);
}

bool
bed_call_post(struct bed *bed, enum bed_call_id id, const uint64_t *args, unsigned nargs,
    unsigned *slot, struct bed_err *err)
{
	if (bed->stopped == NULL || bed->stopped->share->doorbell != 0)
		return bed_fail(err, BED_E_USAGE,
		    "a call can be posted once, and from a bed_on_sync() callback only");
	return post(bed->stopped, id, args, nargs, slot, err);
}

bool
bed_call_wait(struct bed *bed, unsigned slot, struct bed_result *res, struct bed_err *err)
{
	struct bed_cpu *cpu;
	bool posted = false;

	if (slot >= bed->cfg.ncpu * BED_SLOTS ||
	    !(cpu = cpu_of(bed, slot))->inflight[slot % BED_SLOTS].busy)
		return bed_fail(err, BED_E_USAGE, "no call is in flight in slot %u", slot);
	if (!callable(bed, err))
		return false;
	for (unsigned i = 0; i < bed->cfg.ncpu; i++)
		posted = posted || bed->cpus[i].nposted != 0;
	if ((posted || __atomic_load_n(&cpu->share->slot[slot % BED_SLOTS].state,
			   __ATOMIC_ACQUIRE) == BED_SLOT_BLOCKED) &&
	    !bed_run(bed, BED_EXIT_IDLE, err))
		return false;
	return check_all_slots(bed, err) && collect(bed, slot, res, err);
}

bool
bed_call_try(struct bed *bed, enum bed_call_id id, const uint64_t *args, unsigned nargs,
    struct bed_result *res, struct bed_err *err)
{
	return bed_call_start(bed, id, args, nargs, res, err);
}

uint64_t
bed_call_on(
    struct bed *bed, unsigned cpu, enum bed_call_id id, const uint64_t *args, unsigned nargs)
{
	struct bed_result res;
	struct bed_err err;
	const char *name = bed_call_name(id);

	if (bed_start_on(bed, cpu, id, args, nargs, &res, &err)) {
		if (res.state == BED_STATE_DONE)
			return res.value;
		bed_fail(&err, BED_E_FINDING, "it sleeps on \"%s\" (channel %#" PRIx64 ")",
		    res.wmesg, res.wchan.v);
	}
	bed_fail_in(&err, "%s", name == NULL ? "unknown call" : name);
	bed_call_failed(&err);
	abort();
}

uint64_t
bed_call(struct bed *bed, enum bed_call_id id, const uint64_t *args, unsigned nargs)
{
	return bed_call_on(bed, 0, id, args, nargs);
}

uint64_t
bed_result2(const struct bed *bed)
{
	return bed->result2;
}
