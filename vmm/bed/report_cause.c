/* SPDX-License-Identifier: ISC */
/*
 * What a guest died of, in words a person can act on.
 */
#include "vmm/bed/report.h"

#include "shared/layout.h"
#include "shared/paging.h"
#include "vmm/kvm/engine.h"
#include "vmm/view/print.h"

#include <inttypes.h>

static const char *const trap_names[] = { "divide error", "debug", "NMI", "breakpoint", "overflow",
	"bound range", "invalid opcode", "no coprocessor", "double fault", "coprocessor overrun",
	"invalid TSS", "segment not present", "stack fault", "general protection", "page fault",
	NULL, "x87 error", "alignment check", "machine check", "SIMD error", "virtualization",
	"control protection" };

static const char *
trap_name(uint64_t trapno)
{
	const char *name = NULL;

	if (trapno < sizeof(trap_names) / sizeof(trap_names[0]))
		name = trap_names[trapno];
	return name == NULL ? "unknown trap" : name;
}

static void
at(struct autopsy *a)
{
	fputs("  at        ", a->out);
	symbols_print(a->symbols, a->out, a->frame.rip);
	fputc('\n', a->out);
}

/* Did the stack run out? The page below it is not mapped. */
static bool
stack_overflow(const struct autopsy *a)
{
	uint64_t low = a->death.stack_low;

	return low != 0 &&
	       (low - a->death.cr2 - 1 < BED_PAGE_SIZE || low - a->frame.rsp < BED_PAGE_SIZE);
}

static void
access_text(struct autopsy *a, uint64_t err)
{
	fprintf(a->out, "%s of %#" PRIx64 " (%s): %s%s",
	    (err & PF_I) != 0   ? "instruction fetch"
	    : (err & PF_W) != 0 ? "write"
				: "read",
	    a->death.cr2, view_region(GVA(a->death.cr2)),
	    (err & PF_RSVD) != 0 ? "a reserved bit is set in the tables"
	    : (err & PF_P) != 0  ? "the mapping forbids it"
				 : "nothing is mapped there",
	    (err & PF_U) != 0 ? ", from user mode" : "");
}

static void
guest_cause(struct autopsy *a)
{
	const struct bed_death *d = &a->death;

	switch (d->kind) {
	case BED_DEATH_PANIC:
		fprintf(a->out, "guest panic: %s\n", a->msg);
		break;
	case BED_DEATH_FAULT:
		fputs("guest died of a page fault: ", a->out);
		access_text(a, a->frame.err);
		fprintf(a->out, "\n  said      %s\n", a->msg);
		break;
	case BED_DEATH_DOUBLE:
		if (stack_overflow(a))
			fprintf(a->out,
			    "guest kernel stack overflow: rsp %#" PRIx64
			    " ran below the stack %#" PRIx64 "..%#" PRIx64
			    "\n  do        recurse less, or keep large objects off the "
			    "stack; the backtrace shows who uses it\n",
			    a->frame.rsp, d->stack_low, d->stack_high);
		else
			fprintf(a->out,
			    "guest double fault: while the CPU delivered an exception, "
			    "another one occurred (cr2 %#" PRIx64 ")\n",
			    d->cr2);
		fprintf(a->out, "  said      %s\n", a->msg);
		break;
	case BED_DEATH_TRAP:
		fprintf(a->out,
		    "guest died of an unexpected trap: %s (vector %" PRIu64 ", error code %#" PRIx64
		    ")\n  said      %s\n",
		    trap_name(a->frame.trapno), a->frame.trapno, a->frame.err, a->msg);
		break;
	default:
		fprintf(a->out,
		    "guest left with BED_EXIT_PANIC, but its record of the death is scribbled "
		    "(kind %u)\n",
		    d->kind);
	}
}

static void
triple_cause(struct autopsy *a)
{
	fputs("guest triple fault: an exception could not be delivered, nor the double fault that "
	      "follows from it\n",
	    a->out);
	if (a->reset)
		fputs(
		    "  note      the CPU was reset by it: the registers below are those of the last "
		    "entry, the fault came later\n",
		    a->out);
	fputs(
	    "  do        is the IDT loaded and mapped, is the double fault's own stack mapped, is "
	    "CR3's root intact?\n",
	    a->out);
}

static void
hang_cause(struct autopsy *a)
{
	fprintf(a->out,
	    "guest hangs: it ran for %u ms without coming back, interrupts %s\n"
	    "  do        if it is only slow here, allow more time (timeout_ms); else the backtrace "
	    "shows the loop\n",
	    a->bed->cfg.timeout_ms, (a->frame.rflags & 0x200) != 0 ? "on" : "off");
}

static void
emulation_cause(struct autopsy *a)
{
	const struct hv_exit *e = a->exit;

	fputs("guest executed an instruction that KVM here cannot", a->out);
	for (unsigned i = 0; i < e->insn_len; i++)
		fprintf(a->out, "%s%02x", i == 0 ? ": " : " ", e->insn[i]);
	fputs("\n  do        where ring 0 is interpreted only baseline integer instructions work "
	      "(no INT3, INT n, RDTSCP, POPCNT,\n            SSE); elsewhere this is a fetch from "
	      "memory that is not RAM\n",
	    a->out);
}

static void
mmio_cause(struct autopsy *a)
{
	const struct hv_exit *e = a->exit;

	fprintf(a->out,
	    "guest %s %u bytes at physical address %#" PRIx64 ", where there is no memory",
	    e->write ? "wrote" : "read", e->size, e->addr);
	if (e->write)
		fprintf(a->out, " (value %#" PRIx64 ")", e->value);
	fprintf(a->out,
	    "\n  do        RAM ends at %#" PRIx64 "; a page-table entry or a physical address is "
	    "wrong\n",
	    a->bed->info.direct_end);
}

void
report_cause(struct autopsy *a)
{
	switch (a->how) {
	case DEATH_GUEST:
		guest_cause(a);
		break;
	case DEATH_TRIPLE:
		triple_cause(a);
		break;
	case DEATH_HANG:
		hang_cause(a);
		break;
	case DEATH_EMULATION:
		emulation_cause(a);
		break;
	case DEATH_MMIO:
		mmio_cause(a);
		break;
	case DEATH_PROTOCOL:
		fprintf(a->out,
		    "guest broke the contract of shared/share.h: %s\n"
		    "  do        something in the guest writes where it must not, or guest and VMM "
		    "disagree about the protocol\n",
		    a->detail);
		break;
	case DEATH_KVM:
		fprintf(a->out, "KVM ended the guest: %s\n", a->detail);
		break;
	}
	at(a);
}
