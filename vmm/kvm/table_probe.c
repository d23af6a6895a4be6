/* SPDX-License-Identifier: ISC */
/*
 * The probe of table_probe.h: a machine of one page table in a read-only slot stores to it, invalidates and looks.
 */
#include "vmm/kvm/table_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/paging.h"
#include "vmm/kvm/tiny.h"

#define TABLES_PA  0x1000 /* tiny.c's root, level 3 and level 2 */
#define L2_PA      0x3000
#define L1_PA      0x4000 /* ours, for VA 2 MiB */
#define TABLES_END 0x5000
#define A_PA       0x20000
#define B_PA       0x21000
#define MEM        0x40000

/* Not accessed yet, as a guest's new entries are: some CPUs want to set that bit and cannot. */
#define ENTRY_A (A_PA | PTE_P | PTE_W)
#define ENTRY_B (B_PA | PTE_P | PTE_W)
#define TAG_A   0x0a0a0a0a
#define TAG_B   0x0b0b0b0b

#define ROUNDS   8
#define RUN_MS   2000  /* of one run */
#define CHILD_MS 10000 /* of all, then it is killed */

static const uint8_t code[] = {
	0x48, 0x8b, 0x04, 0x25, 0x00, 0x00, 0x20, 0x00, /* mov rax, [2 MiB] */
	0x48, 0x89, 0xc3,                               /* mov rbx, rax */
	0x48, 0x89, 0x3c, 0x25, 0x00, 0x40, 0x00, 0x00, /* mov [L1_PA], rdi */
	0x0f, 0x01, 0x3c, 0x25, 0x00, 0x00, 0x20, 0x00, /* invlpg [2 MiB] */
	0x48, 0x8b, 0x0c, 0x25, 0x00, 0x00, 0x20, 0x00, /* mov rcx, [2 MiB] */
	0x48, 0xc7, 0xc2, ENTRY_A & 0xff, ENTRY_A >> 8 & 0xff, ENTRY_A >> 16, 0, /* mov rdx, A */
	0x48, 0x87, 0x14, 0x25, 0x00, 0x40, 0x00, 0x00, /* xchg [L1_PA], rdx */
	0x0f, 0x01, 0x3c, 0x25, 0x00, 0x00, 0x20, 0x00, /* invlpg [2 MiB] */
	0x48, 0x8b, 0x34, 0x25, 0x00, 0x00, 0x20, 0x00, /* mov rsi, [2 MiB] */
	0xe7, 0x80,                                     /* out 0x80, eax */
};

static void
put(struct tiny *t, uint64_t pa, uint64_t value)
{
	memcpy(t->mem + pa, &value, sizeof(value));
}

/* Run to the OUT; each store to the table is done here. */
static bool
run(struct tiny *t, unsigned *stores, struct bed_err *err)
{
	struct hv_exit e;

	for (*stores = 0; *stores < 16; ++*stores) {
		if (!hv_cpu_run(t->cpu, RUN_MS, &e, err))
			return false;
		if (e.kind == HV_EXIT_OUT)
			return true;
		if (e.kind == HV_EXIT_TIMEOUT)
			return bed_fail(err, BED_E_HOST, "KVM_RUN hangs");
		if (e.kind != HV_EXIT_MMIO || !e.write || e.addr != L1_PA || e.size != 8)
			return bed_fail(err, BED_E_HOST,
			    "a store to them ends as %s (%s of %u bytes at %#lx)",
			    hv_exit_name(e.kind), e.write ? "write" : "read", e.size, e.addr);
		put(t, L1_PA, e.value);
	}
	return bed_fail(err, BED_E_HOST, "one store comes again and again");
}

static bool
one_round(struct tiny *t, struct bed_err *err)
{
	unsigned stores;
	struct hv_regs r;

	put(t, L1_PA, ENTRY_A);
	if (!tiny_start(t, code, sizeof(code), ENTRY_B, err) || !run(t, &stores, err))
		return false;
	hv_cpu_regs(t->cpu, &r);
	if (stores != 2)
		return bed_fail(err, BED_E_HOST, "2 stores to them gave %u exits", stores);
	if (r.rdx != ENTRY_B)
		return bed_fail(err, BED_E_HOST, "an exchange does not give the old entry");
	if (r.rbx != TAG_A || r.rcx != TAG_B || r.rsi != TAG_A)
		return bed_fail(
		    err, BED_E_HOST, "the guest sees the old page after store and INVLPG");
	return true;
}

static bool
probe(struct bed_err *err)
{
	const struct tiny_slot slot[] = { { 0, TABLES_PA, 0, 0 },
		{ TABLES_PA, TABLES_END - TABLES_PA, TABLES_PA, HV_SLOT_READONLY },
		{ TABLES_END, MEM - TABLES_END, TABLES_END, 0 } };
	struct tiny t;
	bool ok = true;

	if (!tiny_create(&t, MEM, true, slot, 3, err))
		return false;
	put(&t, L2_PA + 8, L1_PA | PTE_P | PTE_W | PTE_A);
	put(&t, A_PA, TAG_A);
	put(&t, B_PA, TAG_B);
	for (unsigned i = 0; i < ROUNDS && ok; i++)
		ok = one_round(&t, err);
	tiny_destroy(&t);
	return ok;
}

/* Until the child has ended, or its time is over. */
static bool
wait_for(pid_t pid, int *status)
{
	const struct timespec tick = { 0, 5000000 };

	for (unsigned ms = 0; ms < CHILD_MS; ms += 5) {
		pid_t r = waitpid(pid, status, WNOHANG);

		if (r == pid)
			return true;
		if (r == -1 && errno != EINTR)
			return false;
		nanosleep(&tick, NULL);
	}
	kill(pid, SIGKILL);
	/* A process that hangs in the kernel may not even die: do not wait for it. */
	for (unsigned i = 0; i < 200 && waitpid(pid, status, WNOHANG) == 0; i++)
		nanosleep(&tick, NULL);
	return false;
}

static bool
probe_in_child(struct bed_err *err)
{
	struct bed_err child;
	int pipe_fd[2], status;
	char text[256] = "";
	ssize_t n;
	pid_t pid;
	bool ended;

	if (pipe2(pipe_fd, O_CLOEXEC) != 0)
		return bed_fail(err, BED_E_HOST, "no pipe for a probe: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		bool ok = probe(&child);

		if (!ok &&
		    write(pipe_fd[1], child.text, strnlen(child.text, sizeof(text) - 1)) == -1)
			_exit(3);
		_exit(ok ? 0 : 2);
	}
	close(pipe_fd[1]);
	ended = pid != -1 && wait_for(pid, &status);
	n = ended ? read(pipe_fd[0], text, sizeof(text) - 1) : 0;
	close(pipe_fd[0]);
	if (ended && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	text[n > 0 ? n : 0] = '\0';
	return bed_fail(err, BED_E_HOST,
	    "page tables in read-only memory do not work on this KVM: %s",
	    pid == -1         ? "no process for the probe"
	    : !ended          ? "KVM_RUN hangs and cannot be interrupted"
	    : text[0] != '\0' ? text
			      : "the probe died");
}

bool
hv_readonly_tables(struct bed_err *err)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct bed_err why;
	static bool asked, works;
	const struct hv_features *feat = hv_features(err);
	bool answer;

	if (feat == NULL)
		return false;
	pthread_mutex_lock(&lock);
	if (!asked) {
		works = feat->read_only_slots
		            ? probe_in_child(&why)
		            : bed_fail(&why, BED_E_HOST, "this KVM has no read-only memory");
		asked = true;
	}
	answer = works;
	pthread_mutex_unlock(&lock);
	return answer || bed_fail(err, why.class, "%s", why.text);
}
