/* SPDX-License-Identifier: ISC */
/*
 * The twin as a machine: starting it, entering it, leaving it (guest/twin/engine.h). Host and guest kernel
 * are two stacks of one thread; what is OUT in the guest is a switch from the one to the other.
 */
#include <machine/assert.h>
#include <machine/mmu.h>

#include "guest/exit.h"
#include "guest/stack.h"
#include "guest/thread.h"
#include "guest/twin/engine.h"
#include "guest/twin/engine/priv.h"
#include "guest/twin/info.h"
#include "guest/twin/priv.h"
#include "guest/uvm/uvm_page.h"

void kernel_main(paddr_t bootinfo) __noreturn; /* guest/main.c */

uint8_t *twin_ram;
uint64_t twin_ram_end;
struct bed_bootinfo twin_info;
struct cpu_info cpu0;
struct twin_taken *twin_marks;

static struct context host, guest;
static volatile bool inside;
static uint32_t left_with;
static struct twin_guard guards[2];

static void
first(void *arg __unused_arg)
{
	kernel_main(BED_BOOTINFO_PA);
}

static void
start(const struct twin_start *s)
{
	struct bed_cpushare *share;

	twin_ram = s->ram;
	twin_ram_end = s->ram_bytes;
	__builtin_memcpy(&twin_info, PMAP_DIRECT_MAP(BED_BOOTINFO_PA), sizeof(twin_info));
	share = PMAP_DIRECT_MAP(BED_SHARE_PA);
	cpu0 = (struct cpu_info){ .ci_self = &cpu0,
		.ci_curthread = &thread_pool[0],
		.ci_count = &share->count,
		.ci_share = share };
	twin_tlb_init(s->shadow, 1);
	for (unsigned i = 0; i < nitems(guards); i++)
		guards[i] = s->guard[i];
	twin_marks = s->taken;
	stacks_init(s->stacks);
	context_init(&guest, context_stack(0), first, NULL);
}

static uint32_t
enter(void)
{
	inside = true;
	context_switch(&host, &guest);
	inside = false;
	return left_with;
}

void
bed_exit(enum bed_exit code)
{
	curcpu()->ci_share->exit = code;
	left_with = (uint32_t)code;
	context_switch(&guest, &host);
}

static bool
running(void)
{
	return inside;
}

static void __noreturn
abandon(uint32_t value)
{
	left_with = value;
	context_abandon(&host);
}

/* As guest/stack.c does it, in the tables of the image that is not there. */
void
stack_guard(void)
{
	for (unsigned i = 0; i < nitems(guards); i++) {
		for (unsigned k = 0; k < guards[i].n; k++) {
			pt_entry_t *pte = twin_leaf(guards[i].va + k * guards[i].stride);

			if (pte == NULL)
				panic("kernel stack %lx is not mapped by 4 KiB pages",
				    guards[i].va + k * guards[i].stride);
			pte_swap(pte, 0);
		}
	}
	tlb_flush_full();
}

static bool
translate(uint64_t va, uint64_t *pa)
{
	pt_entry_t *table = PMAP_DIRECT_MAP(twin_info.root);

	for (int level = PT_LEVELS; va_is_canonical(va); level--) {
		pt_entry_t pte = pte_get(&table[pt_index(va, level)]);

		*pa = (pte & PTE_FRAME & ~(pt_span(level) - 1)) | (va & (pt_span(level) - 1));
		if ((pte & PTE_P) == 0 || (pte & PTE_FRAME) >= twin_ram_end)
			return false;
		if (level == 1 || (pte & PTE_PS))
			return true;
		table = PMAP_DIRECT_MAP(pte & PTE_FRAME);
	}
	return false;
}

/* What boot took for good from the start of a segment. */
static uint64_t
stolen_end(const struct bed_seg *seg)
{
	uint64_t end = seg->end;

	for (unsigned i = 0; i < vm_nphysseg; i++) {
		uint64_t avail = ptoa(vm_physmem[i].avail_start);

		if (avail >= seg->start && avail < end)
			end = avail;
	}
	return end;
}

/* The share area but for its rings, the first tables, and the beginnings of the segments. */
static bool
fixed(unsigned i, uint64_t *from, uint64_t *to)
{
	if (i == 0) {
		*from = BED_SHARE_PA;
		*to = *from + offsetof(struct bed_cpushare, console);
	} else if (i == 1) {
		*from = twin_info.ptpool_start;
		*to = twin_info.ptpool_next;
	} else if (i - 2 < twin_info.nseg) {
		*from = twin_info.seg[i - 2].start;
		*to = stolen_end(&twin_info.seg[i - 2]);
	} else {
		return false;
	}
	return true;
}

static void
stack(unsigned i, uint8_t **low, uint8_t **high)
{
	const struct thread *td = &thread_pool[i];
	const struct context *ctx = td == curthread ? &guest : &td->td_ctx;

	*high = context_stack(i);
	*low = td->td_state == THREAD_FREE ? *high : (uint8_t *)ctx->ctx_sp;
}

static void
restored(uint64_t age)
{
	twin_tlb_renew(age + 1);
	stacks_forget();
}

/* Set by the linker script. */
extern char twin_data_start[], twin_data_end[], twin_text_start[], twin_text_end[];

#ifdef BED_CHECKED_BUILD
#define MACHINE twin_machine_checked
#else
#define MACHINE twin_machine_release
#endif
const struct twin_machine MACHINE = {
	.data_start = twin_data_start,
	.data_end = twin_data_end,
	.text_start = twin_text_start,
	.text_end = twin_text_end,
	.start = start,
	.enter = enter,
	.running = running,
	.abandon = abandon,
	.translate = translate,
	.fixed = fixed,
	.stack = stack,
	.age = twin_tlb_age,
	.restored = restored,
};
