/* SPDX-License-Identifier: ISC */
/*
 * What the VMM tells the guest. Written once by the VMM at BED_BOOTINFO_PA before the first
 * instruction; read-only for the guest by convention. All addresses are guest physical, all ends
 * exclusive, all ranges page aligned.
 */
#ifndef SHARED_BOOTINFO_H
#define SHARED_BOOTINFO_H

#include "abi.h"

#define BED_SEG_MAX 16 /* as VM_PHYSSEG_MAX on amd64 */

struct bed_seg {
	uint64_t start, end;
};

/* bed_bootinfo.flags */
#define BED_BOOT_DETERMINISTIC 0x1u /* no timers, fixed flush threshold */
#define BED_BOOT_GUARDPAGES    0x2u /* kernel_map and kmem_map get VM_MAP_GUARDPAGES */

struct bed_bootinfo {
	struct bed_ident ident;
	uint32_t size; /* of this struct */
	uint32_t flags;
	uint32_t ncpu;
	uint32_t nseg; /* seg[] in use */
	uint64_t ram_bytes;
	uint64_t root; /* CR3 of every vCPU at entry */
	uint64_t image_start,
	    image_end; /* physical extent of the image, .bss and cpu areas included */
	uint64_t ptpool_start, ptpool_end; /* page-table pages come from here only */
	uint64_t ptpool_next;              /* first pool page the VMM's tables did not use */
	uint64_t direct_end;               /* end of RAM: the direct map covers [0, direct_end) */
	uint64_t kva_size;                 /* bytes of kernel_map */
	uint64_t dma_high;                 /* highest DMA-able physical address, inclusive */
	uint64_t tsc_khz;                  /* 0: unknown */
	uint64_t seed;                     /* for guest-side choices; 0 in deterministic runs */
	uint64_t flush_threshold; /* pages above which a range is one full flush; 0: default */
	uint64_t
	    cpu_area; /* vCPU n > 0 has BED_CPU_AREA zeroed bytes at this + (n - 1) * BED_CPU_AREA */
	uint64_t planted; /* enum bed_planted: a bug to have, checked flavour only; 0: none */
	struct bed_seg seg[BED_SEG_MAX]; /* memory for uvm_page_physload, ascending */
	struct bed_seg ram[2]; /* all RAM: below and above the 3..4 GiB hole; end 0: none */
};
BED_ASSERT_OFFSET(struct bed_bootinfo, size, 56);
BED_ASSERT_OFFSET(struct bed_bootinfo, ram_bytes, 72);
BED_ASSERT_OFFSET(struct bed_bootinfo, seg, 192);
BED_ASSERT_SIZE(struct bed_bootinfo, 192 + (BED_SEG_MAX + 2) * 16);

#endif
