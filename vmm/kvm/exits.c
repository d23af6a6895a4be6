/* SPDX-License-Identifier: ISC */
/*
 * Why a vCPU came back, from kvm_run into the words of hv.h; names for everything.
 */
#include "vmm/kvm/hv_priv.h"

#include <string.h>

static const char *const kind_names[] = {
	[HV_EXIT_OUT] = "port write",
	[HV_EXIT_IN] = "port read",
	[HV_EXIT_MMIO] = "access outside memory",
	[HV_EXIT_HLT] = "halt",
	[HV_EXIT_SHUTDOWN] = "triple fault",
	[HV_EXIT_EMULATION] = "instruction emulation failure",
	[HV_EXIT_INTERNAL] = "KVM internal error",
	[HV_EXIT_ENTRY] = "guest state refused",
	[HV_EXIT_STEP] = "single step",
	[HV_EXIT_TIMEOUT] = "timeout",
	[HV_EXIT_KICKED] = "stop by the VMM",
	[HV_EXIT_OTHER] = "other KVM exit",
};

#define R(name) [KVM_EXIT_##name] = #name
static const char *const reason_names[] = {
	R(UNKNOWN),
	R(EXCEPTION),
	R(IO),
	R(HYPERCALL),
	R(DEBUG),
	R(HLT),
	R(MMIO),
	R(IRQ_WINDOW_OPEN),
	R(SHUTDOWN),
	R(FAIL_ENTRY),
	R(INTR),
	R(SET_TPR),
	R(TPR_ACCESS),
	R(NMI),
	R(INTERNAL_ERROR),
	R(SYSTEM_EVENT),
	R(IOAPIC_EOI),
	R(HYPERV),
	R(X86_RDMSR),
	R(X86_WRMSR),
	R(DIRTY_RING_FULL),
	R(AP_RESET_HOLD),
	R(X86_BUS_LOCK),
	R(XEN),
	R(NOTIFY),
};
#undef R

const char *
hv_exit_name(enum hv_exit_kind kind)
{
	return (size_t)kind < sizeof(kind_names) / sizeof(kind_names[0]) ? kind_names[kind] : "?";
}

const char *
hv_kvm_reason_name(uint64_t code)
{
	const char *name = NULL;

	if (code < sizeof(reason_names) / sizeof(reason_names[0]))
		name = reason_names[code];
	return name == NULL ? "unknown to this program" : name;
}

static void
decode_io(const struct kvm_run *run, struct hv_exit *e)
{
	e->kind = run->io.direction == KVM_EXIT_IO_OUT ? HV_EXIT_OUT : HV_EXIT_IN;
	e->addr = run->io.port;
	e->size = run->io.size;
	if (e->kind == HV_EXIT_OUT && e->size <= sizeof(e->value))
		memcpy(&e->value, (const uint8_t *)run + run->io.data_offset, e->size);
}

static void
decode_mmio(const struct kvm_run *run, struct hv_exit *e)
{
	e->kind = HV_EXIT_MMIO;
	e->addr = run->mmio.phys_addr;
	e->size = run->mmio.len;
	e->write = run->mmio.is_write;
	if (e->write && e->size <= sizeof(e->value))
		memcpy(&e->value, run->mmio.data, e->size);
}

static void
decode_internal(const struct kvm_run *run, struct hv_exit *e)
{
	e->code = run->internal.suberror;
	e->kind = HV_EXIT_INTERNAL;
	if (e->code != KVM_INTERNAL_ERROR_EMULATION)
		return;
	e->kind = HV_EXIT_EMULATION;
	if (run->emulation_failure.ndata >= 1 &&
	    (run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) !=
		0) {
		unsigned n = run->emulation_failure.insn_size;

		e->insn_len = n < sizeof(e->insn) ? n : (unsigned)sizeof(e->insn);
		memcpy(e->insn, run->emulation_failure.insn_bytes, e->insn_len);
	}
}

void
hv_exit_decode(const struct kvm_run *run, struct hv_exit *e)
{
	memset(e, 0, sizeof(*e));
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		decode_io(run, e);
		break;
	case KVM_EXIT_MMIO:
		decode_mmio(run, e);
		break;
	case KVM_EXIT_HLT:
		e->kind = HV_EXIT_HLT;
		break;
	case KVM_EXIT_SHUTDOWN:
		e->kind = HV_EXIT_SHUTDOWN;
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		decode_internal(run, e);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		e->kind = HV_EXIT_ENTRY;
		e->code = run->fail_entry.hardware_entry_failure_reason;
		break;
	case KVM_EXIT_DEBUG:
		e->kind = HV_EXIT_STEP;
		break;
	default:
		e->kind = HV_EXIT_OTHER;
		e->code = run->exit_reason;
	}
}
