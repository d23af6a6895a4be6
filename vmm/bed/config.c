/* SPDX-License-Identifier: ISC */
/*
 * The configuration of a bed: defaults, and what is refused with which words.
 */
#include "shared/layout.h"
#include "shared/paging.h"
#include "vmm/bed/bed.h"
#include "vmm/bed/planted.h"

#include <inttypes.h>

#define MIB   (UINT64_C(1) << 20)
#define LARGE (2 * MIB)

void
bed_config_init(struct bed_config *cfg)
{
	*cfg = (struct bed_config){
		.ram = 16 * MIB,
		.ncpu = 1,
		.kva_size = BED_KVA_DEFAULT,
		.flavour = BED_CHECKED,
		.timeout_ms = 10000,
		.flags = BED_BOOT_DETERMINISTIC,
		.dma_high = UINT32_MAX,
	};
}

bool
bed_config_check(const struct bed_config *cfg, struct bed_err *err)
{
	const uint32_t known =
	    BED_BOOT_DETERMINISTIC | BED_BOOT_GUARDPAGES | BED_OVERCOMMIT | BED_COUNT_BOOT;

	if (cfg->ram < BED_RAM_MIN || cfg->ram > BED_RAM_MAX || cfg->ram % LARGE != 0)
		return bed_fail(err, BED_E_USAGE,
		    "RAM of %" PRIu64 " bytes (%" PRIu64
		    " MiB): it must be a multiple of 2 MiB from "
		    "%" PRIu64 " MiB to %" PRIu64 " MiB",
		    cfg->ram, cfg->ram / MIB, BED_RAM_MIN / MIB, BED_RAM_MAX / MIB);
	if (cfg->ncpu == 0 || cfg->ncpu > BED_CPU_MAX)
		return bed_fail(
		    err, BED_E_USAGE, "%u CPUs: a guest has from 1 to %d", cfg->ncpu, BED_CPU_MAX);
	if (cfg->ncpu > 1 && (cfg->flags & BED_COUNT_BOOT) != 0)
		return bed_fail(err, BED_E_USAGE,
		    "%u CPUs: the instructions of a boot are counted with one", cfg->ncpu);
	if (cfg->engine != BED_ENGINE_KVM && cfg->engine != BED_ENGINE_TWIN)
		return bed_fail(err, BED_E_USAGE, "unknown engine %d", (int)cfg->engine);
	if (cfg->engine == BED_ENGINE_TWIN && cfg->ncpu > 1)
		return bed_fail(err, BED_E_USAGE, "%u CPUs: the engine twin has one", cfg->ncpu);
	if (cfg->kva_size < LARGE || cfg->kva_size > BED_KVA_MAX || cfg->kva_size % LARGE != 0)
		return bed_fail(err, BED_E_USAGE,
		    "kernel_map of %#" PRIx64
		    " bytes: it must be a multiple of 2 MiB up to %" PRIu64 " GiB",
		    cfg->kva_size, BED_KVA_MAX >> 30);
	if (cfg->ptpool % BED_PAGE_SIZE != 0 || cfg->ptpool > cfg->ram)
		return bed_fail(err, BED_E_USAGE,
		    "page-table pool of %#" PRIx64 " bytes: it must be a multiple of 4096 and less "
		    "than RAM",
		    cfg->ptpool);
	if (cfg->flavour != BED_CHECKED && cfg->flavour != BED_RELEASE)
		return bed_fail(err, BED_E_USAGE, "unknown flavour %d", (int)cfg->flavour);
	if (cfg->planted != PLANTED_NONE && cfg->flavour != BED_CHECKED)
		return bed_fail(err, BED_E_USAGE,
		    "bug %s cannot be planted in the release flavour: it has no code for it; use the checked guest",
		    planted_find(cfg->planted) != NULL ? planted_find(cfg->planted)->name : "?");
	if (cfg->planted != PLANTED_NONE && planted_find(cfg->planted) == NULL)
		return bed_fail(err, BED_E_USAGE,
		    "there is no bug %u to plant; --plant list names all", cfg->planted);
	if ((cfg->flags & ~known) != 0)
		return bed_fail(err, BED_E_USAGE, "unknown flags %#x", cfg->flags & ~known);
	return true;
}
