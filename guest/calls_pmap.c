/* SPDX-License-Identifier: ISC */
/*
 * The pmap(9) calls, on the kernel pmap, and single pages.
 */
#include "guest/calls.h"
#include "pmap.h"
#include "uvm/uvm_extern.h"
#include "uvm/uvm_page.h"

uint64_t
call_pmap_kenter_pa(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	int error = pmap_kenter_pa(arg[0], arg[1], (vm_prot_t)arg[2]);

	pmap_update(pmap_kernel());
	return (uint64_t)error;
}

uint64_t
call_pmap_kremove(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	pmap_kremove(arg[0], arg[1]);
	pmap_update(pmap_kernel());
	return 0;
}

uint64_t
call_pmap_enter(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	int error = pmap_enter(pmap_kernel(), arg[0], arg[1], (vm_prot_t)arg[2], (int)arg[3]);

	pmap_update(pmap_kernel());
	return (uint64_t)error;
}

uint64_t
call_pmap_remove(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	pmap_remove(pmap_kernel(), arg[0], arg[1]);
	pmap_update(pmap_kernel());
	return 0;
}

uint64_t
call_pmap_extract(const uint64_t *arg, uint64_t *result2)
{
	return pmap_extract(pmap_kernel(), arg[0], result2) ? 0 : EFAULT;
}

uint64_t
call_pmap_growkernel(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	return pmap_growkernel(arg[0]);
}

uint64_t
call_uvm_pagealloc(const uint64_t *arg __unused_arg, uint64_t *result2 __unused_arg)
{
	struct vm_page *pg = uvm_pagealloc(NULL, 0, 0);

	return pg != NULL ? VM_PAGE_TO_PHYS(pg) : 0;
}

uint64_t
call_uvm_pagefree(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	struct vm_page *pg = PHYS_TO_VM_PAGE(arg[0]);

	if (pg == NULL)
		panic("pagefree: 0x%lx is not a managed page", arg[0]);
	uvm_pagefree(pg);
	return 0;
}
