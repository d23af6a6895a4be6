/* SPDX-License-Identifier: ISC */
/*
 * A machine for random programs, and running one: see explore.h.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/bed/rewind.h"
#include "vmm/explore/priv.h"
#include "vmm/trace/trace.h"

static void
drop_checkers(struct xlab *lab)
{
	tlbsan_detach(lab->san);
	check_free(lab->check);
	lab->san = NULL;
	lab->check = NULL;
}

/* A machine as after boot, and its checkers. */
static bool
fresh(struct xlab *lab, struct bed_err *err)
{
	bool twin = lab->cfg.bed.engine == BED_ENGINE_TWIN;

	drop_checkers(lab);
	if (lab->bed != NULL && lab->used && twin) {
		if (!bed_rewind(lab->bed, err))
			return false;
	} else if (lab->bed == NULL || lab->used) {
		bed_destroy(lab->bed);
		lab->bed = bed_create(&lab->cfg.bed, err);
		if (lab->bed == NULL || (twin && !bed_mark(lab->bed, err)))
			return false;
	}
	lab->used = true;
	if (lab->cfg.checks == XCHECK_INVARIANTS && lab->audit == NULL &&
	    (lab->audit = audit_new(lab->bed, err)) == NULL)
		return false;
	if (lab->cfg.checks != XCHECK_CALLS)
		return true;
	lab->check = check_new(lab->bed, err);
	if (lab->check != NULL && lab->cfg.bed.flavour == BED_CHECKED)
		lab->san = tlbsan_attach(lab->bed, NULL, NULL, err);
	return lab->check != NULL && (lab->san != NULL || lab->cfg.bed.flavour != BED_CHECKED);
}

struct xlab *
xlab_new(const struct xlab_config *cfg, struct bed_err *err)
{
	struct xlab *lab = calloc(1, sizeof(*lab));

	if (lab == NULL) {
		bed_fail(err, BED_E_HOST, "out of memory");
		return NULL;
	}
	lab->cfg = *cfg;
	if (fresh(lab, err)) {
		lab->used = false;
		return lab;
	}
	xlab_free(lab);
	return NULL;
}

void
xlab_free(struct xlab *lab)
{
	if (lab == NULL)
		return;
	drop_checkers(lab);
	audit_free(lab->audit);
	snapshot_free(&lab->snap);
	bed_destroy(lab->bed);
	free(lab->text);
	free(lab);
}

static void
write_value(FILE *out, enum bed_kind kind, const struct xvalue *v)
{
	char token[TRACE_TOKEN];

	if (v->name == XNO_NAME) {
		trace_token(token, sizeof(token), kind, v->value);
		fprintf(out, " %s", token);
	} else if (v->offset == 0) {
		fprintf(out, " a%u", v->name);
	} else if ((v->offset & BED_PAGE_MASK) == 0) {
		fprintf(out, " a%u+%" PRIu64 "p", v->name, v->offset >> BED_PAGE_SHIFT);
	} else {
		fprintf(out, " a%u+%#" PRIx64, v->name, v->offset);
	}
}

static void
write_down(struct xlab *lab, enum bed_call_id id, const struct xvalue *args, unsigned nargs,
    const unsigned *name)
{
	const struct call_shape *shape = call_shape(id);

	if (lab->out == NULL)
		return;
	if (name != NULL)
		fprintf(lab->out, "a%u = ", *name);
	fputs(shape->name, lab->out);
	for (unsigned i = 0; i < nargs; i++)
		write_value(lab->out, shape->kind[i], &args[i]);
	putc('\n', lab->out);
}

/* The call, with all the checking that this lab does for each. */
static bool
checked_call(struct xlab *lab, enum bed_call_id id, const uint64_t *args, unsigned nargs,
    struct bed_result *r)
{
	if (lab->check == NULL)
		return bed_call_try(lab->bed, id, args, nargs, r, lab->err);
	return check_call(lab->check, NULL, id, args, nargs, r, lab->err) &&
	       (lab->san == NULL || tlbsan_poll(lab->san, lab->err));
}

/* Without check_call(), nobody else asks what has become of calls that were asleep. */
static bool
poll_pending(struct xlab *lab)
{
	for (unsigned i = 0; i < XPENDING && lab->check == NULL && lab->npending > 0; i++) {
		struct xpending *p = &lab->pending[i];

		if (p->busy && p->result.state == BED_STATE_BLOCKED &&
		    !bed_call_wait(lab->bed, p->result.slot, &p->result, lab->err))
			return false;
	}
	return true;
}

bool
xcall(struct xlab *lab, enum bed_call_id id, const struct xvalue *args, unsigned nargs,
    unsigned *name, struct bed_result *result)
{
	uint64_t value[BED_ARGS_MAX];
	struct xpending *p = lab->pending;

	while (p < lab->pending + XPENDING && p->busy)
		p++;
	if (p == lab->pending + XPENDING)
		return bed_fail(lab->err, BED_E_INTERNAL, "%d calls are asleep", XPENDING);
	for (unsigned i = 0; i < nargs; i++)
		value[i] = args[i].value;
	if (name != NULL)
		*name = ++lab->names;
	write_down(lab, id, args, nargs, name);
	lab->result->calls++;
	if (!checked_call(lab, id, value, nargs, &p->result))
		return false;
	if (p->result.state == BED_STATE_BLOCKED) {
		p->busy = true;
		lab->npending++;
		lab->latest = (unsigned)(p - lab->pending);
		/* What it maps whenever somebody frees a page, the specification cannot say. */
		lab->over = lab->over || (lab->check != NULL && call_in_steps(id));
	}
	*result = p->result;
	return true;
}

bool
xmake(struct xlab *lab, struct xslot *s, enum xslot_kind kind, enum bed_call_id id,
    const struct xvalue *args, unsigned nargs)
{
	struct bed_result r;

	if (!xcall(lab, id, args, nargs, &s->name, &r))
		return false;
	s->offset = 0;
	s->next = (uint8_t)kind;
	if (r.state == BED_STATE_BLOCKED) {
		s->kind = XSLOT_PENDING;
		s->pending = lab->latest;
		return true;
	}
	s->base = r.value;
	s->kind = r.value != 0 ? (uint8_t)kind : XSLOT_EMPTY;
	return true;
}

/* Calls that were asleep and are done: their slots come to life. */
static void
settle_pending(struct xlab *lab)
{
	for (unsigned i = 0; i < XPENDING; i++) {
		struct xpending *p = &lab->pending[i];

		if (!p->busy || p->result.state != BED_STATE_DONE)
			continue;
		p->busy = false;
		lab->npending--;
		for (unsigned k = 0; k < XSLOTS; k++) {
			struct xslot *s = &lab->slot[k];

			if (s->kind != XSLOT_PENDING || s->pending != i)
				continue;
			s->base = p->result.value;
			s->kind = s->base != 0 ? s->next : XSLOT_EMPTY;
		}
	}
}

static xop_fn *const functions[XOP_LIMIT] = {
#define X(name, text) xop_##name,
	XOPS(X)
#undef X
};

static bool
one_op(struct xlab *lab, const struct xop *op)
{
	/* An operation makes a few calls; with that many asleep only what gives something back may run. */
	if (lab->npending + 3 > (op->kind == XOP_free ? XASLEEP_F : XASLEEP))
		return true;
	lab->result->ops++;
	if (!functions[op->kind](lab, op) || !poll_pending(lab))
		return false;
	if (lab->npending > 0)
		settle_pending(lab);
	return true;
}

static bool
invariants(struct xlab *lab)
{
	struct view view = bed_view(lab->bed);

	return snapshot_take(&lab->snap, &view, NULL, lab->err) &&
	       check_audit(lab->audit, lab->bed, &lab->snap, lab->err);
}

static void
begin(struct xlab *lab, struct xresult *r, struct bed_err *err)
{
	const struct bed_config *c = &lab->cfg.bed;

	memset(lab->slot, 0, sizeof(lab->slot));
	memset(lab->page, 0, sizeof(lab->page));
	memset(lab->submap, 0, sizeof(lab->submap));
	memset(lab->pending, 0, sizeof(lab->pending));
	lab->names = lab->npending = 0;
	lab->over = false;
	lab->freed = 0;
	lab->result = r;
	lab->err = err;
	*r = (struct xresult){ 0 };
	if (!lab->cfg.record)
		return;
	free(lab->text);
	lab->text = NULL;
	lab->out = open_memstream(&lab->text, &lab->text_len);
	if (lab->out != NULL)
		fprintf(lab->out, "uvmbed-trace %d\nram %#" PRIx64 "\nkva %#" PRIx64 "\n%s",
		    TRACE_VERSION, c->ram, c->kva_size,
		    c->flags & BED_BOOT_GUARDPAGES ? "guard 1\n" : "");
}

bool
xlab_run(struct xlab *lab, const uint8_t *bytes, size_t len, struct xresult *r, struct bed_err *err)
{
	size_t n = len / XOP_BYTES;
	bool ok = !lab->used || fresh(lab, err);

	begin(lab, r, err);
	lab->used = true;
	for (size_t i = 0; i < n && ok && !lab->over; i++) {
		struct xop op = xop_decode(bytes + i * XOP_BYTES);

		ok = one_op(lab, &op);
		if (ok && lab->audit != NULL && (r->ops % lab->cfg.every == 0 || i + 1 == n))
			ok = invariants(lab);
	}
	if (lab->check != NULL)
		r->hash = check_hash(lab->check);
	if (lab->out != NULL) {
		fclose(lab->out);
		lab->out = NULL;
		r->trace = lab->text;
		r->trace_len = lab->text_len;
	}
	return ok;
}
