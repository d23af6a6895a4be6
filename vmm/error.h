/* SPDX-License-Identifier: ISC */
/*
 * Errors as values. A function that can fail returns bool (or a pointer) and fills a struct bed_err:
 * a class, which becomes the exit code of the command, and one text that says what was wrong, where,
 * and what to do. No function of the library ends the process.
 */
#ifndef VMM_ERROR_H
#define VMM_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* What a finding is about, for the report that is made of it (vmm/finding/). */
struct bed_subject {
	const char *witness; /* who found it, a literal such as "frame rule"; NULL: not said */
	bool has_va, has_pa;
	uint64_t va, pa; /* the page, the frame it is about */
};

struct bed_err {
	enum bed_class class;
	char text[8192]; /* one line, except for guest deaths, which carry their report */
	size_t lead;     /* length of the prefixes that bed_fail_in() put before it */
	size_t brief;    /* length of the text without the walk at its end; 0: it has none */
	struct bed_subject about;
};

/* Fill err (may be NULL) and return false, so that a failing function ends in `return bed_fail(...)`. */
bool bed_fail(struct bed_err *err, enum bed_class class, const char *fmt, ...)
    __attribute__((__format__(__printf__, 3, 4)));
/* The finding that err has is by this witness, about this page, this frame. Each returns false. */
bool bed_fail_by(struct bed_err *err, const char *witness);
bool bed_fail_at(struct bed_err *err, uint64_t va);
bool bed_fail_frame(struct bed_err *err, uint64_t pa);
/* Put a prefix "what: " before the text err already has; returns false. */
bool bed_fail_in(struct bed_err *err, const char *fmt, ...)
    __attribute__((__format__(__printf__, 2, 3)));

#endif
