/* SPDX-License-Identifier: ISC */
/*
 * The calls that access an address, as guest/calls_access.c answers them: through the software TLB, with
 * faults resolved, and the error code of the one that could not be.
 */
#include <machine/kva.h>
#include <string.h>

#include "guest/calls.h"
#include "guest/twin/engine/priv.h"
#include "guest/twin/info.h"
#include "guest/twin/priv.h"
#include "shared/pattern.h"

#define TRAP(n) ((uint64_t)(n) << 32)
#define T_UD    6
#define T_GP    13

pt_entry_t *
twin_leaf(vaddr_t va)
{
	pt_entry_t *table = PMAP_DIRECT_MAP(twin_info.root);

	for (int level = PT_LEVELS; level > 1; level--) {
		pt_entry_t pte = pte_get(&table[pt_index(va, level)]);

		if ((pte & (PTE_P | PTE_PS)) != PTE_P)
			return NULL;
		table = PMAP_DIRECT_MAP(pte & PTE_FRAME);
	}
	return &table[pt_index(va, 1)];
}

vaddr_t
kva_from_host(uint64_t va)
{
	uint64_t pa = va - BED_DIRECT_BASE;

	return pa < twin_ram_end ? (vaddr_t)PMAP_DIRECT_MAP(pa) : va;
}

uint64_t
kva_to_host(vaddr_t va)
{
	uint64_t pa = PMAP_DIRECT_UNMAP(va);

	return pa < twin_ram_end ? BED_DIRECT_BASE + pa : va;
}

/*
 * 8 bytes, which may lie on two pages; nothing is stored unless both can be. False: *value is the error code
 * of the fault.
 */
static bool
access(vaddr_t va, bool write, uint64_t *value)
{
	size_t here = PAGE_SIZE - (va & PAGE_MASK);
	uint8_t *first, *second;
	uint64_t err = TRAP(T_GP);

	if (here > 8)
		here = 8;
	first = va_is_canonical(va) && va_is_canonical(va + 7) ? twin_reach(va, write, &err) : NULL;
	second = first != NULL && here < 8 ? twin_reach(va + here, write, &err) : first;
	if (second == NULL) {
		*value = err;
		return false;
	}
	if (write) {
		memcpy(first, value, here);
		memcpy(second, (uint8_t *)value + here, 8 - here);
	} else {
		memcpy(value, first, here);
		memcpy((uint8_t *)value + here, second, 8 - here);
	}
	return true;
}

uint64_t
call_load(const uint64_t *arg, uint64_t *result2)
{
	return access(arg[0], false, result2) ? 0 : EFAULT;
}

uint64_t
call_store(const uint64_t *arg, uint64_t *result2)
{
	uint64_t value = arg[1];

	if (access(arg[0], true, &value))
		return 0;
	*result2 = value;
	return EFAULT;
}

/* Why va cannot be executed, as a page fault's error code; 0: it could. */
static uint64_t
exec_fault(vaddr_t va)
{
	pt_entry_t *table = PMAP_DIRECT_MAP(twin_info.root);
	bool nx = false;

	for (int level = PT_LEVELS;; level--) {
		pt_entry_t pte = pte_get(&table[pt_index(va, level)]);

		if ((pte & PTE_P) == 0)
			return PF_I;
		nx = nx || (pte & PTE_NX) != 0;
		if (level == 1 || (pte & PTE_PS))
			return nx ? PF_I | PF_P : 0;
		table = PMAP_DIRECT_MAP(pte & PTE_FRAME);
	}
}

/* Memory of the machine is data here: what may be executed there is not, and counts as no instruction. */
uint64_t
call_exec(const uint64_t *arg, uint64_t *result2)
{
	uint64_t err;

	*result2 = TRAP(T_GP);
	if (!va_is_canonical(arg[0]))
		return EFAULT;
	do {
		err = exec_fault(arg[0]);
		*result2 = err != 0 ? err : TRAP(T_UD);
	} while (err != 0 && twin_fault(arg[0], err) == 0);
	return EFAULT;
}

uint64_t
call_fill(const uint64_t *arg, uint64_t *result2)
{
	vaddr_t va = arg[0], end = va + arg[1] * PAGE_SIZE;

	for (; va != end; va += PAGE_SIZE) {
		uint64_t word = bed_pattern(va, arg[2]);

		if (!access(va, true, &word)) {
			*result2 = word;
			return EFAULT;
		}
	}
	return 0;
}

uint64_t
call_verify(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	vaddr_t va = arg[0], end = va + arg[1] * PAGE_SIZE;
	uint64_t wrong = 0, word;

	for (; va != end; va += PAGE_SIZE)
		wrong += !access(va, false, &word) || word != bed_pattern(va, arg[2]);
	return wrong;
}
