/* SPDX-License-Identifier: ISC */
/*
 * What the guest's sources call when something is wrong, and where a test may step in: panic, stop points.
 */
#include <machine/assert.h>
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
	if (!armed || curcpu()->ci_id != 0) {
		fprintf(stderr, "panic: ");
		twin_die(text);
	}
	armed = false;
	if (curthread == &thread_pool[0])
		siglongjmp(twin_panic_jmp, 1);
	pending = true;
	twin_panic_leave();
}

#ifdef BED_CHECKED_BUILD

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

#endif
