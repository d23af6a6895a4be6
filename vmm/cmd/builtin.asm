; SPDX-License-Identifier: ISC
;
; The program of `uvmbed run`, taken in as it stands.

section .rodata
global builtin_trace, builtin_trace_len
builtin_trace:
	incbin "tests/corpus/first-light.trace"
.end:
	db 0
align 4
builtin_trace_len:
	dd builtin_trace.end - builtin_trace

section .note.GNU-stack noalloc noexec nowrite progbits
