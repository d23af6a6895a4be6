/* SPDX-License-Identifier: ISC */
/*
 * What a booted guest looks like from outside, before anything has been asked of it: every mapping accounted
 * for, with its rights; counters at zero; the same on every size of memory.
 */
#include <string.h>

#include "tests/bed/inside.h"
#include "vmm/bed/image.h"
#include "vmm/bed/memory.h"
#include "vmm/kvm/hv.h"
#include "vmm/view/snapshot.h"
#include "vmm/view/walk.h"

static const struct view_run *
run_at(const struct snapshot *snap, uint64_t va)
{
	const struct view_run *run = snapshot_lookup(snap, GVA(va));

	CHECK(run != NULL, "%#lx is not mapped", va);
	return run;
}

/* [start, end) of RAM lies in the direct map, RW NX, in pages as large as can be. */
static void
check_direct(const struct snapshot *snap, uint64_t start, uint64_t end)
{
	for (uint64_t pa = start; pa < end;) {
		const struct view_run *run = run_at(snap, BED_DIRECT_BASE + pa);

		CHECK(view_run_pa(run, GVA(BED_DIRECT_BASE + pa)).v == pa, "%#lx maps %#lx",
		    BED_DIRECT_BASE + pa, view_run_pa(run, GVA(BED_DIRECT_BASE + pa)).v);
		CHECK(run->attr.rights == (VIEW_R | VIEW_W), "%#lx has rights %#x", run->va.v,
		    run->attr.rights);
		CHECK(run->attr.level >= 2, "%#lx is made of small pages", run->va.v);
		pa = view_run_last(run).v + 1 - BED_DIRECT_BASE;
	}
}

/* Property 84: the direct map is all of RAM and nothing else; and no L4 slot is used but the documented. */
static void
check_address_space(struct bed *bed)
{
	const struct bed_bootinfo *info = bed_bootinfo(bed);
	uint64_t image_end = BED_IMAGE_BASE + info->image_end, direct = 0;
	struct snapshot snap = bed_snapshot(bed);

	CHECK(snap.nfault == 0 && !snap.capped, "%zu malformed entries", snap.nfault);
	for (unsigned i = 0; i < 2; i++) {
		check_direct(&snap, info->ram[i].start, info->ram[i].end);
		direct += info->ram[i].end - info->ram[i].start;
	}
	CHECK(direct == info->ram_bytes, "%#lx bytes of %#lx in RAM", direct, info->ram_bytes);
	for (size_t i = 0; i < snap.nrun; i++) {
		const struct view_run *run = &snap.run[i];
		uint64_t last = view_run_last(run).v;

		CHECK((run->attr.rights & (VIEW_W | VIEW_X)) != (VIEW_W | VIEW_X) &&
			  (run->attr.rights & VIEW_U) == 0,
		    "%#lx has rights %#x", run->va.v, run->attr.rights);
		CHECK(run->attr.memtype == 0, "%#lx is not write-back", run->va.v);
		if (run->va.v >= BED_DIRECT_BASE && last < BED_DIRECT_BASE + BED_DIRECT_MAX) {
			direct -= view_run_bytes(run);
			continue;
		}
		CHECK(run->va.v >= BED_IMAGE_BASE + BED_IMAGE_PA && last < image_end,
		    "%#lx..%#lx is mapped at boot", run->va.v, last);
	}
	CHECK(direct == 0, "the direct map has %#lx bytes too many", (uint64_t)-direct);
	for (size_t i = 1; i < snap.ntable; i++) {
		uint64_t slot = pt_index(snap.table[i].va.v, 4);

		CHECK(slot == 256 || slot == 511 || slot == pt_index(BED_DIRECT_BASE, 4) ||
			  slot == pt_index(BED_DIRECT_BASE, 4) + 1,
		    "a table for L4 slot %lu", slot);
		CHECK(snap.table[i].gpa.v >= info->ptpool_start &&
			  snap.table[i].gpa.v < info->ptpool_end,
		    "a table at %#lx, outside the pool", snap.table[i].gpa.v);
	}
	snapshot_free(&snap);
}

/* property 84: pages */
BED_TEST(boot, every_size_of_memory)
{
	kvm_only("the twin has no hole in its memory");

	/* 2 MiB past the hole, and 1 GiB past it: RAM on both sides of it. */
	static const uint64_t sizes[] = { 8 * MIB, 10 * MIB, 64 * MIB, GIB, 3 * GIB + 2 * MIB,
		4 * GIB };

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct bed *bed = BED(.boot = true, .ram = sizes[i], .flags = BED_OVERCOMMIT);

		check_address_space(bed);
		bed_null(bed);
		CHECK(bed_bootinfo(bed)->ram_bytes == sizes[i], "%#lx", sizes[i]);
		bed_down(bed);
	}
}

BED_TEST(boot, every_size_of_kernel_map)
{
	static const uint64_t sizes[] = { 2 * MIB, 16 * MIB, 64 * GIB, BED_KVA_MAX };

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct bed *bed = BED(.boot = true, .ram = 64 * MIB, .kva = sizes[i]);
		struct inside_range used[8];
		gva_t va;

		INSIDE_CHECK(bed);
		CHECK(inside_used(bed, used, COUNT_OF(used)) == 1, "submaps not side by side");
		va = bed_uvm_km_alloc(bed, KERNEL, PAGE);
		CHECK(va.v == used[0].end, "%#lx", va.v);
		bed_uvm_km_free(bed, KERNEL, va, PAGE);
		bed_down(bed);
	}
}

/* Page 0 catches null; each stack stands on an unmapped page; .text, .rodata and .data have their rights. */
BED_TEST(boot, image_and_stacks)
{
	struct bed *bed = BED(.boot = true);
	uint64_t stacks = inside_symbol(bed, "thread_stacks").v;
	uint64_t ist = inside_symbol(bed, "ist_stacks").v;
	struct bed_err err;
	struct image im;

	CHECK(image_open(&im, bed_image_path(bed), &err), "%s", err.text);
	for (unsigned i = 0; i < im.nseg; i++) {
		uint64_t last = im.seg[i].va + im.seg[i].memsz - 1;

		/* Both ends: guard pages lie inside .bss. */
		PT_EXPECT(bed, GVA(im.seg[i].va), .perm = im.seg[i].write ? PT_RW : PT_R,
		    .nx = im.seg[i].exec ? PT_NO : PT_YES, .user = PT_NO, .size = PT_4K,
		    .frames = PT_PA(im.seg[i].pa));
		PT_EXPECT(bed, GVA(last & ~BED_PAGE_MASK), .perm = im.seg[i].write ? PT_RW : PT_R,
		    .nx = im.seg[i].exec ? PT_NO : PT_YES);
		if (im.seg[i].exec)
			EXPECT_FAULT(bed, GVA(im.seg[i].va), STORE, PF_P | PF_W);
	}
	image_close(&im);
	PT_ABSENT(bed, GVA(0), 1);
	EXPECT_FAULT(bed, GVA(0), LOAD, 0);
	EXPECT_FAULT(bed, GVA(8), STORE, PF_W);
	/* The first thread's stack, the one that runs this call, and an interrupt stack. */
	PT_ABSENT(bed, GVA(stacks), 1);
	PT_EXPECT(bed, GVA(stacks + PAGE), .npages = 3, .perm = PT_RW, .nx = PT_YES);
	PT_ABSENT(bed, GVA(stacks + 4 * PAGE), 1);
	PT_ABSENT(bed, GVA(ist), 1);
	PT_EXPECT(bed, GVA(ist + PAGE), .perm = PT_RW);
	EXPECT_FAULT(bed, GVA(stacks), STORE, PF_W);
	bed_down(bed);
}

/* Three witnesses of everything that is mapped, and of what is not: the walker, KVM, and the tables' owner. */
BED_TEST(boot, kvm_translates_as_the_tables_say)
{
	static const uint64_t region[][2] = {
		{ BED_KVA_BASE, 64 * MIB },
		{ BED_DIRECT_BASE, 24 * MIB },
		{ BED_IMAGE_BASE, 8 * MIB },
		{ 0, 8 * MIB },
		{ 0x00007fffffff0000, 64 * KIB },
		{ BED_DIRECT_BASE + 512 * GIB, 512 * GIB },
	};
	struct rng rng = rng_seeded("kvm_translates_as_the_tables_say");
	struct bed *bed = BED(.boot = true);
	struct view view = bed_view(bed);
	unsigned mapped = 0, absent = 0;

	/* Some of kernel_map, with a hole in it. */
	gva_t va = bed_uvm_km_alloc(bed, KERNEL, 40 * PAGE);
	bed_uvm_km_free(bed, KERNEL, page_of(va, 10), 5 * PAGE);
	for (unsigned i = 0; i < 600; i++) {
		const uint64_t *r = region[i % COUNT_OF(region)];
		uint64_t at =
		    i % 12 == 0 ? va.v + rng_below(&rng, 40 * PAGE) : r[0] + rng_below(&rng, r[1]);
		struct walk w = view_walk(&view, GVA(at));
		gpa_t pa = GPA(0);
		bool kvm = bed_translate(bed, GVA(at), &pa);

		CHECK(kvm == walk_mapped(&w), "%#lx: the tables say %s, KVM says %smapped", at,
		    walk_stop_name(w.stop), kvm ? "" : "un");
		CHECK(!kvm || pa.v == w.pa.v, "%#lx: %#lx by the tables, %#lx by KVM", at, w.pa.v,
		    pa.v);
		mapped += kvm;
		absent += !kvm;
	}
	CHECK(mapped > 100 && absent > 100, "%u mapped, %u not", mapped, absent);
	bed_down(bed);
}

BED_TEST(boot, maxphyaddr_is_the_guests)
{
	kvm_only("the twin has no CPU model");

	struct bed_err err;
	const struct hv_features *feat = hv_features(&err);
	struct bed *bed = BED(.boot = true);
	struct view view = bed_view(bed);
	uint64_t pages = BED_PAGE_SIZE;
	gva_t va = bed_uvm_km_alloc(bed, KERNEL, pages);
	uint64_t *pte = bed_entry(bed, va, 1), good = *pte;
	struct walk w;

	CHECK(view.maxphyaddr == feat->maxphyaddr && view.nx == feat->nx, "%u", view.maxphyaddr);
	CHECK(view.maxphyaddr >= 36 && view.maxphyaddr <= 52, "%u", view.maxphyaddr);
	for (unsigned bit = view.maxphyaddr; bit < 52; bit++) {
		*pte = good | UINT64_C(1) << bit;
		w = view_walk(&view, va);
		CHECK(w.stop == WALK_RESERVED && w.bad == UINT64_C(1) << bit, "bit %u: %s", bit,
		    walk_stop_name(w.stop));
	}
	*pte = good;
	PT_EXPECT(bed, va, .perm = PT_RW);
	bed_down(bed);
}

/* What the guest counts begins with the first call: the boot maps and flushes nothing through it. */
BED_TEST(boot, counters_begin_at_zero)
{
	struct bed *bed = BED(.boot = true);
	struct bed_counters c = bed_counters(bed, 0);
	struct inside in = inside_look(bed);

	CHECK(c.pte_set == 0 && c.pte_clear == 0 && c.pte_change == 0, "PTEs: %lu %lu %lu",
	    c.pte_set, c.pte_clear, c.pte_change);
	CHECK(c.invlpg == 0 && c.ipi == 0 && c.fault == 0 && c.lost == 0, "%lu INVLPG", c.invlpg);
	CHECK(c.page_zero == 0, "%lu pages were zeroed", c.page_zero);
	CHECK(in.obj_pages == 0 && in.resident == 0 && in.wired == 0 && in.misuse == 0,
	    "%lu pages in the object", in.obj_pages);
	INSIDE_CHECK(bed);
	bed_down(bed);
}

/* 20,000 instructions at 64 MiB; and with memory it grows only by the tables of the submaps, up to a point. */
BED_TEST(boot, instruction_budget)
{
	kvm_only("the twin has no single steps");

	static const struct {
		uint64_t ram, most;
	} row[] = { { 64 * MIB, 20000 }, { GIB, 30000 }, { 4 * GIB, 30000 } };

	for (size_t i = 0; i < COUNT_OF(row); i++) {
		struct bed *bed = BED(.boot = true, .ram = row[i].ram, .release = true,
		    .flags = BED_COUNT_BOOT | BED_OVERCOMMIT);
		/* By KVM's counter, or else by single steps: always there. */
		uint64_t insns = bed_boot(bed).insns;

		CHECK(insns > 100 && insns <= row[i].most, "%lu instructions at %lu MiB", insns,
		    row[i].ram / MIB);
		bed_down(bed);
	}
}

/* What the guest says on its console is empty on a good day. */
BED_TEST(boot, silence)
{
	struct bed *bed = BED(.boot = true);

	cr_expect_str_eq(bed_console(bed), "");
	cr_expect(bed_report(bed) == NULL);
	cr_expect(bed_boot(bed).exits == 1, "%lu exits", bed_boot(bed).exits);
	bed_down(bed);
}
