/* SPDX-License-Identifier: ISC */
/*
 * See decode.h. Source of the encodings: AMD APM vol. 3, Intel SDM vol. 2.
 */
#include "vmm/logaudit/decode.h"

#include <string.h>

#define CR4_PGE (UINT64_C(1) << 7)

struct insn {
	const uint8_t *at;
	unsigned n, pos;
	uint8_t rex;
	bool segment, addr32; /* an fs or gs prefix, a 32-bit address */
	uint8_t modrm;
};

static uint64_t
reg(const struct hv_regs *r, unsigned i)
{
	const uint64_t v[] = { r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
		r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15 };

	return v[i & 15];
}

static void
prefixes(struct insn *in)
{
	for (; in->pos < in->n; in->pos++) {
		uint8_t b = in->at[in->pos];

		if (b == 0x64 || b == 0x65)
			in->segment = true;
		else if (b == 0x67)
			in->addr32 = true;
		else if (b != 0x66 && b != 0xf0 && b != 0xf2 && b != 0xf3 && b != 0x2e &&
			 b != 0x36 && b != 0x3e && b != 0x26)
			break;
	}
	if (in->pos < in->n && (in->at[in->pos] & 0xf0) == 0x40)
		in->rex = in->at[in->pos++];
}

static bool
displacement(struct insn *in, unsigned bytes, int64_t *disp)
{
	int32_t d32;

	*disp = 0;
	if (in->pos + bytes > in->n)
		return false;
	if (bytes == 1) {
		*disp = (int8_t)in->at[in->pos];
	} else if (bytes == 4) {
		memcpy(&d32, in->at + in->pos, sizeof(d32));
		*disp = d32;
	}
	in->pos += bytes;
	return true;
}

/* The address of the memory operand whose ModRM byte was read last. No instruction here has an immediate. */
static bool
operand(struct insn *in, const struct hv_regs *r, uint64_t *address)
{
	unsigned mod = in->modrm >> 6, rm = in->modrm & 7;
	bool relative = mod == 0 && rm == 5;
	unsigned bytes = mod == 1 ? 1 : mod == 2 || relative ? 4 : 0;
	uint64_t base = 0;
	int64_t disp;

	if (in->segment || in->addr32)
		return false;
	if (rm == 4) {
		unsigned sib, index;

		if (in->pos >= in->n)
			return false;
		sib = in->at[in->pos++];
		index = (sib >> 3 & 7) | ((in->rex & 2) != 0 ? 8u : 0);
		if (index != 4)
			base = reg(r, index) << (sib >> 6);
		if ((sib & 7) == 5 && mod == 0)
			bytes = 4;
		else
			base += reg(r, (sib & 7) | ((in->rex & 1) != 0 ? 8u : 0));
	} else if (!relative) {
		base = reg(r, rm | ((in->rex & 1) != 0 ? 8u : 0));
	}
	if (!displacement(in, bytes, &disp))
		return false;
	*address = base + (uint64_t)disp + (relative ? r->rip + in->pos : 0);
	return true;
}

static bool
cr_write(const struct insn *in, const struct hv_regs *r, struct logact *act)
{
	unsigned cr = (in->modrm >> 3 & 7) | ((in->rex & 4) != 0 ? 8u : 0);
	uint64_t value = reg(r, (in->modrm & 7) | ((in->rex & 1) != 0 ? 8u : 0));

	switch (cr) {
	case 0:
		return value != r->cr0; /* OTHER */
	case 3:
		act->kind = LOGACT_CR3;
		act->a[0] = value;
		return true;
	case 4:
		act->kind = LOGACT_FLUSH;
		return (r->cr4 & CR4_PGE) != 0 && (value & CR4_PGE) == 0;
	default:
		return false;
	}
}

bool
decode_act(const uint8_t *code, unsigned n, const struct hv_regs *r, struct logact *act)
{
	struct insn in = { .at = code, .n = n };
	uint8_t op;

	*act = (struct logact){ .kind = LOGACT_OTHER, .pc = r->rip };
	memcpy(&act->a[0], code, n < sizeof(act->a[0]) ? n : sizeof(act->a[0]));
	prefixes(&in);
	if (in.pos + 3 > n || code[in.pos] != 0x0f)
		return false;
	op = code[in.pos + 1];
	if (op == 0x38)
		return code[in.pos + 2] == 0x82; /* INVPCID: OTHER */
	in.modrm = code[in.pos + 2];
	in.pos += 3;
	if (op == 0x22)
		return cr_write(&in, r, act);
	if (op != 0x01 || (in.modrm >> 3 & 7) != 7 || in.modrm >> 6 == 3)
		return false;
	if (operand(&in, r, &act->a[0]))
		act->kind = LOGACT_INVLPG;
	return true;
}
