/* SPDX-License-Identifier: ISC */
/*
 * The smallest machine: see tiny.h.
 */
#include "vmm/kvm/tiny.h"

#include "shared/paging.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROOT_PA  0x1000
#define L3_PA    0x2000
#define L2_PA    0x3000
#define STACK_PA 0xf000
#define CODE_PA  0x10000

#define LIMIT_MS 5000

static bool
reserve(struct tiny *t, bool shared, struct bed_err *err)
{
	if (shared) {
		t->fd = memfd_create("uvmbed-probe", MFD_CLOEXEC);
		if (t->fd == -1 || ftruncate(t->fd, (off_t)t->bytes) != 0)
			return bed_fail(err, BED_E_HOST, "memory for a probe: %s", strerror(errno));
	}
	t->mem = mmap(NULL, t->bytes, PROT_READ | PROT_WRITE,
	    shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, t->fd, 0);
	if (t->mem != MAP_FAILED)
		return true;
	t->mem = NULL;
	return bed_fail(err, BED_E_HOST, "memory for a probe: %s", strerror(errno));
}

static void
put(struct tiny *t, uint64_t pa, uint64_t entry)
{
	memcpy(t->mem + pa, &entry, sizeof(entry));
}

static bool
build(struct tiny *t, const struct tiny_slot *slot, unsigned nslot, struct bed_err *err)
{
	put(t, ROOT_PA, L3_PA | PTE_P | PTE_W | PTE_A);
	put(t, L3_PA, L2_PA | PTE_P | PTE_W | PTE_A);
	put(t, L2_PA, PTE_P | PTE_W | PTE_A | PTE_D | PTE_PS);
	t->vm = hv_vm_create(err);
	if (t->vm == NULL)
		return false;
	for (unsigned i = 0; i < nslot; i++)
		if (!hv_vm_slot(t->vm, i, GPA(slot[i].gpa), slot[i].len, t->mem + slot[i].offset,
			slot[i].flags, err))
			return false;
	t->cpu = hv_cpu_create(t->vm, 0, err);
	return t->cpu != NULL;
}

bool
tiny_create(struct tiny *t, uint64_t bytes, bool shared, const struct tiny_slot *slot,
    unsigned nslot, struct bed_err *err)
{
	const struct tiny_slot all = { 0, bytes, 0, 0 };

	*t = (struct tiny){ .bytes = bytes, .fd = -1 };
	if (reserve(t, shared, err) &&
	    build(t, slot == NULL ? &all : slot, slot == NULL ? 1 : nslot, err))
		return true;
	tiny_destroy(t);
	return false;
}

void
tiny_destroy(struct tiny *t)
{
	hv_vm_destroy(t->vm);
	if (t->mem != NULL)
		munmap(t->mem, t->bytes);
	if (t->fd != -1)
		close(t->fd);
	*t = (struct tiny){ .fd = -1 };
}

bool
tiny_resume(struct tiny *t, struct bed_err *err)
{
	struct hv_exit e;

	if (!hv_cpu_run(t->cpu, LIMIT_MS, &e, err))
		return false;
	if (e.kind == HV_EXIT_OUT)
		return true;
	return bed_fail(err, BED_E_HOST,
	    "a probe of this KVM ended with %s instead of a port write", hv_exit_name(e.kind));
}

bool
tiny_start(struct tiny *t, const void *code, unsigned len, uint64_t arg, struct bed_err *err)
{
	const struct hv_features *feat = hv_features(err);
	struct hv_start start;

	if (feat == NULL)
		return false;
	memcpy(t->mem + CODE_PA, code, len);
	start = (struct hv_start){ .root = ROOT_PA,
		.rip = CODE_PA,
		.rsp = STACK_PA,
		.rdi = arg,
		.cr4 = feat->cr4,
		.efer = feat->efer };
	hv_cpu_start64(t->cpu, &start);
	return true;
}

bool
tiny_run(struct tiny *t, const void *code, unsigned len, uint64_t arg, struct bed_err *err)
{
	return tiny_start(t, code, len, arg, err) && tiny_resume(t, err);
}
