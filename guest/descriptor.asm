; SPDX-License-Identifier: ISC
; Descriptor tables, made at assembly time. Only the address of the TSS is filled in at boot (entry.asm).

	bits 64
%include "layout.inc"
%include "guest/vector.inc"

%define IMAGE_VA (BED_IMAGE_BASE + BED_IMAGE_PA)

	extern ist_stacks
	global idt_operand, gdt_operand, gdt, gdt_tss, tss
	global layout_image_va, layout_image_base

; For the linker script to compare its own constants with.
layout_image_va equ IMAGE_VA
layout_image_base equ BED_IMAGE_BASE

	section .rodata align=16
	align 16
idt:
%assign vector 0
%rep TRAP_VECTORS
	%assign stub IMAGE_VA + vector * TRAP_STUB
	%assign ist 0
	%if vector == 2
		%assign ist IST_NMI
	%elif vector == 8
		%assign ist IST_DF
	%elif vector == 18
		%assign ist IST_MC
	%endif
	dw stub & 0xffff, BED_SEL_CODE
	db ist, 0x8e			; present interrupt gate, privilege 0
	dw (stub >> 16) & 0xffff
	dd (stub >> 32) & 0xffffffff, 0
	%assign vector vector + 1
%endrep
.end:

idt_operand:
	dw idt.end - idt - 1
	dq idt
gdt_operand:
	dw gdt.end - gdt - 1
	dq gdt

; Writable: LTR marks the TSS busy. Accessed bits are set already.
	section .data align=16
	align 16
gdt:
	dq 0
	dq 0x00af9b000000ffff		; BED_SEL_CODE: 64-bit code
	dq 0x00cf93000000ffff		; BED_SEL_DATA
gdt_tss:
	dq 0x0000890000000067, 0	; BED_SEL_TSS: available 64-bit TSS, address to come
.end:
gdt.end equ gdt_tss.end

	align 16
tss:
	dd 0
	times 3 dq 0			; RSP0-2: there is no other privilege level
	dq 0
%assign slot 1
%rep IST_COUNT
	dq ist_stacks + slot * IST_STRIDE
	%assign slot slot + 1
%endrep
	times 7 - IST_COUNT dq 0
	dq 0
	dw 0, 104			; no I/O bitmap
