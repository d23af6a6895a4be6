/* SPDX-License-Identifier: ISC */
/*
 * panic() and assertions. KASSERT is compiled into the checked flavour only (BED_CHECKED_BUILD); a
 * condition that must hold in every flavour calls panic itself.
 */
#ifndef MACHINE_ASSERT_H
#define MACHINE_ASSERT_H

#include <machine/param.h>

/* Ends the machine (guest: BED_EXIT_PANIC with a report; twin: longjmp to the test, or abort). */
void panic(const char *fmt, ...) __noreturn __printf(1, 2);

#ifdef BED_CHECKED_BUILD
#define KASSERT(e) \
	(likely(e) ? (void)0 : panic("assertion \"%s\" failed: %s:%d", #e, __FILE__, __LINE__))
#else
#define KASSERT(e) ((void)0)
#endif

#endif
