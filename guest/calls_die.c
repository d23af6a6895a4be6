/* SPDX-License-Identifier: ISC */
/*
 * Calls that end the machine, or lie to the host: the tests of its reports and of its distrust.
 */
#include <machine/assert.h>
#include "guest/calls.h"
#include "guest/exit.h"
#include "guest/intr.h"

uint64_t
call_die_panic(const uint64_t *arg __unused_arg, uint64_t *result2 __unused_arg)
{
	panic("asked to by the call die_panic");
}

uint64_t
call_die_triple(const uint64_t *arg __unused_arg, uint64_t *result2 __unused_arg)
{
	struct __attribute__((__packed__)) {
		uint16_t limit;
		uint64_t base;
	} none = { 0, 0 };

	__asm__ volatile("lidt %0; ud2" ::"m"(none));
	__builtin_unreachable();
}

uint64_t
call_die_hang(const uint64_t *arg __unused_arg, uint64_t *result2 __unused_arg)
{
	intr_disable();
	for (;;)
		__builtin_ia32_pause();
}

/* Not a tail call, and every frame is written. */
static uint64_t __attribute__((__noinline__)) recurse(uint64_t depth)
{
	volatile uint64_t pad[32];

	pad[depth % nitems(pad)] = depth;
	return depth == 0 ? 0 : recurse(depth - 1) + pad[depth % nitems(pad)];
}

uint64_t
call_die_stack(const uint64_t *arg __unused_arg, uint64_t *result2 __unused_arg)
{
	return recurse(UINT64_MAX) + 1; /* not a tail call: it is to be seen in the backtrace */
}

uint64_t
call_die_ud(const uint64_t *arg __unused_arg, uint64_t *result2 __unused_arg)
{
	__asm__ volatile("ud2");
	__builtin_unreachable();
}

uint64_t
call_die_fault(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	return *(volatile uint64_t *)arg[0];
}

/*
 * 0: event ring indices, 1: console ring indices, 2: every slot, 3: the exit code, 4: the death record,
 * else everything. The caller's slot is completed as always.
 */
uint64_t
call_scribble(const uint64_t *arg, uint64_t *result2 __unused_arg)
{
	struct bed_cpushare *share = curcpu()->ci_share;
	const int rubbish = 0xa5;

	switch (arg[0]) {
	case 0:
		share->event_head = share->event_tail = UINT64_MAX;
		break;
	case 1:
		share->console_head = UINT64_MAX;
		share->console_tail = 1;
		break;
	case 2:
		__builtin_memset(share->slot, rubbish, sizeof(share->slot));
		break;
	case 3:
		bed_exit((enum bed_exit)0xdeadbeef);
		break;
	case 4:
		__builtin_memset(&share->death, rubbish, sizeof(share->death));
		bed_exit(BED_EXIT_PANIC);
		break;
	default:
		__builtin_memset(share, rubbish, sizeof(*share));
	}
	return 0;
}
