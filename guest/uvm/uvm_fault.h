/* SPDX-License-Identifier: ISC */
/*
 * Page faults of the kernel, and wiring, which is faulting ahead of time.
 */
#ifndef UVM_FAULT_H
#define UVM_FAULT_H

#include <machine/param.h>

#include "uvm_extern.h"

typedef int vm_fault_t;
#define VM_FAULT_INVALID 0 /* an access found no mapping, or one that does not allow it */
#define VM_FAULT_WIRE    1 /* nobody touched it: bring the page and wire it */

/*
 * Make the page at va, anywhere in the map or its submaps, accessible for access_type. 0: the access may be
 * tried again. It may have been possible before the call, when another CPU came first; then nothing
 * changes.
 *
 *	EFAULT	nothing is there: no entry, or one that no object stands behind (UVM_KMF_VALLOC with no
 *		object, kp_none), or one made with UVM_FLAG_HOLE or UVM_FLAG_NOFAULT
 *	EACCES	the entry does not allow this access
 *	ENOMEM	no page-table page; these never come back, so waiting would be for ever
 *
 * No page: sleeps until there is one, holding nothing, and begins anew. An entry of a map that is not
 * VM_MAP_PAGEABLE (INTRSAFE ones never are) is a panic: its memory is mapped or it is not, a touch can
 * never be made good. So is, in the checked flavour, a call where sleeping is forbidden.
 *
 * The new mapping has the rights of the entry and PMAP_WIRED iff the page is wired.
 */
int uvm_fault(struct vm_map *, vaddr_t va, vm_fault_t fault_type, vm_prot_t access_type);

/*
 * Bring and wire every page of [start, end), page aligned; all or none: on failure (uvm_fault's error) the
 * pages wired so far are unwired. The caller has closed the map for writers (vm_map_busy()) without
 * holding its lock.
 */
int uvm_fault_wire(struct vm_map *, vaddr_t start, vaddr_t end, vm_prot_t access_type);
/* Take back one wiring of every page that has one. Pages stay, and stay mapped. Takes the map's read lock. */
void uvm_fault_unwire(struct vm_map *, vaddr_t start, vaddr_t end);
/* The same with the map locked, for reading or writing. */
void uvm_fault_unwire_locked(struct vm_map *, vaddr_t start, vaddr_t end);

#endif
