/* SPDX-License-Identifier: ISC */
/*
 * Taking and giving back the twin, and running it: see twin.h.
 */
#include "vmm/twin/twin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "shared/paging.h"
#include "vmm/kvm/watchdog.h"
#include "vmm/twin/priv.h"

static struct twin twins[2] = {
	[BED_RELEASE] = { .machine = &twin_machine_release },
	[BED_CHECKED] = { .machine = &twin_machine_checked },
};

const struct hv_features twin_features = { .maxphyaddr = 40, .nx = true, .pge = true };

static size_t
data_bytes(const struct twin *t)
{
	return (size_t)(t->machine->data_end - t->machine->data_start);
}

static void *
anonymous(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* What stays from bed to bed. */
static bool
prepare(struct twin *t)
{
	const size_t frames = BED_HOLE_START >> BED_PAGE_SHIFT;

	if (t->pristine != NULL)
		return true;
	t->stacks = anonymous(TWIN_STACKS * TWIN_STACK_STRIDE);
	t->taken.frame = anonymous(frames * sizeof(*t->taken.frame));
	t->taken.seen = anonymous(frames / 8);
	t->pristine = anonymous(data_bytes(t));
	if (t->stacks == NULL || t->taken.frame == NULL || t->taken.seen == NULL ||
	    t->pristine == NULL)
		return false;
	for (unsigned i = 0; i < TWIN_STACKS; i++)
		mprotect(t->stacks + i * TWIN_STACK_STRIDE, BED_PAGE_SIZE, PROT_NONE);
	twin_copy(t->pristine, t->machine->data_start, data_bytes(t));
	return true;
}

/* The image's pages that the guest kernel itself would write. */
static bool
place_data(struct twin *t, const struct image *im, struct bed_err *err)
{
	for (unsigned i = 0; i < im->nseg; i++) {
		if (im->seg[i].write && im->seg[i].memsz >= data_bytes(t)) {
			t->data_pa = im->seg[i].pa;
			return true;
		}
	}
	return bed_fail(err, BED_E_INPUT,
	    "the guest image has no place for the %zu KiB of the twin's data", data_bytes(t) >> 10);
}

static bool
attach_data(struct twin *t, struct bed_err *err)
{
	uint8_t *at = memory_at(&t->mem, t->data_pa);

	twin_copy(at, t->pristine, data_bytes(t));
	if (mmap(t->machine->data_start, data_bytes(t), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_FIXED, t->mem.fd, at - t->mem.base) != MAP_FAILED)
		return true;
	return bed_fail(err, BED_E_HOST, "the twin's data cannot be mapped: %s", strerror(errno));
}

static void
detach_data(struct twin *t)
{
	mmap(t->machine->data_start, data_bytes(t), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	twin_copy(t->machine->data_start, t->pristine, data_bytes(t));
}

static bool
run(void *arg, unsigned timeout_ms, struct hv_exit *e, struct bed_err *err)
{
	struct twin *t = arg;
	uint8_t kick;
	uint32_t value;

	if (!watchdog_begin(timeout_ms, &kick, err))
		return false;
	value = t->machine->enter();
	watchdog_end();
	if (value == TWIN_LEFT_TIMEOUT)
		*e = (struct hv_exit){ .kind = HV_EXIT_TIMEOUT };
	else
		*e = (struct hv_exit){
			.kind = HV_EXIT_OUT, .size = 4, .addr = BED_PORT, .value = value
		};
	return true;
}

static void
regs(void *arg, struct hv_regs *r)
{
	*r = ((struct twin *)arg)->regs;
}

static bool
translate(void *arg, gva_t va, gpa_t *pa)
{
	return ((struct twin *)arg)->machine->translate(va.v, &pa->v);
}

static bool
start(struct twin *t, const struct image *im, const struct bed_bootinfo *info, struct bed_err *err)
{
	struct twin_start s = { .ram = t->mem.base,
		.ram_bytes = t->mem.bytes,
		.stacks = t->stacks,
		.taken = &t->taken };

	if (!twin_guards(im, s.guard))
		return bed_fail(
		    err, BED_E_INPUT, "the guest image does not say where its stacks are");
	t->shadow_bytes = (info->ptpool_end - info->ptpool_start) / 8 * TWIN_SHADOW_BYTES;
	t->shadow = s.shadow = anonymous(t->shadow_bytes);
	if (t->shadow == NULL)
		return bed_fail(err, BED_E_HOST, "no memory for the twin's TLB");
	t->taken.n = 0;
	memset(t->taken.seen, 0, (BED_HOLE_START >> BED_PAGE_SHIFT) / 8);
	t->machine->start(&s);
	return true;
}

struct twin *
twin_create(enum bed_flavour flavour, const struct memory *mem, const struct image *im,
    const struct bed_bootinfo *info, struct hv_vm **vm, struct hv_cpu **cpu, struct bed_err *err)
{
	struct twin *t = &twins[flavour];

	if (t->used) {
		bed_fail(err, BED_E_USAGE,
		    "this process has a bed on the %s twin already: there is one twin of a flavour",
		    flavour == BED_CHECKED ? "checked" : "release");
		return NULL;
	}
	if (mem->high_end != 0) {
		bed_fail(err, BED_E_USAGE, "the twin has no hole in its memory: RAM up to %u MiB",
		    BED_HOLE_START >> 20);
		return NULL;
	}
	if (!prepare(t)) {
		bed_fail(err, BED_E_HOST, "no memory for the twin");
		return NULL;
	}
	t->mem = *mem;
	t->share = memory_at(mem, BED_SHARE_PA);
	t->regs = (struct hv_regs){ 0 };
	if (!place_data(t, im, err) || !attach_data(t, err))
		return NULL;
	t->used = true;
	t->soft = (struct hv_soft){
		.run = run, .regs = regs, .translate = translate, .root = info->root, .arg = t
	};
	if (twin_catch(t, err) && start(t, im, info, err) &&
	    (*vm = hv_vm_soft(&t->soft, cpu, err)) != NULL)
		return t;
	twin_destroy(t);
	return NULL;
}

void
twin_destroy(struct twin *t)
{
	if (t == NULL || !t->used)
		return;
	twin_forget(t);
	detach_data(t);
	if (t->shadow != NULL)
		munmap(t->shadow, t->shadow_bytes);
	t->shadow = NULL;
	t->used = false;
}

struct twin_data
twin_data(const struct twin *t)
{
	return (struct twin_data){ (uint64_t)t->machine->data_start, (uint64_t)t->machine->data_end,
		t->data_pa, (uint64_t)t->machine->text_start, (uint64_t)t->machine->text_end };
}

bool
twin_read(const struct twin *t, uint64_t va, uint64_t *word)
{
	uint64_t off = va - (uint64_t)t->stacks;
	bool on_stack =
	    off < TWIN_STACKS * TWIN_STACK_STRIDE - 8 && off % TWIN_STACK_STRIDE >= BED_PAGE_SIZE;
	bool is_code =
	    va >= (uint64_t)t->machine->text_start && va + 8 <= (uint64_t)t->machine->text_end;
	bool is_data =
	    va >= (uint64_t)t->machine->data_start && va + 8 <= (uint64_t)t->machine->data_end;

	if (on_stack || is_code || is_data)
		twin_copy(word, (const void *)va, sizeof(*word));
	return on_stack || is_code || is_data;
}
