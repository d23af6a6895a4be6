/* SPDX-License-Identifier: ISC */
/*
 * See threads.h.
 */
#include "vmm/bundle/threads.h"

#include <inttypes.h>
#include <string.h>

#include "guest/thread.h"
#include "vmm/bed/inspect.h"

_Static_assert(BED_CPU_MAX + THREAD_MAX <= STACKS_MAX, "every stack has a place");

/* A string of the guest, as far as it is printable. */
static void
read_name(const struct bed *bed, uint64_t va, char *buf, size_t size)
{
	size_t i = 0;

	for (; va != 0 && i < size - 1 && bed_read(bed, GVA(va + i), &buf[i], 1); i++)
		if (buf[i] < ' ' || buf[i] > '~')
			break;
	buf[i] = '\0';
}

/* What context_switch() pushed (guest/machine/context.h). */
static bool
saved_registers(const struct bed *bed, uint64_t sp, struct hv_regs *r)
{
	uint64_t word[7];

	for (unsigned i = 0; i < sizeof(word) / sizeof(word[0]); i++)
		if (!bed_read_word((void *)(uintptr_t)bed, sp + i * sizeof(word[0]), &word[i]))
			return false;
	*r = (struct hv_regs){ .r15 = word[0],
		.r14 = word[1],
		.r13 = word[2],
		.r12 = word[3],
		.rbx = word[4],
		.rbp = word[5],
		.rip = word[6],
		.rsp = sp + sizeof(word),
		.rflags = 0x2 };
	return true;
}

static bool
read_thread(const struct bed *bed, uint64_t va, struct stack *s)
{
	struct thread td;

	if (!bed_read(bed, GVA(va), &td, sizeof(td)))
		return false;
	*s = (struct stack){ .state = td.td_state, .td = va, .wchan = (uint64_t)td.td_wchan };
	if (td.td_state == THREAD_FREE || td.td_state == THREAD_RUNNING ||
	    (unsigned)td.td_state > THREAD_PARKED)
		return false;
	read_name(bed, (uint64_t)td.td_name, s->name, sizeof(s->name));
	read_name(bed, (uint64_t)td.td_wmesg, s->wmesg, sizeof(s->wmesg));
	return saved_registers(bed, td.td_ctx.ctx_sp, &s->regs);
}

unsigned
stacks_read(struct bed *bed, struct stack out[STACKS_MAX])
{
	unsigned n = bed_config(bed)->ncpu;
	unsigned nthreads = THREAD_CPU0 + (n - 1) * THREAD_PER_CPU;
	struct bed_cpu_look look[BED_CPU_MAX];
	gva_t pool;

	bed_cpus_look(bed, look);
	for (unsigned i = 0; i < n; i++)
		out[i] = (struct stack){ .is_cpu = true,
			.number = i,
			.regs = look[i].regs,
			.old = look[i].reset,
			.asleep = look[i].asleep };
	if (!bed_symbol(bed, "thread_pool", &pool))
		return n;
	for (unsigned i = 0; i < nthreads; i++) {
		if (!read_thread(bed, pool.v + i * sizeof(struct thread), &out[n]))
			continue;
		out[n++].number = i;
	}
	return n;
}

void
stack_title(FILE *out, const struct stack *s)
{
	static const char *const states[] = { "free", "running", "runnable", "sleeping", "parked" };

	if (s->is_cpu) {
		fprintf(out, "vCPU %u%s", s->number,
		    s->old      ? ", which was reset: as it was entered last"
		    : s->asleep ? ", asleep in HLT"
				: "");
		return;
	}
	fprintf(out, "thread %u \"%s\", %s", s->number, s->name, states[s->state]);
	if (s->wchan != 0)
		fprintf(out, " on %#" PRIx64 " \"%s\"", s->wchan, s->wmesg);
	fprintf(out, ", struct thread %#" PRIx64, s->td);
}

void
stacks_print(FILE *out, struct bed *bed, struct symbols *symbols, const struct stack *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++, s++) {
		const struct hv_regs *r = &s->regs;
		struct bed_frame frame = { .rip = r->rip,
			.rsp = r->rsp,
			.rbp = r->rbp,
			.rbx = r->rbx,
			.r12 = r->r12,
			.r13 = r->r13,
			.r14 = r->r14,
			.r15 = r->r15,
			.rax = r->rax,
			.rcx = r->rcx,
			.rdx = r->rdx,
			.rsi = r->rsi,
			.rdi = r->rdi,
			.r8 = r->r8,
			.r9 = r->r9,
			.r10 = r->r10,
			.r11 = r->r11,
			.rflags = r->rflags };

		stack_title(out, s);
		fputc('\n', out);
		symbols_backtrace(symbols, out, &frame, bed_read_word, bed);
		fputc('\n', out);
	}
}

void
stacks_print_registers(FILE *out, const struct stack *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++, s++) {
		const struct hv_regs *r = &s->regs;
		const struct {
			const char *name;
			uint64_t value;
		} reg[] = { { "rip", r->rip }, { "rsp", r->rsp }, { "rbp", r->rbp },
			{ "rfl", r->rflags }, { "rax", r->rax }, { "rbx", r->rbx },
			{ "rcx", r->rcx }, { "rdx", r->rdx }, { "rsi", r->rsi }, { "rdi", r->rdi },
			{ "r8 ", r->r8 }, { "r9 ", r->r9 }, { "r10", r->r10 }, { "r11", r->r11 },
			{ "r12", r->r12 }, { "r13", r->r13 }, { "r14", r->r14 }, { "r15", r->r15 },
			{ "cr0", r->cr0 }, { "cr2", r->cr2 }, { "cr3", r->cr3 }, { "cr4", r->cr4 },
			{ "efr", r->efer } };

		stack_title(out, s);
		/* Of a thread, only what a function preserves was saved. */
		for (size_t k = 0; k < sizeof(reg) / sizeof(reg[0]) && (s->is_cpu || k < 3); k++)
			fprintf(out, "%s%s %016" PRIx64, k % 4 == 0 ? "\n  " : "  ", reg[k].name,
			    reg[k].value);
		if (!s->is_cpu)
			fprintf(out,
			    "\n  rbx %016" PRIx64 "  r12 %016" PRIx64 "  r13 %016" PRIx64
			    "  r14 %016" PRIx64 "  r15 %016" PRIx64,
			    r->rbx, r->r12, r->r13, r->r14, r->r15);
		fputs("\n\n", out);
	}
}
