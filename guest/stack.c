/* SPDX-License-Identifier: ISC */
/*
 * Kernel stacks and their guard pages (guest/stack.h), and the guest's half of <machine/context.h>.
 */
#include <machine/assert.h>
#include <machine/mmu.h>
#include <machine/planted.h>
#include "guest/cpuarea.h"
#include "guest/mmu.h"
#include "guest/stack.h"

/* What the interrupt stack table of descriptor.asm and the first instruction of entry.asm use. */
extern uint8_t ist_stacks[IST_STACKS][IST_STRIDE];
extern void *const boot_stack_top;
extern uint8_t thread_stacks[THREAD_CPU0][STACK_STRIDE];

uint8_t thread_stacks[THREAD_CPU0][STACK_STRIDE] __attribute__((__aligned__(STACK_STRIDE)));
uint8_t ist_stacks[IST_STACKS][IST_STRIDE] __attribute__((__aligned__(IST_STRIDE)));
void *const boot_stack_top = &thread_stacks[0][STACK_STRIDE];

/* switch.asm: calls rbx(r12); never returns. */
void context_enter(void);

void *
context_stack(unsigned index)
{
	unsigned other = index - THREAD_CPU0;

	if (index < THREAD_CPU0)
		return &thread_stacks[index][STACK_STRIDE];
	return &cpu_area(other / THREAD_PER_CPU + 1)->stack[other % THREAD_PER_CPU][STACK_STRIDE];
}

void
context_init(struct context *ctx, void *stack_top, void (*fn)(void *), void *arg)
{
	uint64_t *sp = stack_top;

	if (PLANTED(STACK_GUARD_MAPPED)) {
		vaddr_t guard = (vaddr_t)stack_top - STACK_STRIDE;

		pte_set(mmu_leaf(guard), (mmu_leaf(guard + PAGE_SIZE)[0] - PAGE_SIZE) | PTE_A);
	}
	*--sp = (uint64_t)context_enter;
	*--sp = 0; /* rbp: the chain of frames ends here */
	*--sp = (uint64_t)fn;
	*--sp = (uint64_t)arg;
	*--sp = 0;
	*--sp = 0;
	*--sp = 0;
	ctx->ctx_sp = (uint64_t)sp;
}

static void
unmap_every(vaddr_t va, vsize_t stride, unsigned n)
{
	pt_entry_t *pte = NULL;

	for (; n > 0; n--, va += stride) {
		if (pte == NULL || pt_index(va, 1) < stride / PAGE_SIZE)
			pte = mmu_leaf(va);
		if (pte == NULL)
			panic("kernel stack %lx is not mapped by 4 KiB pages", va);
		pte_swap(pte, 0);
		pte += stride / PAGE_SIZE;
	}
}

void
stack_guard(void)
{
	unmap_every((vaddr_t)thread_stacks, STACK_STRIDE, THREAD_CPU0);
	unmap_every((vaddr_t)ist_stacks, IST_STRIDE, IST_STACKS);
	tlb_flush_full(); /* the CPU may have looked at them already */
}

void
stack_guard_area(struct cpu_area *area)
{
	unmap_every((vaddr_t)area->stack, STACK_STRIDE, THREAD_PER_CPU);
	unmap_every((vaddr_t)area->ist, IST_STRIDE, IST_STACKS);
}
