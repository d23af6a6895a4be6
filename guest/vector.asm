; SPDX-License-Identifier: ISC
; Entry of every exception and interrupt: save struct bed_frame (shared/share.h), link it into the chain
; of frame pointers, call trap() or interrupt() in C, and go back.
;
; The stubs are the first bytes of the image, 16 bytes each, so that the interrupt descriptor table
; (descriptor.asm) is a constant.

	default rel
	bits 64
%include "layout.inc"
%include "guest/cfi.inc"
%include "guest/vector.inc"

	extern trap, interrupt

	section .text.stubs progbits alloc exec nowrite align=4096
	global trap_stubs:function (trap_stubs.end - trap_stubs)
	global trap_common:function (trap_common.end - trap_common)
	global intr_common:function (intr_common.end - intr_common)

; At entry rip of the interrupted code is at rsp, or at rsp + 8 where the CPU has pushed an error code.
trap_stubs:
CFI_BEGIN trap_stubs, signal
%assign vector 0
%rep TRAP_VECTORS
	align TRAP_STUB, int3
  %if (TRAP_ERRCODE >> vector) & 1
CFI_TRAP 8
  %else
CFI_TRAP 0
	push 0
CFI_TRAP 8
  %endif
	push vector
CFI_TRAP 16
  %if vector < TRAP_EXCEPTIONS
	jmp near trap_common
  %else
	jmp near intr_common
  %endif
  %assign vector vector + 1
%endrep
.end:
CFI_END

; Below the frame lies what a frame pointer wants to see: the interrupted rbp and rip.
%define LINK  16
%define REGS  (LINK + 15 * 8)
%define SAVED(i) LINK + (i) * 8

; %1: its name, %2: what it calls
%macro COMMON 2
	align 16
%1:
CFI_BEGIN %1, signal
CFI_TRAP 16
	sub rsp, REGS
CFI_TRAP REGS + 16
	mov [rsp + SAVED(14)], rax
	mov [rsp + SAVED(13)], rcx
	mov [rsp + SAVED(12)], rdx
	mov [rsp + SAVED(11)], rbx
	mov [rsp + SAVED(10)], rbp
	mov [rsp + SAVED(9)], rsi
	mov [rsp + SAVED(8)], rdi
	mov [rsp + SAVED(7)], r8
	mov [rsp + SAVED(6)], r9
	mov [rsp + SAVED(5)], r10
	mov [rsp + SAVED(4)], r11
	mov [rsp + SAVED(3)], r12
	mov [rsp + SAVED(2)], r13
	mov [rsp + SAVED(1)], r14
	mov [rsp + SAVED(0)], r15
CFI_HERE
CFI_TRAP_REG RAX, SAVED(14)
CFI_TRAP_REG RCX, SAVED(13)
CFI_TRAP_REG RDX, SAVED(12)
CFI_TRAP_REG RBX, SAVED(11)
CFI_TRAP_REG RBP, SAVED(10)
CFI_TRAP_REG RSI, SAVED(9)
CFI_TRAP_REG RDI, SAVED(8)
CFI_TRAP_REG R8, SAVED(7)
CFI_TRAP_REG R9, SAVED(6)
CFI_TRAP_REG R10, SAVED(5)
CFI_TRAP_REG R11, SAVED(4)
CFI_TRAP_REG R12, SAVED(3)
CFI_TRAP_REG R13, SAVED(2)
CFI_TRAP_REG R14, SAVED(1)
CFI_TRAP_REG R15, SAVED(0)
	mov rax, [rsp + REGS + 16]	; rip
	mov [rsp], rbp
	mov [rsp + 8], rax
	mov rbp, rsp
	lea rdi, [rsp + LINK]
	cld
	call %2
	mov rax, [rsp + SAVED(14)]
	mov rcx, [rsp + SAVED(13)]
	mov rdx, [rsp + SAVED(12)]
	mov rbx, [rsp + SAVED(11)]
	mov rbp, [rsp + SAVED(10)]
	mov rsi, [rsp + SAVED(9)]
	mov rdi, [rsp + SAVED(8)]
	mov r8, [rsp + SAVED(7)]
	mov r9, [rsp + SAVED(6)]
	mov r10, [rsp + SAVED(5)]
	mov r11, [rsp + SAVED(4)]
	mov r12, [rsp + SAVED(3)]
	mov r13, [rsp + SAVED(2)]
	mov r14, [rsp + SAVED(1)]
	mov r15, [rsp + SAVED(0)]
	add rsp, REGS + 16
CFI_TRAP 0
CFI_TRAP_DONE
	iretq
.end:
CFI_END
%endmacro

COMMON trap_common, trap
COMMON intr_common, interrupt
