/* SPDX-License-Identifier: ISC */
/*
 * Names for code addresses and backtraces, from the image's own symbols, line table and call-frame
 * information (libdw). Opened only when something has to be explained: a boot never pays for it.
 */
#ifndef VMM_BED_SYMBOLS_H
#define VMM_BED_SYMBOLS_H

#include "shared/share.h"
#include "vmm/bed/image.h"

#include <stdio.h>

struct symbols;

/* From the image as it was mapped when the bed was made, not from what its path holds now. NULL if it
 * cannot be read: everything below takes that and shows bare addresses. */
struct symbols *symbols_open(const struct image *);
/* Of this program, for guest code that is part of it. */
struct symbols *symbols_open_self(void);
void symbols_close(struct symbols *);

/* The function pc lies in, the source line it was made from. The strings live as long as the symbols. False: not
 * known. */
bool symbols_name(struct symbols *, uint64_t pc, const char **name, uint64_t *offset);
bool symbols_line(struct symbols *, uint64_t pc, const char **file, int *number);
/* The line in the function that symbols_name() names, where it called what is inlined at pc. */
bool symbols_own_line(struct symbols *, uint64_t pc, const char **file, int *number);

/* "uvm_map+0x1c guest/uvm/uvm_map.c:210" */
void symbols_print(struct symbols *, FILE *, uint64_t pc);
/* The same for a return address: the call before it is what is meant. Of inlined functions not their own line but
 * that of the function named, which called them. */
void symbols_print_return(struct symbols *, FILE *, uint64_t pc);

/* Reads 8 bytes of guest memory by virtual address; false if it is not mapped. */
typedef bool symbols_read(void *arg, uint64_t va, uint64_t *word);

/*
 * The calls that led to a frame, one a line, inlined functions on lines of their own; frames that repeat
 * are folded. Unwinds by call-frame information, by frame pointers where there is none. What it reads
 * may be garbage: it ends after a bounded number of frames.
 */
void symbols_backtrace(
    struct symbols *, FILE *, const struct bed_frame *, symbols_read *, void *arg);

#endif
