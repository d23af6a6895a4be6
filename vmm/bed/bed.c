/* SPDX-License-Identifier: ISC */
/*
 * Making, showing and ending a bed: see bed.h.
 */
#include "vmm/bed/snap.h"

#include "shared/paging.h"
#include "vmm/kvm/engine.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t
bed_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

bool
bed_open_image(struct bed *bed, struct bed_err *err)
{
	const struct bed_config *cfg = &bed->cfg;

	bed->path = cfg->image != NULL ? strdup(cfg->image) : image_find(cfg->flavour, err);
	if (bed->path == NULL)
		return cfg->image == NULL || bed_fail(err, BED_E_HOST, "out of memory");
	bed->cfg.image = bed->path;
	return image_open(&bed->image, bed->path, err) &&
	       image_check_ident(&bed->image, cfg->flavour, err);
}

void
bed_fill_info(struct bed *bed, const struct hv_features *feat, uint64_t root)
{
	struct bed_bootinfo *b = &bed->info;
	const struct bed_config *cfg = &bed->cfg;

	b->ident = (struct bed_ident){ .magic = BED_MAGIC,
		.version = BED_ABI_VERSION,
		.flavour = (uint32_t)cfg->flavour,
		.build_id = BED_BUILD_ID };
	b->size = sizeof(*b);
	b->flags = cfg->flags & (BED_BOOT_DETERMINISTIC | BED_BOOT_GUARDPAGES);
	b->ncpu = cfg->ncpu;
	b->root = root;
	b->ptpool_next = bed->mem.pool_next;
	b->kva_size = cfg->kva_size;
	b->dma_high = cfg->dma_high;
	b->tsc_khz = feat->tsc_khz;
	b->seed = cfg->seed;
	b->flush_threshold = cfg->flush_threshold;
	b->planted = cfg->planted;
}

bool
bed_make_ram(struct bed *bed, const struct hv_features *feat, struct bed_err *err)
{
	if (!memory_create(&bed->mem, bed->cfg.ram, (bed->cfg.flags & BED_OVERCOMMIT) != 0, err))
		return false;
	image_extend(&bed->image, (bed->cfg.ncpu - 1) * (uint64_t)BED_CPU_AREA);
	if (!memory_plan(&bed->mem, &bed->cfg, &bed->image, &bed->info, err))
		return false;
	for (unsigned id = 0; id < bed->cfg.ncpu; id++) {
		bed->cpus[id].bed = bed;
		bed->cpus[id].id = id;
		bed->cpus[id].share =
		    memory_at(&bed->mem, BED_SHARE_PA + id * (uint64_t)BED_SHARE_STRIDE);
	}
	memory_segs(&bed->mem, bed->seg);
	bed->maxphyaddr = feat->maxphyaddr;
	bed->nx = feat->nx;
	bed->pages_1g = feat->pages_1g;
	return true;
}

bool
bed_make_machine(struct bed *bed, unsigned slot_flags, struct bed_err *err)
{
	uint64_t ignored;

	bed->vm = hv_vm_create(err);
	if (bed->vm == NULL || !memory_attach(&bed->mem, bed->vm, slot_flags, err))
		return false;
	for (unsigned id = 0; id < bed->cfg.ncpu; id++) {
		struct hv_cpu *hv = hv_cpu_create(bed->vm, id, err);

		if (hv == NULL)
			return false;
		bed->cpus[id].hv = hv;
		if (bed->cfg.ncpu == 1)
			return true;
		/* Opens KVM's counters, which cannot be had while the vCPU is inside KVM_RUN. */
		hv_cpu_stat(hv, "exits", &ignored);
		if (!hv_cpu_ready(hv, err))
			return false;
	}
	return true;
}

/* Memory with the image and the first tables in it. */
static bool
build_memory(struct bed *bed, const struct hv_features *feat, uint64_t *root, struct bed_err *err)
{
	if (!bed_open_image(bed, err) || !bed_make_ram(bed, feat, err))
		return false;
	memory_load(&bed->mem, &bed->image);
	return tables_build(&bed->mem, &bed->image, feat, root, err);
}

static void
tell_guest(struct bed *bed, const struct hv_features *feat, uint64_t root)
{
	bed_fill_info(bed, feat, root);
	memcpy(memory_at(&bed->mem, BED_BOOTINFO_PA), &bed->info, sizeof(bed->info));
}

static bool
build_kvm(struct bed *bed, struct bed_err *err)
{
	const struct hv_features *feat = hv_features(err);
	struct hv_start start;
	uint64_t root;

	if (feat == NULL || !build_memory(bed, feat, &root, err) || !bed_make_machine(bed, 0, err))
		return false;
	/* Not earlier: the TSC's frequency is known from the first vCPU on. */
	tell_guest(bed, feat, root);
	start = (struct hv_start){ .root = root,
		.rip = bed->image.entry,
		.rdi = BED_BOOTINFO_PA,
		.cr4 = feat->cr4,
		.efer = feat->efer };
	for (unsigned id = 0; id < bed->cfg.ncpu; id++) {
		start.rsi = id;
		hv_cpu_start64(bed->cpus[id].hv, &start);
	}
	return true;
}

static bool
build_twin(struct bed *bed, struct bed_err *err)
{
	uint64_t root;

	if (!build_memory(bed, &twin_features, &root, err))
		return false;
	tell_guest(bed, &twin_features, root);
	bed->twin = twin_create(
	    bed->cfg.flavour, &bed->mem, &bed->image, &bed->info, &bed->vm, &bed->at->hv, err);
	return bed->twin != NULL;
}

/* Everything up to the first instruction. */
static bool
build(struct bed *bed, struct bed_err *err)
{
	return bed->cfg.engine == BED_ENGINE_TWIN ? build_twin(bed, err) : build_kvm(bed, err);
}

/* KVM has the counter everywhere, but where the CPU runs the guest it sees few of its instructions. */
static bool
engine_counts_insns(const struct bed *bed)
{
	const struct engine *e = bed_engine(bed);

	return e != NULL && e->counts_insns;
}

/* After the boot of the first vCPU: the others come up, until all have nothing to do. */
static bool
settle(struct bed *bed, struct bed_err *err)
{
	cpus_start(bed);
	return bed_run(bed, BED_EXIT_IDLE, err);
}

static bool
boot(struct bed *bed, uint64_t begin, struct bed_err *err)
{
	bool count = (bed->cfg.flags & BED_COUNT_BOOT) != 0;

	if (!build(bed, err))
		return false;
	bed->stepping = count && !engine_counts_insns(bed);
	if (bed->stepping && !hv_cpu_step(bed->at->hv, true, err))
		return false;
	bed->booting = true;
	if (!bed_run(bed, BED_EXIT_READY, err) || (bed->cfg.ncpu > 1 && !settle(bed, err)))
		return false;
	bed->booting = false;
	bed->boot.exits = hv_cpu_exits(bed->at->hv) - bed->steps;
	if (bed->stepping && !hv_cpu_step(bed->at->hv, false, err))
		return false;
	bed->boot.total_ns = bed_now_ns() - begin;
	bed->boot.insns = bed->steps;
	if (count && !bed->stepping)
		hv_cpu_stat(bed->at->hv, "insn_emulation", &bed->boot.insns);
	bed->stepping = false;
	return true;
}

struct bed *
bed_alloc(const struct bed_config *cfg, struct bed_err *err)
{
	struct bed *bed;

	if (!bed_config_check(cfg, err))
		return NULL;
	bed = calloc(1, sizeof(*bed));
	if (bed == NULL) {
		bed_fail(err, BED_E_HOST, "out of memory");
		return NULL;
	}
	bed->cfg = *cfg;
	bed->mem.fd = -1;
	bed->at = &bed->cpus[0];
	return bed;
}

struct bed *
bed_create(const struct bed_config *cfg, struct bed_err *err)
{
	uint64_t begin = bed_now_ns();
	struct bed *bed = bed_alloc(cfg, err);

	if (bed == NULL || boot(bed, begin, err))
		return bed;
	bed_destroy(bed);
	return NULL;
}

void
bed_destroy(struct bed *bed)
{
	if (bed == NULL)
		return;
	cpus_end(bed);
	hv_vm_destroy(bed->vm);
	twin_destroy(bed->twin);
	memory_destroy(&bed->mem);
	image_close(&bed->image);
	free(bed->path);
	free(bed->console);
	free(bed->report);
	snap_release(bed->snap);
	free(bed->dirty);
	free(bed->poked);
	free(bed);
}

struct view
bed_view(const struct bed *bed)
{
	struct view view = {
		.seg = bed->seg,
		.nseg = bed->mem.high_end == 0 ? 1 : 2,
		.root = GPA(hv_cpu_root(bed->at->hv) & PTE_FRAME),
		.maxphyaddr = bed->maxphyaddr,
		.nx = bed->nx,
		.pages_1g = bed->pages_1g,
	};

	/* A CPU that was reset by a triple fault no longer says what it used. */
	if (bed->report != NULL && view.root.v == 0)
		view.root = GPA(bed->at->before.cr3 & PTE_FRAME);
	return view;
}

void *
bed_ptr(const struct bed *bed, gpa_t gpa, uint64_t len)
{
	struct view view = bed_view(bed);
	void *host = view_ptr(&view, gpa, len);

	if (host != NULL)
		bed_pokes(bed, host, len);
	return host;
}

struct translation {
	struct hv_cpu *hv;
	gva_t va;
	gpa_t *pa;
	bool ok;
};

static void
translate(void *arg)
{
	struct translation *t = arg;

	t->ok = hv_cpu_translate(t->hv, t->va, t->pa);
}

bool
bed_translate(struct bed *bed, gva_t va, gpa_t *pa)
{
	struct translation t = { bed->at->hv, va, pa, false };

	if (bed->at->has_thread)
		cpus_do(bed->at, translate, &t);
	else
		translate(&t);
	return t.ok;
}

const struct bed_config *
bed_config(const struct bed *bed)
{
	return &bed->cfg;
}

const struct bed_bootinfo *
bed_bootinfo(const struct bed *bed)
{
	return &bed->info;
}

const char *
bed_image_path(const struct bed *bed)
{
	return bed->path;
}

const struct engine *
bed_engine(const struct bed *bed)
{
	return bed->twin != NULL ? engine_twin() : engine_get(NULL);
}

struct bed_pointers
bed_pointers(const struct bed *bed)
{
	struct bed_pointers p = { .direct = BED_DIRECT_BASE,
		.direct_bytes = BED_DIRECT_MAX,
		.data = BED_IMAGE_BASE,
		.data_bytes = -BED_IMAGE_BASE };

	if (bed->twin != NULL) {
		struct twin_data d = twin_data(bed->twin);

		p = (struct bed_pointers){ (uint64_t)bed->mem.base, bed->mem.bytes, d.start,
			d.end - d.start, d.pa };
	}
	return p;
}

/* The guest records the low half of the distance to the image's base. */
uint64_t
bed_event_pc(const struct bed *bed, uint32_t pc)
{
	uint64_t text;

	if (bed->twin == NULL)
		return BED_IMAGE_BASE + pc;
	text = twin_data(bed->twin).text;
	return text + (uint32_t)(pc - (uint32_t)(text - BED_IMAGE_BASE));
}

struct bed_counters
bed_counters(const struct bed *bed, unsigned cpu)
{
	struct bed_counters none = { 0 };

	return cpu < bed->cfg.ncpu ? bed->cpus[cpu].share->count : none;
}

struct bed_counters
bed_counters_all(const struct bed *bed)
{
	struct bed_counters sum = { 0 };

	for (unsigned i = 0; i < bed->cfg.ncpu; i++) {
		struct bed_counters one = bed->cpus[i].share->count;

#define X(name, text) sum.name += one.name;
		BED_COUNTERS(X)
#undef X
	}
	return sum;
}

struct bed_stats
bed_stats(struct bed *bed)
{
	struct bed_stats s = { .exits = -bed->steps - bed->stores };

	s.has_insns = s.has_invlpg = engine_counts_insns(bed);
	for (unsigned i = 0; i < bed->cfg.ncpu; i++) {
		struct bed_cpu *cpu = &bed->cpus[i];
		uint64_t insns = 0, invlpg = 0;

		s.exits += hv_cpu_exits(cpu->hv) - cpu->yields;
		s.yields += cpu->yields;
		s.rings += cpu->ring_exits;
		s.has_insns = s.has_insns && hv_cpu_stat(cpu->hv, "insn_emulation", &insns);
		s.has_invlpg = s.has_invlpg && hv_cpu_stat(cpu->hv, "invlpg", &invlpg);
		s.insns += insns;
		s.invlpg += invlpg;
	}
	return s;
}

bool
bed_insns(struct bed *bed, unsigned cpu, uint64_t *insns)
{
	*insns = 0;
	return cpu < bed->cfg.ncpu && engine_counts_insns(bed) &&
	       hv_cpu_stat(bed->cpus[cpu].hv, "insn_emulation", insns);
}

struct bed_boot
bed_boot(const struct bed *bed)
{
	return bed->boot;
}

const char *
bed_console(const struct bed *bed)
{
	return bed->console == NULL ? "" : bed->console;
}

const char *
bed_report(const struct bed *bed)
{
	return bed->report;
}

const char *
bed_death_word(const struct bed *bed)
{
	return bed->death_word;
}

void
bed_on_events(struct bed *bed, bed_event_fn *fn, void *arg)
{
	bed->cfg.on_events = fn;
	bed->cfg.on_events_arg = arg;
}

void
bed_on_sync(struct bed *bed, bed_sync_fn *fn, void *arg)
{
	bed->on_sync = fn;
	bed->on_sync_arg = arg;
}

void
bed_set_timeout(struct bed *bed, unsigned timeout_ms)
{
	bed->cfg.timeout_ms = timeout_ms;
}
