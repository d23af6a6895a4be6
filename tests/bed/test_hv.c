/* SPDX-License-Identifier: ISC */
/*
 * The hypervisor layer on the smallest machine there is: what vmm/kvm/ promises to the rest, on whatever
 * KVM this host has.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bedtest.h"
#include "vmm/kvm/engine.h"
#include "vmm/kvm/state.h"
#include "vmm/kvm/tiny.h"

#define PAGE 4096
#define MEM  (32 * PAGE)

static double
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void
machine(struct tiny *t)
{
	struct bed_err err;

	cr_assert(tiny_create(t, MEM, true, NULL, 0, &err), "%s", err.text);
}

#define RUN(t, code, arg)                                                                      \
	do {                                                                                   \
		struct bed_err run_err;                                                        \
		cr_assert(tiny_run(t, code, sizeof(code), arg, &run_err), "%s", run_err.text); \
	} while (0)

BED_TEST(hv, capabilities_and_model_are_told)
{
	unsigned caps = 0, bits = 0, needed = 0;
	struct hv_cpuid_bit bit;
	struct hv_cap cap;
	struct bed_err err;

	for (; hv_cap_row(caps, &cap, &err); caps++) {
		needed += cap.needed;
		cr_expect(!cap.needed || cap.value > 0, "%s", cap.name);
		cr_expect(cap.name[0] != '\0' && cap.why[0] != '\0' && cap.number >= 0);
	}
	for (; hv_cpuid_row(bits, &bit, &err); bits++)
		cr_expect(bit.bit < 32 && bit.name[0] != '\0');
	cr_expect(caps > needed && needed > 5 && bits > 20);
}

/* mov eax,edi; xor ecx,ecx; cpuid; out 0x80,al */
static const uint8_t code_cpuid[] = { 0x89, 0xf8, 0x31, 0xc9, 0x0f, 0xa2, 0xe6, 0x80 };

static uint32_t
guest_cpuid(struct tiny *t, uint32_t leaf, const char *reg)
{
	struct hv_regs r;

	RUN(t, code_cpuid, leaf);
	hv_cpu_regs(t->cpu, &r);
	return (uint32_t)(reg[1] == 'b' ? r.rbx : reg[1] == 'c' ? r.rcx : r.rdx);
}

/* The guest sees the rows of the table and not a bit more. */
BED_TEST(hv, the_guest_sees_the_model)
{
	static const struct {
		uint32_t leaf;
		const char *reg;
	} words[] = { { 1, "edx" }, { 1, "ecx" }, { 7, "ebx" }, { 7, "ecx" }, { 7, "edx" },
		{ 0x80000001, "edx" }, { 0x80000001, "ecx" }, { 0x80000007, "edx" } };
	struct hv_cpuid_bit bit;
	struct bed_err err;
	struct tiny t;

	machine(&t);
	if (engine_get(&err)->class == ENGINE_INTERP)
		bedtest_xfail("CPUID is not intercepted here: the guest sees the host's CPU");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		uint32_t want = 0;

		for (unsigned k = 0; hv_cpuid_row(k, &bit, &err); k++)
			if (bit.leaf == words[i].leaf && strcmp(bit.reg, words[i].reg) == 0 &&
			    bit.offered)
				want |= UINT32_C(1) << bit.bit;
		cr_expect(guest_cpuid(&t, words[i].leaf, words[i].reg) == want,
		    "leaf %#x %s: %#x, not %#x", words[i].leaf, words[i].reg,
		    guest_cpuid(&t, words[i].leaf, words[i].reg), want);
	}
	tiny_destroy(&t);
}

/* add rdi,5; out 0x80,al; add rdi,7; out 0x80,al */
static const uint8_t code_add[] = { 0x48, 0x83, 0xc7, 0x05, 0xe6, 0x80, 0x48, 0x83, 0xc7, 0x07,
	0xe6, 0x80 };

BED_TEST(hv, registers_are_read_and_set)
{
	struct hv_regs r, again;
	struct bed_err err;
	struct tiny t;

	machine(&t);
	RUN(&t, code_add, 100);
	hv_cpu_regs(t.cpu, &r);
	cr_expect(r.rdi == 105 && r.cr3 == 0x1000 && hv_cpu_root(t.cpu) == 0x1000);
	/* A change after an I/O exit must not be undone or doubled when that exit is finished. */
	r.rdi = 1000;
	r.rip = 0x10000 + 6;
	cr_assert(hv_cpu_set_regs(t.cpu, &r, &err), "%s", err.text);
	cr_assert(tiny_resume(&t, &err), "%s", err.text);
	hv_cpu_regs(t.cpu, &again);
	cr_expect(again.rdi == 1007, "%lu", again.rdi);
	tiny_destroy(&t);
}

/* mov ecx,edi; 1: sub ecx,1; jns 1b; out 0x80,al */
static const uint8_t code_loop[] = { 0x89, 0xf9, 0x83, 0xe9, 0x01, 0x79, 0xfb, 0xe6, 0x80 };

/* Single steps, and KVM's own counter where it has one, give the number the code says. */
BED_TEST(hv, instructions_are_counted)
{
	uint64_t before = 0, after = 0, steps = 0;
	struct bed_err err = { 0 };
	struct hv_exit e;
	struct tiny t;
	bool counter;

	machine(&t);
	RUN(&t, code_loop, 0);
	counter = hv_cpu_stat(t.cpu, "insn_emulation", &before);
	RUN(&t, code_loop, 99);
	if (counter && engine_get(&err)->counts_insns) {
		cr_assert(hv_cpu_stat(t.cpu, "insn_emulation", &after));
		cr_expect(after - before == 202, "%lu", after - before);
	}
	cr_expect(!hv_cpu_stat(t.cpu, "no_such_counter", &after));
	cr_assert(hv_cpu_step(t.cpu, true, &err), "%s", err.text);
	struct hv_start start = { .root = 0x1000,
		.rip = 0x10000,
		.rsp = 0xf000,
		.rdi = 99,
		.cr4 = hv_features(&err)->cr4,
		.efer = hv_features(&err)->efer };
	hv_cpu_start64(t.cpu, &start);
	for (;;) {
		cr_assert(hv_cpu_run(t.cpu, 5000, &e, &err), "%s", err.text);
		if (e.kind != HV_EXIT_STEP)
			break;
		cr_assert(++steps < 1000);
	}
	cr_expect(e.kind == HV_EXIT_OUT && e.addr == 0x80 && e.size == 1);
	cr_expect(steps == 201, "%lu", steps);
	tiny_destroy(&t);
}

/* cli; 1: jmp 1b */
static const uint8_t code_spin[] = { 0xfa, 0xeb, 0xfe };

BED_TEST(hv, the_watchdog_stops_a_spinning_guest)
{
	static const unsigned limits[] = { 400, 50, 100, 50 };
	struct hv_start start;
	struct bed_err err;
	struct hv_exit e;
	struct tiny t, other;

	machine(&t);
	machine(&other);
	memcpy(t.mem + 0x10000, code_spin, sizeof(code_spin));
	start = (struct hv_start){ .root = 0x1000,
		.rip = 0x10000,
		.rsp = 0xf000,
		.cr4 = hv_features(&err)->cr4,
		.efer = hv_features(&err)->efer };
	hv_cpu_start64(t.cpu, &start);
	/* Longer, shorter and equal limits in turn: each is kept, and the guest goes on after each. */
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		double begin = now_ms(), took;

		cr_assert(hv_cpu_run(t.cpu, limits[i], &e, &err), "%s", err.text);
		took = now_ms() - begin;
		cr_expect(e.kind == HV_EXIT_TIMEOUT, "%s", hv_exit_name(e.kind));
		cr_expect(
		    took >= limits[i] && took < limits[i] + 2000, "%u ms: %f", limits[i], took);
		/* Another machine in the same thread is not hit by what is left of it. */
		RUN(&other, code_loop, 10);
	}
	tiny_destroy(&t);
	tiny_destroy(&other);
}

/* mov [rdi],rdi; out 0x80,al */
static const uint8_t code_store[] = { 0x48, 0x89, 0x3f, 0xe6, 0x80 };

BED_TEST(hv, the_dirty_log_names_the_page)
{
	uint64_t bits = 0;
	struct bed_err err;
	struct tiny t;

	machine(&t);
	RUN(&t, code_store, 20 * PAGE);
	cr_assert(hv_vm_slot(t.vm, 0, GPA(0), MEM, t.mem, HV_SLOT_DIRTY, &err), "%s", err.text);
	RUN(&t, code_store, 22 * PAGE + 8);
	cr_assert(hv_vm_dirty(t.vm, 0, &bits, &err), "%s", err.text);
	/* A superset is allowed (pages first read, tables marked accessed), a miss is not. */
	cr_expect((bits & UINT64_C(1) << 22) != 0, "%#lx", bits);
	cr_expect((bits & UINT64_C(1) << 23) == 0, "%#lx", bits);
	cr_expect(*(uint64_t *)(t.mem + 22 * PAGE + 8) == 22 * PAGE + 8);
	tiny_destroy(&t);
}

BED_TEST(hv, a_store_to_a_read_only_slot_is_an_exit)
{
	const struct tiny_slot slots[] = {
		{ 0, 0x1f000, 0, 0 },
		{ 0x1f000, PAGE, 0x1f000, 0 },
	};
	struct hv_start start;
	struct bed_err err;
	struct hv_exit e;
	struct tiny t;

	cr_assert(tiny_create(&t, MEM, true, slots, 2, &err), "%s", err.text);
	cr_assert(hv_features(&err)->read_only_slots);
	cr_assert(hv_vm_slot(t.vm, 1, GPA(0x1f000), 0, NULL, 0, &err), "%s", err.text);
	cr_assert(hv_vm_slot(t.vm, 1, GPA(0x1f000), PAGE, t.mem + 0x1f000, HV_SLOT_READONLY, &err),
	    "%s", err.text);
	memcpy(t.mem + 0x10000, code_store, sizeof(code_store));
	start = (struct hv_start){ .root = 0x1000,
		.rip = 0x10000,
		.rsp = 0xf000,
		.rdi = 0x1f008,
		.cr4 = hv_features(&err)->cr4,
		.efer = hv_features(&err)->efer };
	hv_cpu_start64(t.cpu, &start);
	cr_assert(hv_cpu_run(t.cpu, 5000, &e, &err), "%s", err.text);
	cr_expect(e.kind == HV_EXIT_MMIO && e.write && e.addr == 0x1f008 && e.value == 0x1f008);
	cr_expect(*(uint64_t *)(t.mem + 0x1f008) == 0, "it was written all the same");
	/* The guest goes on behind the store. */
	cr_assert(tiny_resume(&t, &err), "%s", err.text);
	tiny_destroy(&t);
}

BED_TEST(hv, outside_memory_is_an_exit_that_says_where)
{
	struct hv_start start;
	struct bed_err err;
	struct hv_exit e;
	struct tiny t;
	gpa_t pa;

	machine(&t);
	memcpy(t.mem + 0x10000, code_store, sizeof(code_store));
	start = (struct hv_start){ .root = 0x1000,
		.rip = 0x10000,
		.rsp = 0xf000,
		.rdi = 0x100010,
		.cr4 = hv_features(&err)->cr4,
		.efer = hv_features(&err)->efer };
	hv_cpu_start64(t.cpu, &start);
	cr_assert(hv_cpu_run(t.cpu, 5000, &e, &err), "%s", err.text);
	cr_expect(e.kind == HV_EXIT_MMIO && e.write && e.addr == 0x100010 && e.size == 8 &&
		      e.value == 0x100010,
	    "%s %#lx", hv_exit_name(e.kind), e.addr);
	cr_expect(hv_cpu_translate(t.cpu, GVA(0x1234), &pa) && pa.v == 0x1234);
	cr_expect(!hv_cpu_translate(t.cpu, GVA(0x40000000), &pa));
	tiny_destroy(&t);
}

BED_TEST(hv, the_engine_is_known)
{
	struct bed_err err = { 0 };
	const struct engine *e = engine_get(&err);

	cr_assert(e != NULL, "%s", err.text);
	cr_expect(e == engine_get(&err));
	cr_expect(e->name[0] != '\0' && e->cpu[0] != '\0' && e->evidence[0] != '\0');
	if (e->class == ENGINE_INTERP)
		cr_expect(e->counts_insns || e->ns_per_insn > 200, "%s", e->evidence);
	else if (!e->tcg) /* an emulated CPU may be slow at any moment */
		cr_expect(!e->counts_insns && e->ns_per_insn <= 200, "%s", e->evidence);
}

/*
 * mov rdx,rdi; mov eax,edi; shr rdx,32; mov ecx,0xc0000102 (KERNEL_GS_BASE); wrmsr; mov cr2,rdi; mov dr0,rdi;
 * out 0x80,al
 */
static const uint8_t code_state[] = { 0x48, 0x89, 0xfa, 0x89, 0xf8, 0x48, 0xc1, 0xea, 0x20, 0xb9,
	0x02, 0x01, 0x00, 0xc0, 0x0f, 0x30, 0x0f, 0x22, 0xd7, 0x0f, 0x23, 0xc7, 0xe6, 0x80 };

BED_TEST(hv, all_of_a_vcpu_comes_back)
{
	struct hv_cpu_state *s = malloc(hv_cpu_state_bytes());
	struct bed_err err;
	struct tiny t;

	machine(&t);
	RUN(&t, code_state, 0x1000);
	cr_assert(hv_cpu_save(t.cpu, s, &err), "%s", err.text);
	cr_assert(hv_cpu_state_check(s, hv_cpu_state_bytes(), &err), "%s", err.text);
	cr_expect(hv_cpu_same(t.cpu, s, &err), "%s", err.text);
	RUN(&t, code_state, 0x77777000);
	/* Registers, system registers, debug registers, an MSR: each was changed, each comes back. */
	for (int pge = 0; pge < 2; pge++) {
		cr_expect(!hv_cpu_same(t.cpu, s, &err));
		cr_assert(hv_cpu_load(t.cpu, s, false, pge, &err), "%s", err.text);
		cr_expect(hv_cpu_same(t.cpu, s, &err), "%s", err.text);
		cr_assert(hv_cpu_load(t.cpu, s, true, pge, &err), "%s", err.text);
		cr_expect(hv_cpu_same(t.cpu, s, &err), "%s", err.text);
		RUN(&t, code_state, 0x88888000);
	}
	cr_expect(!hv_cpu_state_check(s, hv_cpu_state_bytes() - 8, &err));
	((uint32_t *)s)[2] = 100000; /* MSRs */
	cr_expect(!hv_cpu_state_check(s, hv_cpu_state_bytes(), &err));
	free(s);
	tiny_destroy(&t);
}

/* A vCPU that shut down, one that left for memory that is not there, one stopped in a loop: all can be put back. */
BED_TEST(hv, a_vcpu_comes_back_from_anything)
{
	/* mov edi,[0x100000], which is mapped to nothing; ud2, with no IDT; jmp self */
	static const uint8_t mmio[] = { 0x8b, 0x3c, 0x25, 0x00, 0x00, 0x10, 0x00 };
	static const uint8_t good[] = { 0xe6, 0x80 }, ud2[] = { 0x0f, 0x0b },
			     self[] = { 0xeb, 0xfe };
	const struct {
		const uint8_t *code;
		size_t len;
		enum hv_exit_kind kind;
	} row[] = { { mmio, sizeof(mmio), HV_EXIT_MMIO }, { ud2, sizeof(ud2), HV_EXIT_SHUTDOWN },
		{ self, sizeof(self), HV_EXIT_TIMEOUT } };
	struct hv_cpu_state *s = malloc(hv_cpu_state_bytes());
	struct bed_err err;
	struct hv_exit e;
	struct tiny t;

	machine(&t);
	RUN(&t, good, 0);
	cr_assert(hv_cpu_save(t.cpu, s, &err), "%s", err.text);
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		/* Behind the OUT that the saved state stands at. */
		memcpy(t.mem + 0x10002, row[i].code, row[i].len);
		cr_assert(hv_cpu_run(t.cpu, 300, &e, &err), "row %zu: %s", i, err.text);
		cr_expect(e.kind == row[i].kind, "row %zu: %s", i, hv_exit_name(e.kind));
		cr_assert(hv_cpu_load(t.cpu, s, false, false, &err), "row %zu: %s", i, err.text);
		cr_expect(hv_cpu_same(t.cpu, s, &err), "row %zu: %s", i, err.text);
	}
	memcpy(t.mem + 0x10002, good, sizeof(good));
	cr_expect(tiny_resume(&t, &err), "%s", err.text);
	free(s);
	tiny_destroy(&t);
}

/* The host changes an entry that has just been used: after what flushes here, the change is seen. */
BED_TEST(hv, changed_tables_are_seen_after_a_flush)
{
	unsigned stale, tries, kept = 0;
	struct bed_err err = { 0 };
	enum hv_flush how;

	cr_assert(hv_flush_choose(&how, &err), "%s", err.text);
	cr_assert(hv_flush_try(how, false, &stale, &tries, &err), "%s", err.text);
	cr_expect(stale == 0 && tries > 0, "%s: %u of %u stale", hv_flush_name(how), stale, tries);
	for (int ring3 = 0; ring3 < 2; ring3++) {
		cr_assert(hv_flush_try(HV_FLUSH_ALL, ring3, &stale, &tries, &err), "%s", err.text);
		cr_expect(stale == 0 && tries > 0, "ring %d: %u of %u", 3 * ring3, stale, tries);
		cr_assert(hv_flush_try(HV_FLUSH_SLOT, ring3, &stale, &tries, &err), "%s", err.text);
		cr_expect(stale == 0 && tries > 0, "ring %d: %u of %u", 3 * ring3, stale, tries);
		cr_assert(hv_flush_try(HV_FLUSH_NONE, ring3, &stale, &tries, &err), "%s", err.text);
		kept += stale;
	}
	if (kept == 0)
		bedtest_vacuous("a changed entry is seen without a flush, too");
}
