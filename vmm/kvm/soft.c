/* SPDX-License-Identifier: ISC */
/*
 * A CPU that is not KVM's: see struct hv_soft in hv.h.
 */
#include <stdlib.h>

#include "vmm/kvm/hv_priv.h"

struct hv_vm *
hv_vm_soft(const struct hv_soft *soft, struct hv_cpu **cpu, struct bed_err *err)
{
	struct hv_vm *vm = calloc(1, sizeof(*vm));
	struct hv_cpu *c = calloc(1, sizeof(*c));

	if (vm == NULL || c == NULL) {
		free(vm);
		free(c);
		bed_fail(err, BED_E_HOST, "out of memory for a machine");
		return NULL;
	}
	vm->fd = vm->stats.fd = -1;
	c->vm = vm;
	c->fd = c->stats.fd = -1;
	c->soft = soft;
	vm->cpu[vm->ncpu++] = *cpu = c;
	return vm;
}
