/* SPDX-License-Identifier: ISC */
/*
 * The per-run time limit: see watchdog.h.
 *
 * The handler runs in the thread it guards (SIGEV_THREAD_ID), so what it shares with that thread needs
 * ordering against the compiler only. It may arrive at any moment, also when the thread runs no guest
 * or one of another bed: it acts only if a run is on and its deadline has passed. Setting
 * immediate_exit closes the window between the last check and the ioctl.
 */
#include "vmm/kvm/watchdog.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NEVER  UINT64_MAX
#define SECOND UINT64_C(1000000000)

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct guard {
	bool made;
	volatile bool armed, fired;
	volatile uint64_t deadline; /* NEVER: no run is on */
	volatile uint64_t expires;  /* of the timer, if armed */
	volatile uint8_t *volatile kick;
	watchdog_fn *on_end;
	timer_t timer;
};

static __thread struct guard guard __attribute__((tls_model("initial-exec")));
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_exit;
static int setup_errno;

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * SECOND + (uint64_t)ts.tv_nsec;
}

static int
arm(struct guard *g, uint64_t when)
{
	struct itimerspec it = { .it_value = { (time_t)(when / SECOND), (long)(when % SECOND) } };

	g->expires = when;
	g->armed = true;
	return timer_settime(g->timer, TIMER_ABSTIME, &it, NULL);
}

static void
on_signal(int sig, siginfo_t *info, void *context)
{
	struct guard *g = &guard;
	int saved = errno;
	uint64_t deadline = g->deadline;

	(void)sig, (void)info;
	g->armed = false;
	if (deadline != NEVER) {
		if (now_ns() >= deadline) {
			g->fired = true;
			*g->kick = 1;
			if (g->on_end != NULL)
				g->on_end(context);
		} else {
			arm(g, deadline);
		}
	}
	errno = saved;
}

static void
thread_exit(void *arg)
{
	struct guard *g = arg;

	if (g->made)
		timer_delete(g->timer);
	g->made = false;
}

/* Timers do not survive fork. */
static void
in_child(void)
{
	guard.made = guard.armed = false;
}

static int
signal_number(void)
{
	return SIGRTMAX - 3;
}

static void
setup(void)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	sigemptyset(&sa.sa_mask);
	if (sigaction(signal_number(), &sa, NULL) != 0)
		setup_errno = errno;
	else
		setup_errno = pthread_key_create(&at_exit, thread_exit);
	if (setup_errno == 0)
		setup_errno = pthread_atfork(NULL, NULL, in_child);
}

static bool
make(struct guard *g, struct bed_err *err)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID };
	sigset_t set;

	pthread_once(&once, setup);
	if (setup_errno != 0)
		return bed_fail(err, BED_E_INTERNAL, "watchdog signal %d: %s", signal_number(),
		    strerror(setup_errno));
	sigemptyset(&set);
	sigaddset(&set, signal_number());
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	ev.sigev_signo = signal_number();
	ev.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &ev, &g->timer) != 0)
		return bed_fail(err, BED_E_HOST,
		    "no timer for the watchdog: %s (see `ulimit -i`, pending signals)",
		    strerror(errno));
	pthread_setspecific(at_exit, g);
	g->deadline = NEVER;
	g->made = true;
	return true;
}

bool
watchdog_begin(unsigned timeout_ms, volatile uint8_t *kick, struct bed_err *err)
{
	struct guard *g = &guard;
	uint64_t limit = (uint64_t)timeout_ms * 1000000;

	*kick = 0;
	g->fired = false;
	if (timeout_ms == 0)
		return true;
	if (!g->made && !make(g, err))
		return false;
	g->kick = kick;
	atomic_signal_fence(memory_order_seq_cst);
	g->deadline = now_ns() + limit;
	atomic_signal_fence(memory_order_seq_cst);
	if ((!g->armed || g->expires > g->deadline) && arm(g, g->deadline) != 0)
		return bed_fail(err, BED_E_INTERNAL, "watchdog timer: %s", strerror(errno));
	return true;
}

void
watchdog_on_end(watchdog_fn *fn)
{
	guard.on_end = fn;
}

bool
watchdog_end(void)
{
	struct guard *g = &guard;
	bool fired;

	if (!g->made)
		return false;
	g->deadline = NEVER;
	atomic_signal_fence(memory_order_seq_cst);
	fired = g->fired;
	if (fired && g->kick != NULL)
		*g->kick = 0;
	g->fired = false;
	return fired;
}
