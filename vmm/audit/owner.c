/* SPDX-License-Identifier: ISC */
/*
 * See owner.h: a reading of the guest's structures, asked about one address or frame at a time.
 */
#include "vmm/audit/owner.h"

#include <string.h>

#include "shared/calls.h"
#include "shared/layout.h"
#include "vmm/audit/input.h"

struct audit_lookup {
	struct audit_input in;
};

struct audit_lookup *
audit_lookup_new(
    const struct audit *audit, const struct audit_source *src, const struct snapshot *snap)
{
	struct audit_lookup *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->in.src = src;
	l->in.snap = snap;
	l->in.sym = audit_symbols(audit);
	if (!audit_read(&l->in)) {
		audit_lookup_free(l);
		return NULL;
	}
	return l;
}

void
audit_lookup_free(struct audit_lookup *l)
{
	if (l == NULL)
		return;
	audit_input_free(&l->in);
	free(l);
}

static uint64_t
entry_va(const struct audit_input *in, const struct vm_map_entry *e)
{
	for (size_t i = 0; i < in->entry.n; i++)
		if (in->entry.at[i].e == e)
			return in->entry.at[i].va;
	return 0;
}

struct audit_place
audit_lookup_va(const struct audit_lookup *l, gva_t va)
{
	const struct audit_input *in = &l->in;
	struct audit_place place = { .start = BED_KVA_BASE, .end = in->kva_end };

	if (va.v < BED_KVA_BASE || va.v >= in->kva_end)
		return (struct audit_place){ .kind = AUDIT_PLACE_OUTSIDE };
	if (!in->spans_good)
		return (struct audit_place){ .kind = AUDIT_PLACE_UNREADABLE };
	place.kind = AUDIT_PLACE_HOLE;
	memcpy(place.map, in->map.at[0].name, sizeof(place.map));
	for (size_t i = 0; i < in->span.n; i++) {
		const struct audit_span *s = &in->span.at[i];

		if (va.v < s->start) {
			place.end = s->start;
			break;
		}
		place.start = s->guard_end;
		if (va.v >= s->guard_end)
			continue;
		place = (struct audit_place){
			.kind = va.v < s->end ? AUDIT_PLACE_ENTRY : AUDIT_PLACE_GUARD,
			.start = va.v < s->end ? s->start : s->end,
			.end = va.v < s->end ? s->end : s->guard_end,
			.entry = entry_va(in, s->e),
			.prot = s->e->protection,
			.max = s->e->max_protection,
			.wired = s->e->wired_count,
			.object = UVM_ET_ISOBJ(s->e),
			.nomap = UVM_ET_ISHOLE(s->e),
			.offset = s->start - BED_KVA_BASE,
		};
		memcpy(place.map, s->map->name, sizeof(place.map));
		break;
	}
	return place;
}

static bool
in_ram(const struct bed_bootinfo *boot, uint64_t pa)
{
	for (unsigned i = 0; i < 2; i++)
		if (pa >= boot->ram[i].start && pa < boot->ram[i].end)
			return true;
	return false;
}

struct audit_frame_owner
audit_lookup_frame(const struct audit_lookup *l, gpa_t pa)
{
	const struct audit_input *in = &l->in;
	const struct bed_bootinfo *boot = in->src->boot;
	struct audit_frame_owner f = { .kind = AUDIT_FRAME_UNMANAGED };
	const struct vm_page *pg;

	if (!in_ram(boot, pa.v))
		return (struct audit_frame_owner){ .kind = AUDIT_FRAME_OUTSIDE };
	if (pa.v >= boot->image_start && pa.v < boot->image_end)
		return (struct audit_frame_owner){ .kind = AUDIT_FRAME_IMAGE };
	if (pa.v >= boot->ptpool_start && pa.v < boot->ptpool_end)
		return (struct audit_frame_owner){ .kind = AUDIT_FRAME_TABLES };
	pg = audit_page(in, pa.v >> BED_PAGE_SHIFT);
	if (pg == NULL) {
		if (pa.v < BED_SHARE_PA + boot->ncpu * BED_SHARE_STRIDE ||
		    (pa.v >= BED_PROG_PA && pa.v < BED_IMAGE_PA))
			f.kind = AUDIT_FRAME_HOST;
		return f;
	}
	f.page = audit_page_va(in, pa.v >> BED_PAGE_SHIFT);
	f.flags = pg->pg_flags;
	f.wire_count = pg->wire_count;
	if (audit_page_free(pg)) {
		f.kind = AUDIT_FRAME_FREE;
	} else if (pg->uobject != NULL) {
		f.kind = AUDIT_FRAME_OBJECT;
		f.va = BED_KVA_BASE + pg->offset;
	} else {
		f.kind = AUDIT_FRAME_USED;
	}
	return f;
}

static const char *
prot_text(unsigned prot, char buf[4])
{
	buf[0] = (prot & BED_PROT_READ) != 0 ? 'r' : '-';
	buf[1] = (prot & BED_PROT_WRITE) != 0 ? 'w' : '-';
	buf[2] = (prot & BED_PROT_EXEC) != 0 ? 'x' : '-';
	buf[3] = '\0';
	return buf;
}

void
audit_place_text(struct text *text, const struct audit_place *p)
{
	static const char *const word[] = { "", "", "entry", "guard", "hole" };
	char prot[4], max[4];

	if (p->kind == AUDIT_PLACE_OUTSIDE) {
		text_add(text, "nobody: not an address of kernel_map");
		return;
	}
	if (p->kind == AUDIT_PLACE_UNREADABLE) {
		text_add(text, "the maps are damaged and cannot be read");
		return;
	}
	text_add(text, "%s %s %016lx-%016lx", p->map, word[p->kind], p->start, p->end);
	if (p->kind == AUDIT_PLACE_HOLE) {
		text_add(text, ": free");
		return;
	}
	text_add(text, " %s max %s wired %u", prot_text(p->prot, prot), prot_text(p->max, max),
	    p->wired);
	if (p->nomap)
		text_add(text, ", reserved");
	else
		text_add(text, p->object ? ", kernel_object" : ", no object");
	text_add(text, " (vm_map_entry %#lx)", p->entry);
}

const char *
audit_frame_word(enum audit_frame_kind kind)
{
	static const char *const word[AUDIT_FRAME_NKINDS] = { "no RAM", "shared with the host",
		"image", "page table", "unmanaged RAM", "free", "kernel_object", "in use" };

	return kind < AUDIT_FRAME_NKINDS ? word[kind] : "?";
}

void
audit_frame_text(struct text *text, const struct audit_frame_owner *f)
{
	text_add(text, "%s", audit_frame_word(f->kind));
	if (f->kind == AUDIT_FRAME_OBJECT)
		text_add(text, " page of %016lx", f->va);
	if (f->kind == AUDIT_FRAME_USED)
		text_add(text, ", in no object");
	if (f->page != 0)
		text_add(text, ", flags %#x, wire count %u (vm_page %#lx)", f->flags, f->wire_count,
		    f->page);
}

bool
audit_place_expect(const struct audit_place *p, gva_t va, struct pt_expect *e)
{
	*e = (struct pt_expect){ .va = GVA(va.v & ~BED_PAGE_MASK), .npages = 1 };
	switch (p->kind) {
	case AUDIT_PLACE_GUARD:
	case AUDIT_PLACE_HOLE:
		e->state = PT_ABSENT;
		return true;
	case AUDIT_PLACE_ENTRY:
		if (p->nomap || p->prot == 0) {
			e->state = PT_ABSENT;
			return true;
		}
		if (p->wired == 0)
			return false;
		e->state = PT_PRESENT;
		e->size = PT_4K;
		e->perm = (p->prot & BED_PROT_WRITE) != 0 ? PT_RW : PT_R;
		e->nx = (p->prot & BED_PROT_EXEC) != 0 ? PT_NO : PT_YES;
		e->user = PT_NO;
		return true;
	default:
		return false;
	}
}
