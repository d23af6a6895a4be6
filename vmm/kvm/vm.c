/* SPDX-License-Identifier: ISC */
/*
 * A virtual machine: creation, memory slots, destruction.
 */
#include "vmm/kvm/hv_priv.h"

#include "shared/layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool
fail(struct bed_err *err, const char *what)
{
	return bed_fail(err, BED_E_HOST, "%s: %s%s", what, strerror(errno),
	    errno == ENOMEM   ? "; the host is short of memory"
	    : errno == EMFILE ? "; raise the limit of open files (ulimit -n)"
			      : "");
}

static bool
enable(struct hv_vm *vm, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap c = { .cap = cap, .args = { arg } };

	return hv_ioctl(vm->fd, KVM_ENABLE_CAP, &c) == 0;
}

static bool
configure(struct hv_vm *vm, struct bed_err *err)
{
	uint64_t identity = BED_IDMAP_PA;

	if (hv_ioctl(vm->fd, KVM_SET_TSS_ADDR, (void *)(uintptr_t)BED_TSS_PA) != 0)
		return fail(err, "KVM_SET_TSS_ADDR");
	if (hv_ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) != 0 && errno != ENOTTY)
		return fail(err, "KVM_SET_IDENTITY_MAP_ADDR");
	if (!enable(vm, KVM_CAP_SPLIT_IRQCHIP, 24))
		return fail(err, "KVM_CAP_SPLIT_IRQCHIP");
	if (vm->hv->feat.emulation_bytes && !enable(vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1))
		return fail(err, "KVM_CAP_EXIT_ON_EMULATION_FAILURE");
	return true;
}

struct hv_vm *
hv_vm_create(struct bed_err *err)
{
	struct hv *hv = hv_get(err);
	struct hv_vm *vm;

	if (hv == NULL)
		return NULL;
	vm = calloc(1, sizeof(*vm));
	if (vm == NULL) {
		bed_fail(err, BED_E_HOST, "out of memory");
		return NULL;
	}
	vm->hv = hv;
	vm->stats.fd = -1;
	vm->fd = hv_ioctl(hv->fd, KVM_CREATE_VM, NULL);
	if (vm->fd == -1)
		fail(err, "KVM_CREATE_VM");
	else if (configure(vm, err))
		return vm;
	hv_vm_destroy(vm);
	return NULL;
}

static void
cpu_destroy(struct hv_cpu *cpu)
{
	hv_stats_close(&cpu->stats);
	if (cpu->run != NULL)
		munmap(cpu->run, cpu->vm->hv->run_bytes);
	if (cpu->fd != -1)
		close(cpu->fd);
	free(cpu);
}

void
hv_vm_destroy(struct hv_vm *vm)
{
	if (vm == NULL)
		return;
	for (unsigned i = 0; i < vm->ncpu; i++)
		cpu_destroy(vm->cpu[i]);
	hv_stats_close(&vm->stats);
	if (vm->fd != -1)
		close(vm->fd);
	free(vm);
}

bool
hv_vm_slot(struct hv_vm *vm, unsigned slot, gpa_t gpa, uint64_t len, void *host, unsigned flags,
    struct bed_err *err)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = ((flags & HV_SLOT_READONLY) != 0 ? KVM_MEM_READONLY : 0u) |
		         ((flags & HV_SLOT_DIRTY) != 0 ? KVM_MEM_LOG_DIRTY_PAGES : 0u),
		.guest_phys_addr = gpa.v,
		.memory_size = len,
		.userspace_addr = (uintptr_t)host,
	};

	if (hv_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) == 0) {
		if (slot < HV_SLOT_MAX)
			vm->slot[slot] = (struct hv_slot){ gpa, len, host, flags };
		return true;
	}
	return bed_fail(err, BED_E_HOST, "memory slot %u, guest physical %#lx + %#lx: %s%s", slot,
	    gpa.v, len, strerror(errno),
	    errno == ENOMEM ? "; the host has no memory for its bookkeeping, use less RAM" : "");
}

bool
hv_vm_dirty(struct hv_vm *vm, unsigned slot, uint64_t *bitmap, struct bed_err *err)
{
	struct kvm_dirty_log log = { .slot = slot, .dirty_bitmap = bitmap };

	return hv_ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log) == 0 || fail(err, "KVM_GET_DIRTY_LOG");
}

struct hv_cpu *
hv_cpu_create(struct hv_vm *vm, unsigned id, struct bed_err *err)
{
	struct hv_cpu *cpu;
	void *run;

	if (vm->ncpu == sizeof(vm->cpu) / sizeof(vm->cpu[0])) {
		bed_fail(err, BED_E_USAGE, "more than %u vCPUs", vm->ncpu);
		return NULL;
	}
	cpu = calloc(1, sizeof(*cpu));
	if (cpu == NULL) {
		bed_fail(err, BED_E_HOST, "out of memory");
		return NULL;
	}
	cpu->vm = vm;
	cpu->id = id;
	cpu->stats.fd = -1;
	cpu->fd = hv_ioctl(vm->fd, KVM_CREATE_VCPU, (void *)(uintptr_t)id);
	if (cpu->fd == -1) {
		fail(err, "KVM_CREATE_VCPU");
		goto out;
	}
	run = mmap(NULL, vm->hv->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
	if (run == MAP_FAILED) {
		fail(err, "map of the vCPU");
		goto out;
	}
	cpu->run = run;
	cpu->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	if (!hv_cpuid_install(cpu, err))
		goto out;
	if (vm->hv->feat.tsc_khz == 0) {
		int khz = ioctl(cpu->fd, KVM_GET_TSC_KHZ, 0);

		vm->hv->feat.tsc_khz = khz > 0 ? (uint64_t)khz : 0;
	}
	vm->cpu[vm->ncpu++] = cpu;
	return cpu;
out:
	cpu_destroy(cpu);
	return NULL;
}
