/* SPDX-License-Identifier: ISC */
/*
 * Per-CPU data: that of the first CPU, complete at link time so that everything works from the first
 * instruction of C, and that of the others, which the first one makes in the areas behind the image.
 */
#include <machine/assert.h>
#include <machine/ipi.h>
#include <machine/mmu.h>
#include "guest/apic.h"
#include "guest/cpuarea.h"
#include "guest/cpus.h"
#include "guest/intr.h"
#include "guest/stack.h"
#include "guest/thread.h"
#include "guest/worker.h"

#define SHARE(n) \
	((struct bed_cpushare *)(BED_DIRECT_BASE + BED_SHARE_PA + (n) * (uint64_t)BED_SHARE_STRIDE))

extern struct cpu_info cpu0; /* entry.asm points GS at it */

struct cpu_info cpu0 = {
	.ci_self = &cpu0,
	.ci_curthread = &thread_pool[0],
	.ci_count = &SHARE(0)->count,
	.ci_share = SHARE(0),
};

_Static_assert(offsetof(struct cpu_info, ci_self) == 0, "curcpu() reads it");

/* What entry.asm reads to start a CPU: its area, by id; [0] is not used. */
extern struct cpu_area *cpu_start[BED_CPU_MAX];
struct cpu_area *cpu_start[BED_CPU_MAX];

/* guest/cpuarea.inc has these numbers. */
BED_ASSERT_OFFSET(struct cpu_area, data, 0x26000);
BED_ASSERT_OFFSET(struct cpu_area, stack, 6 * PAGE_SIZE); /* vmm/audit/input.h has it, too */
BED_ASSERT_OFFSET(struct cpu_data, cd_gdt_operand.limit, 6);
BED_ASSERT_OFFSET(struct cpu_data, cd_stack, 16);
BED_ASSERT_OFFSET(struct cpu_data, cd_cpu, 32);

void cpu_main(void) __noreturn; /* entry.asm, on each CPU but the first */

static paddr_t areas;

struct cpu_area *
cpu_area(unsigned id)
{
	return (struct cpu_area *)(BED_IMAGE_BASE + areas + (id - 1) * (uint64_t)BED_CPU_AREA);
}

/* The first CPU's descriptors, with a task state segment of its own. */
static void
make_descriptors(struct cpu_data *d, struct cpu_area *area)
{
	uint64_t tss = (uint64_t)&d->cd_tss;

	__builtin_memcpy(d->cd_gdt, gdt, sizeof(d->cd_gdt));
	d->cd_gdt[BED_SEL_TSS / 8] =
	    UINT64_C(0x0000890000000067) | (tss & 0xffffff) << 16 | (tss >> 24 & 0xff) << 56;
	d->cd_gdt[BED_SEL_TSS / 8 + 1] = tss >> 32;
	d->cd_tss.ts_iobase = sizeof(d->cd_tss);
	for (unsigned i = 0; i < IST_STACKS; i++)
		d->cd_tss.ts_ist[i] = (uint64_t)area->ist[i + 1];
	d->cd_gdt_operand.limit = sizeof(d->cd_gdt) - 1;
	d->cd_gdt_operand.base = (uint64_t)d->cd_gdt;
}

static void
make_cpu(unsigned id)
{
	struct cpu_area *area = cpu_area(id);
	struct cpu_data *d = &area->data;
	struct cpu_info *ci = &d->cd_cpu;

	stack_guard_area(area);
	make_descriptors(d, area);
	ci->ci_self = ci;
	ci->ci_id = id;
	ci->ci_count = &SHARE(id)->count;
	ci->ci_share = SHARE(id);
	thread_cpu_init(ci);
	d->cd_stack = ci->ci_curthread->td_stack_high;
	cpu_start[id] = area;
}

void
cpu_make_others(unsigned n, paddr_t area)
{
	areas = area;
	ncpus = n;
	cpus_active = n;
	for (unsigned id = 1; id < n; id++)
		make_cpu(id);
	if (n > 1)
		tlb_flush_full(); /* the guard pages */
}

void
cpu_begin(void)
{
	apic_enable();
	intr_enable();
}

void
cpu_main(void)
{
	shootdown_cpu_on();
	worker_enter();
}
