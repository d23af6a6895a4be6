/* SPDX-License-Identifier: ISC */
/*
 * Pages of kernel_map: in their object and in the page tables at the same time, and out of both. A node
 * of an object and an L1 table run parallel, so one index leads to both.
 */
#ifndef UVM_KM_PAGES_H
#define UVM_KM_PAGES_H

#include <machine/param.h>

struct uvm_object;
struct vm_page;

/*
 * Put n > 0 contiguous pages, in no object so far, behind [va, va + n pages), which nothing is behind and
 * whose tables exist: into kernel_object, and mapped wired, for reading and writing. 0; ENOMEM: no memory
 * for a node of the object, nothing was done.
 */
int uvm_km_pgenter(vaddr_t va, struct vm_page *, unsigned n);

/*
 * A fault at va, where nothing is so far: a zeroed page into the object and the page tables, in one step,
 * so that it need not be busy in between. False, and nothing done, where that is not all there is to it:
 * a page is there or a table or a node is not, or memory is short.
 */
bool uvm_km_pgfault(struct uvm_object *, vaddr_t va, vm_prot_t prot);

/*
 * Mappings and pages of [start, end), a part of an entry of kernel_map or of a submap with this object
 * behind it: mappings cleared and flushed, pages out of the object, pages freed, in this order. Sleeps
 * for busy pages.
 */
void uvm_km_pgremove(struct uvm_object *, vaddr_t start, vaddr_t end);

#endif
