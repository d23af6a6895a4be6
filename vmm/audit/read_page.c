/* SPDX-License-Identifier: ISC */
/*
 * Reading for an audit: segments, free runs, the kernel object.
 */
#include "vmm/audit/input.h"

#define MAX_DEPTH 4096 /* of the trees of runs; they are balanced by random priorities */

const struct vm_page *
audit_page(const struct audit_input *in, uint64_t frame)
{
	if (audit_is_torn(&in->segs))
		return NULL;
	for (unsigned i = 0; i < in->nseg; i++) {
		const struct vm_physseg *s = &in->seg[i];

		if (frame >= s->start && frame < s->end)
			return AUDIT_AT(in, struct vm_page, audit_page_va(in, frame));
	}
	return NULL;
}

uint64_t
audit_page_va(const struct audit_input *in, uint64_t frame)
{
	for (unsigned i = 0; i < in->nseg; i++) {
		const struct vm_physseg *s = &in->seg[i];

		if (frame >= s->start && frame < s->end)
			return (uint64_t)s->pgs + (frame - s->start) * sizeof(struct vm_page);
	}
	return 0;
}

uint64_t
audit_page_frame(const struct audit_input *in, uint64_t va)
{
	if (audit_is_torn(&in->segs))
		return UINT64_MAX;
	for (unsigned i = 0; i < in->nseg; i++) {
		const struct vm_physseg *s = &in->seg[i];
		uint64_t off = va - (uint64_t)s->pgs;

		if (va >= (uint64_t)s->pgs && off / sizeof(struct vm_page) < s->end - s->start)
			return off % sizeof(struct vm_page) == 0
			           ? s->start + off / sizeof(struct vm_page)
			           : UINT64_MAX;
	}
	return UINT64_MAX;
}

static void
read_segments(struct audit_input *in)
{
	if (in->nseg > VM_PHYSSEG_MAX) {
		audit_tear(&in->segs, "vm_nphysseg is %u", in->nseg);
		in->nseg = 0;
		return;
	}
	for (unsigned i = 0; i < in->nseg; i++) {
		const struct vm_physseg *s = &in->seg[i];
		uint64_t n = s->end - s->start;

		if (s->start >= s->end || s->end > in->nmark || s->avail_start < s->start ||
		    s->avail_end > s->end || s->avail_start > s->avail_end)
			audit_tear(&in->segs, "segment %u: frames %#lx..%#lx, of these %#lx..%#lx",
			    i, s->start, s->end, s->avail_start, s->avail_end);
		else if (audit_ptr(in, (uint64_t)s->pgs, n * sizeof(*s->pgs), 64) == NULL ||
			 s->lastpg != s->pgs + n)
			audit_tear(&in->segs, "segment %u: its pages are at %p..%p", i,
			    (void *)s->pgs, (void *)s->lastpg);
	}
}

static const struct vm_page *
page_at(const struct audit_input *in, const struct vm_page *guest, uint64_t *frame)
{
	*frame = audit_page_frame(in, (uint64_t)guest);
	return *frame == UINT64_MAX ? NULL : AUDIT_AT(in, struct vm_page, guest);
}

/* One run that a tree or a stack leads to. False: no use going on from it. */
static bool
add_run(struct audit_input *in, struct audit_torn *torn, const struct vm_page *guest, uint64_t n,
    unsigned kind, bool quick)
{
	struct audit_run *run;
	const struct vm_page *pg;
	uint64_t frame;

	pg = page_at(in, guest, &frame);
	if (pg == NULL) {
		audit_tear(torn, "%p is no vm_page", (const void *)guest);
		return false;
	}
	if (!audit_mark(in, frame)) {
		audit_tear(torn, "the run at %#lx is reached twice", frame << BED_PAGE_SHIFT);
		return false;
	}
	if (n == 0)
		n = pg->fpgsz;
	if (n == 0 || audit_page(in, frame + n - 1) == NULL ||
	    audit_page_va(in, frame + n - 1) - (uint64_t)guest != (n - 1) * sizeof(*pg)) {
		audit_tear(torn, "the run at %#lx has %lu pages", frame << BED_PAGE_SHIFT, n);
		return false;
	}
	run = AUDIT_PUSH(in, &in->run);
	if (run != NULL)
		*run = (struct audit_run){ frame, n, pg, kind, quick };
	return run != NULL;
}

/* In order, without recursion: left as far as it goes, then the page, then its right subtree. */
static void
read_tree(struct audit_input *in, unsigned kind)
{
	const struct vm_page *path[MAX_DEPTH], *at = in->pmr->tree[kind], *parent = NULL, *pg;
	uint64_t frame, steps = 0;
	unsigned depth = 0;

	while (at != NULL || depth > 0) {
		for (; at != NULL; at = pg->pmr_left) {
			pg = page_at(in, at, &frame);
			if (pg == NULL || depth == MAX_DEPTH || steps++ > in->nmark) {
				audit_tear(&in->trees, "the tree of kind %u: %p below %p", kind,
				    (const void *)at, (const void *)parent);
				return;
			}
			if (pg->pmr_parent != parent) {
				audit_tear(&in->trees, "the run at %#lx has parent %p, not %p",
				    frame << BED_PAGE_SHIFT, (void *)pg->pmr_parent,
				    (const void *)parent);
				return;
			}
			path[depth++] = parent = at;
		}
		at = path[--depth];
		if (!add_run(in, &in->trees, at, 0, kind, false))
			return;
		parent = at;
		at = page_at(in, at, &frame)->pmr_right;
	}
}

static void
read_stacks(struct audit_input *in)
{
	for (unsigned n = 1; n <= UVM_PMR_QUICK; n++) {
		const struct vm_page *at = in->pmr->quick[n];
		uint64_t frame;

		for (; at != NULL; at = page_at(in, at, &frame)->pageq) {
			if (!add_run(in, &in->stacks, at, n, UVM_PMR_MEMTYPE_DIRTY, true))
				return;
			in->quick_pages += n;
		}
	}
}

static int
by_frame(const void *a, const void *b)
{
	const struct audit_run *x = *(const struct audit_run *const *)a;
	const struct audit_run *y = *(const struct audit_run *const *)b;

	return (x->frame > y->frame) - (x->frame < y->frame);
}

void
audit_read_pages(struct audit_input *in)
{
	in->quick_pages = 0;
	in->nrun_tree[0] = in->nrun_tree[1] = 0;
	read_segments(in);
	if (audit_is_torn(&in->segs))
		return;
	in->gen++;
	for (unsigned kind = 0; kind < UVM_PMR_MEMTYPE_MAX; kind++) {
		size_t before = in->run.n;

		read_tree(in, kind);
		in->nrun_tree[kind] = in->run.n - before;
	}
	read_stacks(in);
	for (size_t i = 0; i < in->run.n && !in->oom; i++) {
		const struct audit_run **r = AUDIT_PUSH(in, &in->by_frame);

		if (r != NULL)
			*r = &in->run.at[i];
	}
	if (in->by_frame.n > 1)
		qsort(in->by_frame.at, in->by_frame.n, sizeof(*in->by_frame.at), by_frame);
}

static void
read_node(struct audit_input *in, uint64_t dir, const struct uvm_objdir *d)
{
	struct vm_page *const *slot =
	    audit_ptr(in, (uint64_t)d->uod_page, BED_PAGE_SIZE, BED_PAGE_SIZE);
	uint64_t used = 0, left = d->uod_used;

	if (slot == NULL) {
		audit_tear(&in->object, "node %lu is at %p", dir, (void *)d->uod_page);
		return;
	}
	in->obj_nodes++;
	for (unsigned i = 0; i < UVM_OBJ_NODE_PAGES; i++) {
		struct audit_objpage *p;

		if (slot[i] == NULL)
			continue;
		used++;
		p = AUDIT_PUSH(in, &in->objpage);
		if (p == NULL)
			return;
		p->offset = dir * UVM_OBJ_NODE_BYTES + i * BED_PAGE_SIZE;
		p->pg_va = (uint64_t)slot[i];
		p->pg = audit_page_frame(in, p->pg_va) == UINT64_MAX
		            ? NULL
		            : AUDIT_AT(in, struct vm_page, p->pg_va);
	}
	if (used != left)
		audit_tear(
		    &in->object, "node %lu has %lu pages, its directory says %lu", dir, used, left);
}

void
audit_read_object(struct audit_input *in)
{
	const struct uvm_object *obj = in->obj;
	uint64_t n = (in->src->boot->kva_size + UVM_OBJ_NODE_BYTES - 1) / UVM_OBJ_NODE_BYTES;
	const struct uvm_objdir *dir = audit_ptr(in, (uint64_t)obj->uo_dir, n * sizeof(*dir), 8);

	in->obj_nodes = 0;
	if (obj->uo_ndir != n || dir == NULL) {
		audit_tear(&in->object, "its directory is at %p, %lu places for %lu nodes",
		    (void *)obj->uo_dir, obj->uo_ndir, n);
		return;
	}
	for (uint64_t i = 0; i < n && !in->oom; i++) {
		if (dir[i].uod_page != NULL)
			read_node(in, i, &dir[i]);
		else if (dir[i].uod_used != 0)
			audit_tear(&in->object, "node %lu is missing, its directory says %lu pages",
			    i, dir[i].uod_used);
	}
}
