/* SPDX-License-Identifier: ISC */
/*
 * Does the host have a page of guest memory? In a file of its own: the guest's headers and <sys/mman.h>
 * name the same things.
 */
#include "vmm/audit/resident.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

bool
audit_resident(const void *page)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = (uintptr_t)page & ~(uintptr_t)(size - 1);
	unsigned char in_core = 1;

	return mincore((void *)start, 1, &in_core) != 0 || (in_core & 1) != 0;
}
