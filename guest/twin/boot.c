/* SPDX-License-Identifier: ISC */
/*
 * Booting the twin: memory, boot information, the first tables, and the guest's own data back to what
 * its image holds, so that one process can boot as often as it likes.
 */
#include <machine/assert.h>
#include <machine/mmu.h>
#include <machine/planted.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "guest/pmap.h"
#include "guest/twin/priv.h"
#include "guest/twin/twin.h"
#include "guest/uvm/uvm_extern.h"
#include "guest/uvm/uvm_page.h"
#include "guest/uvm/uvm_pmemrange.h"

uint8_t *twin_ram;
uint64_t twin_ram_end;
struct bed_bootinfo twin_info;

#define MIB       (UINT64_C(1) << 20)
#define LARGE     (2 * MIB)
#define RAM_AHEAD LARGE /* so that host addresses are 2 MiB aligned, as in the guest */
#define POOL_MIN  MIB
#define POOL_MAX  (256 * MIB)

/* Data of the guest's files, gathered by twin.ld. */
extern char twin_data_start[], twin_data_end[], twin_bss_start[], twin_bss_end[];

/* Byte by byte and unchecked: it runs over the sanitizer's red zones too. */
__attribute__((__no_sanitize__("address", "undefined", "thread"))) static void
copy_raw(char *to, const char *from, size_t n)
{
	for (volatile size_t i = 0; i < n; i++)
		to[i] = from[i];
}

/* The end of what was booted before, if anything. */
static void
reset_data(void)
{
	static char *image; /* of .data at the first boot; .bss is zero then */
	size_t data = (size_t)(twin_data_end - twin_data_start);
	size_t bss = (size_t)(twin_bss_end - twin_bss_start);

	twin_cpus_stop();
	if (image == NULL) {
		image = calloc(1, data + bss);
		if (image == NULL)
			abort();
		copy_raw(image, twin_data_start, data);
		return;
	}
	copy_raw(twin_data_start, image, data);
	copy_raw(twin_bss_start, image + data, bss);
}

static uint64_t
round_up(uint64_t x, uint64_t to)
{
	return (x + to - 1) & ~(to - 1);
}

static void *
anonymous(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		twin_die("twin: no memory for RAM");
	return p;
}

static void
make_memory(void)
{
	static void *area, *shadow;
	static size_t area_bytes, shadow_bytes;
	uint64_t hole = twin_info.ram[0].end;

	if (area != NULL) {
		munmap(area, area_bytes);
		munmap(shadow, shadow_bytes);
	}
	twin_ram_end = twin_info.direct_end;
	area_bytes = twin_ram_end + RAM_AHEAD;
	area = anonymous(area_bytes);
	twin_ram = (uint8_t *)round_up((uintptr_t)area, LARGE);
	if (twin_info.ram[1].end != 0 &&
	    mprotect(twin_ram + hole, BED_HOLE_END - hole, PROT_NONE) != 0)
		twin_die("twin: no hole in RAM");
	shadow_bytes = (twin_info.ptpool_end - twin_info.ptpool_start) / sizeof(pt_entry_t) *
	               TWIN_TLB_BYTES * twin_info.ncpu;
	shadow = anonymous(shadow_bytes);
	twin_tlb_init(shadow, twin_info.ncpu);
}

static void
add_seg(uint64_t start, uint64_t end)
{
	if (end > start)
		twin_info.seg[twin_info.nseg++] = (struct bed_seg){ start, end };
}

/* The bug to have: what the caller asks for, or BED_PLANT=NAME of the environment. */
static uint64_t
planted_bug_of(const struct twin_config *cfg)
{
	static const struct {
		uint64_t id;
		const char *name;
	} bug[] = {
#define PLANT(id, constant, name, what, origin, killers) { id, name },
#include "shared/planted.def"
#undef PLANT
	};
	const char *name = getenv("BED_PLANT");

	if (cfg->planted != PLANTED_NONE || name == NULL)
		return cfg->planted;
	for (size_t i = 0; i < nitems(bug); i++) {
		if (strcmp(bug[i].name, name) == 0)
			return bug[i].id;
	}
	twin_die("twin: BED_PLANT names no bug");
}

/* The division of memory that the VMM would make. */
static void
plan(const struct twin_config *cfg)
{
	struct bed_bootinfo *b = &twin_info;
	uint64_t ram = cfg->ram != 0 ? cfg->ram : 64 * MIB, pool = cfg->ptpool;
	uint64_t low_end = ram < BED_HOLE_START ? ram : BED_HOLE_START, high_end = 0;

	if (ram > BED_HOLE_START)
		high_end = ram - BED_HOLE_START + BED_HOLE_END;
	if (pool == 0) {
		pool = round_up(ram / 16, PAGE_SIZE);
		pool = pool < POOL_MIN ? POOL_MIN : pool > POOL_MAX ? POOL_MAX : pool;
	}
	*b = (struct bed_bootinfo){
		.ident = { .magic = BED_MAGIC,
		    .version = BED_ABI_VERSION,
		    .build_id = BED_BUILD_ID },
		.size = sizeof(*b),
		.flags = cfg->flags & (BED_BOOT_DETERMINISTIC | BED_BOOT_GUARDPAGES),
		.ncpu = cfg->ncpu != 0 ? cfg->ncpu : 1,
		.ram_bytes = ram,
		.image_start = BED_IMAGE_PA,
		.image_end = BED_IMAGE_PA + (cfg->image != 0 ? cfg->image : MIB),
		.direct_end = high_end != 0 ? high_end : low_end,
		.kva_size = cfg->kva != 0 ? cfg->kva : BED_KVA_DEFAULT,
		.dma_high = cfg->dma_high != 0 ? cfg->dma_high : UINT64_MAX,
		.flush_threshold = cfg->flush_threshold,
		.planted = planted_bug_of(cfg),
		.ram = { { 0, low_end }, { 0, 0 } },
	};
	if (high_end != 0)
		b->ram[1] = (struct bed_seg){ BED_HOLE_END, high_end };
	b->ptpool_start = round_up(b->image_end, LARGE);
	b->ptpool_end = b->ptpool_start + pool;
	if (b->ptpool_end >= low_end)
		twin_die("twin: too little RAM for the page-table pool");
	add_seg(BED_SHARE_PA + b->ncpu * BED_SHARE_STRIDE, BED_PROG_PA);
	add_seg(b->image_end, b->ptpool_start);
	add_seg(b->ptpool_end, low_end);
	add_seg(BED_HOLE_END, high_end);
}

/* Memory and the state of the CPU at the first instruction, and the part of the boot that needs no memory. */
static void
start(void)
{
	make_memory();
	twin_tables(&twin_info);
	twin_cpu = twin_cpu_init(0);
	twin_events_clear();
	twin_thread_init();
}

/* What guest/main.c does. */
static void
boot_guest(uint32_t flags)
{
	memcpy(PMAP_DIRECT_MAP(BED_BOOTINFO_PA), &twin_info, sizeof(twin_info));
	ncpus = twin_info.ncpu;
	pmap_bootstrap(&twin_info);
	for (unsigned i = 0; i < twin_info.nseg; i++) {
		paddr_t from = atop(twin_info.seg[i].start), to = atop(twin_info.seg[i].end);

		uvm_page_physload(from, to, from, to, 0);
	}
	uvm_page_init();
	if (!(flags & TWIN_PAGES_ONLY))
		uvm_init(&twin_info);
	if (thread_create(uvm_pageout, NULL, "pagedaemon", NULL) != 0)
		twin_die("twin: no thread for the page daemon");
	cold = false;
	planted_arm(&twin_info);
	twin_run();
	twin_cpus_start(twin_info.ncpu);
}

void
twin_reset(void)
{
	const struct twin_config cfg = { .flags = 0 };

	reset_data();
	plan(&cfg);
	start();
	pmap_bootstrap(&twin_info);
}

void
twin_boot_config(const struct twin_config *cfg)
{
	reset_data();
	plan(cfg);
	start();
	boot_guest(cfg->flags);
}

void
twin_boot(uint64_t ram, uint64_t kva, uint32_t flags)
{
	const struct twin_config cfg = { .ram = ram, .kva = kva, .flags = flags };

	twin_boot_config(&cfg);
}

void
twin_boot_info(const struct bed_bootinfo *info, uint32_t flags)
{
	reset_data();
	twin_info = *info;
	start();
	if (twin_info.root != info->root || twin_info.ptpool_next > info->ptpool_next)
		twin_die("twin: its tables are not those of the boot information");
	twin_info.ptpool_next = info->ptpool_next;
	boot_guest(flags);
}
