/* SPDX-License-Identifier: ISC */
/*
 * Making KVM and the CPU forget translations after the host changed memory, and finding out by trial which way
 * of doing so works here: see state.h.
 *
 * KVM_SET_SREGS with the same control registers flushes nothing, and where KVM keeps shadows of the guest's
 * tables a store by the host into a table goes unseen whatever the registers do. Deleting a slot, any slot, drops all
 * of KVM's tables of the machine.
 */
#include "vmm/kvm/hv_priv.h"
#include "vmm/kvm/state.h"

#include "shared/layout.h"
#include "shared/paging.h"
#include "vmm/kvm/engine.h"
#include "vmm/kvm/tiny.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define DROP_SLOT HV_SLOT_MAX /* beyond those of hv_vm_slot() */
#define DROP_PA   BED_HOLE_START

static void *drop_page; /* never seen by a guest: the slot is gone before one runs */

static void
make_drop_page(void)
{
	drop_page = mmap(NULL, BED_PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static bool
drop_by_slot(struct hv_vm *vm, struct bed_err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_drop_page);
	if (drop_page == MAP_FAILED)
		return bed_fail(err, BED_E_HOST, "out of memory for a page");
	return hv_vm_slot(vm, DROP_SLOT, GPA(DROP_PA), BED_PAGE_SIZE, drop_page, 0, err) &&
	       hv_vm_slot(vm, DROP_SLOT, GPA(DROP_PA), 0, drop_page, 0, err);
}

static bool
drop_all(struct hv_vm *vm, struct bed_err *err)
{
	for (unsigned i = 0; i < HV_SLOT_MAX; i++) {
		struct hv_slot s = vm->slot[i];

		if (s.len != 0 && (!hv_vm_slot(vm, i, s.gpa, 0, s.host, 0, err) ||
				      !hv_vm_slot(vm, i, s.gpa, s.len, s.host, s.flags, err)))
			return false;
	}
	return true;
}

bool
hv_vm_drop(struct hv_vm *vm, enum hv_flush how, struct bed_err *err)
{
	switch (how) {
	case HV_FLUSH_SLOT:
		return drop_by_slot(vm, err);
	case HV_FLUSH_ALL:
		return drop_all(vm, err);
	default:
		return true;
	}
}

const char *
hv_flush_name(enum hv_flush how)
{
	static const char *const name[] = {
		[HV_FLUSH_PGE] = "toggle of CR4.PGE",
		[HV_FLUSH_SLOT] = "a slot that comes and goes",
		[HV_FLUSH_ALL] = "all slots taken and given",
		[HV_FLUSH_NONE] = "nothing to flush",
	};

	return (size_t)how < sizeof(name) / sizeof(name[0]) ? name[how] : "?";
}

/* The trial's memory, beside what a tiny machine has. */
#define TRIAL_BYTES 0x20000
#define ROOT_PA     0x1000
#define L3_PA       0x2000
#define L2_PA       0x3000
#define L1A_PA      0x4000
#define L1B_PA      0x5000
#define DATA_A_PA   0x11000
#define DATA_B_PA   0x12000
#define CODE_PA     0x13000
#define TRIAL_VA    0x200000 /* entry 1 at level 2 */
#define TRIALS      8

/* mov ecx,64; 1: mov rax,[rdi]; sub ecx,1; jnz 1b; out 0x80,al */
static const uint8_t trial_code[] = { 0xb9, 0x40, 0, 0, 0, 0x48, 0x8b, 0x07, 0x83, 0xe9, 0x01, 0x75,
	0xf8, 0xe6, 0x80 };

static void
put64(struct tiny *t, uint64_t pa, uint64_t value)
{
	memcpy(t->mem + pa, &value, sizeof(value));
}

/* Tables: TRIAL_VA goes to page A or B by its leaf, and by the table above it. */
static void
trial_tables(struct tiny *t, uint64_t user)
{
	const uint64_t table = PTE_P | PTE_W | PTE_A | user, leaf = table | PTE_D;

	put64(t, ROOT_PA, L3_PA | table);
	put64(t, L3_PA, L2_PA | table);
	put64(t, L2_PA, leaf | PTE_PS);
	put64(t, L2_PA + 8, L1A_PA | table);
	put64(t, L1A_PA, DATA_A_PA | leaf);
	put64(t, L1B_PA, DATA_B_PA | leaf);
	put64(t, DATA_A_PA, 'A');
	put64(t, DATA_B_PA, 'B');
	memcpy(t->mem + CODE_PA, trial_code, sizeof(trial_code));
}

static void
ring3_registers(struct tiny *t)
{
	struct kvm_sregs *sr = &t->cpu->run->s.regs.sregs;
	struct kvm_segment *data[] = { &sr->ds, &sr->es, &sr->fs, &sr->gs, &sr->ss };

	for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
		data[i]->dpl = 3;
		data[i]->selector |= 3;
	}
	sr->cs.dpl = 3;
	sr->cs.selector |= 3;
	t->cpu->run->s.regs.regs.rflags |= 3 << 12; /* IOPL: the OUT is allowed */
}

/* The state a trial starts from: before the first instruction. */
static bool
trial_start(struct tiny *t, bool ring3, struct hv_cpu_state *s, struct bed_err *err)
{
	const struct hv_features *feat = hv_features(err);
	struct hv_start start = { .root = ROOT_PA,
		.rip = CODE_PA,
		.rsp = TRIAL_BYTES,
		.rdi = TRIAL_VA,
		.cr4 = feat->cr4,
		.efer = feat->efer };

	trial_tables(t, ring3 ? PTE_U : 0);
	hv_cpu_start64(t->cpu, &start);
	if (ring3)
		ring3_registers(t);
	return hv_cpu_save(t->cpu, s, err);
}

static bool
trial_run(struct tiny *t, const struct hv_cpu_state *s, enum hv_flush how, uint64_t *value,
    struct bed_err *err)
{
	struct hv_regs regs;

	if (!hv_vm_drop(t->vm, how, err) ||
	    !hv_cpu_load(t->cpu, s, false, how == HV_FLUSH_PGE, err) || !tiny_resume(t, err))
		return false;
	hv_cpu_regs(t->cpu, &regs);
	*value = regs.rax;
	return true;
}

/* Round i: a leaf changes to the other page, or the table above it to the other table; what is read next? */
static uint64_t
trial_change(struct tiny *t, unsigned i, uint64_t user)
{
	const uint64_t table = PTE_P | PTE_W | PTE_A | user, leaf = table | PTE_D;
	bool b = i % 2 == 0;

	if (i % 4 < 2)
		put64(t, L1A_PA, (b ? DATA_B_PA : DATA_A_PA) | leaf);
	else
		put64(t, L2_PA + 8, (b ? L1B_PA : L1A_PA) | table);
	return b ? 'B' : 'A';
}

bool
hv_flush_try(enum hv_flush how, bool ring3, unsigned *stale, unsigned *tries, struct bed_err *err)
{
	struct hv_cpu_state *s = malloc(hv_cpu_state_bytes());
	uint64_t value, want = 'A';
	struct tiny t;
	bool ok;

	*stale = *tries = 0;
	if (s == NULL)
		return bed_fail(err, BED_E_HOST, "out of memory for a vCPU's state");
	if (!tiny_create(&t, TRIAL_BYTES, true, NULL, 0, err)) {
		free(s);
		return false;
	}
	ok = trial_start(&t, ring3, s, err) && trial_run(&t, s, how, &value, err);
	for (unsigned i = 0; ok && i < TRIALS; i++) {
		want = trial_change(&t, i, ring3 ? PTE_U : 0);
		ok = trial_run(&t, s, how, &value, err);
		*tries += ok;
		if (!ok || value == want)
			continue;
		++*stale;
		/* The next round starts from a known state, and its translation is in use. */
		ok = trial_run(&t, s, HV_FLUSH_ALL, &value, err);
	}
	tiny_destroy(&t);
	free(s);
	return ok;
}

static bool
works(enum hv_flush how, unsigned *stale, struct bed_err *err)
{
	struct bed_err ignored;
	unsigned tries;

	if (!hv_flush_try(how, false, stale, &tries, err) || *stale != 0)
		return false;
	/* Ring 0 is enough, the guest has nothing else; but what flushes should do so for both, where both run. */
	if (how == HV_FLUSH_NONE || !hv_flush_try(how, true, stale, &tries, &ignored))
		*stale = 0;
	return *stale == 0;
}

bool
hv_flush_choose(enum hv_flush *how, struct bed_err *err)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static enum hv_flush chosen;
	static bool ready;
	/* Where ring 0 is interpreted, each access walks the tables: nothing to forget. */
	static const enum hv_flush first[] = {
		[ENGINE_UNKNOWN] = HV_FLUSH_SLOT,
		[ENGINE_EPT] = HV_FLUSH_PGE,
		[ENGINE_NPT] = HV_FLUSH_PGE,
		[ENGINE_SHADOW] = HV_FLUSH_SLOT,
		[ENGINE_INTERP] = HV_FLUSH_NONE,
	};
	const struct engine *e = engine_get(err);
	enum hv_flush at;
	unsigned stale = 0;
	struct bed_err why = { 0 };

	if (e == NULL)
		return false;
	at = first[e->class];
	pthread_mutex_lock(&lock);
	for (; !ready && at <= HV_FLUSH_ALL; at++)
		if (works(at, &stale, &why)) {
			chosen = at;
			ready = true;
		}
	pthread_mutex_unlock(&lock);
	*how = chosen;
	if (ready)
		return true;
	return bed_fail(err, BED_E_HOST,
	    "no way was found to make this KVM forget translations after memory changed behind it "
	    "(the last one left %u of %d stale%s%s): a bed cannot be reset here, boot a new one",
	    stale, TRIALS, why.text[0] == '\0' ? "" : "; ", why.text);
}
