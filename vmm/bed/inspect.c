/* SPDX-License-Identifier: ISC */
/*
 * Guest symbols, guest virtual memory, guest maps: see inspect.h.
 */
#include <string.h>
#include <unistd.h>

#include "guest/uvm/uvm_map.h"
#include "vmm/bed/bed_priv.h"
#include "shared/calls.h"
#include "vmm/bed/inspect.h"
#include "vmm/bed/snap.h"
#include "vmm/view/walk.h"

bool
bed_symbol(const struct bed *bed, const char *name, gva_t *addr)
{
	/* The twin has data of its own; where the image's parts begin and end is the image's. */
	return (bed->twin != NULL && twin_symbol(bed->twin, name, &addr->v)) ||
	       image_symbol(&bed->image, name, &addr->v);
}

struct symbols *
bed_symbols(const struct bed *bed)
{
	return bed->twin != NULL ? symbols_open_self() : symbols_open(&bed->image);
}

bool
bed_read(const struct bed *bed, gva_t va, void *buf, size_t len)
{
	struct bed_pointers pointers = bed_pointers(bed);
	struct view view = bed_view(bed);
	uint8_t *to = buf;
	uint64_t pa;

	if (bed->twin != NULL && bed_pointer_pa(&pointers, va.v, &pa)) {
		const void *from = view_ptr(&view, GPA(pa), len);

		if (from != NULL)
			memcpy(buf, from, len);
		return from != NULL;
	}
	while (len > 0) {
		size_t part = (size_t)(BED_PAGE_SIZE - (va.v & BED_PAGE_MASK));
		struct walk walk = view_walk(&view, va);
		const void *from;

		if (part > len)
			part = len;
		if (!walk_mapped(&walk) || (from = view_ptr(&view, walk.pa, part)) == NULL)
			return false;
		memcpy(to, from, part);
		to += part;
		va.v += part;
		len -= part;
	}
	return true;
}

bool
bed_read_word(void *arg, uint64_t va, uint64_t *word)
{
	const struct bed *bed = arg;

	return (bed->twin != NULL && twin_read(bed->twin, va, word)) ||
	       bed_read(bed, GVA(va), word, sizeof(*word));
}

const void *
bed_image(const struct bed *bed, size_t *bytes)
{
	*bytes = bed->image.bytes;
	return bed->image.map;
}

/* Where a bed that began from a snapshot has pages: of its file, or of its own. */
static bool
snapshot_data(const struct bed *bed, uint64_t offset, uint64_t *start, uint64_t *end)
{
	*start = snap_next(bed->snap, &bed->mem, offset);
	*end = *start;
	while (*end < bed->mem.bytes && snap_next(bed->snap, &bed->mem, *end) == *end)
		*end += BED_PAGE_SIZE;
	return *start < *end;
}

bool
bed_ram_data(const struct bed *bed, uint64_t offset, uint64_t *start, uint64_t *end)
{
	off_t data, hole;

	if (bed->snap != NULL)
		return snapshot_data(bed, offset & ~BED_PAGE_MASK, start, end);
	data = lseek(bed->mem.fd, (off_t)offset, SEEK_DATA);
	if (data == -1)
		return false;
	hole = lseek(bed->mem.fd, data, SEEK_HOLE);
	*start = (uint64_t)data;
	*end = hole == -1 ? bed->mem.bytes : (uint64_t)hole;
	return *start < *end;
}

void
bed_cpus_look(struct bed *bed, struct bed_cpu_look out[BED_CPU_MAX])
{
	uint32_t paused = bed->cfg.ncpu > 1 ? cpus_pause(bed) : 0;

	for (unsigned i = 0; i < bed->cfg.ncpu; i++) {
		struct bed_cpu *cpu = &bed->cpus[i];
		struct bed_cpu_look *look = &out[i];

		*look = (struct bed_cpu_look){ .asleep = cpu->halted };
		hv_cpu_regs(cpu->hv, &look->regs);
		/* The twin's CPU has no registers while it is not run. */
		if (look->regs.cr3 == 0 && bed->twin == NULL) {
			look->regs = cpu->before;
			look->reset = true;
		}
	}
	cpus_unpause(bed, paused);
}

bool
bed_regs(const struct bed *bed, struct hv_regs *regs)
{
	hv_cpu_regs(bed->at->hv, regs);
	return regs->cr3 != 0;
}

bool
bed_map_extent(struct bed *bed, uint64_t handle, struct bed_extent *extent)
{
	struct vm_map map;
	uint64_t pointer;

	if (bed->map_table.v == 0 && !bed_symbol(bed, "bed_map", &bed->map_table))
		return false;
	if (handle >= BED_MAPS_MAX ||
	    !bed_read(
		bed, GVA(bed->map_table.v + handle * sizeof(pointer)), &pointer, sizeof(pointer)) ||
	    pointer == 0 || !bed_read(bed, GVA(pointer), &map, sizeof(map)))
		return false;
	*extent = (struct bed_extent){ map.min_offset, map.max_offset, map.flags, map.size };
	return true;
}
