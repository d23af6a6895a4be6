/* SPDX-License-Identifier: ISC */
/*
 * Several CPUs: what two of them do to one page, one lock, one map or the last pages at the same time, and
 * that nobody sleeps for ever. tests/race has the random programs.
 */
#include <machine/thread.h>

#include "guest/uvm/uvm_extern.h"
#include "tests/race/program.h"
#include "tests/twin/prop.h"

static uint64_t step; /* how far a test has come, where its CPUs take turns */

static void
smp_boot(unsigned ncpu)
{
	const struct twin_config cfg = { .ram = 16 * MIB, .kva = 64 * MIB, .ncpu = ncpu };

	twin_boot_config(&cfg);
	step = 0;
}

static void
await(uint64_t n)
{
	unsigned turns = 0;

	while (__atomic_load_n(&step, __ATOMIC_ACQUIRE) < n)
		spin_wait(&turns);
}

static void
next(void)
{
	__atomic_fetch_add(&step, 1, __ATOMIC_ACQ_REL);
}

/* All CPUs begin together. */
static void
meet(unsigned ncpu)
{
	next();
	await(ncpu);
}

/* property 92 97 99: kernel_map kmem_map submap */
BED_TEST(smp, random_programs)
{
	struct rnd r = rnd_start("smp/random_programs");

	for (unsigned ncpu = 2; ncpu <= 8; ncpu *= 2) {
		const struct race how = {
			.seed = rnd_next(&r), .ncpu = ncpu, .rounds = 100000 / 3
		};
		struct race_result result;

		cr_assert(
		    race_run(&how, &result), "seed 0x%lx, %u CPUs: %s", r.seed, ncpu, result.text);
		prop_check("after random programs");
	}
}

BED_TEST(smp, a_cpu_that_does_not_invalidate_is_noticed)
{
	const struct race how = { .seed = 1, .ncpu = 2, .rounds = 20000, .deaf = true };
	struct race_result result;

	cr_assert_not(race_run(&how, &result));
	twin_tlb_deaf = 0;
}

static struct {
	vaddr_t va;
	uint64_t n;
	struct vm_map *map;
	uint64_t value[BED_CPU_MAX], rounds;
	int error[BED_CPU_MAX];
} shared;

#define ROUNDS 100000

static void
touch_both(void *arg __unused_arg, unsigned cpu)
{
	uint64_t at = 0;

	for (uint64_t i = 0; i < ROUNDS; i++) {
		if (cpu == 0 && i != 0)
			uvm_km_free(kernel_map, shared.va, PAGE_SIZE);
		if (cpu == 0)
			shared.va = uvm_km_valloc(kernel_map, PAGE_SIZE);
		next();
		await(at += 2);
		kva_write(shared.va + 8 * cpu, i + 1);
		next();
		await(at += 2);
		shared.value[cpu] += kva_read(shared.va + 8 * (1 - cpu)) == i + 1;
		if (cpu == 0)
			shared.n += uvm_kernel_object.uo_npages;
		next();
		await(at += 2);
	}
}

/* property 25: kernel_map */
BED_TEST(smp, two_at_the_same_page)
{
	uint64_t pages;

	smp_boot(2);
	memset(&shared, 0, sizeof(shared));
	pages = KO->uo_npages;
	twin_run_cpus(3, touch_both, NULL);
	cr_assert_eq(shared.value[0], ROUNDS);
	cr_assert_eq(shared.value[1], ROUNDS);
	cr_assert_eq(shared.n, (pages + 1) * ROUNDS, "one page each time");
}

/* CPU 1 keeps a translation of each page; CPU 0 takes the pages away, CPU 1 must find none. */
static void
take_away(void *arg __unused_arg, unsigned cpu)
{
	for (uint64_t i = 0; cpu == 1 && i < shared.n; i++)
		kva_read(shared.va + P(i));
	meet(2);
	if (cpu == 0) {
		pmap_kremove(shared.va, P(shared.n));
		next();
		return;
	}
	await(3);
	for (uint64_t i = 0; i < shared.n; i++) {
		uint64_t value, err;

		shared.value[1] += twin_load(shared.va + P(i), &value, &err) == 0;
	}
}

static uint64_t
left_after(vaddr_t va, uint64_t n, struct vm_page *pg, bool deaf)
{
	memset(&shared, 0, sizeof(shared));
	step = 0;
	shared.va = va;
	shared.n = n;
	for (uint64_t i = 0; i < n; i++)
		cr_assert_eq(pmap_kenter_pa(va + P(i), VM_PAGE_TO_PHYS(&pg[i]), RW), 0);
	twin_tlb_deaf = deaf ? CPU_MASK(1) : 0;
	twin_run_cpus(3, take_away, NULL);
	twin_tlb_deaf = 0;
	return shared.value[1];
}

/* property 93: tables */
BED_TEST(smp, every_page_of_a_range_over_every_edge)
{
	const struct twin_config cfg = { .ram = 32 * MIB, .kva = UINT64_C(8) << 30, .ncpu = 2 };
	const uint64_t edge[] = { PMAP_L1_SPAN, UINT64_C(1) << 30, UINT64_C(4) << 30 };
	const uint64_t sizes[] = { 1, 2, 3, 31, 32, 33, 40 };
	struct vm_page *pg;
	unsigned got;

	twin_boot_config(&cfg);
	pg = uvm_pmr_getrun(40, &got, 0);
	cr_assert_eq(got, 40);
	for (unsigned e = 0; e < nitems(edge); e++) {
		for (unsigned s = 0; s < nitems(sizes); s++) {
			uint64_t n = sizes[s];
			vaddr_t va = KVA + edge[e] - P(n / 2);

			cr_assert_eq(left_after(va, n, pg, false), 0, "%lu pages at 0x%lx", n, va);
			cr_assert_eq(left_after(va, n, pg, true), n, "a deaf CPU keeps them");
		}
	}
}

/* The round of a range of any size: one interrupt. */
static void
take_two(void *arg __unused_arg, unsigned cpu)
{
	meet(2);
	if (cpu == 0) {
		shared.n = twin_count()->ipi;
		uvm_unmap(kernel_map, shared.va, shared.va + P(600));
		shared.n = twin_count()->ipi - shared.n;
		next();
	}
	await(3);
}

/* property 90 91: kernel_map */
BED_TEST(smp, one_round_for_an_unmap_of_any_size)
{
	vaddr_t va, end;

	smp_boot(4);
	memset(&shared, 0, sizeof(shared));
	va = uvm_km_alloc(kernel_map, P(200));
	end = uvm_km_valloc(kernel_map, P(200));
	cr_assert_eq(end, va + P(200));
	for (unsigned i = 0; i < 200; i += 3)
		kva_write(end + P(i), 1);
	cr_assert_eq(uvm_km_kmemalloc(kernel_map, KO, P(200), 0), va + P(400));
	shared.va = va;
	twin_run_cpus(3, take_two, NULL);
	cr_assert_eq(shared.n, 1, "%lu interrupts: CPU 1 is on, 2 and 3 are off", shared.n);
	prop_check("after the unmap");
}

/* A CPU that was off all the time is not asked, and finds the mapping gone when it comes. */
static void
look(void *arg __unused_arg, unsigned cpu __unused_arg)
{
	uint64_t err;

	shared.error[1] = twin_load(shared.va, &shared.value[1], &err);
}

/* property 90: kernel_map */
BED_TEST(smp, a_cpu_that_was_off_comes_back_clean)
{
	uint64_t ipi;

	smp_boot(2);
	memset(&shared, 0, sizeof(shared));
	shared.va = uvm_km_zalloc(kernel_map, PAGE_SIZE);
	twin_run_cpus(2, look, NULL);
	cr_assert_eq(shared.error[1], 0);
	ipi = twin_count()->ipi;
	uvm_km_free(kernel_map, shared.va, PAGE_SIZE);
	cr_assert_eq(twin_count()->ipi, ipi);
	twin_run_cpus(2, look, NULL);
	cr_assert_eq(shared.error[1], EFAULT);
}

/* property 47: kernel_map */
BED_TEST(smp, an_old_address_shows_nobody_elses_page)
{
	vaddr_t va;

	smp_boot(2);
	memset(&shared, 0, sizeof(shared));
	shared.va = uvm_km_alloc(kernel_map, PAGE_SIZE);
	kva_write(shared.va, 42);
	twin_run_cpus(2, look, NULL);
	cr_assert_eq(shared.value[1], 42);
	uvm_km_free(kernel_map, shared.va, PAGE_SIZE);
	va = uvm_km_zalloc(kernel_map, 2 * PAGE_SIZE) + PAGE_SIZE;
	kva_write(va, 43);
	uvm_km_free(kernel_map, va - PAGE_SIZE, PAGE_SIZE);
	shared.value[1] = 0;
	twin_run_cpus(2, look, NULL);
	cr_assert(shared.error[1] == EFAULT || shared.value[1] != 43);
}

/* All that a map has room for, in turns: each wakeup counts, or the two sleep for ever. */
static void
ping_pong(void *arg __unused_arg, unsigned cpu)
{
	struct vm_map *map = shared.map;
	vsize_t size = vm_map_max(map) - vm_map_min(map);

	for (uint64_t i = 0; i < ROUNDS; i++) {
		vaddr_t va = uvm_km_valloc_wait(map, size);

		uvm_km_free_wakeup(map, va, size);
		shared.value[cpu] += va != 0;
	}
}

/* property 56 57 58: submap */
BED_TEST(smp, no_wakeup_is_lost)
{
	vaddr_t min = 0, max;

	smp_boot(4);
	memset(&shared, 0, sizeof(shared));
	shared.map = uvm_km_suballoc(kernel_map, &min, &max, P(4), 0, FALSE, NULL);
	twin_run_cpus(15, ping_pong, NULL);
	for (unsigned cpu = 0; cpu < 4; cpu++)
		cr_assert_eq(shared.value[cpu], ROUNDS, "CPU %u: %lu", cpu, shared.value[cpu]);
}

static void
wait_in(void *arg, unsigned cpu)
{
	struct vm_map *const *map = arg;

	shared.value[cpu] = uvm_km_valloc_wait(map[cpu & 1], P(2));
}

static unsigned
served(void)
{
	unsigned n = 0;

	for (unsigned cpu = 1; cpu < 8; cpu++)
		n += shared.value[cpu] != 0;
	return n;
}

/* property 57 59: submap */
BED_TEST(smp, as_many_wake_as_can_be_served_and_in_no_other_map)
{
	vaddr_t min = 0, max, va[2];
	struct vm_map *map[2];

	smp_boot(8);
	memset(&shared, 0, sizeof(shared));
	for (unsigned i = 0; i < 2; i++) {
		map[i] = uvm_km_suballoc(kernel_map, &min, &max, P(8), 0, FALSE, NULL);
		va[i] = uvm_km_valloc(map[i], P(8));
		cr_assert_neq(va[i], 0);
	}
	twin_run_cpus(0xfe, wait_in, map); /* 1, 3, 5, 7 in map 1 and 2, 4, 6 in map 0 */
	cr_assert_eq(served(), 0);
	uvm_km_free(map[1], va[1], P(2));
	twin_run_cpus(0, NULL, NULL);
	cr_assert_eq(served(), 0, "a free that does not wake");
	uvm_km_free_wakeup(map[1], va[1] + P(2), P(2));
	twin_run_cpus(0, NULL, NULL);
	cr_assert_eq(served(), 2);
	cr_assert_eq(shared.value[2] | shared.value[4] | shared.value[6], 0);
	uvm_km_free_wakeup(map[0], va[0], P(8));
	twin_run_cpus(0, NULL, NULL);
	cr_assert_eq(served(), 5);
	uvm_km_free_wakeup(map[1], va[1] + P(4), P(4));
	twin_run_cpus(0, NULL, NULL);
	cr_assert_eq(served(), 7);
}

/* CPU 1 holds the lock of a map; CPU 0 tries that map, and another. */
static void
hold_and_try(void *arg __unused_arg, unsigned cpu)
{
	if (cpu == 1) {
		vm_map_lock(shared.map);
		next();
		await(2);
		vm_map_unlock(shared.map);
		return;
	}
	await(1);
	shared.value[0] = uvm_km_valloc_try(shared.map, PAGE_SIZE);
	shared.value[1] = uvm_km_alloc(exec_map, PAGE_SIZE);
	next();
}

/* property 60 68: submap */
BED_TEST(smp, a_locked_map_is_not_waited_for_and_holds_up_no_other)
{
	vaddr_t min = 0, max;

	smp_boot(2);
	memset(&shared, 0, sizeof(shared));
	shared.map = uvm_km_suballoc(kernel_map, &min, &max, P(8), VM_MAP_PAGEABLE, FALSE, NULL);
	twin_run_cpus(3, hold_and_try, NULL);
	cr_assert_eq(shared.value[0], 0);
	cr_assert_neq(shared.value[1], 0);
	cr_assert_neq(uvm_km_valloc_try(shared.map, PAGE_SIZE), 0);
}

/* More than half of all memory, on two CPUs at once. */
static void
take_most(void *arg __unused_arg, unsigned cpu)
{
	for (unsigned i = 0; i < 200; i++) {
		vaddr_t va = uvm_km_alloc(kernel_map, shared.n);

		if (va == 0)
			return;
		kva_write(va + shared.n - 8, i);
		uvm_km_free(kernel_map, va, shared.n);
		shared.value[cpu]++;
	}
}

/* property 53: kernel_map */
BED_TEST(smp, two_that_want_most_of_memory)
{
	smp_boot(2);
	memset(&shared, 0, sizeof(shared));
	shared.n = ptoa(uvmexp.free * 6 / 10);
	twin_run_cpus(3, take_most, NULL);
	cr_assert_eq(shared.value[0], 200);
	cr_assert_eq(shared.value[1], 200);
}

/* CPU 1 wants a page when there is none; CPU 0 uses the same map meanwhile, then frees one. */
static void
starve(void *arg __unused_arg, unsigned cpu)
{
	struct vm_page *all = NULL;

	for (uint64_t i = 0; i < shared.rounds; i++) {
		if (cpu == 0) {
			all = prop_take_pages(uvmexp.reserve_pagedaemon);
			next();
			for (unsigned turns = 0; turns < 1 + i % 7; turns++) {
				vaddr_t va = uvm_km_valloc(kernel_map, PAGE_SIZE);

				shared.n += va != 0;
				if (va != 0)
					uvm_km_free(kernel_map, va, PAGE_SIZE);
			}
			prop_give_pages(all);
			await(2 * i + 2);
		} else {
			await(2 * i + 1);
			kva_write(shared.va, i + 1);
			shared.value[1] += kva_read(shared.va) == i + 1;
			uvm_km_free(kernel_map, shared.va, PAGE_SIZE);
			shared.va = uvm_km_valloc(kernel_map, PAGE_SIZE);
			next();
		}
	}
}

/* property 30 52: kernel_map */
BED_TEST(smp, a_page_that_is_freed_ends_the_sleep)
{
	smp_boot(2);
	memset(&shared, 0, sizeof(shared));
	shared.rounds = 300;
	shared.va = uvm_km_valloc(kernel_map, PAGE_SIZE);
	twin_run_cpus(3, starve, NULL);
	cr_assert_eq(shared.value[1], shared.rounds);
	cr_assert_geq(shared.n, shared.rounds, "the map was of use meanwhile");
}

/* As with a mutex held: nothing may sleep. */
static void
unsleeping(void *arg __unused_arg, unsigned cpu)
{
	curcpu()->ci_mutex_level++;
	for (unsigned i = 0; i < ROUNDS / 4; i++) {
		vaddr_t va = uvm_km_kmemalloc(kmem_map, NULL, P(1 + i % 3), UVM_KMF_NOWAIT);

		if (va == 0)
			break;
		kva_write(va, i);
		shared.value[cpu] += kva_read(va) == i;
		uvm_km_free(kmem_map, va, P(1 + i % 3));
	}
	curcpu()->ci_mutex_level--;
}

/* property 69: kmem_map */
BED_TEST(smp, an_interrupt_safe_map_on_every_cpu)
{
	smp_boot(4);
	memset(&shared, 0, sizeof(shared));
	twin_run_cpus(15, unsleeping, NULL);
	for (unsigned cpu = 0; cpu < 4; cpu++)
		cr_assert_eq(shared.value[cpu], ROUNDS / 4);
	prop_check("after all that");
}

static void
grow(void *arg __unused_arg, unsigned cpu)
{
	struct vm_map *map = ((struct vm_map *const *)arg)[cpu];
	vaddr_t last = 0;

	while (uvm_km_valloc(map, MIB) != 0) {
		vaddr_t now = __atomic_load_n(&uvm_maxkaddr, __ATOMIC_RELAXED);

		shared.error[cpu] |= now < last;
		last = now;
	}
}

/* property 83: submap kernel_map */
BED_TEST(smp, two_grow_the_tables)
{
	vaddr_t min = 0, max = 0;
	struct vm_map *map[2];
	uint64_t wired, tables;

	smp_boot(2);
	memset(&shared, 0, sizeof(shared));
	for (unsigned i = 0; i < 2; i++)
		map[i] = uvm_km_suballoc(kernel_map, &min, &max, 16 * MIB, 0, FALSE, NULL);
	twin_run_cpus(3, grow, map);
	cr_assert_eq(shared.error[0] | shared.error[1], 0);
	cr_assert_eq(uvm_maxkaddr, pmap_kernel()->pm_end);
	cr_assert_geq(uvm_maxkaddr, max);
	count_leaves_of_map(&wired, &tables);
	cr_assert_eq(tables, pmap_kernel()->pm_ptps);
}
