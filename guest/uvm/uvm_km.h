/* SPDX-License-Identifier: ISC */
/*
 * What the map layer needs of kernel memory: the removal of pages behind a range.
 */
#ifndef UVM_KM_H
#define UVM_KM_H

#include <machine/param.h>

#include "uvm_extern.h"

/* Remove the mappings of [start, end), then free the pages they had. */
void uvm_km_pgremove_intrsafe(vaddr_t start, vaddr_t end);

#endif
