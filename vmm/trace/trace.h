/* SPDX-License-Identifier: ISC */
/*
 * Traces: one text format for replay, fuzzing and people (docs/trace-format.md has the grammar). A
 * trace is a sequence of lines; a line is an operation of shared/calls.def, an expectation, a setting,
 * or a comment. Parsing keeps every token as it was written, so that printing a parsed trace gives the
 * same text again, up to the spacing between tokens.
 */
#ifndef VMM_TRACE_TRACE_H
#define VMM_TRACE_TRACE_H

#include <stdio.h>

#include "shared/calls.h"
#include "shared/share.h"
#include "vmm/error.h"

#define TRACE_TOKEN    40      /* longest token with its zero */
#define TRACE_LINE     512     /* longest line */
#define TRACE_LINES    2000000 /* longest trace */
#define TRACE_WORDS    12      /* tokens after the verb */
#define TRACE_VERSION  1
#define TRACE_STOP_MAX 2 /* STOP_* of guest/machine/thread.h */

enum trace_line_kind {
	TRACE_BLANK, /* empty, or a comment only */
	TRACE_CALL,
	TRACE_EXPECT,
	TRACE_SET, /* cpu, ram, kva, seed, guest */
};

enum trace_expect {
	TRACE_MAPPED, /* VA SIZE [rights]: every page has a present leaf */
	TRACE_ABSENT, /* VA SIZE: no page has */
	TRACE_ZERO,   /* VA SIZE: present, and all bytes zero */
	TRACE_EQUAL,  /* VALUE VALUE */
	TRACE_DIFFER, /* VALUE VALUE */
	TRACE_FILLED, /* VA SIZE SEED: as `fill` left it */
	TRACE_ASLEEP, /* NAME WMESG: the call has not returned and sleeps with that message */
	TRACE_AWAKE,  /* NAME: the call has returned */
	TRACE_FRAMES, /* VA SIZE LOW HIGH: present, and each frame within [LOW, HIGH] */
	TRACE_EXPECT_LAST = TRACE_FRAMES,
};

enum trace_setting {
	TRACE_CPU,   /* vCPU that runs the operations that follow */
	TRACE_RAM,   /* SIZE of guest memory; before the first operation */
	TRACE_KVA,   /* SIZE of kernel_map; before the first operation */
	TRACE_GUARD, /* 0 or 1: guard pages; before the first operation */
	TRACE_SEED,  /* what made this trace, for the record */
};

/* A value: a number, or the result of an earlier line plus an offset. */
struct trace_value {
	int ref;         /* index of the line that defined the name, or -1 */
	uint64_t number; /* the number, or what is added to the result; bytes */
	char text[TRACE_TOKEN];
};

struct trace_line {
	enum trace_line_kind kind;
	uint16_t which; /* enum bed_call_id, trace_expect or trace_setting */
	uint8_t nvalue;
	unsigned number; /* line of the file, from 1 */
	unsigned stop;   /* TRACE_CALL: begins when the next call is at that stop point; 0: now */
	unsigned beside; /* TRACE_CALL: begins with the next call, on this vCPU; 0: not beside */
	char name[TRACE_TOKEN]; /* result name, or "" */
	struct trace_value value[BED_ARGS_MAX];
	char *comment; /* with its '#' and the blanks before it, or NULL */
};

struct trace {
	char file[256]; /* for messages */
	unsigned nline, cap;
	struct trace_line *line;
};

/* What a call looks like, from calls.def. */
struct call_shape {
	const char *name; /* NULL: no such call */
	const char *text;
	uint8_t nargs;
	uint8_t result; /* enum bed_kind */
	uint8_t kind[BED_ARGS_MAX];
	const char *arg[BED_ARGS_MAX];
};
const struct call_shape *call_shape(unsigned id); /* NULL: no such call */

/* An expectation or a setting: its word, and which values it takes. */
struct trace_form {
	const char *word;
	enum trace_line_kind line; /* TRACE_EXPECT or TRACE_SET */
	uint8_t which;
	uint8_t min, max; /* values */
	uint8_t kind[4];  /* A_NONE: any word */
	bool early;       /* only before the first operation */
};
const struct trace_form *trace_form_find(enum trace_line_kind, const char *word);
const struct trace_form *trace_form_of(const struct trace_line *);

/* Errors are of the form "FILE:LINE:COLUMN: what; what to do". The trace is freed on failure. */
bool trace_parse(struct trace *, const char *file, const char *text, size_t len, struct bed_err *);
bool trace_load(struct trace *, const char *file, struct bed_err *);
bool trace_print(const struct trace *, FILE *); /* false: a write failed */
void trace_line_print(const struct trace_line *, FILE *);
void trace_free(struct trace *);

/* A token as a value of the given kind, without names: "3p", "0x10", "64k", "rw-", "zero|nowait". */
bool trace_number(const char *token, enum bed_kind, uint64_t *value);
/* The other way round: the shortest token that reads back as value. */
void trace_token(char *token, size_t size, enum bed_kind, uint64_t value);

#endif
