/* SPDX-License-Identifier: ISC */
/*
 * Draining what the guest leaves in its share area: console text and event records. The area is
 * hostile: an index is read once, checked against our own copy of the tail, and only then used.
 */
#include "vmm/bed/bed_priv.h"

#include "shared/events.h"

#include <stdlib.h>
#include <string.h>

#define CONSOLE_KEEP (UINT64_C(1) << 20)
#define CHUNK        64

static const bool event_known[] = {
#define X(id, name, a0, a1, a2) [id] = true,
	BED_EVENT_TYPES(X)
#undef X
};

static bool
console_room(struct bed *bed, size_t more)
{
	size_t cap = bed->console_cap == 0 ? BED_CONSOLE_BYTES : bed->console_cap;
	char *p;

	if (bed->console_len + more >= CONSOLE_KEEP) {
		size_t keep = CONSOLE_KEEP / 2;

		memmove(bed->console, bed->console + bed->console_len - keep, keep);
		bed->console_len = keep;
	}
	while (cap <= bed->console_len + more)
		cap *= 2;
	if (cap == bed->console_cap)
		return true;
	p = realloc(bed->console, cap);
	if (p == NULL)
		return false;
	bed->console = p;
	bed->console_cap = cap;
	return true;
}

static bool
drain_console(struct bed_cpu *cpu, uint64_t head, const char **wrong)
{
	struct bed *bed = cpu->bed;
	struct bed_cpushare *s = cpu->share;
	uint64_t n = head - cpu->console_tail;

	if (n > BED_CONSOLE_BYTES) {
		*wrong = "console_head is outside the console ring";
		return false;
	}
	if (__atomic_load_n(&s->console_tail, __ATOMIC_RELAXED) != cpu->console_tail) {
		*wrong = "console_tail, which only the host writes, was changed";
		return false;
	}
	if (console_room(bed, n)) {
		for (uint64_t i = 0; i < n; i++) {
			char c = s->console[(cpu->console_tail + i) & (BED_CONSOLE_BYTES - 1)];

			bed->console[bed->console_len++] =
			    (c >= ' ' && c <= '~') || c == '\n' || c == '\t' ? c : '?';
		}
		bed->console[bed->console_len] = '\0';
	}
	cpu->console_tail = head;
	__atomic_store_n(&s->console_tail, head, __ATOMIC_RELEASE);
	return true;
}

/* n records from our tail on, copied and checked. */
static bool
take_events(struct bed_cpu *cpu, struct bed_event *to, unsigned n, const char **wrong)
{
	struct bed *bed = cpu->bed;

	for (unsigned i = 0; i < n; i++) {
		to[i] = cpu->share->event[(cpu->event_tail + i) & (BED_EVENTS - 1)];
		if (to[i].type >= sizeof(event_known) || !event_known[to[i].type] ||
		    to[i].cpu != cpu->id) {
			*wrong = "an event record has an unknown type or CPU";
			return false;
		}
		bed->recent[bed->nrecent++ % BED_RECENT] = to[i];
	}
	return true;
}

static bool
drain_events(struct bed_cpu *cpu, uint64_t head, const char **wrong)
{
	struct bed *bed = cpu->bed;
	struct bed_cpushare *s = cpu->share;
	struct bed_event chunk[CHUNK];

	if (head - cpu->event_tail > BED_EVENTS) {
		*wrong = "event_head is outside the event ring";
		return false;
	}
	if (__atomic_load_n(&s->event_tail, __ATOMIC_RELAXED) != cpu->event_tail) {
		*wrong = "event_tail, which only the host writes, was changed";
		return false;
	}
	/* Nobody listens: only the last few are worth copying. */
	if (bed->cfg.on_events == NULL && head - cpu->event_tail > BED_RECENT)
		cpu->event_tail = head - BED_RECENT;
	while (cpu->event_tail != head) {
		uint64_t left = head - cpu->event_tail;
		unsigned n = left < CHUNK ? (unsigned)left : CHUNK;

		if (!take_events(cpu, chunk, n, wrong))
			return false;
		cpu->event_tail += n;
		if (bed->cfg.on_events != NULL)
			bed->cfg.on_events(bed->cfg.on_events_arg, chunk, n);
	}
	__atomic_store_n(&s->event_tail, head, __ATOMIC_RELEASE);
	return true;
}

bool
rings_drain(struct bed_cpu *cpu, const char **wrong)
{
	uint64_t console = __atomic_load_n(&cpu->share->console_head, __ATOMIC_ACQUIRE);
	uint64_t event = __atomic_load_n(&cpu->share->event_head, __ATOMIC_ACQUIRE);

	if (console != cpu->console_tail && !drain_console(cpu, console, wrong))
		return false;
	return event == cpu->event_tail || drain_events(cpu, event, wrong);
}
