/* SPDX-License-Identifier: ISC */
/*
 * From the first C function to the first call.
 */
#include <machine/assert.h>
#include <machine/mmu.h>
#include <machine/planted.h>
#include "guest/calls.h"
#include "guest/cpus.h"
#include "guest/maps.h"
#include "guest/stack.h"
#include "guest/worker.h"
#include "pmap.h"
#include "uvm/uvm_extern.h"
#include "uvm/uvm_page.h"
#include "uvm/uvm_pmemrange.h"

void kernel_main(paddr_t bootinfo) __noreturn; /* entry.asm */

const struct bed_bootinfo *boot;

static void
memory_init(void)
{
	for (uint32_t i = 0; i < boot->nseg; i++) {
		paddr_t start = atop(boot->seg[i].start), end = atop(boot->seg[i].end);

		uvm_page_physload(start, end, start, end, 0);
	}
	uvm_page_init();
}

void
kernel_main(paddr_t bootinfo)
{
	thread_bootstrap();
	boot = PMAP_DIRECT_MAP(bootinfo);
	if (boot->ident.magic != BED_MAGIC || boot->size != sizeof(*boot) ||
	    boot->nseg > BED_SEG_MAX || boot->ncpu - 1 >= BED_CPU_MAX)
		panic("no boot information at 0x%lx", bootinfo);
	stack_guard();
	if (boot->ncpu > 1)
		cpu_make_others(boot->ncpu, boot->cpu_area);
	pmap_bootstrap(boot);
	memory_init();
	uvm_init(boot);
	map_register(kernel_map);
	map_register(kmem_map);
	map_register(exec_map);
	map_register(phys_map);
	if (thread_create(uvm_pageout, NULL, "pagedaemon", NULL) != 0)
		panic("no thread for the page daemon");
	cold = false;
	planted_arm(boot);
	worker_start();
}
