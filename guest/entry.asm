; SPDX-License-Identifier: ISC
; First instructions of every CPU: long mode, paging on, interrupts off, RDI = physical address of
; struct bed_bootinfo, RSI = which CPU, no stack. The first one makes what the others begin with.

	default rel
	bits 64
%include "layout.inc"
%include "guest/cfi.inc"
%include "guest/cpuarea.inc"

	extern idt_operand, gdt_operand, gdt_tss, tss
	extern boot_stack_top, cpu0, kernel_main, cpu_start, cpu_main

%define MSR_GS_BASE 0xc0000101

	section .text align=16
	global entry:function (entry.end - entry)
	align 16
entry:
CFI_BEGIN entry
CFI_OUTERMOST
	xor ebp, ebp
	test esi, esi
	jnz .other
	mov rsp, [boot_stack_top]
	lgdt [gdt_operand]
	lidt [idt_operand]

	lea rax, [tss]
	mov [gdt_tss + 2], ax
	shr rax, 16
	mov [gdt_tss + 4], al
	mov [gdt_tss + 7], ah
	shr rax, 16
	mov [gdt_tss + 8], eax
	mov eax, BED_SEL_TSS
	ltr ax

	lea rax, [cpu0]
	mov rdx, rax
	shr rdx, 32
	mov ecx, MSR_GS_BASE
	wrmsr
	call kernel_main
	ud2

.other:
	lea rax, [cpu_start]
	mov rax, [rax + rsi * 8]
	add rax, CPU_AREA_DATA
	mov rsp, [rax + CPU_DATA_STACK]
	lgdt [rax + CPU_DATA_GDT_OPERAND]
	lidt [idt_operand]
	mov ecx, BED_SEL_TSS
	ltr cx
	add rax, CPU_DATA_CPU
	mov rdx, rax
	shr rdx, 32
	mov ecx, MSR_GS_BASE
	wrmsr
	call cpu_main
	ud2
.end:
CFI_END
