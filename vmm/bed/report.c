/* SPDX-License-Identifier: ISC */
/*
 * A death: mark the bed, collect what is left, write it down.
 */
#include "vmm/bed/report.h"

#include "shared/events.h"
#include "shared/layout.h"
#include "vmm/bed/call.h"
#include "vmm/bed/inspect.h"
#include "vmm/kvm/engine.h"
#include "vmm/view/print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CONSOLE_TAIL 600 /* bytes of console shown */

static const struct {
	const char *name, *arg[3];
} events[] = {
#define X(id, name, a0, a1, a2) [id] = { #name, { a0, a1, a2 } },
	BED_EVENT_TYPES(X)
#undef X
};

static void
frame_of_regs(struct bed_frame *f, const struct hv_regs *r)
{
	*f = (struct bed_frame){ .r15 = r->r15,
		.r14 = r->r14,
		.r13 = r->r13,
		.r12 = r->r12,
		.r11 = r->r11,
		.r10 = r->r10,
		.r9 = r->r9,
		.r8 = r->r8,
		.rdi = r->rdi,
		.rsi = r->rsi,
		.rbp = r->rbp,
		.rbx = r->rbx,
		.rdx = r->rdx,
		.rcx = r->rcx,
		.rax = r->rax,
		.rip = r->rip,
		.rflags = r->rflags,
		.rsp = r->rsp };
}

/* The guest's record, copied once; unusable records leave kind as it is for report_cause(). */
static void
take_record(struct autopsy *a)
{
	memcpy(&a->death, &a->bed->at->share->death, sizeof(a->death));
	for (size_t i = 0; i < sizeof(a->msg) - 1 && a->death.msg[i] != '\0'; i++)
		a->msg[i] =
		    a->death.msg[i] >= ' ' && a->death.msg[i] <= '~' ? a->death.msg[i] : '?';
}

static void
examine(struct autopsy *a)
{
	const uint64_t cr0_pg = UINT64_C(1) << 31;

	hv_cpu_regs(a->bed->at->hv, &a->regs);
	if (a->how == DEATH_TRIPLE && (a->regs.cr0 & cr0_pg) == 0) {
		a->reset = true;
		a->regs = a->bed->at->before;
	}
	frame_of_regs(&a->frame, &a->regs);
	if (a->how == DEATH_GUEST)
		take_record(a);
	if (a->death.kind >= BED_DEATH_PANIC && a->death.kind <= BED_DEATH_DOUBLE)
		a->frame = a->death.frame;
	if (a->death.kind == BED_DEATH_FAULT || a->death.kind == BED_DEATH_DOUBLE) {
		a->has_fault = true;
		a->fault_va = GVA(a->death.cr2);
	} else if (a->how == DEATH_TRIPLE && !a->reset && a->regs.cr2 != 0) {
		a->has_fault = true;
		a->fault_va = GVA(a->regs.cr2);
	}
}

static void
section_call(struct autopsy *a)
{
	for (unsigned i = 0; i < a->bed->cfg.ncpu * BED_SLOTS; i++) {
		const struct bed_inflight *f = &a->bed->cpus[i / BED_SLOTS].inflight[i % BED_SLOTS];
		const char *name = bed_call_name(f->call);

		if (!f->busy)
			continue;
		fputs("  call      ", a->out);
		if (a->bed->cfg.ncpu > 1)
			fprintf(a->out, "CPU %u, ", i / BED_SLOTS);
		fprintf(a->out, "slot %u: %s(", i % BED_SLOTS, name == NULL ? "unknown" : name);
		for (unsigned k = 0; k < f->nargs; k++)
			fprintf(a->out, "%s%#" PRIx64, k == 0 ? "" : ", ", f->arg[k]);
		fputs(")\n", a->out);
	}
	if (a->bed->booting)
		fputs("  call      none: it was booting\n", a->out);
}

static void
section_origin(struct autopsy *a)
{
	const struct engine *e = bed_engine(a->bed);

	fprintf(a->out, "  image     %s, %s, build id %s\n  engine    %s%s on %s\n", a->bed->path,
	    a->bed->cfg.flavour == BED_CHECKED ? "checked" : "release", BED_BUILD_ID,
	    e == NULL ? "unknown" : e->name, e != NULL && e->tcg ? " (tcg)" : "",
	    e == NULL ? "unknown CPU" : e->cpu);
}

static void
section_registers(struct autopsy *a)
{
	const struct bed_frame *f = &a->frame;
	const struct hv_regs *r = &a->regs;

	fprintf(a->out, "  registers%s\n", a->reset ? " (of the last entry)" : "");
#define ROW(n1, v1, n2, v2, n3, v3, n4, v4)                                                \
	fprintf(a->out,                                                                    \
	    "    " n1 " %016" PRIx64 "  " n2 " %016" PRIx64 "  " n3 " %016" PRIx64 "  " n4 \
	    " %016" PRIx64 "\n",                                                           \
	    v1, v2, v3, v4)
	ROW("rip", f->rip, "rsp", f->rsp, "rbp", f->rbp, "flg", f->rflags);
	ROW("rax", f->rax, "rbx", f->rbx, "rcx", f->rcx, "rdx", f->rdx);
	ROW("rsi", f->rsi, "rdi", f->rdi, "r8 ", f->r8, "r9 ", f->r9);
	ROW("r10", f->r10, "r11", f->r11, "r12", f->r12, "r13", f->r13);
	ROW("r14", f->r14, "r15", f->r15, "cr0", r->cr0, "cr2", r->cr2);
	ROW("cr3", r->cr3, "cr4", r->cr4, "efr", r->efer, "trp", f->trapno);
#undef ROW
}

/* Where the others were when they were stopped. */
static void
section_cpus(struct autopsy *a)
{
	struct hv_regs r;

	for (unsigned i = 0; a->bed->cfg.ncpu > 1 && i < a->bed->cfg.ncpu; i++) {
		struct bed_cpu *cpu = &a->bed->cpus[i];
		struct bed_frame frame;

		hv_cpu_regs(cpu->hv, &r);
		if (cpu == a->bed->at) {
			fprintf(a->out, "  CPU %-2u    the one above\n", i);
			continue;
		}
		fprintf(a->out, "  CPU %-2u    %s at ", i, cpu->halted ? "idle" : "running");
		symbols_print(a->symbols, a->out, r.rip);
		fputc('\n', a->out);
		frame_of_regs(&frame, &r);
		if (!cpu->halted)
			symbols_backtrace(a->symbols, a->out, &frame, bed_read_word, a->bed);
	}
}

static void
section_code(struct autopsy *a)
{
	uint64_t word;

	fputs("  code      ", a->out);
	for (unsigned i = 0; i < 16; i += 8) {
		if (!bed_read_word(a->bed, a->frame.rip + i, &word)) {
			fputs(i == 0 ? "rip is not mapped" : "(the rest is not mapped)", a->out);
			break;
		}
		for (unsigned k = 0; k < 8; k++)
			fprintf(a->out, "%02x ", (unsigned)(word >> 8 * k & 0xff));
	}
	fputc('\n', a->out);
}

/* A jump to where no code is leaves no frame of its own: go on from the return address. */
static void
section_backtrace(struct autopsy *a)
{
	struct bed_frame frame = a->frame;
	struct view view = bed_view(a->bed);
	struct walk w = view_walk(&view, GVA(frame.rip));
	uint64_t back;

	fputs("  backtrace\n", a->out);
	if (!walk_mapped(&w) && bed_read_word(a->bed, frame.rsp, &back) && back >= BED_IMAGE_BASE) {
		fprintf(a->out, "    a call or jump to %#" PRIx64 ", where no code is, from:\n",
		    frame.rip);
		frame.rip = back - 1;
		frame.rsp += sizeof(back);
	}
	symbols_backtrace(a->symbols, a->out, &frame, bed_read_word, a->bed);
}

static void
section_walk(struct autopsy *a)
{
	struct view view = bed_view(a->bed);
	struct walk w;

	if (!a->has_fault)
		return;
	fprintf(a->out, "  walk of the faulting address %#" PRIx64 "\n", a->fault_va.v);
	w = view_walk(&view, a->fault_va);
	view_walk_print(a->out, &w);
}

static int
by_ticket(const void *a, const void *b)
{
	uint64_t x = ((const struct bed_event *)a)->ticket,
		 y = ((const struct bed_event *)b)->ticket;

	return (x > y) - (x < y);
}

static void
section_events(struct autopsy *a)
{
	struct bed *bed = a->bed;
	uint64_t n = bed->nrecent < BED_RECENT ? bed->nrecent : BED_RECENT;

	if (n == 0)
		return;
	fprintf(a->out, "  last events\n");
	/* Those of several vCPUs came one vCPU after the other. */
	qsort(bed->recent, n, sizeof(bed->recent[0]), by_ticket);
	for (uint64_t i = 0; i < n; i++) {
		const struct bed_event *e = &bed->recent[i];

		fprintf(a->out, "    %" PRIu64, e->ticket + 1);
		if (bed->cfg.ncpu > 1)
			fprintf(a->out, " CPU %-2u", e->cpu);
		fprintf(a->out, " %-10s", events[e->type].name);
		for (unsigned k = 0; k < 3; k++)
			if (events[e->type].arg[k][0] != '\0')
				fprintf(a->out, " %s %#" PRIx64, events[e->type].arg[k], e->a[k]);
		fputs("  at ", a->out);
		symbols_print_return(a->symbols, a->out, bed_event_pc(bed, e->pc));
		fputc('\n', a->out);
	}
}

static void
section_console(struct autopsy *a)
{
	const char *text = bed_console(a->bed);
	size_t len = strlen(text);

	if (len == 0)
		return;
	if (len > CONSOLE_TAIL)
		text += len - CONSOLE_TAIL;
	fputs("  console\n    ", a->out);
	for (; *text != '\0'; text++) {
		fputc(*text, a->out);
		if (*text == '\n' && text[1] != '\0')
			fputs("    ", a->out);
	}
	if (text[-1] != '\n')
		fputc('\n', a->out);
}

static const char *
death_word(const struct autopsy *a)
{
	static const char *const words[] = { [DEATH_TRIPLE] = "triple",
		[DEATH_HANG] = "hang",
		[DEATH_EMULATION] = "emulation",
		[DEATH_MMIO] = "mmio",
		[DEATH_PROTOCOL] = "protocol",
		[DEATH_KVM] = "kvm" };

	if (a->how != DEATH_GUEST)
		return words[a->how];
	switch (a->death.kind) {
	case BED_DEATH_PANIC:
		return strncmp(a->msg, "assertion ", 10) == 0 ? "assertion" : "panic";
	case BED_DEATH_FAULT:
		return "fault";
	default:
		return "trap";
	}
}

bool
bed_die(struct bed *bed, enum death how, const struct hv_exit *e, const char *detail,
    struct bed_err *err)
{
	struct autopsy a = { .bed = bed, .how = how, .exit = e, .detail = detail };
	char *text = NULL;
	size_t size;

	a.out = open_memstream(&text, &size);
	if (a.out == NULL)
		return bed_fail(
		    err, BED_E_GUEST, "the guest died, and there is no memory to say how");
	cpus_stop(bed);
	a.symbols = bed_symbols(bed);
	examine(&a);
	report_cause(&a);
	section_call(&a);
	section_code(&a);
	section_backtrace(&a);
	section_walk(&a);
	section_registers(&a);
	section_cpus(&a);
	section_origin(&a);
	section_events(&a);
	section_console(&a);
	symbols_close(a.symbols);
	if (fclose(a.out) != 0 || text == NULL)
		return bed_fail(
		    err, BED_E_GUEST, "the guest died, and there is no memory to say how");
	bed->report = text;
	bed->death_word = death_word(&a);
	return bed_dead(bed, err);
}

bool
bed_dead(const struct bed *bed, struct bed_err *err)
{
	return bed_fail(err, BED_E_GUEST, "%s", bed->report);
}
