/* SPDX-License-Identifier: ISC */
/*
 * The memory a vCPU and its host thread talk through: call slots, counters, console, event ring, and
 * the record a dying guest leaves. One struct bed_cpushare per vCPU at BED_SHARE_PA + n *
 * BED_SHARE_STRIDE.
 *
 * Nothing the guest writes here is trusted by the host: it copies a field once, checks it, and uses
 * the copy.
 *
 * A call, one vCPU: the host fills slot[i] (call, nargs, arg), stores state = BED_SLOT_REQUESTED,
 * stores doorbell = i + 1 and enters the guest. The guest takes the doorbell (reads it, stores 0),
 * runs the call on a kernel thread, stores result and state = BED_SLOT_DONE, and leaves with
 * BED_EXIT_IDLE when nothing is runnable. A slot still BED_SLOT_BLOCKED then sleeps on `wchan`.
 *
 * Several vCPUs: a vCPU with nothing to run halts; the last one leaves with BED_EXIT_IDLE. At that
 * moment every call of every vCPU is done or blocked, no wakeup is under way, and no other vCPU stores to
 * memory before this one is resumed. While it stands so the host may fill a slot of each vCPU and store
 * its doorbell; it sets the vCPU's bit in `bells` of the share area of vCPU 0, and resumes the one that
 * left, which wakes those that were rung. With BED_BELL_BARRIER in the doorbells, a call begins when
 * as many as `barrier` (of vCPU 0) said have been taken: so they run at the same time.
 */
#ifndef SHARED_SHARE_H
#define SHARED_SHARE_H

#include "layout.h"
#include "types.h"

/* Value of EAX at OUT to BED_PORT. */
enum bed_exit {
	BED_EXIT_READY = 1,   /* boot is over, waiting for the first call */
	BED_EXIT_IDLE = 2,    /* nothing runnable: every call is done or blocked */
	BED_EXIT_PANIC = 3,   /* bed_cpushare.death says why; never resumes */
	BED_EXIT_CONSOLE = 4, /* console ring full, host drains and resumes */
	BED_EXIT_EVENTS = 5,  /* event ring full, host drains and resumes */
	BED_EXIT_SYNC = 6,    /* a stop point asked for by a call (arg in death.info); resumes */
	BED_EXIT_NOP = 7,     /* the bare port exit, for measuring */
	BED_EXIT_YIELD =
	    8, /* a busy wait gives the host's CPU away; resumes, not counted as an exit */
	BED_EXIT_LAST = BED_EXIT_YIELD,
};

#define BED_BELL_BARRIER 0x80000000u /* in bed_cpushare.doorbell: wait for the others */

#define BED_SLOTS    16
#define BED_ARGS_MAX 10

enum bed_slot_state {
	BED_SLOT_FREE = 0,
	BED_SLOT_REQUESTED = 1, /* by the host */
	BED_SLOT_RUNNING = 2,   /* by the guest from here on */
	BED_SLOT_BLOCKED = 3,
	BED_SLOT_DONE = 4,
	BED_SLOT_REFUSED = 5, /* unknown call or wrong number of arguments */
};

struct bed_slot {
	uint32_t state; /* enum bed_slot_state */
	uint16_t call;  /* enum bed_call_id */
	uint16_t nargs;
	uint64_t arg[BED_ARGS_MAX];
	uint64_t result;
	uint64_t result2; /* second value, where calls.def says so */
	uint64_t wchan;   /* BLOCKED: channel (guest VA) */
	char wmesg[16];   /* BLOCKED: wait message, zero terminated */
};
BED_ASSERT_SIZE(struct bed_slot, 128);

/*
 * A program: many operations without an exit between them, run by the `batch` call (GPA of the first
 * op, number of ops, repetitions). An argument whose bit is set in `ref` is the index of an earlier
 * op of the same program; the guest replaces it by that op's result.
 */
struct bed_op {
	uint16_t call;  /* enum bed_call_id */
	uint8_t nargs;  /* <= BED_ARGS_MAX */
	uint8_t addarg; /* which argument `add` is for */
	uint32_t ref;   /* bit i: arg[i] names an earlier op whose result is meant */
	uint64_t add;   /* bytes added to arg[addarg] after references are resolved */
	uint64_t arg[BED_ARGS_MAX];
	uint64_t result, result2;
};
BED_ASSERT_SIZE(struct bed_op, 112);

/* Work counted by the guest in every flavour; monotonic, per vCPU. */
#define BED_COUNTERS(X)                                       \
	X(pte_set, "not-present entries made present (leaf)") \
	X(pte_clear, "present leaf entries cleared")          \
	X(pte_change, "present leaf entries changed")         \
	X(invlpg, "INVLPG executed")                          \
	X(tlb_full, "full TLB flushes executed")              \
	X(ipi, "inter-processor interrupts sent")             \
	X(ptp_alloc, "page-table pages taken from the pool")  \
	X(page_alloc, "pages taken from the free lists")      \
	X(page_free, "pages put back")                        \
	X(page_zero, "pages zeroed")                          \
	X(fault, "page faults handled")                       \
	X(entry_alloc, "map entries allocated")               \
	X(sleep, "thread sleeps")                             \
	X(wakeup, "idle CPUs woken by an interrupt")          \
	X(yield, "busy waits that gave the host's CPU away")  \
	X(spin, "turns of busy waits")                        \
	X(ack_spin, "... of them for an acknowledgement")     \
	X(lost, "events lost (must stay 0)")

struct bed_counters {
#define X(name, text) uint64_t name;
	BED_COUNTERS(X)
#undef X
};

/* How a guest died. */
enum bed_death_kind {
	BED_DEATH_NONE = 0,
	BED_DEATH_PANIC = 1,  /* panic() or a failed assertion: msg */
	BED_DEATH_TRAP = 2,   /* unexpected trap: frame */
	BED_DEATH_FAULT = 3,  /* fatal page fault: frame, cr2 */
	BED_DEATH_DOUBLE = 4, /* #DF: stack overflow if rsp says so */
};

/* Registers as the trap stubs save them (guest/vector.asm); also what panic() fills in. */
struct bed_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t trapno, err;
	uint64_t rip, cs, rflags, rsp, ss;
};
BED_ASSERT_SIZE(struct bed_frame, 22 * 8);

struct bed_death {
	uint32_t kind; /* enum bed_death_kind */
	uint32_t cpu;
	uint64_t cr2;
	uint64_t info;                  /* also the argument of BED_EXIT_SYNC */
	uint64_t stack_low, stack_high; /* extent of the current thread's stack (guest VA) */
	struct bed_frame frame;
	char msg[256]; /* zero terminated */
};

/* One record of the event ring; shared/events.h names types and arguments. */
struct bed_event {
	uint64_t ticket; /* global order */
	uint16_t type;   /* enum bed_event_type */
	uint16_t cpu;
	uint32_t pc; /* code address - BED_IMAGE_BASE */
	uint64_t a[3];
};
BED_ASSERT_SIZE(struct bed_event, 40);

#define BED_EVENTS        4096 /* records in the ring; a power of two */
#define BED_CONSOLE_BYTES 8192 /* a power of two */

struct bed_cpushare {
	/* offset 0: call traffic */
	uint32_t doorbell; /* slot + 1, written by the host, cleared by the guest */
	uint32_t exit;     /* enum bed_exit last left with, written by the guest before OUT */
	uint32_t bells; /* vCPU 0's area: whose doorbells the host has rung; taken by the guest */
	uint32_t
	    barrier; /* vCPU 0's area: calls that are still to arrive before all of them begin */
	uint8_t pad0[48];
	/* offset 64 */
	struct bed_slot slot[BED_SLOTS];
	struct bed_counters count;
	/* rings: free-running indices, head written by the guest, tail by the host */
	uint64_t event_head, event_tail;
	uint64_t console_head, console_tail;
	struct bed_death death;
	char console[BED_CONSOLE_BYTES];
	struct bed_event event[BED_EVENTS];
};
BED_ASSERT_OFFSET(struct bed_cpushare, slot, 64);
_Static_assert(sizeof(struct bed_cpushare) <= BED_SHARE_STRIDE, "share area fits its stride");

#endif
