/* SPDX-License-Identifier: ISC */
/*
 * The test that docs/writing-tests.md explains.
 */
#include "tests/bed/inside.h"

/* property 33 34 39: kernel_map */
BED_TEST(example, the_middle_page_goes_and_the_others_stay)
{
	struct bed *bed = BED(.ram = 8 * MIB);
	struct inside before = inside_look(bed);
	struct work w;
	gva_t va;

	DELTA(bed, va = bed_uvm_km_alloc(bed, KERNEL, 3 * PAGE),
	    { PT_ADDED,
		.map = {
		    .va = va, .npages = 3, .perm = PT_RW, .nx = PT_YES, .frames = PT_DISTINCT } });
	GUEST_STORE(bed, page_of(va, 2), 0x5a);

	w = WORK(bed, bed_uvm_km_free(bed, KERNEL, page_of(va, 1), PAGE));
	CHECK(w.count.pte_clear == 1 && w.exits == 1, "%lu cleared in %lu exits", w.count.pte_clear,
	    w.exits);

	PT_EXPECT(bed, va, .perm = PT_RW);
	PT_ABSENT(bed, page_of(va, 1), 1);
	EXPECT_FAULT(bed, page_of(va, 1), STORE, PF_W);
	CHECK(*HOST(bed, page_of(va, 2)) == 0x5a, "the third page lost its contents");

	bed_uvm_km_free(bed, KERNEL, va, PAGE);
	bed_uvm_km_free(bed, KERNEL, page_of(va, 2), PAGE);
	INSIDE_SAME(bed, &before);
	INSIDE_CHECK(bed);
	bed_down(bed);
}
