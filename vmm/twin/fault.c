/* SPDX-License-Identifier: ISC */
/*
 * Signals that the twin's code causes, as the end of the machine and not of the process: a wild pointer, a
 * stack that ran out, an instruction there is none, time that is over. The record is the one a dying guest
 * leaves. Under a sanitizer memory errors are the sanitizer's to report.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "shared/paging.h"
#include "vmm/kvm/watchdog.h"
#include "vmm/twin/priv.h"

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif

#define ALT_BYTES 65536

enum { TRAP_DE = 0, TRAP_UD = 6, TRAP_GP = 13, TRAP_PF = 14 };

static __thread struct twin *mine; /* run by this thread */
static struct sigaction before[NSIG];

static void
take_regs(struct twin *t, const ucontext_t *uc)
{
	const greg_t *g = uc->uc_mcontext.gregs;

	t->regs = (struct hv_regs){ .rax = (uint64_t)g[REG_RAX],
		.rbx = (uint64_t)g[REG_RBX],
		.rcx = (uint64_t)g[REG_RCX],
		.rdx = (uint64_t)g[REG_RDX],
		.rsi = (uint64_t)g[REG_RSI],
		.rdi = (uint64_t)g[REG_RDI],
		.rsp = (uint64_t)g[REG_RSP],
		.rbp = (uint64_t)g[REG_RBP],
		.r8 = (uint64_t)g[REG_R8],
		.r9 = (uint64_t)g[REG_R9],
		.r10 = (uint64_t)g[REG_R10],
		.r11 = (uint64_t)g[REG_R11],
		.r12 = (uint64_t)g[REG_R12],
		.r13 = (uint64_t)g[REG_R13],
		.r14 = (uint64_t)g[REG_R14],
		.r15 = (uint64_t)g[REG_R15],
		.rip = (uint64_t)g[REG_RIP],
		.rflags = (uint64_t)g[REG_EFL],
		.cr0 = UINT64_C(1) << 31, /* not a CPU that was reset */
		.cr2 = (uint64_t)g[REG_CR2],
		.cr3 = t->soft.root };
}

static void
write_record(struct twin *t, int sig, const siginfo_t *info, const ucontext_t *uc)
{
	const struct hv_regs *r = &t->regs;
	const greg_t *g = uc->uc_mcontext.gregs;
	struct bed_death *d = &t->share->death;
	uint64_t off = r->rsp - (uint64_t)t->stacks;

	memset(d, 0, sizeof(*d));
	d->frame = (struct bed_frame){ r->r15, r->r14, r->r13, r->r12, r->r11, r->r10, r->r9, r->r8,
		r->rdi, r->rsi, r->rbp, r->rbx, r->rdx, r->rcx, r->rax, (uint64_t)g[REG_TRAPNO],
		(uint64_t)g[REG_ERR] & ~(uint64_t)PF_U, r->rip, 0, r->rflags, r->rsp, 0 };
	d->cr2 = (uint64_t)info->si_addr;
	if (off < TWIN_STACKS * TWIN_STACK_STRIDE) {
		d->stack_low = (uint64_t)t->stacks + off / TWIN_STACK_STRIDE * TWIN_STACK_STRIDE +
		               BED_PAGE_SIZE;
		d->stack_high = d->stack_low + TWIN_STACK_SIZE;
	}
	d->kind = BED_DEATH_TRAP;
	if (d->stack_low != 0 && d->stack_low - d->cr2 - 1 < BED_PAGE_SIZE)
		d->kind = BED_DEATH_DOUBLE;
	else if (g[REG_TRAPNO] == TRAP_PF)
		d->kind = BED_DEATH_FAULT;
	snprintf(d->msg, sizeof(d->msg), "in the twin: %s", strsignal(sig));
}

/* Async-signal-safe enough: what was interrupted is the twin's code, which calls nothing of the C library
 * that takes locks. */
static void
on_fault(int sig, siginfo_t *info, void *context)
{
	struct twin *t = mine;

	if (t == NULL || !t->machine->running()) {
		sigaction(sig, &before[sig], NULL);
		return; /* it happens again, and is whose it was */
	}
	take_regs(t, context);
	write_record(t, sig, info, context);
	t->machine->abandon(BED_EXIT_PANIC);
}

static void
on_time(void *context)
{
	struct twin *t = mine;

	if (t == NULL || !t->machine->running())
		return;
	take_regs(t, context);
	/* The handler does not return, so its signal would stay blocked. */
	pthread_sigmask(SIG_SETMASK, &((const ucontext_t *)context)->uc_sigmask, NULL);
	t->machine->abandon(TWIN_LEFT_TIMEOUT);
}

static bool
alternate_stack(struct bed_err *err)
{
	static __thread bool made;
	stack_t ss = { .ss_size = ALT_BYTES };

	if (made)
		return true;
	ss.ss_sp = malloc(ALT_BYTES);
	made = ss.ss_sp != NULL && sigaltstack(&ss, NULL) == 0;
	return made || bed_fail(err, BED_E_HOST, "no alternate signal stack for the twin");
}

bool
twin_catch(struct twin *t, struct bed_err *err)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE };
	static bool installed;
	struct sigaction sa = { .sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

	mine = t;
	watchdog_on_end(on_time);
	if (SANITIZED || installed)
		return SANITIZED || alternate_stack(err);
	if (!alternate_stack(err))
		return false;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		if (sigaction(signals[i], &sa, &before[signals[i]]) != 0)
			return bed_fail(err, BED_E_HOST, "signal %d cannot be caught", signals[i]);
	}
	installed = true;
	return true;
}
