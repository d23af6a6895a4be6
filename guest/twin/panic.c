/* SPDX-License-Identifier: ISC */
/*
 * What the guest's sources call when something is wrong or worth recording: panic, events, stop points.
 */
#include <machine/assert.h>
#include <machine/event.h>
#include <machine/thread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "guest/twin/priv.h"
#include "guest/twin/twin.h"

sigjmp_buf twin_panic_jmp;

static char text[512];
static bool armed, pending;

void
twin_die(const char *why)
{
	fprintf(stderr, "%s\n", why);
	abort();
}

void
twin_panic_arm(bool on)
{
	armed = on;
}

const char *
twin_panic_text(void)
{
	armed = false;
	return text;
}

void
twin_panic_pending(void)
{
	if (!pending)
		return;
	pending = false;
	siglongjmp(twin_panic_jmp, 1);
}

void
panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!armed) {
		fprintf(stderr, "panic: ");
		twin_die(text);
	}
	armed = false;
	if (curthread == &thread_pool[0])
		siglongjmp(twin_panic_jmp, 1);
	pending = true;
	twin_panic_leave();
}

struct bed_event *twin_event;
uint64_t twin_nevent;

void
twin_events_clear(void)
{
	twin_nevent = 0;
}

#ifdef BED_CHECKED_BUILD

static uint64_t event_room, tickets;

static struct {
	int id;
	void (*fn)(void *);
	void *arg;
} stop;

void
twin_stop_at(int id, void (*fn)(void *), void *arg)
{
	stop.id = id;
	stop.fn = fn;
	stop.arg = arg;
}

void
stop_point(int id)
{
	if (stop.id != id)
		return;
	stop.id = 0;
	stop.fn(stop.arg);
}

uint64_t
event_ticket(void)
{
	return tickets++;
}

void
event_record(enum bed_event_type type, uint64_t a0, uint64_t a1, uint64_t a2)
{
	if (twin_nevent == event_room) {
		event_room = event_room != 0 ? 2 * event_room : 1024;
		twin_event = realloc(twin_event, event_room * sizeof(*twin_event));
		if (twin_event == NULL)
			twin_die("twin: no memory for events");
	}
	twin_event[twin_nevent++] = (struct bed_event){
		.ticket = event_ticket(),
		.type = (uint16_t)type,
		.a = { a0, a1, a2 },
	};
}

#endif
