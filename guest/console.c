/* SPDX-License-Identifier: ISC */
/*
 * The console ring. The host drains it whenever the CPU leaves; a full ring is a reason to leave.
 */
#include "guest/console.h"
#include "guest/exit.h"
#include "guest/format.h"

static void
console_put(struct sink *sink __unused_arg, char c)
{
	struct bed_cpushare *share = curcpu()->ci_share;
	uint64_t head = share->console_head;

	while (head - __atomic_load_n(&share->console_tail, __ATOMIC_ACQUIRE) >= BED_CONSOLE_BYTES)
		bed_exit(BED_EXIT_CONSOLE);
	share->console[head % BED_CONSOLE_BYTES] = c;
	__atomic_store_n(&share->console_head, head + 1, __ATOMIC_RELEASE);
}

void
printf(const char *fmt, ...)
{
	struct sink sink = { console_put };
	va_list ap;

	va_start(ap, fmt);
	format(&sink, fmt, ap);
	va_end(ap);
}
