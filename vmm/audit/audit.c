/* SPDX-License-Identifier: ISC */
/*
 * The table of rules, and running them: see audit.h.
 */
#include "vmm/audit/audit.h"

#include <time.h>

#include "vmm/audit/input.h"
#include "vmm/bed/inspect.h"

struct row {
	struct audit_rule rule;
	audit_fn *fn;
};

static const struct row rows[] = {
#define RULE(number, id, kind, fn, statement) \
	{ { number, id, statement, AUDIT_##kind }, audit_##fn },
#include "vmm/audit/rules.def"
#undef RULE
};
#define NROWS (sizeof(rows) / sizeof(rows[0]))

struct audit {
	struct audit_symbols sym;
	struct audit_input in;
	uint64_t read_ns;
	struct audit_verdict verdict[NROWS];
};

unsigned
audit_rules(void)
{
	return NROWS;
}

const struct audit_rule *
audit_rule(unsigned i)
{
	return &rows[i].rule;
}

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

struct audit_source
audit_source(const struct bed *bed)
{
	struct audit_source src = { .view = bed_view(bed),
		.boot = bed_bootinfo(bed),
		.flavour = bed_config(bed)->flavour,
		.pointers = bed_pointers(bed),
		.image_stacks = bed_config(bed)->engine == BED_ENGINE_KVM };

	src.has_regs = bed_regs(bed, &src.regs);
	return src;
}

struct audit *
audit_new(const struct bed *bed, struct bed_err *err)
{
	struct audit *a = calloc(1, sizeof(*a));
	gva_t va;

	if (a == NULL) {
		bed_fail(err, BED_E_HOST, "out of memory for an audit");
		return NULL;
	}
#define SYMBOL(name)                                                                   \
	if (!bed_symbol(bed, #name, &va)) {                                            \
		bed_fail(err, BED_E_INPUT, "the guest image has no symbol %s", #name); \
		audit_free(a);                                                         \
		return NULL;                                                           \
	}                                                                              \
	a->sym.name = va.v;
#include "vmm/audit/symbols.def"
#undef SYMBOL
	return a;
}

void
audit_free(struct audit *a)
{
	if (a == NULL)
		return;
	audit_input_free(&a->in);
	free(a);
}

const struct audit_input *
audit_reading(const struct audit *a)
{
	return &a->in;
}

bool
audit_look(struct audit *a, const struct audit_source *src, const struct snapshot *snap,
    struct bed_err *err)
{
	struct audit_input *in = &a->in;
	uint64_t t0 = now_ns();

	in->src = src;
	in->snap = snap;
	in->sym = &a->sym;
	if (!audit_read(in))
		return bed_fail(err, BED_E_HOST,
		    in->oom ? "out of memory for an audit"
			    : "the guest image lies outside of memory");
	a->read_ns = now_ns() - t0;
	return true;
}

bool
audit_run(struct audit *a, const struct audit_source *src, const struct snapshot *snap,
    enum audit_kind kind, struct bed_err *err)
{
	struct audit_input *in = &a->in;
	uint64_t t0;

	if (!audit_look(a, src, snap, err))
		return false;
	for (unsigned i = 0; i < NROWS; i++) {
		struct audit_verdict *v = &a->verdict[i];

		*v = (struct audit_verdict){ .checked = rows[i].rule.kind <= kind };
		if (!v->checked)
			continue;
		in->verdict = v;
		t0 = now_ns();
		rows[i].fn(in);
		v->ns = now_ns() - t0;
	}
	return !in->oom || bed_fail(err, BED_E_HOST, "out of memory for an audit");
}

const struct audit_verdict *
audit_verdict(const struct audit *a, unsigned i)
{
	return &a->verdict[i];
}

const struct audit_verdict *
audit_broken(const struct audit *a, unsigned *at)
{
	for (unsigned i = 0; i < NROWS; i++) {
		if (a->verdict[i].broken) {
			*at = i;
			return &a->verdict[i];
		}
	}
	return NULL;
}

bool
audit_fail(const struct audit *a, unsigned i, struct bed_err *err)
{
	const struct audit_verdict *v = &a->verdict[i];
	const struct audit_rule *r = &rows[i].rule;

	bed_fail(err, BED_E_FINDING, "invariant broken: %u %s: %s\n  %s", r->number, r->id,
	    r->statement, v->text);
	if (v->has_va)
		bed_fail_at(err, v->va);
	if (v->has_pa)
		bed_fail_frame(err, v->pa);
	return bed_fail_by(err, "invariant");
}

const struct audit_symbols *
audit_symbols(const struct audit *a)
{
	return &a->sym;
}

uint64_t
audit_read_ns(const struct audit *a)
{
	return a->read_ns;
}
