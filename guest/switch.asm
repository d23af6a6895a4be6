; SPDX-License-Identifier: ISC
; Changing threads (guest/machine/context.h): save and load the registers a C function preserves.

	default rel
	bits 64
%include "guest/cfi.inc"

	section .text align=16
	global context_switch:function (context_switch.end - context_switch)
	global context_enter:function (context_enter.end - context_enter)

; void context_switch(struct context *from, struct context *to)
	align 16
context_switch:
CFI_BEGIN context_switch
	push rbp
CFI_CFA 16
CFI_SAVED RBP, 16
	push rbx
CFI_CFA 24
CFI_SAVED RBX, 24
	push r12
CFI_CFA 32
CFI_SAVED R12, 32
	push r13
CFI_CFA 40
CFI_SAVED R13, 40
	push r14
CFI_CFA 48
CFI_SAVED R14, 48
	push r15
CFI_CFA 56
CFI_SAVED R15, 56
	mov [rdi], rsp
	mov rsp, [rsi]
	pop r15
CFI_CFA 48
	pop r14
CFI_CFA 40
	pop r13
CFI_CFA 32
	pop r12
CFI_CFA 24
	pop rbx
CFI_CFA 16
	pop rbp
CFI_CFA 8
	ret
.end:
CFI_END

; Where a new thread begins: rbx is the function, r12 its argument (context_init()).
	align 16
context_enter:
CFI_BEGIN context_enter
CFI_OUTERMOST
	mov rdi, r12
	call rbx
	ud2
.end:
CFI_END
