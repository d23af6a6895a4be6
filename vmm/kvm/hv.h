/* SPDX-License-Identifier: ISC */
/*
 * The hypervisor as the rest of the VMM sees it: a virtual machine, its memory slots, its vCPUs, and
 * why a vCPU came back. Nothing outside vmm/kvm/ includes <linux/kvm.h>; this header is what stands
 * between.
 *
 * Order: hv_features() once (opens /dev/kvm, checks it; later calls cost nothing), hv_vm_create(),
 * hv_vm_slot() for each piece of memory, hv_cpu_create(), hv_cpu_start64(), hv_cpu_run()... Destroying
 * the VM closes everything that is left.
 *
 * Threads: a vCPU belongs to the thread that runs it; all functions on it but hv_cpu_kick() are that
 * thread's, or another's while it certainly is not inside one. A VM may not be used in a forked child:
 * create it in the process that runs it.
 */
#ifndef VMM_KVM_HV_H
#define VMM_KVM_HV_H

#include <pthread.h>

#include "shared/types.h"
#include "vmm/error.h"

/* What this host's KVM can give a guest, after our CPU model (cpuid.c) is laid over it. */
struct hv_features {
	unsigned maxphyaddr; /* guest physical address bits */
	bool nx, pages_1g, pge;
	bool smep, smap, umip;
	bool x2apic, tsc_deadline, invariant_tsc;
	uint64_t tsc_khz;     /* 0: unknown */
	uint64_t cr4;         /* what long-mode kernels here start with: PAE, PGE and the offered of
	                          SMEP, SMAP, UMIP */
	uint64_t efer;        /* LME, LMA and, when offered, NXE */
	bool read_only_slots; /* HV_SLOT_READONLY works at all (not: for page tables) */
	bool single_step;     /* hv_cpu_step() */
	bool stats;           /* hv_cpu_stat(), hv_vm_stat() */
	bool emulation_bytes; /* an emulation failure comes with the instruction */
};

/* Opens and checks /dev/kvm on first use; NULL with the reason and the remedy. Never freed. */
const struct hv_features *hv_features(struct bed_err *);

/* For tests of the messages: the same checks on another path. */
bool hv_check_device(const char *path, struct bed_err *);

/* The capability table, for `uvmbed engine`: one row after another until false. */
struct hv_cap {
	const char *name; /* KVM_CAP_... */
	long number;      /* KVM's number */
	bool needed;
	const char *why;
	int value; /* what KVM_CHECK_EXTENSION says here; 0: absent */
};
bool hv_cap_row(unsigned index, struct hv_cap *, struct bed_err *);

/* The CPU model, for `uvmbed engine`: one feature bit after another until false. */
struct hv_cpuid_bit {
	uint32_t leaf;
	const char *reg, *name;
	unsigned bit;
	bool offered; /* to the guest, because host and KVM have it */
};
bool hv_cpuid_row(unsigned index, struct hv_cpuid_bit *, struct bed_err *);

struct hv_vm;
struct hv_cpu;
struct hv_regs;
struct hv_exit;

/*
 * A CPU that KVM does not run: code of this process that behaves like a guest. It has memory of its own
 * choice, no slots, no statistics and no single steps; everything else below works on it.
 */
struct hv_soft {
	/* As hv_cpu_run(). */
	bool (*run)(void *arg, unsigned timeout_ms, struct hv_exit *, struct bed_err *);
	void (*regs)(void *arg, struct hv_regs *);
	bool (*translate)(void *arg, gva_t va, gpa_t *pa);
	uint64_t root;
	void *arg;
};
/* A machine of one such CPU; `soft` must outlive it. */
struct hv_vm *hv_vm_soft(const struct hv_soft *, struct hv_cpu **, struct bed_err *);

/* A machine with in-kernel local APICs and no other device. */
struct hv_vm *hv_vm_create(struct bed_err *);
void hv_vm_destroy(struct hv_vm *); /* NULL is fine */

#define HV_SLOT_READONLY 0x1 /* guest stores leave with HV_EXIT_MMIO */
#define HV_SLOT_DIRTY    0x2 /* stores are logged */
#define HV_SLOT_MAX      32

/* Set, change or (len 0) delete slot `slot`. host is page aligned and outlives the VM. */
bool hv_vm_slot(struct hv_vm *, unsigned slot, gpa_t, uint64_t len, void *host, unsigned flags,
    struct bed_err *);
/* Pages of the slot stored to since the last call: one bit a page, bitmap of (pages + 63) / 64 words. */
bool hv_vm_dirty(struct hv_vm *, unsigned slot, uint64_t *bitmap, struct bed_err *);

struct hv_cpu *hv_cpu_create(struct hv_vm *, unsigned id, struct bed_err *);

/* How a vCPU begins in 64-bit mode: flat segments, interrupts off, x2APIC on, no GDT and no IDT. */
struct hv_start {
	uint64_t root; /* CR3 */
	uint64_t rip, rsp, rdi, rsi;
	uint64_t cr4, efer; /* usually those of hv_features */
	bool am;            /* CR0.AM */
};
void hv_cpu_start64(struct hv_cpu *, const struct hv_start *);
/* Before the first run of a vCPU with an id above 0: it waits for nobody to start it. */
bool hv_cpu_ready(struct hv_cpu *, struct bed_err *);

/* State as of the last return from hv_cpu_run(): no system call. */
struct hv_regs {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rip, rflags;
	uint64_t cr0, cr2, cr3, cr4, efer;
};
void hv_cpu_regs(struct hv_cpu *, struct hv_regs *);
/* CR3 alone. */
uint64_t hv_cpu_root(const struct hv_cpu *);
/* Takes effect at the next run. Finishes a pending I/O exit first, so it cannot undo the change. */
bool hv_cpu_set_regs(struct hv_cpu *, const struct hv_regs *, struct bed_err *);

enum hv_exit_kind {
	HV_EXIT_OUT,  /* guest wrote `value` (`size` bytes) to port `addr` */
	HV_EXIT_IN,   /* guest reads a port; no port can be read here */
	HV_EXIT_MMIO, /* access outside memory, or a store to a read-only slot */
	HV_EXIT_HLT,
	HV_EXIT_SHUTDOWN,  /* triple fault; the registers may be those of a reset CPU */
	HV_EXIT_EMULATION, /* KVM could not execute an instruction: insn[] if insn_len */
	HV_EXIT_INTERNAL,  /* another KVM internal error: `code` */
	HV_EXIT_ENTRY,     /* the CPU refused the guest state: `code` */
	HV_EXIT_STEP,      /* one instruction done under hv_cpu_step() */
	HV_EXIT_TIMEOUT,   /* the watchdog; the vCPU can be run again */
	HV_EXIT_KICKED,    /* hv_cpu_kick(); the vCPU can be run again */
	HV_EXIT_OTHER,     /* `code` is KVM's exit reason */
};

struct hv_exit {
	enum hv_exit_kind kind;
	bool write;     /* MMIO */
	unsigned size;  /* OUT, IN, MMIO: bytes */
	uint64_t addr;  /* OUT, IN: port; MMIO: guest physical address */
	uint64_t value; /* OUT; MMIO writes */
	uint64_t code;
	unsigned insn_len;
	uint8_t insn[15];
};

/*
 * Run until the guest leaves. Interrupted system calls are resumed; after timeout_ms (0: no limit) the
 * guest is stopped wherever it is, interrupts off or not: HV_EXIT_TIMEOUT. False only when KVM_RUN
 * itself fails.
 */
bool hv_cpu_run(struct hv_cpu *, unsigned timeout_ms, struct hv_exit *, struct bed_err *);

/* First in a thread made to run a vCPU: the process's signals are for others, but for a kick. */
void hv_thread_signals(void);
/* The same without a limit; ends with HV_EXIT_KICKED after hv_cpu_kick(). */
bool hv_cpu_run_kicked(struct hv_cpu *, struct hv_exit *, struct bed_err *);
/*
 * From any thread: `runner`, which runs the vCPU or soon will, is to come back, wherever the guest is, and
 * for every run from now on at once, until hv_cpu_unkick() by a thread that may use the vCPU.
 */
void hv_cpu_kick(struct hv_cpu *, pthread_t runner);
void hv_cpu_unkick(struct hv_cpu *);
/* Does the vCPU sleep in HLT? */
bool hv_cpu_halted(struct hv_cpu *);

/* Returns from KVM_RUN so far. One that a signal caused and that was resumed at once is none: the guest
 * did not leave. A stop by the watchdog is one. */
uint64_t hv_cpu_exits(const struct hv_cpu *);

/* "MMIO", "SHUTDOWN", ... and KVM's own exit reasons by name, for HV_EXIT_OTHER. */
const char *hv_exit_name(enum hv_exit_kind);
const char *hv_kvm_reason_name(uint64_t code);

/* One HV_EXIT_STEP per guest instruction from now on, or no more. */
bool hv_cpu_step(struct hv_cpu *, bool on, struct bed_err *);

/* What KVM itself thinks va maps to: false if nothing. Rights are not reported (KVM makes them up). */
bool hv_cpu_translate(struct hv_cpu *, gva_t va, gpa_t *pa);

/* A counter of KVM by name ("insn_emulation", "invlpg", "exits"); false: KVM here has no such one. */
bool hv_cpu_stat(struct hv_cpu *, const char *name, uint64_t *value);
bool hv_vm_stat(struct hv_vm *, const char *name, uint64_t *value);

#endif
