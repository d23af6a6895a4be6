/* SPDX-License-Identifier: ISC */
/*
 * A vCPU: its state through the shared kvm_run page, running it under the watchdog, single steps.
 */
#include "vmm/kvm/hv_priv.h"

#include "shared/layout.h"
#include "vmm/kvm/watchdog.h"

#include <errno.h>
#include <string.h>

#define CR0_PE (UINT64_C(1) << 0)
#define CR0_MP (UINT64_C(1) << 1)
#define CR0_ET (UINT64_C(1) << 4)
#define CR0_NE (UINT64_C(1) << 5)
#define CR0_WP (UINT64_C(1) << 16)
#define CR0_AM (UINT64_C(1) << 18)
#define CR0_PG (UINT64_C(1) << 31)

#define RFLAGS_FIXED 0x2

#define APIC_BASE_ADDR   UINT64_C(0xfee00000)
#define APIC_BASE_BSP    (UINT64_C(1) << 8)
#define APIC_BASE_X2APIC (UINT64_C(1) << 10)
#define APIC_BASE_ENABLE (UINT64_C(1) << 11)

/* Segment types with the accessed bit, as a loaded descriptor has it. */
#define SEG_CODE 11
#define SEG_DATA 3
#define SEG_TSS  11 /* busy: what VM entry wants */
#define SEG_LDT  2

void
hv_cpu_start64(struct hv_cpu *cpu, const struct hv_start *s)
{
	struct kvm_sregs *sr = &cpu->run->s.regs.sregs;
	struct kvm_regs *r = &cpu->run->s.regs.regs;
	struct kvm_segment data = { .limit = 0xffffffff,
		.selector = BED_SEL_DATA,
		.type = SEG_DATA,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1 };
	struct kvm_segment code = { .limit = 0xffffffff,
		.selector = BED_SEL_CODE,
		.type = SEG_CODE,
		.present = 1,
		.l = 1,
		.s = 1,
		.g = 1 };

	memset(sr, 0, sizeof(*sr));
	memset(r, 0, sizeof(*r));
	sr->cs = code;
	sr->ds = sr->es = sr->fs = sr->gs = sr->ss = data;
	sr->tr = (struct kvm_segment){ .limit = 0xffff, .type = SEG_TSS, .present = 1 };
	sr->ldt = (struct kvm_segment){ .limit = 0xffff, .type = SEG_LDT, .present = 1 };
	sr->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG | (s->am ? CR0_AM : 0);
	sr->cr3 = s->root;
	sr->cr4 = s->cr4;
	sr->efer = s->efer;
	sr->apic_base = APIC_BASE_ADDR | APIC_BASE_ENABLE | APIC_BASE_X2APIC |
	                (cpu->id == 0 ? APIC_BASE_BSP : 0);
	r->rip = s->rip;
	r->rsp = s->rsp;
	r->rdi = s->rdi;
	r->rsi = s->rsi;
	r->rflags = RFLAGS_FIXED;
	cpu->run->kvm_dirty_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
}

/* The same names in KVM's structures and in ours. */
#define COPY_GPRS(to, from)                    \
	do {                                   \
		(to)->rax = (from)->rax;       \
		(to)->rbx = (from)->rbx;       \
		(to)->rcx = (from)->rcx;       \
		(to)->rdx = (from)->rdx;       \
		(to)->rsi = (from)->rsi;       \
		(to)->rdi = (from)->rdi;       \
		(to)->rsp = (from)->rsp;       \
		(to)->rbp = (from)->rbp;       \
		(to)->r8 = (from)->r8;         \
		(to)->r9 = (from)->r9;         \
		(to)->r10 = (from)->r10;       \
		(to)->r11 = (from)->r11;       \
		(to)->r12 = (from)->r12;       \
		(to)->r13 = (from)->r13;       \
		(to)->r14 = (from)->r14;       \
		(to)->r15 = (from)->r15;       \
		(to)->rip = (from)->rip;       \
		(to)->rflags = (from)->rflags; \
	} while (0)
#define COPY_CRS(to, from)                 \
	do {                               \
		(to)->cr0 = (from)->cr0;   \
		(to)->cr2 = (from)->cr2;   \
		(to)->cr3 = (from)->cr3;   \
		(to)->cr4 = (from)->cr4;   \
		(to)->efer = (from)->efer; \
	} while (0)

void
hv_cpu_regs(struct hv_cpu *cpu, struct hv_regs *out)
{
	if (cpu->soft != NULL) {
		cpu->soft->regs(cpu->soft->arg, out);
		return;
	}
	COPY_GPRS(out, &cpu->run->s.regs.regs);
	COPY_CRS(out, &cpu->run->s.regs.sregs);
}

uint64_t
hv_cpu_root(const struct hv_cpu *cpu)
{
	return cpu->soft != NULL ? cpu->soft->root : cpu->run->s.regs.sregs.cr3;
}

#define SETTLE_MAX 16 /* pieces of one access that leave one after another */

/*
 * The second half of an I/O exit is done by the next KVM_RUN: do it now, without running the guest. Registers
 * written to kvm_run are taken over first.
 */
bool
hv_cpu_settle(struct hv_cpu *cpu, struct bed_err *err)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < SETTLE_MAX; i++) {
		cpu->run->immediate_exit = 1;
		r = ioctl(cpu->fd, KVM_RUN, NULL);
		cpu->run->immediate_exit = 0;
		/* An access that crosses a page leaves once for each part of it. */
		if (r == 0 && cpu->run->exit_reason != KVM_EXIT_MMIO &&
		    cpu->run->exit_reason != KVM_EXIT_IO)
			break;
	}
	/* Under single steps the finished instruction is one, and reported. */
	if (r == 0 && cpu->stepping && cpu->run->exit_reason == KVM_EXIT_DEBUG) {
		cpu->io_pending = false;
		return true;
	}
	if (r == 0 || (errno != EINTR && errno != EAGAIN))
		return bed_fail(err, BED_E_INTERNAL, "an I/O exit could not be finished: %s",
		    r == 0 ? "the guest ran" : strerror(errno));
	cpu->io_pending = false;
	return true;
}

static bool
finish_io(struct hv_cpu *cpu, struct bed_err *err)
{
	return !cpu->io_pending || hv_cpu_settle(cpu, err);
}

bool
hv_cpu_set_regs(struct hv_cpu *cpu, const struct hv_regs *in, struct bed_err *err)
{
	if (!finish_io(cpu, err))
		return false;
	COPY_GPRS(&cpu->run->s.regs.regs, in);
	COPY_CRS(&cpu->run->s.regs.sregs, in);
	cpu->run->kvm_dirty_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	return true;
}

bool
hv_run_failed(struct hv_cpu *cpu, int error, struct bed_err *err)
{
	if (error == EIO)
		return bed_fail(err, BED_E_INTERNAL,
		    "KVM_RUN on vCPU %u: %s; was the bed created before a fork?", cpu->id,
		    strerror(error));
	if (error == EFAULT || error == ENOMEM)
		return bed_fail(err, BED_E_HOST,
		    "KVM_RUN on vCPU %u: %s; the host cannot supply a page of guest RAM", cpu->id,
		    strerror(error));
	return bed_fail(err, BED_E_HOST, "KVM_RUN on vCPU %u: %s", cpu->id, strerror(error));
}

static bool
set_stepping(struct hv_cpu *cpu, struct bed_err *err)
{
	struct kvm_guest_debug d = { 0 };

	if (cpu->stepping)
		d.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
	if (hv_ioctl(cpu->fd, KVM_SET_GUEST_DEBUG, &d) == 0)
		return true;
	return bed_fail(err, BED_E_HOST, "KVM here cannot single-step: %s", strerror(errno));
}

/*
 * Hardware steps by RFLAGS.TF. KVM sets it in KVM_SET_GUEST_DEBUG only; registers written afterwards and
 * the guest's own POPF or IRET lose it. So put the registers in place and ask anew for each step.
 */
static bool
step_again(struct hv_cpu *cpu, struct bed_err *err)
{
	if (cpu->run->kvm_dirty_regs != 0)
		cpu->io_pending = true;
	return finish_io(cpu, err) && set_stepping(cpu, err);
}

bool
hv_cpu_run(struct hv_cpu *cpu, unsigned timeout_ms, struct hv_exit *e, struct bed_err *err)
{
	int r, error;

	if (cpu->soft != NULL) {
		cpu->exits++;
		return cpu->soft->run(cpu->soft->arg, timeout_ms, e, err);
	}
	if (cpu->stepping && !step_again(cpu, err))
		return false;
	if (!watchdog_begin(timeout_ms, &cpu->run->immediate_exit, err))
		return false;
	for (;;) {
		r = ioctl(cpu->fd, KVM_RUN, NULL);
		error = errno;
		if (r == 0 || (error != EINTR && error != EAGAIN))
			break;
		if (cpu->run->immediate_exit)
			break;
	}
	cpu->exits++;
	if (r == 0) {
		watchdog_end();
		hv_exit_decode(cpu->run, e);
		cpu->io_pending =
		    e->kind == HV_EXIT_OUT || e->kind == HV_EXIT_IN || e->kind == HV_EXIT_MMIO;
		return true;
	}
	cpu->io_pending = false;
	if (watchdog_end()) {
		memset(e, 0, sizeof(*e));
		e->kind = HV_EXIT_TIMEOUT;
		return true;
	}
	return hv_run_failed(cpu, error, err);
}

uint64_t
hv_cpu_exits(const struct hv_cpu *cpu)
{
	return cpu->exits;
}

bool
hv_cpu_step(struct hv_cpu *cpu, bool on, struct bed_err *err)
{
	if (cpu->soft != NULL)
		return bed_fail(err, BED_E_USAGE, "this engine has no single steps");
	cpu->stepping = on;
	return set_stepping(cpu, err);
}

bool
hv_cpu_translate(struct hv_cpu *cpu, gva_t va, gpa_t *pa)
{
	struct kvm_translation t = { .linear_address = va.v };

	if (cpu->soft != NULL)
		return cpu->soft->translate(cpu->soft->arg, va, pa);
	if (hv_ioctl(cpu->fd, KVM_TRANSLATE, &t) != 0 || !t.valid)
		return false;
	*pa = GPA(t.physical_address);
	return true;
}
