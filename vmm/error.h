/* SPDX-License-Identifier: ISC */
/*
 * Errors as values. A function that can fail returns bool (or a pointer) and fills a struct bed_err:
 * a class, which becomes the exit code of the command, and one text that says what was wrong, where,
 * and what to do. No function of the library ends the process.
 */
#ifndef VMM_ERROR_H
#define VMM_ERROR_H

#include <stdbool.h>

/* Classes; the values are the exit codes of uvmbed. */
enum bed_class {
	BED_OK = 0,
	BED_E_FINDING = 1,  /* a check failed: the guest did something wrong */
	BED_E_USAGE = 2,    /* bad command line or configuration */
	BED_E_HOST = 3,     /* this host cannot: no /dev/kvm, permission, capability, memory */
	BED_E_INPUT = 4,    /* a file is unreadable or malformed: image, trace, log */
	BED_E_GUEST = 5,    /* the guest died: panic, unexpected trap, triple fault, hang */
	BED_E_OUTPUT = 6,   /* output could not be written: closed stdout, full disk */
	BED_E_INTERNAL = 7, /* a bug in uvmbed */
};

struct bed_err {
	enum bed_class class;
	char text[8192]; /* one line, except for guest deaths, which carry their report */
};

/* Fill err (may be NULL) and return false, so that a failing function ends in `return bed_fail(...)`. */
bool bed_fail(struct bed_err *err, enum bed_class class, const char *fmt, ...)
    __attribute__((__format__(__printf__, 3, 4)));
/* Put a prefix "what: " before the text err already has; returns false. */
bool bed_fail_in(struct bed_err *err, const char *fmt, ...)
    __attribute__((__format__(__printf__, 2, 3)));

#endif
