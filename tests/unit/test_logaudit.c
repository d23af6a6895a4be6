/* SPDX-License-Identifier: ISC */
/*
 * The parts of the log audit that need no guest: decoding instructions, comparing lists.
 */
#include <string.h>

#include "shared/paging.h"
#include "tests/bedtest.h"
#include "vmm/logaudit/decode.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define PGE         0x80

static const struct hv_regs regs = { .rax = 0x1000,
	.rbx = 0x2000,
	.rcx = 0x3000,
	.rdx = 0x20,
	.rbp = 0x5000,
	.rsp = 0x6000,
	.r8 = 0x8000,
	.r12 = 0xc000,
	.r13 = 0xd000,
	.rip = 0xffffffff80400000,
	.cr0 = 0x80010033,
	.cr4 = PGE | 0x20 };

static const struct {
	const char *what;
	uint8_t code[DECODE_BYTES];
	unsigned n;
	bool act;
	enum logact_kind kind;
	uint64_t a;
} insns[] = {
	{ "invlpg (%rax)", { 0x0f, 0x01, 0x38 }, 3, true, LOGACT_INVLPG, 0x1000 },
	{ "invlpg (%r8)", { 0x41, 0x0f, 0x01, 0x38 }, 4, true, LOGACT_INVLPG, 0x8000 },
	{ "invlpg 0x1000(%rax)", { 0x0f, 0x01, 0xb8, 0x00, 0x10, 0, 0 }, 7, true, LOGACT_INVLPG,
	    0x2000 },
	{ "invlpg -8(%rbp)", { 0x0f, 0x01, 0x7d, 0xf8 }, 4, true, LOGACT_INVLPG, 0x4ff8 },
	{ "invlpg (%r12)", { 0x41, 0x0f, 0x01, 0x3c, 0x24 }, 5, true, LOGACT_INVLPG, 0xc000 },
	{ "invlpg 0(%r13)", { 0x41, 0x0f, 0x01, 0x7d, 0x00 }, 5, true, LOGACT_INVLPG, 0xd000 },
	{ "invlpg (%rbx,%rdx,8)", { 0x0f, 0x01, 0x3c, 0xd3 }, 4, true, LOGACT_INVLPG, 0x2100 },
	{ "invlpg (%rsp)", { 0x0f, 0x01, 0x3c, 0x24 }, 4, true, LOGACT_INVLPG, 0x6000 },
	{ "invlpg 0x10(%rip)", { 0x0f, 0x01, 0x3d, 0x10, 0, 0, 0 }, 7, true, LOGACT_INVLPG,
	    0xffffffff80400017 },
	{ "invlpg 0x200000", { 0x0f, 0x01, 0x3c, 0x25, 0, 0, 0x20, 0 }, 8, true, LOGACT_INVLPG,
	    0x200000 },
	{ "invlpg %gs:(%rax)", { 0x65, 0x0f, 0x01, 0x38 }, 4, true, LOGACT_OTHER, 0x38010f65 },
	{ "swapgs", { 0x0f, 0x01, 0xf8 }, 3, false, 0, 0 },
	{ "lgdt (%rax)", { 0x0f, 0x01, 0x10 }, 3, false, 0, 0 },
	{ "mov %rbx,%cr3", { 0x0f, 0x22, 0xdb }, 3, true, LOGACT_CR3, 0x2000 },
	{ "mov %r12,%cr3", { 0x41, 0x0f, 0x22, 0xdc }, 4, true, LOGACT_CR3, 0xc000 },
	{ "mov %cr3,%rbx", { 0x0f, 0x20, 0xdb }, 3, false, 0, 0 },
	{ "mov %rdx,%cr4, PGE off", { 0x0f, 0x22, 0xe2 }, 3, true, LOGACT_FLUSH, 0x20 },
	{ "mov %rax,%cr0", { 0x0f, 0x22, 0xc0 }, 3, true, LOGACT_OTHER, 0xc0220f },
	{ "mov %rax,%cr8", { 0x44, 0x0f, 0x22, 0xc0 }, 4, false, 0, 0 },
	{ "invpcid (%rax),%rcx", { 0x66, 0x0f, 0x38, 0x82, 0x08 }, 5, true, LOGACT_OTHER,
	    0x0882380f66 },
	{ "mov %rax,(%rbx)", { 0x48, 0x89, 0x03 }, 3, false, 0, 0 },
	{ "nop", { 0x90 }, 1, false, 0, 0 },
	{ "prefixes only", { 0x66, 0x66, 0x66 }, 3, false, 0, 0 },
	{ "cut short", { 0x0f, 0x01 }, 2, false, 0, 0 },
	{ "nothing", { 0 }, 0, false, 0, 0 },
};

BED_TEST(logaudit_parts, decode)
{
	for (size_t i = 0; i < COUNT_OF(insns); i++) {
		uint8_t code[DECODE_BYTES];
		struct logact act;
		bool is;

		memcpy(code, insns[i].code, sizeof(code));
		is = decode_act(code, insns[i].n, &regs, &act);
		cr_assert(is == insns[i].act, "%s", insns[i].what);
		if (!is)
			continue;
		cr_expect(act.kind == insns[i].kind, "%s: kind %d", insns[i].what, act.kind);
		cr_expect(act.kind == LOGACT_FLUSH || act.a[0] == insns[i].a, "%s: %#lx",
		    insns[i].what, act.a[0]);
		cr_expect(act.pc == regs.rip, "%s", insns[i].what);
	}
}

/* A write that keeps PGE, or sets it, is no flush of its own. */
BED_TEST(logaudit_parts, cr4_without_change)
{
	const uint8_t code[] = { 0x0f, 0x22, 0xe0 }; /* mov %rax,%cr4 */
	struct hv_regs r = regs;
	struct logact act;

	r.rax = r.cr4;
	cr_expect(!decode_act(code, sizeof(code), &r, &act));
	r.cr4 = 0x20;
	cr_expect(!decode_act(code, sizeof(code), &r, &act));
}

static const struct logact good[] = {
	{ LOGACT_STORE, 0x10, { 0x5000, 0, 0x9063 } },
	{ LOGACT_STORE, 0x20, { 0x5008, 0x8063, 0x8001 } },
	{ LOGACT_INVLPG, 0x30, { 0x1000 } },
	{ LOGACT_STORE, 0x10, { 0x5000, 0x9063, 0 } },
	{ LOGACT_FLUSH, 0x40, { 0 } },
	{ LOGACT_CR3, 0x50, { 0x1000 } },
};

static struct logacts
list(const struct logact *from, size_t n, size_t without)
{
	struct logacts l = { .at = NULL };

	for (size_t i = 0; i < n; i++)
		if (i != without)
			cr_assert(logacts_add(&l, &from[i]));
	return l;
}

#define ALL SIZE_MAX

BED_TEST(logaudit_parts, equal_lists)
{
	struct logacts a = list(good, COUNT_OF(good), ALL), b = list(good, COUNT_OF(good), ALL);
	struct logacts none = { .at = NULL };
	struct bed_err err;

	cr_expect(logacts_compare(&a, &b, false, &err));
	cr_expect(logacts_compare(&none, &none, false, &err));
	/* A and D are the CPU's; where in the page INVLPG points does not matter; nor does who did it. */
	b.at[3].a[1] |= PTE_A | PTE_D;
	b.at[2].a[0] += 8;
	b.at[0].pc = 0;
	cr_expect(logacts_compare(&a, &b, false, &err), "%s", err.text);
	/* A store of what is there already cannot be seen. */
	cr_assert(logacts_add(&a, &(struct logact){ LOGACT_STORE, 1, { 0x5000, 7, 7 | PTE_A } }));
	cr_expect(logacts_compare(&a, &b, false, &err), "%s", err.text);
	logacts_free(&a);
	logacts_free(&b);
}

/* Each of them left out of either list is missed, and so is a change of each. */
BED_TEST(logaudit_parts, differences_are_found)
{
	struct logacts all = list(good, COUNT_OF(good), ALL);

	for (size_t i = 0; i < COUNT_OF(good); i++) {
		struct logacts less = list(good, COUNT_OF(good), i);
		struct bed_err err;

		cr_expect(!logacts_compare(&all, &less, false, &err), "%zu", i);
		cr_expect(err.class == BED_E_FINDING && strstr(err.text, "seen from outside"));
		cr_expect(!logacts_compare(&less, &all, false, &err), "%zu", i);
		/* Only stores are seen when tables are read-only. */
		if (good[i].kind != LOGACT_STORE)
			cr_expect(logacts_compare(&all, &less, true, &err), "%zu: %s", i, err.text);
		else
			cr_expect(!logacts_compare(&all, &less, true, &err), "%zu", i);
		logacts_free(&less);
	}
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		struct logacts other = list(good, COUNT_OF(good), ALL);
		struct bed_err err;

		if (good[i].kind == LOGACT_FLUSH)
			other.at[i].kind = LOGACT_CR3;
		else
			other.at[i].a[0] ^= 0x10000;
		cr_expect(!logacts_compare(&all, &other, false, &err), "%zu", i);
		logacts_free(&other);
	}
	logacts_free(&all);
}
