/* SPDX-License-Identifier: ISC */
/*
 * What a test that boots a guest is written with: a bed from a few options, calls that end the test when they
 * fail, and assertions about mappings that show the caller's line and the walk.
 *
 *	BED_TEST(example, three_pages)
 *	{
 *		struct bed *bed = BED(.ram = 8 * MIB);
 *		gva_t va;
 *
 *		DELTA(bed, va = bed_uvm_km_alloc(bed, KERNEL, 3 * PAGE),
 *		    { PT_ADDED, .map = { .va = va, .npages = 3, .perm = PT_RW } });
 *		bed_uvm_km_free(bed, KERNEL, va, 3 * PAGE);
 *		PT_ABSENT(bed, va, 3);
 *		EXPECT_FAULT(bed, va, LOAD, 0);
 *		bed_down(bed);
 *	}
 *
 * The calls are those of vmm/bed/stubs.h. Forms in pairs: a macro in capitals ends the test, the function
 * below it answers.
 */
#ifndef TESTS_BED_FIXTURE_H
#define TESTS_BED_FIXTURE_H

#include "shared/layout.h"
#include "shared/paging.h"
#include "tests/bedtest.h"
#include "vmm/bed/bed.h"
#include "vmm/bed/snapshot.h"
#include "vmm/bed/stubs.h"
#include "vmm/kvm/engine.h"
#include "vmm/view/delta.h"
#include "vmm/view/expect.h"

#define KIB         (UINT64_C(1) << 10)
#define MIB         (UINT64_C(1) << 20)
#define GIB         (UINT64_C(1) << 30)
#define PAGE        BED_PAGE_SIZE
#define KERNEL      BED_MAP_KERNEL
#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

#define REPORT 2400 /* bytes of a report of mismatches */

/* What differs from the default bed: 16 MiB, checked flavour, 4 GiB of kernel_map. 0: as it is there. */
struct bed_opts {
	uint64_t ram, kva, ptpool;
	uint32_t flags; /* added */
	unsigned timeout_ms;
	uint64_t flush_threshold;
	unsigned ncpu;
	bool release, twin;
	bool boot; /* what the test is about is the boot */
};
struct bed_config bed_opts_config(const struct bed_opts *);

/*
 * A booted bed; otherwise the test ends. From then on a call that fails, or sleeps, ends the test, too. It starts
 * from a snapshot, unless .boot is set, or BED_BOOT in the environment.
 */
#define BED(...) bed_up(&(struct bed_opts){ __VA_ARGS__ }, __FILE__, __LINE__)
struct bed *bed_up(const struct bed_opts *, const char *file, int line);
void bed_down(struct bed *);

/* End the test with a text, and the caller's line. */
#define FAIL(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)
void test_fail(const char *file, int line, const char *fmt, ...)
    __attribute__((__format__(__printf__, 3, 4), __noreturn__));
#define CHECK(cond, ...)                   \
	do {                               \
		if (!(cond))               \
			FAIL(__VA_ARGS__); \
	} while (0)

/* PT_EXPECT(bed, va, .npages = 3, .perm = PT_RW, ...): fields of struct pt_expect. */
#define PT_EXPECT(bed, addr, ...) \
	bed_must_show(bed, &(struct pt_expect){ .va = (addr), __VA_ARGS__ }, __FILE__, __LINE__)
/* (The enumerator of that name has no parenthesis after it and is not touched.) */
#define PT_ABSENT(bed, addr, n) PT_EXPECT(bed, addr, .npages = (n), .state = PT_ABSENT)
void bed_must_show(const struct bed *, const struct pt_expect *, const char *file, int line);
bool bed_shows(const struct bed *, const struct pt_expect *, char report[REPORT]);

/* Run `call`; exactly the mappings of the rows (struct pt_delta) changed, none if there is no row. */
#define DELTA(bed, call, ...)                                                               \
	do {                                                                                \
		struct snapshot before_ = bed_snapshot(bed);                                \
		call;                                                                       \
		const struct pt_delta rows_[] = { __VA_ARGS__ };                            \
		bed_must_differ(bed, &before_, rows_, COUNT_OF(rows_), __FILE__, __LINE__); \
	} while (0)
struct snapshot bed_snapshot(const struct bed *); /* ends the test if it cannot */
/* Frees the snapshot. */
void bed_must_differ(const struct bed *, struct snapshot *before, const struct pt_delta *, size_t,
    const char *file, int line);

/* The work of a call: struct work w = WORK(bed, bed_null(bed)); */
struct work {
	struct bed_counters count;
	uint64_t exits;
	bool has_insns, has_invlpg; /* this KVM counts them */
	uint64_t insns, invlpg;     /* as KVM saw them */
};
#define WORK(bed, call)                            \
	({                                         \
		struct work work_ = bed_work(bed); \
		call;                              \
		bed_work_since(bed, &work_);       \
	})
struct work bed_work(struct bed *); /* since boot */
struct work bed_work_since(struct bed *, const struct work *);

/* The guest's own access to va. */
enum access { LOAD, STORE, EXEC };
/* It faults, with exactly this page-fault error code (PF_*). */
#define EXPECT_FAULT(bed, va, kind, code) bed_must_fault(bed, va, kind, code, __FILE__, __LINE__)
void bed_must_fault(struct bed *, gva_t, enum access, uint64_t code, const char *file, int line);
bool bed_faults(struct bed *, gva_t, enum access, uint64_t *code);
/* It works: the value. */
#define GUEST_LOAD(bed, va) bed_must_load(bed, va, __FILE__, __LINE__)
#define GUEST_STORE(bed, va, value) \
	CHECK(bed_store(bed, va, value) == 0, "the guest cannot store to %#lx", (va).v)
uint64_t bed_must_load(struct bed *, gva_t, const char *file, int line);

/* The host's side of a mapped address, through a walk of the guest's tables; ends the test if unmapped. */
#define HOST(bed, va) bed_host(bed, va, __FILE__, __LINE__)
uint64_t *bed_host(const struct bed *, gva_t, const char *file, int line);
/* Entry `level` (4..1) that translates va, for tests that edit tables behind the guest's back. */
uint64_t *bed_entry(const struct bed *, gva_t, int level);

static inline gva_t
page_of(gva_t va, uint64_t i)
{
	return GVA(va.v + i * BED_PAGE_SIZE);
}

/* Time limits count in the machine's own pace: the emulated one is slower. */
unsigned scaled_ms(unsigned ms);

/* Of rounds that only make a test more thorough: fewer on the emulated machine. */
unsigned scaled_rounds(unsigned n);

/* Skips a test of what only KVM has, where all beds are twins. */
void kvm_only(const char *why);

/* The engine's class; ends the test without KVM. */
enum engine_class engine_class(void);

/* Random numbers from the seed of a test (tests/seed.h), which is printed. */
struct rng {
	uint64_t state;
};
struct rng rng_seeded(const char *test);
uint64_t rng_next(struct rng *);
uint64_t rng_below(struct rng *, uint64_t n);

#endif
