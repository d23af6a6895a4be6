/* SPDX-License-Identifier: ISC */
/*
 * The parts of a bed that need no /dev/kvm: configuration, the division of memory, the first page
 * tables, the rings of a hostile share area, and the words for an unusable KVM device.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/layout.h"
#include "shared/paging.h"
#include "tests/bedtest.h"
#include "vmm/bed/bed_priv.h"
#include "vmm/view/walk.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

BED_TEST(parts, configurations)
{
	static const struct {
		uint64_t ram, kva, ptpool;
		unsigned ncpu;
		uint32_t flags;
		int flavour;
		const char *says; /* NULL: accepted */
	} row[] = {
		{ 16 * MIB, 4 * GIB, 0, 1, 0, BED_CHECKED, NULL },
		{ 8 * MIB, 2 * MIB, 4096, 1, BED_BOOT_GUARDPAGES, BED_RELEASE, NULL },
		{ 64 * GIB, 512 * GIB, 0, 1, BED_OVERCOMMIT | BED_COUNT_BOOT, BED_CHECKED, NULL },
		{ 6 * MIB, 4 * GIB, 0, 1, 0, BED_CHECKED, "RAM of 6291456 bytes" },
		{ 64 * GIB + 2 * MIB, 4 * GIB, 0, 1, 0, BED_CHECKED, "from 8 MiB to 65536 MiB" },
		{ 17 * MIB, 4 * GIB, 0, 1, 0, BED_CHECKED, "multiple of 2 MiB" },
		{ 16 * MIB + 4096, 4 * GIB, 0, 1, 0, BED_CHECKED, "multiple of 2 MiB" },
		{ 0, 4 * GIB, 0, 1, 0, BED_CHECKED, "RAM of 0 bytes" },
		{ 16 * MIB, 0, 0, 1, 0, BED_CHECKED, "kernel_map of 0" },
		{ 16 * MIB, 513 * GIB, 0, 1, 0, BED_CHECKED, "kernel_map" },
		{ 16 * MIB, 4 * GIB + 4096, 0, 1, 0, BED_CHECKED, "kernel_map" },
		{ 16 * MIB, 4 * GIB, 100, 1, 0, BED_CHECKED, "page-table pool" },
		{ 16 * MIB, 4 * GIB, 32 * MIB, 1, 0, BED_CHECKED, "page-table pool" },
		{ 16 * MIB, 4 * GIB, 0, 0, 0, BED_CHECKED, "0 CPUs" },
		{ 16 * MIB, 4 * GIB, 0, 16, 0, BED_CHECKED, NULL },
		{ 16 * MIB, 4 * GIB, 0, 17, 0, BED_CHECKED, "17 CPUs" },
		{ 16 * MIB, 4 * GIB, 0, 2, BED_COUNT_BOOT, BED_CHECKED, "2 CPUs" },
		{ 16 * MIB, 4 * GIB, 0, 1, 0x100, BED_CHECKED, "unknown flags 0x100" },
		{ 16 * MIB, 4 * GIB, 0, 1, 0, 7, "unknown flavour 7" },
	};
	struct bed_config cfg;
	struct bed_err err;

	bed_config_init(&cfg);
	cr_assert(bed_config_check(&cfg, &err), "%s", err.text);
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		cfg.ram = row[i].ram;
		cfg.kva_size = row[i].kva;
		cfg.ptpool = row[i].ptpool;
		cfg.ncpu = row[i].ncpu;
		cfg.flags = row[i].flags;
		cfg.flavour = (enum bed_flavour)row[i].flavour;
		err = (struct bed_err){ 0 };
		if (bed_config_check(&cfg, &err)) {
			cr_expect(row[i].says == NULL, "row %zu accepted", i);
			continue;
		}
		cr_expect(row[i].says != NULL && strstr(err.text, row[i].says), "row %zu: %s", i,
		    err.text);
		cr_expect(err.class == BED_E_USAGE, "row %zu", i);
	}
}

BED_TEST(parts, unusable_devices)
{
	static const char *const row[][2] = {
		{ "/nonexistent", "modprobe" },
		{ "/dev/null", "is not KVM's device" },
		{ "/etc/passwd", "is not KVM's device" },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct bed_err err = { 0 };

		cr_expect(!hv_check_device(row[i][0], &err));
		cr_expect(err.class == BED_E_HOST && strstr(err.text, row[i][0]) &&
			      strstr(err.text, row[i][1]),
		    "%s", err.text);
	}
}

static const struct image small_image = {
	.nseg = 3,
	.seg = {
		{ BED_IMAGE_BASE + BED_IMAGE_PA, BED_IMAGE_PA, 0, 0x2100, 0, false, true },
		{ BED_IMAGE_BASE + BED_IMAGE_PA + 0x3000, BED_IMAGE_PA + 0x3000, 0, 0x1000, 0, false,
		    false },
		{ BED_IMAGE_BASE + BED_IMAGE_PA + 0x4000, BED_IMAGE_PA + 0x4000, 0, 0x5001, 0, true,
		    false },
	},
	.pa_start = BED_IMAGE_PA,
	.pa_end = BED_IMAGE_PA + 0xa000,
};

/* Whatever the size: every byte of RAM has at most one owner, in order, and nothing lies outside. */
static void
check_division(const struct memory *m, const struct bed_bootinfo *b, uint64_t ram, unsigned ncpu)
{
	uint64_t share = ncpu * (uint64_t)BED_SHARE_STRIDE, prog = ncpu * (uint64_t)BED_PROG_BYTES;
	uint64_t end = BED_SHARE_PA + share, total = 0;

	for (unsigned i = 0; i < b->nseg; i++) {
		const struct bed_seg *s = &b->seg[i];

		cr_assert(s->start >= end && s->end > s->start && (s->start | s->end) % 4096 == 0);
		cr_assert(s->end <= BED_PROG_PA || s->start >= BED_PROG_PA + BED_PROG_BYTES);
		cr_assert(s->end <= b->image_start || s->start >= b->image_end);
		cr_assert(s->end <= b->ptpool_start || s->start >= b->ptpool_end);
		cr_assert(s->end <= BED_HOLE_START || s->start >= BED_HOLE_END);
		cr_assert(s->end <= b->direct_end);
		end = s->end;
		total += s->end - s->start;
	}
	cr_assert(b->ptpool_start >= b->image_end && b->ptpool_start % (2 * MIB) == 0);
	cr_assert(end == b->direct_end);
	cr_assert(b->ram[0].end + (b->ram[1].end - b->ram[1].start) == ram);
	for (unsigned cpu = 1; cpu < ncpu; cpu++) {
		uint64_t at = memory_prog(m, cpu);

		cr_assert(at >= b->image_end && at + BED_PROG_BYTES <= b->ptpool_start);
	}
	cr_assert(b->cpu_area + (ncpu - 1) * (uint64_t)BED_CPU_AREA == b->image_end);
	/* All that is not the first 64 KiB, a share area, the programs, the image or the pool. */
	cr_assert(total == ram - BED_SHARE_PA - share - prog - (b->image_end - b->image_start) -
			       (m->pool_end - m->pool_start));
}

BED_TEST(parts, memory_is_divided)
{
	static const uint64_t sizes[] = { 8 * MIB, 10 * MIB, 16 * MIB, 64 * MIB, GIB, 3 * GIB,
		3 * GIB + 2 * MIB, 4 * GIB, 64 * GIB, 16 * MIB, 32 * MIB, 4 * GIB };
	static const unsigned cpus[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 16, 16 };
	struct memory_slot slot[MEMORY_SLOTS];
	struct bed_config cfg;
	struct bed_err err;

	bed_config_init(&cfg);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct image image = small_image;
		struct bed_bootinfo b = { 0 };
		struct memory m;
		uint64_t covered = 0;
		unsigned n;

		cfg.ram = sizes[i];
		cfg.ncpu = cpus[i];
		image_extend(&image, (cpus[i] - 1) * (uint64_t)BED_CPU_AREA);
		cr_assert(memory_create(&m, cfg.ram, true, &err), "%s", err.text);
		cr_assert((uintptr_t)m.base % (2 * MIB) == 0);
		cr_assert(memory_plan(&m, &cfg, &image, &b, &err), "%s", err.text);
		check_division(&m, &b, cfg.ram, cpus[i]);
		n = memory_slots(&m, slot);
		for (unsigned k = 0; k < n; k++) {
			cr_assert(slot[k].offset == covered);
			covered += slot[k].len;
		}
		cr_assert(covered == cfg.ram);
		memory_destroy(&m);
	}
}

BED_TEST(parts, too_little_memory_is_said)
{
	struct bed_bootinfo b = { 0 };
	struct bed_config cfg;
	struct bed_err err;
	struct memory m;

	bed_config_init(&cfg);
	cfg.ram = 8 * MIB;
	cfg.ptpool = 2 * MIB;
	cr_assert(memory_create(&m, cfg.ram, false, &err), "%s", err.text);
	cr_expect(!memory_plan(&m, &cfg, &small_image, &b, &err));
	cr_expect(err.class == BED_E_USAGE && strstr(err.text, "more RAM or fewer page tables"),
	    "%s", err.text);
	memory_destroy(&m);
	/* More than any host of today has: refused, unless asked for all the same. */
	cr_expect(!memory_create(&m, UINT64_C(1) << 46, false, &err));
	cr_expect(err.class == BED_E_HOST && strstr(err.text, "use less RAM"), "%s", err.text);
}

static void
expect_leaf(const struct view *view, uint64_t va, uint64_t pa, unsigned rights, unsigned level)
{
	struct walk w = view_walk(view, GVA(va));

	cr_assert(walk_mapped(&w), "%#lx: %s", va, walk_stop_name(w.stop));
	cr_assert(w.pa.v == pa && w.attr.rights == rights && w.attr.level == level, "%#lx", va);
	cr_assert((w.attr.flags & VIEW_A) != 0 && (w.attr.flags & VIEW_G) != 0, "%#lx", va);
	cr_assert(((w.attr.flags & VIEW_D) != 0) == ((rights & VIEW_W) != 0), "%#lx", va);
}

static void
check_tables(uint64_t ram, bool pages_1g)
{
	struct hv_features feat = { .nx = true, .pages_1g = pages_1g };
	struct view_seg seg[2];
	struct view view = { .seg = seg, .maxphyaddr = 48, .nx = true, .pages_1g = pages_1g };
	struct bed_bootinfo b = { 0 };
	struct bed_config cfg;
	struct bed_err err;
	struct memory m;
	struct walk w;

	bed_config_init(&cfg);
	cfg.ram = ram;
	cr_assert(memory_create(&m, ram, true, &err), "%s", err.text);
	cr_assert(memory_plan(&m, &cfg, &small_image, &b, &err), "%s", err.text);
	cr_assert(tables_build(&m, &small_image, &feat, &view.root.v, &err), "%s", err.text);
	view.nseg = memory_segs(&m, seg);
	for (uint64_t pa = 0; pa < b.direct_end; pa += 2 * MIB) {
		if (pa == BED_HOLE_START)
			pa = BED_HOLE_END;
		expect_leaf(&view, BED_DIRECT_BASE + pa + 0x1238, pa + 0x1238, VIEW_R | VIEW_W,
		    pages_1g && (pa | (GIB - 1)) < (pa < BED_HOLE_START ? m.low_end : m.high_end)
			? 3
			: 2);
	}
	for (unsigned i = 0; i < small_image.nseg; i++) {
		const struct image_seg *s = &small_image.seg[i];

		for (uint64_t off = 0; off < s->memsz; off += 4096)
			expect_leaf(&view, s->va + off, s->pa + off,
			    VIEW_R | (s->write ? VIEW_W : 0) | (s->exec ? VIEW_X : 0), 1);
	}
	/* Around what is mapped nothing is; kernel_map has its level-3 table and nothing in it. */
	const uint64_t absent[] = { 0, BED_DIRECT_BASE + b.direct_end, BED_DIRECT_BASE - 1,
		BED_IMAGE_BASE + BED_IMAGE_PA - 1, BED_IMAGE_BASE + small_image.pa_end };

	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		w = view_walk(&view, GVA(absent[i]));
		cr_expect(w.stop == WALK_NOT_PRESENT, "%#lx", absent[i]);
	}
	w = view_walk(&view, GVA(BED_KVA_BASE));
	cr_expect(w.stop == WALK_NOT_PRESENT && w.level == 3);
	memory_destroy(&m);
}

BED_TEST(parts, first_tables)
{
	check_tables(8 * MIB, true);
	check_tables(16 * MIB, false);
	check_tables(GIB + 2 * MIB, false);
	check_tables(GIB + 2 * MIB, true);
	check_tables(6 * GIB, false);
	check_tables(6 * GIB, true);
}

BED_TEST(parts, first_tables_need_a_pool)
{
	struct hv_features feat = { .nx = true };
	struct bed_bootinfo b = { 0 };
	struct bed_config cfg;
	struct bed_err err;
	struct memory m;
	uint64_t root;

	bed_config_init(&cfg);
	for (cfg.ptpool = 4096; cfg.ptpool <= 7 * 4096; cfg.ptpool += 4096) {
		cr_assert(memory_create(&m, cfg.ram, false, &err), "%s", err.text);
		cr_assert(memory_plan(&m, &cfg, &small_image, &b, &err), "%s", err.text);
		/* Root, three of the direct map and kernel_map, three of the image. */
		cr_expect(
		    tables_build(&m, &small_image, &feat, &root, &err) == (cfg.ptpool == 7 * 4096),
		    "%lu pages", cfg.ptpool / 4096);
		memory_destroy(&m);
	}
}

static struct bed *
bed_with_share(void)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	cr_assert(bed != NULL);
	bed_config_init(&bed->cfg);
	bed->cpus[0].share = calloc(1, sizeof(*bed->cpus[0].share));
	cr_assert(bed->cpus[0].share != NULL);
	bed->cpus[0].bed = bed;
	return bed;
}

static void
bed_without_share(struct bed *bed)
{
	free(bed->cpus[0].share);
	free(bed->console);
	free(bed);
}

static void
say(struct bed *bed, const char *text)
{
	struct bed_cpushare *s = bed->cpus[0].share;

	for (; *text != '\0'; text++)
		s->console[s->console_head++ % BED_CONSOLE_BYTES] = *text;
}

BED_TEST(parts, console_ring)
{
	struct bed *bed = bed_with_share();
	const char *wrong = NULL;

	for (int i = 0; i < 3000; i++) {
		say(bed, "0123456789\n");
		if (i % 700 == 0)
			cr_assert(rings_drain(&bed->cpus[0], &wrong));
	}
	say(bed, "\x1b[2J\xff\t.");
	cr_assert(rings_drain(&bed->cpus[0], &wrong));
	cr_expect(strlen(bed_console(bed)) == 3000 * 11 + 7);
	cr_expect_str_eq(bed_console(bed) + 3000 * 11 - 11, "0123456789\n?[2J?\t.");
	cr_expect(bed->cpus[0].share->console_tail == bed->cpus[0].share->console_head);
	/* However much it talks, the last of it is kept and memory is bounded. */
	for (int i = 0; i < 200000; i++) {
		say(bed, "0123456789\n");
		if (i % 700 == 0)
			cr_assert(rings_drain(&bed->cpus[0], &wrong));
	}
	cr_expect(bed->console_cap <= 2 * MIB && strlen(bed_console(bed)) >= MIB / 2);
	bed_without_share(bed);
}

static uint64_t last_ticket, nseen;

static void
on_events(void *arg, const struct bed_event *e, unsigned n)
{
	(void)arg;
	for (unsigned i = 0; i < n; i++) {
		cr_assert(
		    e[i].ticket == last_ticket + 1, "%lu after %lu", e[i].ticket, last_ticket);
		last_ticket = e[i].ticket;
		nseen++;
	}
}

static void
record(struct bed *bed, uint64_t ticket)
{
	struct bed_event *e =
	    &bed->cpus[0].share->event[bed->cpus[0].share->event_head++ % BED_EVENTS];

	*e = (struct bed_event){ .ticket = ticket, .type = 1 };
}

BED_TEST(parts, event_ring)
{
	struct bed *bed = bed_with_share();
	const char *wrong = NULL;
	uint64_t ticket = 0;

	bed_on_events(bed, on_events, NULL);
	for (unsigned burst = 1; burst <= BED_EVENTS; burst += 1365) {
		for (unsigned i = 0; i < burst; i++)
			record(bed, ++ticket);
		cr_assert(rings_drain(&bed->cpus[0], &wrong), "%s", wrong);
	}
	cr_expect(nseen == ticket && bed->nrecent == ticket);
	/* With nobody listening the last ones are still there for a report. */
	bed_on_events(bed, NULL, NULL);
	for (unsigned i = 0; i < BED_EVENTS; i++)
		record(bed, ++ticket);
	cr_assert(rings_drain(&bed->cpus[0], &wrong), "%s", wrong);
	cr_expect(nseen == ticket - BED_EVENTS);
	cr_expect(bed->recent[(bed->nrecent - 1) % BED_RECENT].ticket == ticket);
	bed_without_share(bed);
}

BED_TEST(parts, scribbled_rings_are_refused)
{
	static const struct {
		uint64_t event_head, event_tail, console_head, console_tail;
		uint16_t type, cpu;
		const char *says;
	} row[] = {
		{ BED_EVENTS + 1, 0, 0, 0, 1, 0, "event_head" },
		{ UINT64_MAX, 0, 0, 0, 1, 0, "event_head" },
		{ 1, 1, 0, 0, 1, 0, "event_tail" },
		{ 1, 0, 0, 0, 0, 0, "unknown type" },
		{ 1, 0, 0, 0, 22, 0, "unknown type" },
		{ 1, 0, 0, 0, UINT16_MAX, 0, "unknown type" },
		{ 1, 0, 0, 0, 1, 1, "unknown type or CPU" },
		{ 0, 0, BED_CONSOLE_BYTES + 1, 0, 1, 0, "console_head" },
		{ 0, 0, UINT64_MAX, 0, 1, 0, "console_head" },
		{ 0, 0, 5, 9, 1, 0, "console_tail" },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct bed *bed = bed_with_share();
		struct bed_cpushare *s = bed->cpus[0].share;
		const char *wrong = NULL;

		s->event_head = row[i].event_head;
		s->event_tail = row[i].event_tail;
		s->console_head = row[i].console_head;
		s->console_tail = row[i].console_tail;
		s->event[0].type = row[i].type;
		s->event[0].cpu = row[i].cpu;
		cr_expect(!rings_drain(&bed->cpus[0], &wrong), "row %zu accepted", i);
		cr_expect(wrong != NULL && strstr(wrong, row[i].says), "row %zu: %s", i, wrong);
		bed_without_share(bed);
	}
}
