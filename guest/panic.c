/* SPDX-License-Identifier: ISC */
/*
 * panic() and die(): the record a dying guest leaves (struct bed_death).
 */
#include <machine/assert.h>
#include "guest/death.h"
#include "guest/exit.h"
#include "guest/format.h"
#include "guest/intr.h"
#include "guest/thread.h"

struct message {
	struct sink sink;
	char *at, *end; /* end: where the terminating zero fits at the latest */
};

static void
message_put(struct sink *sink, char c)
{
	struct message *m = (struct message *)sink;

	if (m->at < m->end)
		*m->at++ = c;
	*m->at = '\0';
}

static void __noreturn __attribute__((__format__(__printf__, 4, 0)))
record(enum bed_death_kind kind, const struct bed_frame *frame, uint64_t cr2, const char *fmt,
    va_list ap)
{
	struct cpu_info *ci = curcpu();
	struct bed_death *death = &ci->ci_share->death;
	static struct cpu_info *dying;
	struct cpu_info *first = NULL;

	/*
	 * The first report counts: whatever goes wrong on this CPU while it is written would only hide
	 * it, and another CPU waits for the host to stop it.
	 */
	intr_disable();
	__atomic_compare_exchange_n(&dying, &first, ci, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	while (first != NULL && first != ci)
		__asm__ volatile("hlt");
	if (first == NULL) {
		struct message m = { { message_put }, death->msg,
			death->msg + sizeof(death->msg) - 1 };

		death->kind = kind;
		death->cpu = ci->ci_id;
		death->cr2 = cr2;
		death->frame = *frame;
		death->stack_low = ci->ci_curthread->td_stack_low;
		death->stack_high = ci->ci_curthread->td_stack_high;
		format(&m.sink, fmt, ap);
	}
	for (;;)
		bed_exit(BED_EXIT_PANIC);
}

void
die(enum bed_death_kind kind, const struct bed_frame *frame, uint64_t cr2, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	record(kind, frame, cr2, fmt, ap);
}

void
panic(const char *fmt, ...)
{
	const uint64_t *fp = __builtin_frame_address(0); /* the caller's rbp, the return address */
	struct bed_frame frame = {
		/* The last byte of the call: after a call that does not return another function
		 * may begin. */
		.rip = fp[1] - 1,
		.rbp = fp[0],
		.rsp = (uint64_t)(fp + 2),
		.cs = BED_SEL_CODE,
		.ss = BED_SEL_DATA,
	};
	va_list ap;

	__asm__ volatile("pushfq; popq %0" : "=r"(frame.rflags));
	va_start(ap, fmt);
	record(BED_DEATH_PANIC, &frame, 0, fmt, ap);
}
