/* SPDX-License-Identifier: ISC */
/*
 * Event records of the checked guest: what happened, in an order that a TLB model can use. Stores take
 * their ticket after the store, flushes before and after, frees before the act (the model settles a
 * store iff the flush began after it; a deadline is met iff the flush ended before it).
 */
#ifndef SHARED_EVENTS_H
#define SHARED_EVENTS_H

/*  X(id, name, a0, a1, a2) */
#define BED_EVENT_TYPES(X)                           \
	X(1, PTE_STORE, "entry gpa", "old", "new")   \
	X(2, INVLPG, "va", "begin ticket", "")       \
	X(3, TLB_FULL, "", "begin ticket", "")       \
	X(4, CR3, "root", "begin ticket", "")        \
	X(5, CPU, "active 0/1", "", "")              \
	X(6, IPI_SEND, "target mask", "va", "pages") \
	X(7, IPI_ACK, "sender", "va", "pages")       \
	X(8, PAGE_ALLOC, "pa", "pages", "")          \
	X(9, PAGE_FREE, "pa", "pages", "")           \
	X(10, VA_ALLOC, "map", "start", "end")       \
	X(11, VA_FREE, "map", "start", "end")        \
	X(12, PTP_ALLOC, "pa", "level", "va")        \
	X(13, PTP_FREE, "pa", "level", "va")         \
	X(14, CALL, "id", "arg0", "arg1")            \
	X(15, RETURN, "id", "result", "")            \
	X(16, LOCK, "lock", "kind", "")              \
	X(17, UNLOCK, "lock", "kind", "")            \
	X(18, UPDATE, "", "", "")                    \
	X(19, FAULT, "va", "error code", "result")   \
	X(20, SLEEP, "wchan", "", "")                \
	X(21, WAKEUP, "wchan", "", "")

enum bed_event_type {
#define X(id, name, a0, a1, a2) BED_EV_##name = id,
	BED_EVENT_TYPES(X)
#undef X
};

#endif
