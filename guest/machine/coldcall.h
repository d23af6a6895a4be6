/* SPDX-License-Identifier: ISC */
/*
 * Calls that hardly ever happen, from functions that are hot when they do not: the function called keeps
 * all registers, and the compiler, which cannot use that of a plain call, is told so. Then what lives
 * across the call stays where it is and the hot path saves nothing.
 *
 * In the guest, and in the twin where it is compiled like the guest: general registers only and no red zone.
 */
#ifndef MACHINE_COLDCALL_H
#define MACHINE_COLDCALL_H

#ifndef __SSE__
/* On declaration and definition of the function called; it returns nothing. */
#define __coldcall           __attribute__((__no_caller_saved_registers__, __force_align_arg_pointer__))
#define COLD_CALL(fn, a)     __asm__ volatile("call " #fn ::"D"(a) : "memory", "cc")
#define COLD_CALL2(fn, a, b) __asm__ volatile("call " #fn ::"D"(a), "S"(b) : "memory", "cc")
#else
#define __coldcall
#define COLD_CALL(fn, a)     fn(a)
#define COLD_CALL2(fn, a, b) fn(a, b)
#endif

#endif
