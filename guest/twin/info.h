/* SPDX-License-Identifier: ISC */
/*
 * What the parts of the twin that both of its forms share (the bare process of guest/twin/boot.c and the
 * machine of guest/twin/engine/) know of its memory, and accesses that may fail.
 */
#ifndef TWIN_INFO_H
#define TWIN_INFO_H

#include <machine/param.h>

#include "shared/bootinfo.h"

extern struct bed_bootinfo twin_info;
extern uint64_t twin_ram_end; /* one past the highest physical address */

/*
 * 8 bytes that lie on one page: 0, or EFAULT with the page fault's error code in *err. An address may be
 * kernel_map's or a host address of the direct map.
 */
int twin_load(vaddr_t, uint64_t *value, uint64_t *err);
int twin_store(vaddr_t, uint64_t value, uint64_t *err);
/* The same for a part of a page; NULL or where it is in memory. */
uint8_t *twin_reach(vaddr_t, bool write, uint64_t *err);

#endif
