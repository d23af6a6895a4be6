/* SPDX-License-Identifier: ISC */
/*
 * The engine's fingerprint: run a short loop at ring 0; where KVM's instruction counter moves along, or
 * an iteration takes longer than any CPU would, ring 0 is interpreted. Otherwise it is hardware, and
 * the module's parameters say with or without nested paging.
 */
#include "vmm/kvm/engine.h"

#include "vmm/kvm/tiny.h"

#include <cpuid.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ITERATIONS 500
#define ROUNDS     3
/* Per instruction. An emulator of a whole CPU takes 20 ns, an interpreter in KVM 1,000. */
#define SLOW_NS    200.0

/* mov ecx,edi; 1: sub ecx,1; jns 1b; out 0x80,al */
static const uint8_t loop[] = { 0x89, 0xf9, 0x83, 0xe9, 0x01, 0x79, 0xfb, 0xe6, 0x80 };

static double
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static bool
timed(struct tiny *t, uint64_t iterations, double *ns, struct bed_err *err)
{
	double begin = now_ns();

	if (!tiny_run(t, loop, sizeof(loop), iterations, err))
		return false;
	*ns = now_ns() - begin;
	return true;
}

/* The best of a few rounds, less the cost of an exit alone. */
static bool
measure(struct engine *e, struct bed_err *err)
{
	double least_loop = 1e18, least_exit = 1e18, ns;
	uint64_t before = 0, after = 0;
	bool ok, counted = false;
	struct tiny t;

	if (!tiny_create(&t, 0x12000, false, NULL, 0, err))
		return false;
	ok = timed(&t, 0, &ns, err);
	for (int i = 0; ok && i < ROUNDS; i++) {
		ok = timed(&t, 0, &ns, err);
		least_exit = ns < least_exit ? ns : least_exit;
		counted = hv_cpu_stat(t.cpu, "insn_emulation", &before);
		ok = ok && timed(&t, ITERATIONS, &ns, err);
		least_loop = ns < least_loop ? ns : least_loop;
		counted = counted && hv_cpu_stat(t.cpu, "insn_emulation", &after);
	}
	tiny_destroy(&t);
	e->has_counter = counted;
	e->counts_insns = counted && after - before >= 2 * ITERATIONS;
	e->ns_per_insn = least_loop > least_exit ? (least_loop - least_exit) / (2 * ITERATIONS) : 0;
	return ok;
}

/* First character of a module parameter, or 0. */
static char
parameter(const char *module, const char *name)
{
	char path[128];
	int c;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", module, name);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	c = fgetc(f);
	fclose(f);
	return c == EOF ? 0 : (char)c;
}

static bool
loaded(const char *module)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/module/%s", module);
	return access(path, F_OK) == 0;
}

static void
host_cpu(struct engine *e)
{
	static char brand[49];
	uint32_t r[12] = { 0 }, a, b, c, d;
	char vendor[13] = "";
	size_t at = 0;

	for (unsigned i = 0; i < 3; i++)
		if (__get_cpuid(0x80000002 + i, &a, &b, &c, &d)) {
			const uint32_t words[4] = { a, b, c, d };

			memcpy(&r[4 * i], words, sizeof(words));
		}
	memcpy(brand, r, sizeof(r));
	while (brand[at] == ' ')
		at++;
	for (size_t n = strlen(brand); n > at && brand[n - 1] == ' '; n--)
		brand[n - 1] = '\0';
	e->cpu = brand[at] == '\0' ? "unknown CPU" : brand + at;

	__cpuid(1, a, b, c, d);
	if ((c >> 31 & 1) != 0) {
		__cpuid(0x40000000, a, b, c, d);
		memcpy(vendor, &b, 4);
		memcpy(vendor + 4, &c, 4);
		memcpy(vendor + 8, &d, 4);
	}
	e->tcg = strcmp(vendor, "TCGTCGTCGTCG") == 0 || strstr(e->cpu, "QEMU") != NULL;
}

static const struct {
	enum engine_class class;
	const char *name;
} names[] = {
	{ ENGINE_UNKNOWN, "unknown" },
	{ ENGINE_EPT, "ept" },
	{ ENGINE_NPT, "npt" },
	{ ENGINE_SHADOW, "shadow" },
	{ ENGINE_INTERP, "interp" },
	{ ENGINE_TWIN, "twin" },
};

static void
classify(struct engine *e)
{
	static const char *const modules[] = { "kvm_intel", "kvm_amd", "kvm_pvm" };
	char nested = 0;
	bool intel;

	e->module = "?";
	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++)
		if (loaded(modules[i]))
			e->module = modules[i];
	intel = strcmp(e->module, "kvm_intel") == 0;
	if (intel || strcmp(e->module, "kvm_amd") == 0)
		nested = parameter(e->module, intel ? "ept" : "npt");
	/* Time speaks only where there is no counter: on a busy emulated CPU a loop can take any time. */
	if (e->counts_insns || (!e->has_counter && e->ns_per_insn > SLOW_NS))
		e->class = ENGINE_INTERP;
	else if (nested == 'Y' || nested == '1')
		e->class = intel ? ENGINE_EPT : ENGINE_NPT;
	else if (nested == 'N' || nested == '0')
		e->class = ENGINE_SHADOW;
	else
		e->class = ENGINE_UNKNOWN;
	e->name = names[e->class].name;
	snprintf(e->evidence, sizeof(e->evidence),
	    "%.1f ns per ring-0 instruction%s; module %s, nested paging %s%s", e->ns_per_insn,
	    e->counts_insns ? ", each seen by KVM's insn_emulation" : "", e->module,
	    nested == 0                 ? "not stated"
	    : e->class == ENGINE_SHADOW ? "off"
					: "on",
	    e->tcg ? "; the host CPU is QEMU's emulator" : "");
}

const struct engine *
engine_get(struct bed_err *err)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct engine engine;
	static bool ready;

	pthread_mutex_lock(&lock);
	if (!ready && measure(&engine, err)) {
		host_cpu(&engine);
		classify(&engine);
		ready = true;
	}
	pthread_mutex_unlock(&lock);
	return ready ? &engine : NULL;
}

const struct engine *
engine_twin(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct engine engine = { .class = ENGINE_TWIN,
		.name = "twin",
		.module = "none",
		.evidence = "the guest's own sources, as code of this process" };

	pthread_mutex_lock(&lock);
	if (engine.cpu == NULL)
		host_cpu(&engine);
	pthread_mutex_unlock(&lock);
	return &engine;
}
