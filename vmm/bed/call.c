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

static bool
broken(struct bed *bed, unsigned slot, const char *what, uint64_t value, struct bed_err *err)
{
	char text[128];

	snprintf(text, sizeof(text), "call slot %u: %s (%#" PRIx64 ")", slot, what, value);
	return bed_die(bed, DEATH_PROTOCOL, NULL, text, err);
}

/* With the guest idle: every slot is as the host left it, or done, refused or asleep. */
static bool
check_slots(struct bed *bed, struct bed_err *err)
{
	const struct bed_cpushare *s = bed->share;
	uint32_t bell = __atomic_load_n(&s->doorbell, __ATOMIC_RELAXED);

	if (bell != 0)
		return broken(bed, bell - 1, "idle, but the doorbell was not answered", bell, err);
	for (unsigned i = 0; i < BED_SLOTS; i++) {
		uint32_t state = __atomic_load_n(&s->slot[i].state, __ATOMIC_ACQUIRE);
		uint16_t call = __atomic_load_n(&s->slot[i].call, __ATOMIC_RELAXED);

		if (!bed->inflight[i].busy) {
			if (state != BED_SLOT_FREE)
				return broken(
				    bed, i, "not free, though nothing was asked of it", state, err);
			continue;
		}
		if (state != BED_SLOT_DONE && state != BED_SLOT_BLOCKED &&
		    state != BED_SLOT_REFUSED)
			return broken(
			    bed, i, "the guest is idle, but the call is in state", state, err);
		if (call != bed->inflight[i].call)
			return broken(bed, i, "the call's id was changed", call, err);
	}
	return true;
}

/* Copy a slot's outcome and, if it is over, free the slot. check_slots() has been here. */
static bool
collect(struct bed *bed, unsigned i, struct bed_result *res, struct bed_err *err)
{
	struct bed_slot *s = &bed->share->slot[i], copy;
	const char *name;

	memcpy(&copy, s, sizeof(copy));
	memset(res, 0, sizeof(*res));
	res->slot = i;
	if (copy.state == BED_SLOT_BLOCKED) {
		res->state = BED_STATE_BLOCKED;
		res->wchan = GVA(copy.wchan);
		for (size_t k = 0; k < sizeof(res->wmesg) - 1 && copy.wmesg[k] != '\0'; k++)
			res->wmesg[k] =
			    copy.wmesg[k] > ' ' && copy.wmesg[k] <= '~' ? copy.wmesg[k] : '?';
		return true;
	}
	name = bed_call_name(bed->inflight[i].call);
	bed->inflight[i].busy = false;
	__atomic_store_n(&s->state, BED_SLOT_FREE, __ATOMIC_RELAXED);
	if (copy.state == BED_SLOT_REFUSED)
		return bed_fail(err, BED_E_USAGE,
		    "the guest refused call %u (%s): it does not know it, or not with these "
		    "arguments",
		    bed->inflight[i].call, name == NULL ? "not in calls.def" : name);
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
find_slot(struct bed *bed, unsigned *slot, struct bed_err *err)
{
	for (unsigned i = 0; i < BED_SLOTS; i++)
		if (!bed->inflight[i].busy) {
			*slot = i;
			return true;
		}
	return bed_fail(err, BED_E_USAGE, "all %d call slots hold blocked calls", BED_SLOTS);
}

/* Fill a free slot and ring; the guest sees it when it is next entered. */
static bool
post(struct bed *bed, enum bed_call_id id, const uint64_t *args, unsigned nargs, unsigned *slot,
    struct bed_err *err)
{
	struct bed_inflight *f;
	struct bed_slot *s;

	if (nargs > BED_ARGS_MAX)
		return bed_fail(err, BED_E_USAGE, "call %u with %u arguments, more than %d", id,
		    nargs, BED_ARGS_MAX);
	if ((unsigned)id > UINT16_MAX)
		return bed_fail(err, BED_E_USAGE, "call %u: no call has an id of %d or more", id,
		    BED_CALL_LIMIT);
	if (!find_slot(bed, slot, err))
		return false;
	s = &bed->share->slot[*slot];
	s->call = (uint16_t)id;
	s->nargs = (uint16_t)nargs;
	f = &bed->inflight[*slot];
	f->busy = true;
	f->call = (uint16_t)id;
	f->nargs = (uint16_t)nargs;
	for (unsigned k = 0; k < nargs; k++)
		s->arg[k] = f->arg[k] = args[k];
	__atomic_store_n(&s->state, BED_SLOT_REQUESTED, __ATOMIC_RELEASE);
	__atomic_store_n(&bed->share->doorbell, *slot + 1, __ATOMIC_RELEASE);
	return true;
}

bool
bed_call_start(struct bed *bed, enum bed_call_id id, const uint64_t *args, unsigned nargs,
    struct bed_result *res, struct bed_err *err)
{
	unsigned slot = 0;

	return callable(bed, err) && post(bed, id, args, nargs, &slot, err) &&
	       bed_run(bed, BED_EXIT_IDLE, err) && check_slots(bed, err) &&
	       collect(bed, slot, res, err);
}

bool
bed_call_post(struct bed *bed, enum bed_call_id id, const uint64_t *args, unsigned nargs,
    unsigned *slot, struct bed_err *err)
{
	if (!bed->stopped || bed->share->doorbell != 0)
		return bed_fail(err, BED_E_USAGE,
		    "a call can be posted once, and from a bed_on_sync() callback only");
	return post(bed, id, args, nargs, slot, err);
}

bool
bed_call_wait(struct bed *bed, unsigned slot, struct bed_result *res, struct bed_err *err)
{
	if (slot >= BED_SLOTS || !bed->inflight[slot].busy)
		return bed_fail(err, BED_E_USAGE, "no call is in flight in slot %u", slot);
	if (!callable(bed, err))
		return false;
	if (__atomic_load_n(&bed->share->slot[slot].state, __ATOMIC_ACQUIRE) == BED_SLOT_BLOCKED &&
	    !bed_run(bed, BED_EXIT_IDLE, err))
		return false;
	return check_slots(bed, err) && collect(bed, slot, res, err);
}

bool
bed_call_try(struct bed *bed, enum bed_call_id id, const uint64_t *args, unsigned nargs,
    struct bed_result *res, struct bed_err *err)
{
	return bed_call_start(bed, id, args, nargs, res, err);
}

uint64_t
bed_call(struct bed *bed, enum bed_call_id id, const uint64_t *args, unsigned nargs)
{
	struct bed_result res;
	struct bed_err err;
	const char *name = bed_call_name(id);

	if (bed_call_try(bed, id, args, nargs, &res, &err)) {
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
bed_result2(const struct bed *bed)
{
	return bed->result2;
}
