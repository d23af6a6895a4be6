/* SPDX-License-Identifier: ISC */
/*
 * Programs of calls: see batch.h.
 */
#include "vmm/bed/batch.h"

#include "vmm/bed/bed_priv.h"
#include "vmm/bed/call.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct bed_prog {
	struct bed *bed;
	unsigned n;
	const char *spoilt; /* the first mistake made while building */
	bool posted;
	unsigned cpu, slot; /* posted: where */
	uint64_t repeat;
	struct bed_op op[BED_PROG_OPS];
};

struct bed_prog *
bed_prog_new(struct bed *bed, struct bed_err *err)
{
	struct bed_prog *p = malloc(sizeof(*p));

	if (p == NULL) {
		bed_fail(err, BED_E_HOST, "out of memory for a program");
		return NULL;
	}
	p->bed = bed;
	bed_prog_clear(p);
	return p;
}

void
bed_prog_free(struct bed_prog *p)
{
	free(p);
}

void
bed_prog_clear(struct bed_prog *p)
{
	p->n = 0;
	p->spoilt = NULL;
	p->posted = false;
}

static void
spoil(struct bed_prog *p, const char *why)
{
	if (p->spoilt == NULL)
		p->spoilt = why;
}

unsigned
bed_prog_add(struct bed_prog *p, enum bed_call_id id, const uint64_t *args, unsigned nargs)
{
	struct bed_op *op;

	if (p->n == BED_PROG_OPS)
		spoil(p, "it has more operations than fit into BED_PROG_BYTES");
	else if (bed_call_nargs(id) < 0 || id == BED_CALL_batch)
		spoil(p, "an operation is no call, or the batch call itself");
	else if (nargs != (unsigned)bed_call_nargs(id))
		spoil(p, "an operation has not as many arguments as its call");
	if (p->spoilt != NULL)
		return BED_PROG_BAD;
	op = &p->op[p->n];
	memset(op, 0, sizeof(*op));
	op->call = (uint16_t)id;
	op->nargs = (uint8_t)nargs;
	for (unsigned i = 0; i < nargs; i++)
		op->arg[i] = args[i];
	return p->n++;
}

void
bed_prog_use(struct bed_prog *p, unsigned op, unsigned arg, unsigned of)
{
	if (op >= p->n || of >= op || arg >= p->op[op].nargs) {
		spoil(p, "a reference names no earlier operation, or no argument");
		return;
	}
	p->op[op].ref |= UINT32_C(1) << arg;
	p->op[op].arg[arg] = of;
}

void
bed_prog_plus(struct bed_prog *p, unsigned op, unsigned arg, uint64_t bytes)
{
	if (op >= p->n || arg >= p->op[op].nargs) {
		spoil(p, "a sum is for no operation, or for no argument of it");
		return;
	}
	p->op[op].addarg = (uint8_t)arg;
	p->op[op].add = bytes;
}

unsigned
bed_prog_len(const struct bed_prog *p)
{
	return p->n;
}

bool
bed_prog_post(struct bed_prog *p, unsigned cpu, uint64_t repeat, struct bed_err *err)
{
	uint64_t args[] = { memory_prog(&p->bed->mem, cpu), p->n, repeat };

	if (p->spoilt != NULL)
		return bed_fail(err, BED_E_USAGE, "the program cannot run: %s", p->spoilt);
	if (p->posted)
		return bed_fail(err, BED_E_USAGE, "the program is posted already");
	if (!bed_post_on(p->bed, cpu, BED_CALL_batch, args, 3, &p->slot, err))
		return bed_fail_in(err, "a program of %u operations", p->n);
	memcpy(memory_at(&p->bed->mem, args[0]), p->op, p->n * sizeof(p->op[0]));
	bed_pokes(p->bed, memory_at(&p->bed->mem, args[0]), p->n * sizeof(p->op[0]));
	p->posted = true;
	p->cpu = cpu;
	p->repeat = repeat;
	return true;
}

bool
bed_prog_finish(struct bed_prog *p, uint64_t *done, struct bed_err *err)
{
	const struct bed_op *area = memory_at(&p->bed->mem, memory_prog(&p->bed->mem, p->cpu));
	struct bed_result res;

	*done = 0;
	if (!p->posted)
		return bed_fail(err, BED_E_USAGE, "the program was not posted");
	if (!bed_call_wait(p->bed, p->slot, &res, err)) {
		p->posted = false;
		return bed_fail_in(err, "a program of %u operations", p->n);
	}
	if (res.state != BED_STATE_DONE)
		return bed_fail(err, BED_E_FINDING,
		    "a program of %u operations sleeps on \"%s\": one of its calls waits for "
		    "something no other call will do",
		    p->n, res.wmesg);
	p->posted = false;
	for (unsigned i = 0; i < p->n; i++) {
		p->op[i].result = area[i].result;
		p->op[i].result2 = area[i].result2;
	}
	*done = res.value;
	if (res.value == p->n * p->repeat)
		return true;
	return bed_fail(err, BED_E_FINDING,
	    "a program of %u operations, %" PRIu64 " times: the guest ran %" PRIu64 " operations",
	    p->n, p->repeat, res.value);
}

bool
bed_prog_run(struct bed_prog *p, uint64_t repeat, uint64_t *done, struct bed_err *err)
{
	*done = 0;
	return bed_prog_post(p, 0, repeat, err) && bed_prog_finish(p, done, err);
}

const struct bed_op *
bed_prog_result(const struct bed_prog *p, unsigned op)
{
	return op < p->n ? &p->op[op] : NULL;
}
