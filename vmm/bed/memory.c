/* SPDX-License-Identifier: ISC */
/*
 * Guest RAM and its division: see memory.h.
 */
#include "vmm/bed/memory.h"

#include "shared/layout.h"
#include "shared/paging.h"
#include "vmm/bed/bed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define MIB      (UINT64_C(1) << 20)
#define LARGE    (2 * MIB)
#define POOL_MIN MIB
#define POOL_MAX (256 * MIB) /* default; tables for 128 GiB of 4 KiB pages */
#define REST_MIN \
	(64 * BED_PAGE_SIZE) /* less than this after the pool is no memory to allocate from */

static uint64_t
round_up(uint64_t x, uint64_t to)
{
	return (x + to - 1) & ~(to - 1);
}

/* MemAvailable, or 0 if the host does not say. */
static uint64_t
available(void)
{
	unsigned long kib = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	if (f == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "MemAvailable: %lu kB", &kib) == 1)
			break;
	fclose(f);
	return (uint64_t)kib * 1024;
}

/* Memory that is not there shows later as SIGBUS or the OOM killer: ask before. */
static bool
host_has(uint64_t bytes, struct bed_err *err)
{
	struct sysinfo si;
	uint64_t avail;

	/* A small guest on a big idle host needs no closer look. */
	if (sysinfo(&si) == 0 && bytes < (uint64_t)si.freeram * si.mem_unit / 4)
		return true;
	avail = available();
	if (avail == 0 || bytes <= avail)
		return true;
	return bed_fail(err, BED_E_HOST,
	    "%" PRIu64 " MiB of guest RAM, but the host has %" PRIu64 " MiB to give: use less RAM",
	    bytes / MIB, avail / MIB);
}

bool
memory_create(struct memory *m, uint64_t bytes, bool overcommit, struct bed_err *err)
{
	uint8_t *area;

	*m = (struct memory){ .fd = -1, .bytes = bytes };
	m->low_end = bytes < BED_HOLE_START ? bytes : BED_HOLE_START;
	m->high_end = bytes > BED_HOLE_START ? bytes - BED_HOLE_START + BED_HOLE_END : 0;
	if (!overcommit && !host_has(bytes, err))
		return false;
	m->fd = memfd_create("uvmbed-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m->fd == -1)
		return bed_fail(err, BED_E_HOST, "guest RAM: memfd_create: %s", strerror(errno));
	if (ftruncate(m->fd, (off_t)bytes) != 0 ||
	    fcntl(m->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
		bed_fail(err, BED_E_HOST, "guest RAM of %" PRIu64 " MiB: %s", bytes / MIB,
		    strerror(errno));
		memory_destroy(m);
		return false;
	}
	/* Guest and host addresses equal modulo 2 MiB, so that both sides can use large pages. */
	area = mmap(
	    NULL, bytes + LARGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area != MAP_FAILED) {
		m->base = (uint8_t *)round_up((uintptr_t)area, LARGE);
		if (m->base != area)
			munmap(area, (size_t)(m->base - area));
		munmap(m->base + bytes, (size_t)(area + LARGE - m->base));
		if (mmap(m->base, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, m->fd,
			0) != MAP_FAILED)
			return true;
		munmap(m->base, bytes);
		m->base = NULL;
	}
	bed_fail(err, BED_E_HOST, "guest RAM of %" PRIu64 " MiB cannot be mapped: %s", bytes / MIB,
	    strerror(errno));
	memory_destroy(m);
	return false;
}

void
memory_destroy(struct memory *m)
{
	if (m->base != NULL)
		munmap(m->base, m->bytes);
	if (m->fd != -1)
		close(m->fd);
	m->base = NULL;
	m->fd = -1;
}

void *
memory_at(const struct memory *m, uint64_t gpa)
{
	return m->base + (gpa < BED_HOLE_END ? gpa : gpa - (BED_HOLE_END - BED_HOLE_START));
}

unsigned
memory_segs(const struct memory *m, struct view_seg seg[2])
{
	seg[0] = (struct view_seg){ GPA(0), m->low_end, m->base };
	if (m->high_end == 0)
		return 1;
	seg[1] = (struct view_seg){ GPA(BED_HOLE_END), m->high_end - BED_HOLE_END,
		memory_at(m, BED_HOLE_END) };
	return 2;
}

uint64_t
memory_prog(const struct memory *m, unsigned cpu)
{
	return cpu == 0 ? BED_PROG_PA : m->prog + (cpu - 1) * (uint64_t)BED_PROG_BYTES;
}

static void
add_seg(struct bed_bootinfo *b, uint64_t start, uint64_t end)
{
	if (end > start)
		b->seg[b->nseg++] = (struct bed_seg){ start, end };
}

bool
memory_plan(struct memory *m, const struct bed_config *cfg, const struct image *im,
    struct bed_bootinfo *b, struct bed_err *err)
{
	uint64_t pool = cfg->ptpool, others = cfg->ncpu - 1;
	uint64_t end = im->pa_end + others * BED_PROG_BYTES;

	if (pool == 0) {
		pool = round_up(cfg->ram / 16, BED_PAGE_SIZE);
		pool = pool < POOL_MIN ? POOL_MIN : pool > POOL_MAX ? POOL_MAX : pool;
	}
	m->pool_start = round_up(end, LARGE);
	m->pool_end = m->pool_start + pool;
	if (m->pool_end + (m->high_end == 0 ? REST_MIN : 0) > m->low_end)
		return bed_fail(err, BED_E_USAGE,
		    "%" PRIu64
		    " MiB of RAM below the hole are too few: the image%s ends at %" PRIu64
		    " KiB, %" PRIu64 " KiB of page tables end at %" PRIu64
		    " KiB; more RAM or fewer page tables",
		    m->low_end / MIB, others == 0 ? "" : " with what each CPU has", end / 1024,
		    pool / 1024, m->pool_end / 1024);
	m->pool_next = m->pool_start;
	b->ram_bytes = m->bytes;
	b->image_start = im->pa_start;
	b->image_end = im->pa_end;
	b->cpu_area = im->pa_end - others * BED_CPU_AREA;
	m->prog = im->pa_end;
	b->ptpool_start = m->pool_start;
	b->ptpool_end = m->pool_end;
	b->direct_end = m->high_end != 0 ? m->high_end : m->low_end;
	b->ram[0] = (struct bed_seg){ 0, m->low_end };
	if (m->high_end != 0)
		b->ram[1] = (struct bed_seg){ BED_HOLE_END, m->high_end };
	b->nseg = 0;
	add_seg(b, BED_SHARE_PA + cfg->ncpu * BED_SHARE_STRIDE, BED_PROG_PA);
	add_seg(b, end, m->pool_start);
	add_seg(b, m->pool_end, m->low_end);
	add_seg(b, BED_HOLE_END, m->high_end);
	return true;
}

unsigned
memory_slots(const struct memory *m, struct memory_slot slot[MEMORY_SLOTS])
{
	const struct bed_seg range[MEMORY_SLOTS] = {
		[MEMORY_SLOT_LOW] = { 0, m->pool_start },
		[MEMORY_SLOT_POOL] = { m->pool_start, m->pool_end },
		[MEMORY_SLOT_REST] = { m->pool_end, m->low_end },
		[MEMORY_SLOT_HIGH] = { BED_HOLE_END, m->high_end },
	};
	unsigned n = m->high_end == 0 ? MEMORY_SLOT_HIGH : MEMORY_SLOTS;

	for (unsigned i = 0; i < n; i++) {
		uint8_t *host = memory_at(m, range[i].start);

		slot[i] = (struct memory_slot){ range[i].start, range[i].end - range[i].start,
			(uint64_t)(host - m->base) };
	}
	return n;
}

bool
memory_attach(const struct memory *m, struct hv_vm *vm, unsigned flags, struct bed_err *err)
{
	struct memory_slot slot[MEMORY_SLOTS];
	unsigned n = memory_slots(m, slot);

	for (unsigned i = 0; i < n; i++)
		if (slot[i].len != 0 && !hv_vm_slot(vm, i, GPA(slot[i].gpa), slot[i].len,
					    m->base + slot[i].offset, flags, err))
			return false;
	return true;
}

bool
memory_overlay(const struct memory *m, uint64_t offset, uint64_t len, int fd, uint64_t at)
{
	return mmap(m->base + offset, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd,
		   (off_t)at) != MAP_FAILED;
}

void
memory_load(const struct memory *m, const struct image *im)
{
	for (unsigned i = 0; i < im->nseg; i++)
		memcpy(memory_at(m, im->seg[i].pa), im->map + im->seg[i].offset, im->seg[i].filesz);
}
