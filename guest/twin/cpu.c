/* SPDX-License-Identifier: ISC */
/*
 * The CPUs of the twin and its part of <machine/ipi.h>. CPU 0 is the caller's host thread, each other CPU
 * has one of its own, which idles but during twin_run_cpus().
 *
 * A CPU takes no interrupts: it looks for requests in each busy wait and at each access to kernel_map
 * (tlb.c), which is often enough for who waits, and between two of which nothing depends on them.
 */
#include <machine/assert.h>
#include <machine/ipi.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "guest/pmap.h"
#include "guest/twin/priv.h"
#include "guest/twin/twin.h"

__thread struct cpu_info *twin_cpu;

static struct cpu_info cpus[BED_CPU_MAX];

/* `world` guards what follows; a CPU that idles waits for its `bell`. */
static pthread_mutex_t world = PTHREAD_MUTEX_INITIALIZER;
static struct twin_host {
	pthread_t thread;
	pthread_cond_t bell;
	void (*job)(void *arg, unsigned cpu);
	void *arg;
	bool posted; /* the job is not begun yet */
} host[BED_CPU_MAX] = { [0].bell = PTHREAD_COND_INITIALIZER };
static bool ending;
static unsigned started = 1; /* CPUs that have a host thread */

void
ipi_shootdown(cpumask_t targets __unused_arg)
{
}

void
ipi_wakeup(unsigned cpu)
{
	pthread_mutex_lock(&world);
	pthread_cond_signal(&host[cpu].bell);
	pthread_mutex_unlock(&world);
}

void
spin_wait(unsigned *turns)
{
	shootdown_serve();
	COUNT(spin, 1);
	if (++*turns % 16 == 0)
		sched_yield();
	else
		__builtin_ia32_pause();
}

struct cpu_info *
twin_cpu_init(unsigned id)
{
	struct bed_cpushare *share = PMAP_DIRECT_MAP(BED_SHARE_PA + id * BED_SHARE_STRIDE);

	cpus[id] = (struct cpu_info){
		.ci_self = &cpus[id], .ci_id = id, .ci_count = &share->count, .ci_share = share
	};
	return &cpus[id];
}

const struct bed_counters *
twin_count_of(unsigned cpu)
{
	return cpus[cpu].ci_count;
}

static void
run_job(void *self)
{
	const struct twin_host *h = self;

	h->job(h->arg, curcpu()->ci_id);
}

/* All that there is to run on this CPU. */
static void
work(const struct cpu_info *ci)
{
	struct twin_host *h = &host[ci->ci_id];

	if (h->posted) {
		h->posted = false;
		if (thread_create(run_job, h, "job", NULL) != 0)
			panic("CPU %u has no thread for its job", ci->ci_id);
	}
	twin_run_here();
}

/*
 * Off, and then idle until somebody has made something runnable here (true), the twin ends or, on CPU 0, all
 * is quiet. As guest/idle.c: who wakes a CPU counts it in again, which it has been told before it can count
 * itself out; so when the count is 0 nothing runs and nothing is under way.
 */
static bool
wait_for_bell(struct cpu_info *ci)
{
	bool quiet = false;

	pthread_mutex_lock(&world);
	while (__atomic_load_n(&ci->ci_idle, __ATOMIC_ACQUIRE) && !ending) {
		quiet = ci->ci_id == 0 && __atomic_load_n(&cpus_active, __ATOMIC_SEQ_CST) == 0;
		if (quiet)
			break;
		pthread_cond_wait(&host[ci->ci_id].bell, &world);
	}
	pthread_mutex_unlock(&world);
	return !quiet && !ending;
}

static bool
idle(struct cpu_info *ci)
{
	sched_enter();
	if (sched_runnable()) {
		sched_leave();
		return true;
	}
	shootdown_cpu_off();
	__atomic_store_n(&ci->ci_idle, true, __ATOMIC_RELAXED);
	sched_leave();
	if (__atomic_sub_fetch(&cpus_active, 1, __ATOMIC_SEQ_CST) == 0)
		ipi_wakeup(0);
	if (!wait_for_bell(ci))
		return false;
	shootdown_cpu_on();
	return true;
}

static void *
cpu_main(void *self)
{
	struct cpu_info *ci = self;

	twin_cpu = ci;
	twin_thread_begin();
	if (!wait_for_bell(ci))
		return NULL;
	shootdown_cpu_on();
	do
		work(ci);
	while (idle(ci));
	return NULL;
}

void
twin_cpus_start(unsigned n)
{
	ending = false;
	started = n;
	for (unsigned id = 1; id < n; id++) {
		struct cpu_info *ci = twin_cpu_init(id);

		thread_cpu_init(ci);
		ci->ci_idle = true;
		pthread_cond_init(&host[id].bell, NULL);
		if (pthread_create(&host[id].thread, NULL, cpu_main, ci) != 0)
			twin_die("twin: no host thread for a CPU");
	}
}

void
twin_cpus_stop(void)
{
	pthread_mutex_lock(&world);
	ending = true;
	for (unsigned id = 1; id < started; id++)
		pthread_cond_signal(&host[id].bell);
	pthread_mutex_unlock(&world);
	for (unsigned id = 1; id < started; id++) {
		pthread_join(host[id].thread, NULL);
		pthread_cond_destroy(&host[id].bell);
	}
	started = 1;
}

void
twin_run_cpus(cpumask_t mask, void (*fn)(void *arg, unsigned cpu), void *arg)
{
	struct cpu_info *self = curcpu();

	sched_enter();
	for (unsigned id = 0; id < ncpus; id++) {
		if (!(mask & CPU_MASK(id)))
			continue;
		host[id].job = fn;
		host[id].arg = arg;
		host[id].posted = true;
		sched_wake_cpu(cpu_table[id]);
	}
	sched_leave();
	do
		work(self);
	while (idle(self));
	__atomic_store_n(&self->ci_idle, false, __ATOMIC_RELAXED);
	__atomic_fetch_add(&cpus_active, 1, __ATOMIC_SEQ_CST);
	shootdown_cpu_on();
	twin_panic_pending();
}
