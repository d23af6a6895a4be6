/* SPDX-License-Identifier: ISC */
/*
 * Calls that access an address. A fault that cannot be resolved ends the access, not the guest:
 * EFAULT, and result2 is the error code of the page fault, or of another exception with its vector in
 * the upper half.
 */
#include <machine/thread.h>
#include "guest/calls.h"
#include "guest/onfault.h"
#include "guest/thread.h"
#include "shared/pattern.h"

#define T_PF 14

static uint64_t
refused(const struct onfault *fault, uint64_t *result2)
{
	*result2 = fault->trapno == T_PF ? fault->err : fault->trapno << 32 | fault->err;
	return EFAULT;
}

static bool
try_load(vaddr_t va, uint64_t *value, struct onfault *here)
{
	if (onfault_set(here) != 0)
		return false;
	curthread->td_onfault = here;
	*value = *(volatile uint64_t *)va;
	curthread->td_onfault = NULL;
	return true;
}

static bool
try_store(vaddr_t va, uint64_t value, struct onfault *here)
{
	if (onfault_set(here) != 0)
		return false;
	curthread->td_onfault = here;
	*(volatile uint64_t *)va = value;
	curthread->td_onfault = NULL;
	return true;
}

static bool
try_exec(vaddr_t va, struct onfault *here)
{
	if (onfault_set(here) != 0)
		return false;
	curthread->td_onfault = here;
	((void (*)(void))va)();
	curthread->td_onfault = NULL;
	return true;
}

uint64_t
call_load(const uint64_t *arg, uint64_t *result2)
{
	struct onfault here;

	return try_load(arg[0], result2, &here) ? 0 : refused(&here, result2);
}

uint64_t
call_store(const uint64_t *arg, uint64_t *result2)
{
	struct onfault here;

	return try_store(arg[0], arg[1], &here) ? 0 : refused(&here, result2);
}

uint64_t
call_exec(const uint64_t *arg, uint64_t *result2)
{
	struct onfault here;

	return try_exec(arg[0], &here) ? 0 : refused(&here, result2);
}

uint64_t
call_fill(const uint64_t *arg, uint64_t *result2)
{
	vaddr_t va = arg[0], end = va + arg[1] * PAGE_SIZE;
	struct onfault here;

	for (; va != end; va += PAGE_SIZE) {
		if (!try_store(va, bed_pattern(va, arg[2]), &here))
			return refused(&here, result2);
	}
	return 0;
}

/* A page that cannot be read does not hold the word. */
uint64_t
call_verify(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	vaddr_t va = arg[0], end = va + arg[1] * PAGE_SIZE;
	uint64_t wrong = 0, word;
	struct onfault here;

	for (; va != end; va += PAGE_SIZE)
		wrong += !try_load(va, &word, &here) || word != bed_pattern(va, arg[2]);
	return wrong;
}
