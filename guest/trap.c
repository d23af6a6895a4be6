/* SPDX-License-Identifier: ISC */
/*
 * Exceptions, from vector.asm: resolve a page fault, continue at the place a probe has set, or die with a
 * report.
 */
#include "guest/death.h"
#include "guest/fault.h"
#include "guest/intr.h"
#include "guest/onfault.h"
#include "guest/stack.h"
#include "guest/thread.h"

void trap(struct bed_frame *); /* called by vector.asm only */

enum { T_UD = 6, T_DF = 8, T_SS = 12, T_GP = 13, T_PF = 14 };

static const char *const trap_name[32] = {
	[0] = "divide error (#DE)",
	[1] = "debug exception (#DB)",
	[2] = "non-maskable interrupt",
	[3] = "breakpoint (#BP)",
	[4] = "overflow (#OF)",
	[5] = "bound range (#BR)",
	[6] = "invalid opcode (#UD)",
	[7] = "device not available (#NM)",
	[8] = "double fault (#DF)",
	[10] = "invalid TSS (#TS)",
	[11] = "segment not present (#NP)",
	[12] = "stack fault (#SS)",
	[13] = "general protection (#GP)",
	[14] = "page fault (#PF)",
	[16] = "x87 error (#MF)",
	[17] = "alignment check (#AC)",
	[18] = "machine check (#MC)",
	[19] = "SIMD error (#XM)",
	[20] = "virtualization exception (#VE)",
	[21] = "control protection (#CP)",
};

/* Would this trap end an access that onfault covers? A non-canonical address is #GP or #SS. */
static bool
is_access_fault(uint64_t trapno)
{
	return trapno == T_PF || trapno == T_GP || trapno == T_SS || trapno == T_UD;
}

static void
resume_at(struct bed_frame *f, struct onfault *to)
{
	to->trapno = f->trapno;
	to->err = f->err;
	curthread->td_onfault = NULL;
	f->rip = to->rip;
	f->rsp = to->rsp;
	f->rbp = to->rbp;
	f->rbx = to->rbx;
	f->r12 = to->r12;
	f->r13 = to->r13;
	f->r14 = to->r14;
	f->r15 = to->r15;
	f->rax = 1;
}

static void __noreturn
fatal_fault(const struct bed_frame *f, vaddr_t va, int error)
{
	const char *access = f->err & PF_I ? "execute" : f->err & PF_W ? "write" : "read";
	const char *why = f->err & PF_RSVD ? "reserved bit set"
	                  : f->err & PF_P  ? "not allowed"
	                                   : "not mapped";

	if (va < VM_MIN_KERNEL_ADDRESS)
		die(BED_DEATH_FAULT, f, va, "page fault: %s of 0x%lx, %s", access, va, why);
	if (cpu_cannot_sleep())
		die(BED_DEATH_FAULT, f, va, "page fault: %s of 0x%lx, %s; not resolved: %s", access,
		    va, why, cold ? "boot is not over" : "mutex held");
	die(BED_DEATH_FAULT, f, va, "page fault: %s of 0x%lx, %s; uvm_fault: error %d", access, va,
	    why, error);
}

static void __noreturn
fatal_trap(const struct bed_frame *f, uint64_t cr2)
{
	const struct thread *td = curthread;
	const char *name = f->trapno < 32 ? trap_name[f->trapno] : NULL;

	if (f->trapno == T_DF &&
	    (stack_is_guard(td->td_stack_low, cr2) || stack_is_guard(td->td_stack_low, f->rsp - 8)))
		die(BED_DEATH_DOUBLE, f, cr2,
		    "kernel stack overflow: thread \"%s\", stack 0x%lx-0x%lx", td->td_name,
		    td->td_stack_low, td->td_stack_high);
	die(f->trapno == T_DF ? BED_DEATH_DOUBLE : BED_DEATH_TRAP, f, cr2,
	    "unexpected trap %u: %s, error code 0x%lx", (unsigned)f->trapno,
	    name != NULL ? name : "reserved", f->err);
}

void
trap(struct bed_frame *f)
{
	struct thread *td = curthread;
	struct onfault *onfault = td->td_onfault;
	uint64_t cr2;
	int error = EFAULT;

	__asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
	if (f->trapno == T_PF) {
		if (f->rflags & RFLAGS_IF)
			intr_enable();
		/* A fault inside uvm_fault() is a bug there, not the end of the probed access. */
		td->td_onfault = NULL;
		error = fault_resolve(cr2, f->err);
		td->td_onfault = onfault;
		if (error == 0)
			return;
	}
	if (onfault != NULL && is_access_fault(f->trapno)) {
		resume_at(f, onfault);
		return;
	}
	if (f->trapno == T_PF)
		fatal_fault(f, cr2, error);
	fatal_trap(f, cr2);
}
