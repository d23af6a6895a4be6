/* SPDX-License-Identifier: ISC */
/*
 * Every invariant of the audit is tripped once: the host breaks it in guest memory, the audit names it, and
 * nothing else but what follows from it; then the memory is put back and all holds again.
 */
#include <stdio.h>
#include <string.h>

#include "guest/pmap.h"
#include "guest/thread.h"
#include "guest/uvm/uvm_map.h"
#include "guest/uvm/uvm_object.h"
#include "guest/uvm/uvm_page.h"
#include "guest/uvm/uvm_pmemrange.h"
#include "guest/uvm/uvmexp.h"
#include "tests/bed/audit_scene.h"
#include "tests/bed/inside.h"

static void
root(struct scene *s)
{
	POKE(s, GLOBAL(s, struct pmap, "kernel_pmap_store")->pm_root,
	    bed_view(s->bed).root.v + PAGE);
}

/* A's L1 table moves to a page of the allocator's. */
static void
tables_in_pool(struct scene *s)
{
	uint64_t *l2 = bed_entry(s->bed, s->a, 2), *table = bed_ptr(s->bed, s->page, PAGE);

	poke(s, table, bed_ptr(s->bed, GPA(*l2 & PTE_FRAME), PAGE), PAGE);
	POKE(s, *l2, (*l2 & ~PTE_FRAME) | s->page.v);
	POKE(s, scene_l1(s, s->a)->pl_frame, (uint32_t)(s->page.v / PAGE));
}

/* The last table of kernel_map's that there is, empty, serves the next 2 MiB, too. */
static void
tables_once(struct scene *s)
{
	uint64_t end = GLOBAL(s, struct pmap, "kernel_pmap_store")->pm_end;
	uint64_t *last = bed_entry(s->bed, GVA(end - PAGE), 2);

	POKE(s, last[1], last[0]);
}

static void
ps_bits(struct scene *s)
{
	POKE(s, bed_entry(s->bed, GVA(0), 4)[1], PTE_P | PTE_W | PTE_A | PTE_PS);
}

static void
reserved_bits(struct scene *s)
{
	POKE(s, bed_entry(s->bed, GVA(0), 4)[1],
	    PTE_P | PTE_W | PTE_A | UINT64_C(1) << bed_view(s->bed).maxphyaddr);
}

static void
empty_is_zero(struct scene *s)
{
	POKE(s, bed_entry(s->bed, GVA(0), 4)[1], PTE_W);
}

static void
global_leaves(struct scene *s)
{
	poke_bits(s, bed_entry(s->bed, s->a, 1), PTE_G, 0);
}

static void
write_back(struct scene *s)
{
	poke_bits(s, bed_entry(s->bed, s->a, 1), 0, PTE_PCD);
}

static void
unmapped_traps(struct scene *s)
{
	uint64_t guard = inside_symbol(s->bed, "thread_stacks").v;

	POKE(s, *bed_entry(s->bed, GVA(guard), 1),
	    (guard - BED_IMAGE_BASE) | PTE_P | PTE_W | PTE_A | PTE_D | PTE_G | PTE_NX);
}

static void
layout(struct scene *s)
{
	uint64_t *e = bed_entry(s->bed, GVA(BED_DIRECT_BASE + 8 * MIB), 2);

	POKE(s, *e, *e + 2 * MIB);
}

static void
upper_rights(struct scene *s)
{
	poke_bits(s, bed_entry(s->bed, s->a, 2), PTE_NX, 0);
}

static void
w_xor_x(struct scene *s)
{
	poke_bits(s, bed_entry(s->bed, inside_symbol(s->bed, "data_start"), 1), PTE_NX, 0);
}

static void
no_user(struct scene *s)
{
	poke_bits(s, bed_entry(s->bed, s->a, 1), 0, PTE_U);
}

static void
entry_rights(struct scene *s)
{
	struct vm_map_entry *e = scene_entry(s, s->a);

	POKE(s, e->attr, (e->attr & ~UINT64_C(0xf)) | PROT_READ);
}

static void
leaf_without_nx(struct scene *s)
{
	poke_bits(s, bed_entry(s->bed, s->a, 1), PTE_NX, 0);
}

static void
set_frame(struct scene *s, gva_t va, uint64_t pa)
{
	poke_bits(s, bed_entry(s->bed, va, 1), PTE_FRAME, pa);
}

static void
tables_not_mapped(struct scene *s)
{
	set_frame(s, s->kmem, bed_view(s->bed).root.v);
}

/* The last page of an allocation becomes its guard. */
static void
guards(struct scene *s)
{
	struct vm_map_entry *e = scene_entry(s, s->kmem);
	struct vm_map *map = FOLLOW(s, *GLOBAL(s, struct vm_map *, "kmem_map"));

	POKE(s, e->end, e->end - PAGE);
	POKE(s, e->guard, e->guard + (uint32_t)PAGE);
	POKE(s, map->size, map->size - PAGE);
}

static void
managed_frames(struct scene *s)
{
	set_frame(s, s->kmem, BED_IMAGE_PA);
}

static void
one_mapping(struct scene *s)
{
	set_frame(s, s->kmem, *bed_entry(s->bed, page_of(s->kmem, 1), 1) & PTE_FRAME);
}

static void
free_unmapped(struct scene *s)
{
	set_frame(s, s->kmem, scene_free_frame(s) * PAGE);
}

static void
free_trees(struct scene *s)
{
	struct uvm_pmemrange *pmr = GLOBAL(s, struct uvm_pmemrange, "uvm_pmr");

	POKE(s, pmr->pages[UVM_PMR_MEMTYPE_ZERO], pmr->pages[UVM_PMR_MEMTYPE_ZERO] + 1);
}

static void
run_length(struct scene *s)
{
	struct uvm_pmemrange *pmr = GLOBAL(s, struct uvm_pmemrange, "uvm_pmr");
	struct vm_page *run = FOLLOW(s, pmr->tree[UVM_PMR_MEMTYPE_ZERO]);

	POKE(s, run[run->fpgsz - 1].fpgsz, run->fpgsz + 1);
}

static void
page_classes(struct scene *s)
{
	POKE(s, scene_page(s, scene_free_frame(s))->uobject, (struct uvm_object *)8);
}

static void
wired_pages(struct scene *s)
{
	struct uvmexp *exp = GLOBAL(s, struct uvmexp, "uvmexp");

	POKE(s, exp->wired, exp->wired + 1);
}

static void
poison(struct scene *s)
{
	uint64_t *word = bed_ptr(s->bed, GPA(scene_free_frame(s) * PAGE), PAGE);

	POKE(s, word[PAGE / 8 - 1], word[PAGE / 8 - 1] + 1);
}

/* The last page of the last entry of a map goes to the hole. */
static void
in_an_entry(struct scene *s)
{
	struct vm_map_entry *e = scene_entry(s, s->kmem);
	struct vm_map *map = FOLLOW(s, *GLOBAL(s, struct vm_map *, "kmem_map"));

	POKE(s, e->end, e->end - PAGE);
	POKE(s, e->fspace, e->fspace + PAGE);
	POKE(s, map->size, map->size - PAGE);
}

static void
wired_entries(struct scene *s)
{
	struct uvmexp *exp = GLOBAL(s, struct uvmexp, "uvmexp");
	struct vm_page *pg = scene_page(s, (*bed_entry(s->bed, s->a, 1) & PTE_FRAME) / PAGE);

	POKE(s, pg->wire_count, 1);
	POKE(s, exp->wired, exp->wired + 1);
}

static void
ring_back(struct scene *s)
{
	struct vm_map_entry *e = scene_entry(s, s->a);

	POKE(s, e->prev, e->next);
}

static void
ring_nowhere(struct scene *s)
{
	POKE(s, scene_entry(s, s->a)->next, (struct vm_map_entry *)UINT64_C(0xffffffffffffffc0));
}

static void
ring_overlap(struct scene *s)
{
	struct vm_map_entry *e = scene_entry(s, s->a);

	POKE(s, e->end, e->end + PAGE);
}

static void
index_bit(struct scene *s)
{
	struct vm_map *map = scene_map(s);

	POKE(s, map->addr.have, map->addr.have ^ 1 << 5);
}

static void
index_top(struct scene *s)
{
	struct vm_map *map = scene_map(s);

	POKE(s, map->addr.top, map->header.next);
}

static void
index_leaf(struct scene *s)
{
	POKE(s, scene_entry(s, s->a)->leaf, NULL);
}

static void
caches_hint(struct scene *s)
{
	struct vm_map *map = scene_map(s);

	POKE(s, map->addr.cut, (struct vm_map_entry *)UINT64_C(0xffffffffffffffc0));
}

static void
caches_closed(struct scene *s)
{
	struct vm_map *map = scene_map(s);

	POKE(s, map->addr.closed, map->addr.closed ^ UVM_ADDR_LOW);
}

static void
caches(struct scene *s)
{
	struct vm_map *map = scene_map(s);

	POKE(s, map->addr.nspare, map->addr.nspare + 1);
}

static void
sums(struct scene *s)
{
	struct vm_map *map = scene_map(s);

	POKE(s, map->size, map->size + PAGE);
}

static void
object(struct scene *s)
{
	struct uvm_object *obj = GLOBAL(s, struct uvm_object, "uvm_kernel_object");

	POKE(s, obj->uo_npages, obj->uo_npages + 1);
}

static void
object_in_entries(struct scene *s)
{
	uint64_t *first = bed_entry(s->bed, s->a, 1), one = first[0], two = first[1];

	POKE(s, first[0], two);
	POKE(s, first[1], one);
}

static void
entry_pool(struct scene *s)
{
	struct uvmexp *exp = GLOBAL(s, struct uvmexp, "uvmexp");

	POKE(s, exp->kmapent, exp->kmapent - 1);
}

static void
l1_counts(struct scene *s)
{
	POKE(s, scene_l1(s, s->a)->pl_used, 0);
}

static void
table_count(struct scene *s)
{
	struct pmap *pm = GLOBAL(s, struct pmap, "kernel_pmap_store");

	POKE(s, pm->pm_pool, pm->pm_pool + PAGE);
}

static void
leaf_counts(struct scene *s)
{
	poke_bits(s, bed_entry(s->bed, s->a, 1), PTE_SW_W, 0);
}

static void
quick_stacks(struct scene *s)
{
	struct uvm_pmemrange *pmr = GLOBAL(s, struct uvm_pmemrange, "uvm_pmr");

	POKE(s, pmr->nquick, pmr->nquick + 1);
}

static void
dirty_accessed(struct scene *s)
{
	poke_bits(s, bed_entry(s->bed, s->a, 1), PTE_A, PTE_D);
}

static void
preset_bits(struct scene *s)
{
	poke_bits(s, bed_entry(s->bed, GVA(BED_DIRECT_BASE + 8 * MIB), 2), PTE_D, 0);
}

static void
large_pages(struct scene *s)
{
	uint64_t *e = bed_entry(s->bed, GVA(BED_IMAGE_BASE + 4 * MIB), 2);

	POKE(s, e[100], 8 * MIB | PTE_PS | PTE_P | PTE_W | PTE_NX | PTE_G | PTE_A | PTE_D);
}

static void
registers(struct scene *s)
{
	s->src.has_regs = true;
	s->src.regs.cr0 &= ~(UINT64_C(1) << 16);
}

static void
stacks(struct scene *s)
{
	s->src.regs.rsp = BED_KVA_BASE;
}

static void
mutexes(struct scene *s)
{
	struct uvm_pmemrange *pmr = GLOBAL(s, struct uvm_pmemrange, "uvm_pmr");

	POKE(s, pmr->fpageqlock.mtx_owner, (struct thread *)inside_symbol(s->bed, "thread_pool").v);
}

static void
map_locks(struct scene *s)
{
	POKE(s, scene_map(s)->lock.rwl_owner,
	    inside_symbol(s->bed, "thread_pool").v | RWLOCK_WRLOCK);
}

static void
threads(struct scene *s)
{
	POKE(s, GLOBAL(s, struct cpu_info, "cpu0")->ci_run.first,
	    (struct thread *)inside_symbol(s->bed, "thread_pool").v);
}

/* A worker that waits for work could run, says its state, but nobody has queued it. */
static void
threads_unqueued(struct scene *s)
{
	struct thread *td = GLOBAL(s, struct thread, "thread_pool");
	unsigned i = 0;

	while (i < THREAD_MAX && td[i].td_state != THREAD_SLEEPING)
		i++;
	CHECK(i < THREAD_MAX, "no thread sleeps");
	POKE(s, td[i].td_state, THREAD_RUNNABLE);
}

static void
submaps(struct scene *s)
{
	POKE(s, FOLLOW(s, *GLOBAL(s, struct vm_map *, "kmem_map"))->ref_count, 1);
}

static void
growth(struct scene *s)
{
	POKE(s, *GLOBAL(s, uint64_t, "uvm_maxkaddr"), BED_KVA_BASE + 2 * MIB);
}

static const struct {
	unsigned number;
	void (*edit)(struct scene *);
	const char *also; /* ids of rules that cannot hold either then */
} edits[] = {
	{ 1, root, "" },
	{ 2, tables_in_pool, "" },
	{ 3, tables_once, " l1-counts table-count " },
	{ 4, ps_bits, "" },
	{ 5, reserved_bits, "" },
	{ 6, empty_is_zero, "" },
	{ 7, global_leaves, "" },
	{ 8, write_back, "" },
	{ 10, unmapped_traps, "" },
	{ 11, layout, "" },
	{ 12, upper_rights, "" },
	{ 13, w_xor_x, "" },
	{ 14, no_user, "" },
	{ 15, entry_rights, "" },
	{ 15, leaf_without_nx, "" },
	{ 16, tables_not_mapped, " managed-frames " },
	{ 17, guards, "" },
	{ 18, managed_frames, "" },
	{ 19, one_mapping, "" },
	{ 20, free_unmapped, "" },
	{ 21, free_trees, "" },
	{ 21, run_length, "" },
	{ 22, page_classes, "" },
	{ 23, wired_pages, "" },
	{ 24, poison, "" },
	{ 26, in_an_entry, " index " },
	{ 27, wired_entries, "" },
	{ 28, ring_back, "" },
	{ 28, ring_nowhere, "" },
	{ 28, ring_overlap, " sums index caches " },
	{ 29, index_bit, "" },
	{ 29, index_top, "" },
	{ 29, index_leaf, "" },
	{ 30, caches, "" },
	{ 30, caches_hint, "" },
	{ 30, caches_closed, "" },
	{ 31, sums, "" },
	{ 33, object, "" },
	{ 34, object_in_entries, "" },
	{ 35, entry_pool, "" },
	{ 36, l1_counts, "" },
	{ 37, table_count, "" },
	{ 38, leaf_counts, "" },
	{ 39, quick_stacks, "" },
	{ 41, dirty_accessed, "" },
	{ 42, preset_bits, "" },
	{ 43, large_pages, " layout " },
	{ 51, registers, "" },
	{ 52, stacks, "" },
	{ 53, mutexes, "" },
	{ 54, map_locks, "" },
	{ 55, threads, "" },
	{ 55, threads_unqueued, "" },
	{ 56, submaps, "" },
	{ 57, growth, "" },
};

static bool
named(const char *list, const char *id)
{
	char word[64];

	snprintf(word, sizeof(word), " %s ", id);
	return strstr(list, word) != NULL;
}

BED_TEST(audit, every_rule_can_be_broken)
{
	struct scene s = scene_up(0);

	scene_audit(&s);
	scene_must_hold(&s, "before any edit");
	for (size_t i = 0; i < COUNT_OF(edits); i++) {
		bool seen = false;

		if (edits[i].edit == stacks && !s.src.image_stacks)
			continue;
		edits[i].edit(&s);
		scene_audit(&s);
		for (unsigned r = 0; r < audit_rules(); r++) {
			const struct audit_rule *rule = audit_rule(r);
			const struct audit_verdict *v = audit_verdict(s.audit, r);

			seen |= v->broken && rule->number == edits[i].number;
			CHECK(!v->broken || rule->number == edits[i].number ||
				  named(edits[i].also, rule->id),
			    "edit %zu, for rule %u, breaks rule %u %s: %s", i, edits[i].number,
			    rule->number, rule->id, v->text);
			CHECK(
			    !v->broken || v->text[0] != '\0', "rule %u says nothing", rule->number);
		}
		CHECK(seen, "edit %zu: rule %u is not broken", i, edits[i].number);
		scene_undo(&s);
		scene_audit(&s);
		scene_must_hold(&s, "after it was undone");
	}
	scene_down(&s);
}

/* The table above leaves no rule out. */
BED_TEST(audit, every_rule_has_its_edit)
{
	for (unsigned r = 0; r < audit_rules(); r++) {
		size_t i = 0;

		while (i < COUNT_OF(edits) && edits[i].number != audit_rule(r)->number)
			i++;
		CHECK(i < COUNT_OF(edits), "no edit breaks rule %u %s", audit_rule(r)->number,
		    audit_rule(r)->id);
	}
}
