/* SPDX-License-Identifier: ISC */
/*
 * Saving, restoring and comparing a vCPU: see state.h.
 */
#include "vmm/kvm/state.h"

#include "vmm/kvm/hv_priv.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define MSRS_MAX              512
#define MSR_TSC               0x10
#define MSR_MPERF             0xe7
#define MSR_APERF             0xe8
#define MSR_HV_VP_RUNTIME     0x40000010
#define MSR_HV_TIME_REF_COUNT 0x40000020
#define CR4_PGE               (UINT64_C(1) << 7)
#define APIC_TMCCT            0x390 /* the timer's current count */
#define XSTATE_BV             512

struct hv_cpu_state {
	uint32_t bytes; /* of this struct */
	uint32_t parts; /* bit i: parts[i] below is there */
	uint32_t nmsr, zero;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	struct kvm_xcrs xcrs;
	uint32_t xsave[1024]; /* struct kvm_xsave without what guests here cannot have */
	struct kvm_fpu fpu;
	struct kvm_debugregs debug;
	struct kvm_lapic_state lapic;
	struct kvm_msr_entry msr[MSRS_MAX];
};

struct part {
	const char *name;
	size_t offset, size;
	unsigned long get, set;
	long cap;              /* needed for it; 0: always there */
	long unless;           /* left out where this capability is */
	size_t skip, skip_len; /* not compared */
};
#define PART(field, what, ...)                                                                    \
	{                                                                                         \
#field, offsetof(struct hv_cpu_state, field),                                     \
		    sizeof(((struct hv_cpu_state *)NULL)->field), KVM_GET_##what, KVM_SET_##what, \
		    __VA_ARGS__                                                                   \
	}

/* Each with an ioctl of its own, in the order they are put back. */
enum { FIRST_CHANGED = 1, FIRST_AFTER_REGS = 4, NPARTS = 6 };
static const struct part parts[NPARTS] = {
	/* Cannot change while the guest runs: the CPU model has no XSAVE, and so no XSETBV. */
	PART(xcrs, XCRS, KVM_CAP_XCRS, 0, 0, 0),
	PART(mp, MP_STATE, KVM_CAP_MP_STATE, 0, 0, 0),
	PART(xsave, XSAVE, KVM_CAP_XSAVE, 0, XSTATE_BV, 8),
	PART(fpu, FPU, 0, KVM_CAP_XSAVE, 0, 0),
	/* Its mode is in the system registers: after them. */
	PART(lapic, LAPIC, 0, 0, APIC_TMCCT, 4),
	PART(debug, DEBUGREGS, KVM_CAP_DEBUGREGS, 0, 0, 0),
};

/* Put back through kvm_run, which costs no ioctl each. */
static const struct part shared_parts[] = {
	PART(regs, REGS, 0, 0, 0, 0),
	PART(sregs, SREGS, 0, 0, 0, 0),
	PART(events, VCPU_EVENTS, 0, 0, 0, 0),
};

/* Lists of KVM end in an array without a size; here is room for one. */
union msr_list {
	struct kvm_msr_list head;
	uint8_t room[sizeof(struct kvm_msr_list) + MSRS_MAX * sizeof(uint32_t)];
};
union msr_buf {
	struct kvm_msrs head;
	uint8_t room[sizeof(struct kvm_msrs) + MSRS_MAX * sizeof(struct kvm_msr_entry)];
};

size_t
hv_cpu_state_bytes(void)
{
	return sizeof(struct hv_cpu_state);
}

bool
hv_cpu_state_check(const struct hv_cpu_state *s, size_t bytes, struct bed_err *err)
{
	if (bytes != sizeof(*s) || s->bytes != sizeof(*s))
		return bed_fail(err, BED_E_INPUT,
		    "the state of a vCPU is %zu bytes and says %u; here it has %zu", bytes,
		    bytes < sizeof(s->bytes) ? 0 : s->bytes, sizeof(*s));
	if (s->nmsr > MSRS_MAX || s->parts >> NPARTS != 0)
		return bed_fail(err, BED_E_INPUT,
		    "the state of a vCPU has %u MSRs and parts %#x: more than exist", s->nmsr,
		    s->parts);
	return true;
}

static bool
failed(const struct hv_cpu *cpu, const char *verb, const char *name, struct bed_err *err)
{
	return bed_fail(
	    err, BED_E_HOST, "vCPU %u: %s of %s: %s", cpu->id, verb, name, strerror(errno));
}

static bool
present(const struct hv *hv, const struct part *p)
{
	if (p->unless != 0 && ioctl(hv->fd, KVM_CHECK_EXTENSION, p->unless) > 0)
		return false;
	return p->cap == 0 || ioctl(hv->fd, KVM_CHECK_EXTENSION, p->cap) > 0;
}

/* MSRs that KVM lists, can be read, and take their own value back. */
static bool
save_msrs(struct hv_cpu *cpu, struct hv_cpu_state *s, struct bed_err *err)
{
	union msr_list list = { .head.nmsrs = MSRS_MAX };
	union msr_buf one = { .head.nmsrs = 1 };

	if (hv_ioctl(cpu->vm->hv->fd, KVM_GET_MSR_INDEX_LIST, &list) != 0)
		return failed(cpu, "KVM_GET_MSR_INDEX_LIST", "the MSRs", err);
	s->nmsr = 0;
	for (unsigned i = 0; i < list.head.nmsrs; i++) {
		one.head.entries[0] = (struct kvm_msr_entry){ .index = list.head.indices[i] };
		if (hv_ioctl(cpu->fd, KVM_GET_MSRS, &one) == 1 &&
		    hv_ioctl(cpu->fd, KVM_SET_MSRS, &one) == 1)
			s->msr[s->nmsr++] = one.head.entries[0];
	}
	return true;
}

bool
hv_cpu_save(struct hv_cpu *cpu, struct hv_cpu_state *s, struct bed_err *err)
{
	memset(s, 0, sizeof(*s));
	s->bytes = sizeof(*s);
	if (!hv_cpu_settle(cpu, err))
		return false;
	s->regs = cpu->run->s.regs.regs;
	s->sregs = cpu->run->s.regs.sregs;
	if (hv_ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &s->events) != 0)
		return failed(cpu, "reading", "the events", err);
	for (size_t i = 0; i < NPARTS; i++) {
		if (!present(cpu->vm->hv, &parts[i]))
			continue;
		if (hv_ioctl(cpu->fd, parts[i].get, (uint8_t *)s + parts[i].offset) != 0)
			return failed(cpu, "reading", parts[i].name, err);
		s->parts |= UINT32_C(1) << i;
	}
	return save_msrs(cpu, s, err);
}

static bool
load_msrs(struct hv_cpu *cpu, const struct hv_cpu_state *s, bool fresh, struct bed_err *err)
{
	union msr_buf buf = { .room = { 0 } };
	int n;

	for (unsigned i = 0; i < s->nmsr; i++)
		if (fresh || s->msr[i].index != MSR_TSC)
			buf.head.entries[buf.head.nmsrs++] = s->msr[i];
	n = hv_ioctl(cpu->fd, KVM_SET_MSRS, &buf);
	if (n == (int)buf.head.nmsrs)
		return true;
	if (n < 0)
		return failed(cpu, "writing", "the MSRs", err);
	return bed_fail(err, BED_E_HOST, "vCPU %u: MSR %#x does not take its saved value %#llx",
	    cpu->id, buf.head.entries[n].index, buf.head.entries[n].data);
}

static bool
put_parts(
    struct hv_cpu *cpu, const struct hv_cpu_state *s, size_t from, size_t to, struct bed_err *err)
{
	for (size_t i = from; i < to; i++)
		if ((s->parts >> i & 1) != 0 &&
		    hv_ioctl(cpu->fd, parts[i].set, (uint8_t *)(uintptr_t)s + parts[i].offset) != 0)
			return failed(cpu, "writing", parts[i].name, err);
	return true;
}

/* Through kvm_run, and at once: what asks KVM about this vCPU next must not see the old ones. */
static bool
put_regs(struct hv_cpu *cpu, const struct hv_cpu_state *s, uint64_t cr4, struct bed_err *err)
{
	struct kvm_sync_regs *sync = &cpu->run->s.regs;

	sync->regs = s->regs;
	sync->sregs = s->sregs;
	sync->sregs.cr4 = cr4;
	sync->events = s->events;
	cpu->run->kvm_dirty_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;
	return hv_cpu_settle(cpu, err);
}

bool
hv_cpu_load(
    struct hv_cpu *cpu, const struct hv_cpu_state *s, bool fresh, bool pge, struct bed_err *err)
{
	uint64_t cr4 = s->sregs.cr4;

	return (fresh || hv_cpu_settle(cpu, err)) && put_parts(cpu, s, 0, FIRST_AFTER_REGS, err) &&
	       (!pge || put_regs(cpu, s, cr4 ^ CR4_PGE, err)) && put_regs(cpu, s, cr4, err) &&
	       put_parts(cpu, s, FIRST_AFTER_REGS, NPARTS, err) && load_msrs(cpu, s, fresh, err);
}

/* The first byte where the two differ, outside what is skipped; or size. */
static size_t
difference(const struct part *p, const uint8_t *a, const uint8_t *b)
{
	for (size_t i = 0; i < p->size; i++)
		if (a[i] != b[i] && (i < p->skip || i >= p->skip + p->skip_len))
			return i;
	return p->size;
}

static bool
same_part(struct hv_cpu *cpu, const struct part *p, const struct hv_cpu_state *s,
    struct hv_cpu_state *now, struct bed_err *err)
{
	const uint8_t *want = (const uint8_t *)s + p->offset;
	uint8_t *got = (uint8_t *)now + p->offset;
	size_t at;

	if (hv_ioctl(cpu->fd, p->get, got) != 0)
		return failed(cpu, "reading", p->name, err);
	at = difference(p, want, got);
	return at == p->size ||
	       bed_fail(err, BED_E_FINDING, "vCPU %u: byte %zu of its %s is %#x, not %#x as saved",
		   cpu->id, at, p->name, got[at], want[at]);
}

/* Clocks: they have moved since. */
static bool
is_time(uint32_t msr)
{
	static const uint32_t clocks[] = { MSR_TSC, MSR_MPERF, MSR_APERF, MSR_HV_VP_RUNTIME,
		MSR_HV_TIME_REF_COUNT };

	for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++)
		if (clocks[i] == msr)
			return true;
	return false;
}

static bool
same_msrs(struct hv_cpu *cpu, const struct hv_cpu_state *s, struct bed_err *err)
{
	union msr_buf now = { .head.nmsrs = s->nmsr };

	memcpy(now.head.entries, s->msr, sizeof(s->msr));
	if (hv_ioctl(cpu->fd, KVM_GET_MSRS, &now) != (int)s->nmsr)
		return failed(cpu, "reading", "the MSRs", err);
	for (unsigned i = 0; i < s->nmsr; i++)
		if (now.head.entries[i].data != s->msr[i].data && !is_time(s->msr[i].index))
			return bed_fail(err, BED_E_FINDING,
			    "vCPU %u: MSR %#x is %#llx, not %#llx as saved", cpu->id,
			    s->msr[i].index, now.head.entries[i].data, s->msr[i].data);
	return true;
}

bool
hv_cpu_same(struct hv_cpu *cpu, const struct hv_cpu_state *s, struct bed_err *err)
{
	struct hv_cpu_state *now = calloc(1, sizeof(*now));
	bool ok;

	if (now == NULL)
		return bed_fail(err, BED_E_HOST, "out of memory for a vCPU's state");
	/* What was set and not taken over yet counts, too. */
	ok = hv_cpu_settle(cpu, err);
	for (size_t i = 0; ok && i < sizeof(shared_parts) / sizeof(shared_parts[0]); i++)
		ok = same_part(cpu, &shared_parts[i], s, now, err);
	for (size_t i = 0; ok && i < NPARTS; i++)
		ok = (s->parts >> i & 1) == 0 || same_part(cpu, &parts[i], s, now, err);
	ok = ok && same_msrs(cpu, s, err);
	free(now);
	return ok;
}
