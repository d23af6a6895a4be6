/* SPDX-License-Identifier: ISC */
/*
 * Several vCPUs: a host thread for each, which does nothing but run it. Every exit but a yield is handed to
 * the thread that owns the bed, which alone looks at guest memory, drains rings, calls back and decides
 * what runs next; so nothing else in vmm/bed/ knows of threads.
 *
 * At rest one vCPU is out, bed->at, and all others are inside KVM_RUN, asleep in HLT. A run begins by
 * resuming that one, which wakes the others as needed (guest/idle.c), and ends when some vCPU leaves with
 * what is wanted: then again all but that one are asleep.
 */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "vmm/bed/bed_priv.h"

/* The guest waits for another vCPU, whose thread may need this host CPU. */
static bool
is_yield(const struct hv_exit *e)
{
	return e->kind == HV_EXIT_OUT && e->addr == BED_PORT && e->size == 4 &&
	       e->value == BED_EXIT_YIELD;
}

static void
run_vcpu(struct bed_cpu *cpu)
{
	for (;;) {
		cpu->failed = !hv_cpu_run_kicked(cpu->hv, &cpu->exit, &cpu->err);
		if (cpu->failed || !is_yield(&cpu->exit))
			return;
		cpu->yields++;
		sched_yield();
	}
}

static void *
thread_main(void *arg)
{
	struct bed_cpu *cpu = arg;
	struct bed *bed = cpu->bed;

	hv_thread_signals();
	pthread_mutex_lock(&bed->team.lock);
	for (;;) {
		while (cpu->state == CPU_OUT)
			pthread_cond_wait(&bed->team.go, &bed->team.lock);
		if (cpu->state == CPU_QUIT)
			break;
		pthread_mutex_unlock(&bed->team.lock);
		if (cpu->job != NULL)
			cpu->job(cpu->job_arg);
		else
			run_vcpu(cpu);
		pthread_mutex_lock(&bed->team.lock);
		cpu->fresh = cpu->job == NULL;
		cpu->state = CPU_OUT;
		pthread_cond_broadcast(&bed->team.out);
	}
	pthread_mutex_unlock(&bed->team.lock);
	return NULL;
}

static void
release(struct bed_cpu *cpu)
{
	struct bed *bed = cpu->bed;

	hv_cpu_regs(cpu->hv, &cpu->before);
	pthread_mutex_lock(&bed->team.lock);
	cpu->state = CPU_IN;
	cpu->fresh = false;
	pthread_cond_broadcast(&bed->team.go);
	pthread_mutex_unlock(&bed->team.lock);
}

static bool
make_team(struct bed *bed, struct bed_err *err)
{
	pthread_condattr_t attr;

	if (bed->team.made)
		return true;
	pthread_mutex_init(&bed->team.lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&bed->team.go, NULL);
	pthread_cond_init(&bed->team.out, &attr);
	pthread_condattr_destroy(&attr);
	bed->team.made = true;
	for (unsigned i = 0; i < bed->cfg.ncpu; i++) {
		struct bed_cpu *cpu = &bed->cpus[i];
		int error = pthread_create(&cpu->thread, NULL, thread_main, cpu);

		if (error != 0)
			return bed_fail(
			    err, BED_E_HOST, "no thread for vCPU %u: %s", i, strerror(error));
		cpu->has_thread = true;
	}
	return true;
}

void
cpus_start(struct bed *bed)
{
	for (unsigned i = 0; i < bed->cfg.ncpu; i++)
		if (&bed->cpus[i] != bed->at)
			release(&bed->cpus[i]);
}

bool
cpus_rest(struct bed *bed, struct bed_err *err)
{
	if (bed->cfg.ncpu == 1)
		return true;
	if (!make_team(bed, err))
		return false;
	for (unsigned i = 0; i < bed->cfg.ncpu; i++)
		hv_cpu_unkick(bed->cpus[i].hv);
	cpus_start(bed);
	return true;
}

/* The next vCPU that has left; NULL: none did until the deadline. */
static struct bed_cpu *
next_out(struct bed *bed, uint64_t deadline)
{
	const struct timespec until = { (time_t)(deadline / 1000000000),
		(long)(deadline % 1000000000) };
	struct bed_cpu *cpu = NULL;
	int error = 0;

	pthread_mutex_lock(&bed->team.lock);
	for (;;) {
		for (unsigned i = 0; i < bed->cfg.ncpu && cpu == NULL; i++)
			if (bed->cpus[i].fresh)
				cpu = &bed->cpus[i];
		if (cpu != NULL || error != 0)
			break;
		if (deadline == 0)
			pthread_cond_wait(&bed->team.out, &bed->team.lock);
		else
			error = pthread_cond_timedwait(&bed->team.out, &bed->team.lock, &until);
	}
	if (cpu != NULL)
		cpu->fresh = false;
	pthread_mutex_unlock(&bed->team.lock);
	return cpu;
}

/* Tell the vCPU that is resumed first whom to wake; calls for several vCPUs begin together. */
static void
ring_bells(struct bed *bed)
{
	struct bed_cpushare *first = bed->cpus[0].share;
	uint32_t bells = 0, n = 0;

	for (unsigned i = 0; i < bed->cfg.ncpu; i++)
		if (bed->cpus[i].nposted != 0) {
			bells |= UINT32_C(1) << i;
			n++;
		}
	__atomic_store_n(&first->barrier, n, __ATOMIC_RELAXED);
	for (unsigned i = 0; n > 1 && i < bed->cfg.ncpu; i++)
		if (bed->cpus[i].nposted != 0)
			__atomic_fetch_or(
			    &bed->cpus[i].share->doorbell, BED_BELL_BARRIER, __ATOMIC_RELAXED);
	__atomic_store_n(&first->bells, bells, __ATOMIC_RELEASE);
}

/* The time is over: whoever is not asleep is to blame. */
static bool
time_over(struct bed *bed, struct bed_err *err)
{
	const struct hv_exit e = { .kind = HV_EXIT_TIMEOUT };

	cpus_stop(bed);
	bed->at = &bed->cpus[0];
	for (unsigned i = 0; i < bed->cfg.ncpu; i++)
		if (!bed->cpus[i].halted) {
			bed->at = &bed->cpus[i];
			break;
		}
	return bed_die(bed, DEATH_HANG, &e, NULL, err);
}

/* All is quiet, says the guest: take what the other vCPUs have left in their rings. */
static bool
quiet(struct bed *bed, struct bed_err *err)
{
	struct bed_cpu *last = bed->at;
	const char *wrong;

	for (unsigned i = 0; i < bed->cfg.ncpu; i++) {
		bed->at = &bed->cpus[i];
		if (!rings_drain(bed->at, &wrong))
			return bed_die(bed, DEATH_PROTOCOL, NULL, wrong, err);
	}
	bed->at = last;
	return true;
}

bool
cpus_run(struct bed *bed, enum bed_exit want, uint64_t deadline, struct bed_err *err)
{
	enum bed_heard heard;
	struct bed_cpu *cpu;

	if (!make_team(bed, err))
		return false;
	ring_bells(bed);
	cpu = bed->at;
	do {
		release(cpu);
		cpu = next_out(bed, deadline);
		if (cpu == NULL)
			return time_over(bed, err);
		bed->at = cpu;
		if (cpu->failed)
			return bed_die(bed, DEATH_KVM, NULL, cpu->err.text, err);
		heard = bed_hear(cpu, &cpu->exit, want, err);
	} while (heard == HEARD_RESUME);
	return heard == HEARD_WANTED && quiet(bed, err);
}

void
cpus_stop(struct bed *bed)
{
	for (unsigned i = 0; bed->team.made && i < bed->cfg.ncpu; i++) {
		struct bed_cpu *cpu = &bed->cpus[i];

		if (!cpu->has_thread)
			continue;
		pthread_mutex_lock(&bed->team.lock);
		if (cpu->state == CPU_IN)
			hv_cpu_kick(cpu->hv, cpu->thread);
		while (cpu->state == CPU_IN)
			pthread_cond_wait(&bed->team.out, &bed->team.lock);
		pthread_mutex_unlock(&bed->team.lock);
		cpu->halted = hv_cpu_halted(cpu->hv);
	}
}

uint32_t
cpus_pause(struct bed *bed)
{
	uint32_t who = 0;

	for (unsigned i = 0; bed->team.made && i < bed->cfg.ncpu; i++)
		if (bed->cpus[i].state == CPU_IN)
			who |= UINT32_C(1) << i;
	cpus_stop(bed);
	return who;
}

void
cpus_unpause(struct bed *bed, uint32_t who)
{
	for (unsigned i = 0; i < bed->cfg.ncpu; i++)
		if ((who >> i & 1) != 0) {
			hv_cpu_unkick(bed->cpus[i].hv);
			release(&bed->cpus[i]);
		}
}

void
cpus_end(struct bed *bed)
{
	if (!bed->team.made)
		return;
	cpus_stop(bed);
	pthread_mutex_lock(&bed->team.lock);
	for (unsigned i = 0; i < bed->cfg.ncpu; i++)
		bed->cpus[i].state = CPU_QUIT;
	pthread_cond_broadcast(&bed->team.go);
	pthread_mutex_unlock(&bed->team.lock);
	for (unsigned i = 0; i < bed->cfg.ncpu; i++)
		if (bed->cpus[i].has_thread)
			pthread_join(bed->cpus[i].thread, NULL);
	pthread_cond_destroy(&bed->team.out);
	pthread_cond_destroy(&bed->team.go);
	pthread_mutex_destroy(&bed->team.lock);
	bed->team.made = false;
}

void
cpus_do(struct bed_cpu *cpu, void (*fn)(void *), void *arg)
{
	struct bed *bed = cpu->bed;

	pthread_mutex_lock(&bed->team.lock);
	cpu->job = fn;
	cpu->job_arg = arg;
	cpu->state = CPU_IN;
	pthread_cond_broadcast(&bed->team.go);
	while (cpu->state == CPU_IN)
		pthread_cond_wait(&bed->team.out, &bed->team.lock);
	cpu->job = NULL;
	pthread_mutex_unlock(&bed->team.lock);
}
