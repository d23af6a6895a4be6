/* SPDX-License-Identifier: ISC */
/*
 * What each CPU but the first has for itself, in an area of BED_CPU_AREA bytes that the VMM maps behind the
 * image, with the rights of its data (boot.cpu_area): stacks, descriptors, struct cpu_info. The first
 * CPU has all that in the image.
 */
#ifndef GUEST_CPUAREA_H
#define GUEST_CPUAREA_H

#include <machine/context.h>
#include <machine/cpu.h>
#include "guest/stack.h"

struct __attribute__((__packed__)) cpu_tss {
	uint32_t ts_reserved0;
	uint64_t ts_rsp[3], ts_reserved1;
	uint64_t ts_ist[7], ts_reserved2;
	uint16_t ts_reserved3, ts_iobase;
};
BED_ASSERT_SIZE(struct cpu_tss, 104);

#define GDT_ENTRIES 5 /* descriptor.asm */

struct cpu_data {
	struct {
		uint16_t pad[3], limit;
		uint64_t base;
	} cd_gdt_operand;
	vaddr_t cd_stack; /* top of the stack to begin on */
	uint64_t cd_pad;
	struct cpu_info cd_cpu;
	uint64_t cd_gdt[GDT_ENTRIES];
	struct cpu_tss cd_tss __attribute__((__aligned__(16)));
};

struct cpu_area {
	uint8_t ist[IST_STACKS][IST_STRIDE];
	uint8_t stack[THREAD_PER_CPU][STACK_STRIDE];
	struct cpu_data data __attribute__((__aligned__(PAGE_SIZE)));
};
_Static_assert(sizeof(struct cpu_area) <= BED_CPU_AREA, "the VMM gives so much");

extern const uint64_t gdt[GDT_ENTRIES]; /* descriptor.asm */

/* The area of CPU id > 0. */
struct cpu_area *cpu_area(unsigned id);

#endif
