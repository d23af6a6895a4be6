; SPDX-License-Identifier: ISC
; int onfault_set(struct onfault *): remember this place (guest/onfault.h). Returns 0; when a fault
; comes back here, trap() makes it return 1.

	default rel
	bits 64
%include "guest/cfi.inc"

	section .text align=16
	global onfault_set:function (onfault_set.end - onfault_set)
	align 16
onfault_set:
CFI_BEGIN onfault_set
	mov rax, [rsp]
	mov [rdi], rax
	lea rax, [rsp + 8]
	mov [rdi + 8], rax
	mov [rdi + 16], rbp
	mov [rdi + 24], rbx
	mov [rdi + 32], r12
	mov [rdi + 40], r13
	mov [rdi + 48], r14
	mov [rdi + 56], r15
	xor eax, eax
	ret
.end:
CFI_END
